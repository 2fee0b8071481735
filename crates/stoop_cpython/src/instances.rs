//! Instances of plain Python classes that compiled code drops, kept for the next ones that it makes (3.13).
//!
//! An instance that is kept has lost its attributes, its class and its place among what the collector knows; its memory
//! stays as it was laid out for the class, empty. It is given out again only while the class's version is the same, so
//! that nothing about the class can have changed. The collector's count of what was allocated is left alone on both ways:
//! it is off by what is kept at most.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::capi::{self, Obj, type_of};
use crate::kept::{GC_NEXT, Kept, revive_untracked};
use crate::layout::{self, flags, read, write};
use crate::objects::{type_flags, type_version};
use crate::type_ptr;

/// How many instances of a class are kept.
const MOST: usize = 48;
/// Classes told apart, by place; of two at one place the first has it for a while.
const PLACES: usize = 64;
/// How often another class finds its place taken before it has it.
const PATIENCE: u32 = 4096;
/// How deep instances that hold instances are followed: after that the interpreter does it, which can put things off.
const DEEPEST: u32 = 32;

/// Before an object: the collector's two words, the dict, and the list of weak references.
const WEAK_REFERENCES: i32 = -32;
const HEADER: usize = 32;

/// What `tp_dealloc` is of classes made in Python; 0 if it is not known.
static DEALLOC: AtomicUsize = AtomicUsize::new(0);

/// The instances of one class.
struct Place {
    /// The class's version; 0: nobody's.
    version: u32,
    /// Whether they can be kept.
    plain: bool,
    /// How often another class has come here.
    missed: u32,
    kept: Kept<MOST>,
}

struct Places {
    depth: u32,
    places: [Place; PLACES],
}

struct Held(UnsafeCell<Places>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(Places {
    depth: 0,
    places: [const { Place { version: 0, plain: false, missed: 0, kept: Kept::new() } }; PLACES],
}));

/// The place of a version, and how deep it is. References live until something else runs.
fn place_of(version: u32) -> (&'static mut u32, &'static mut Place) {
    // SAFETY: the GIL is held, and no caller keeps these over what may come back here.
    let held = unsafe { &mut *HELD.0.get() };
    (&mut held.depth, &mut held.places[version as usize % PLACES])
}

/// Takes note of how classes made in Python free their instances; whether all is where it should be.
///
/// # Safety
/// A live instance that nobody refers to weakly, of a class without slots; the GIL is held.
pub(crate) unsafe fn learn(l: &layout::Layout, instance: Obj) -> bool {
    // SAFETY: as documented: such instances have a header.
    unsafe {
        let class = type_of(instance);
        let alone = read::<usize, _>(instance, WEAK_REFERENCES) == 0 && read::<usize, _>(instance, GC_NEXT) != 0;
        let reference = capi::PyWeakref_NewRef(instance, std::ptr::null_mut());
        if reference.is_null() {
            return false;
        }
        let referred = read::<Obj, _>(instance, WEAK_REFERENCES) == reference;
        capi::decref(reference);
        let fine = alone && referred && has_header(l, class);
        let frees = read::<usize, _>(class, l.tp_free) == capi::PyObject_GC_Del as *const () as usize;
        let ends = read::<usize, _>(class, l.tp_finalize) == 0 && read::<usize, _>(class, l.tp_del) == 0;
        if fine && frees && ends {
            DEALLOC.store(read(class, l.tp_dealloc), Ordering::Relaxed);
        }
        fine && frees && ends
    }
}

/// Whether instances of a class have a header of four words, and values in themselves (3.13) or named by it (3.12).
unsafe fn has_header(l: &layout::Layout, class: Obj) -> bool {
    let wanted = if l.values_valid.is_some() { flags::PLAIN } else { flags::PLAIN & !flags::INLINE_VALUES };
    // SAFETY: a live type.
    unsafe { read::<u64, _>(class, l.tp_flags) & wanted == wanted }
}

/// Whether an instance of a class is its attributes and nothing else, and goes without a finaliser.
unsafe fn is_plain(class: Obj) -> bool {
    let l = layout::get();
    // SAFETY: a live type, and its bases.
    unsafe {
        let own = has_header(l, class)
            && read::<usize, _>(class, l.tp_dealloc) == DEALLOC.load(Ordering::Relaxed)
            && read::<usize, _>(class, l.tp_free) == capi::PyObject_GC_Del as *const () as usize
            && read::<usize, _>(class, l.tp_finalize) == 0
            && read::<usize, _>(class, l.tp_del) == 0
            && read::<isize, _>(class, l.tp_itemsize) == 0;
        let mut base = class;
        while own && base != type_ptr!(PyBaseObject_Type) {
            let slots: isize = read(base, l.ob_size);
            if base.is_null() || type_flags(base) & flags::HEAP == 0 || slots != 0 {
                return false;
            }
            base = read(base, l.tp_base);
            if base.is_null() {
                return false;
            }
        }
        own
    }
}

/// Empties a place for the class of this version.
#[cold]
unsafe fn claim(class: Obj, version: u32, place: &mut Place) {
    place.missed += 1;
    if !place.kept.items().is_empty() && place.missed < PATIENCE {
        return;
    }
    // SAFETY: what is kept is memory that nobody refers to; the block begins before the header.
    unsafe {
        for o in place.kept.items() {
            capi::PyObject_Free(o.cast::<u8>().sub(HEADER).cast());
        }
        *place = Place { version, plain: is_plain(class), missed: 0, kept: Kept::new() };
    }
}

/// What an instance of a plain class holds, if that is all there is to it.
///
/// # Safety
/// A live object of the class, the GIL held.
pub(crate) unsafe fn values<'a>(o: Obj, class: Obj) -> Option<&'a [Obj]> {
    let l = layout::get();
    // SAFETY: as documented.
    unsafe {
        if !has_header(l, class) {
            return None;
        }
        let version = type_version(class);
        let (_, place) = place_of(version);
        let plain = if version != 0 && place.version == version { place.plain } else { is_plain(class) };
        let values = match l.values_valid {
            Some(_) => o.cast::<u8>().offset(read::<isize, _>(class, l.tp_basicsize)),
            // Marked, where it names values.
            None => match read::<usize, _>(o, l.managed_dict) {
                word if word & 1 == 1 => (word + 1) as *mut u8,
                _ => return None,
            },
        };
        if !plain || l.values_valid.is_some_and(|valid| !is_bare(o, values, valid)) || read::<usize, _>(o, WEAK_REFERENCES) != 0 {
            return None;
        }
        let keys: *mut u8 = read(class, l.ht_cached_keys);
        let first = values.offset(l.values_first as isize).cast::<Obj>();
        Some(std::slice::from_raw_parts(first, read::<isize, _>(keys, l.keys_nentries).max(0) as usize))
    }
}

/// Whether an instance has its values in itself, no dict, and nobody that refers to it weakly.
unsafe fn is_bare(o: Obj, values: *mut u8, valid: i32) -> bool {
    // SAFETY: an instance of a plain class, and its values.
    unsafe {
        read::<u8, _>(values, valid) == 1
            && read::<usize, _>(o, layout::get().managed_dict) == 0
            && read::<usize, _>(o, WEAK_REFERENCES) == 0
    }
}

/// Destroys an instance whose last reference is gone, if it can be kept. Whether it was.
///
/// # Safety
/// An object without references, the GIL held. May run Python code, as any drop.
#[inline]
pub unsafe fn put(o: Obj, release: unsafe fn(Obj)) -> bool {
    let l = layout::get();
    // SAFETY: as documented.
    unsafe {
        let class = type_of(o);
        let version = type_version(class);
        if type_flags(class) & flags::PLAIN != flags::PLAIN || version == 0 {
            return false;
        }
        let Some(valid) = l.values_valid else { return false };
        let (depth, place) = place_of(version);
        if place.version != version {
            claim(class, version, place);
        }
        if place.version != version || !place.plain || place.kept.is_full() || *depth >= DEEPEST {
            return false;
        }
        let values = o.cast::<u8>().offset(read::<isize, _>(class, l.tp_basicsize));
        if !is_bare(o, values, valid) {
            return false;
        }
        *depth += 1;
        capi::PyObject_GC_UnTrack(o.cast());
        let keys: *mut u8 = read(class, l.ht_cached_keys);
        let first = values.offset(l.values_first as isize).cast::<Obj>();
        for k in 0..read::<isize, _>(keys, l.keys_nentries).max(0) as usize {
            let value = first.add(k).replace(std::ptr::null_mut());
            if !value.is_null() {
                release(value);
            }
        }
        write::<u8, _>(values, l.values_size, 0);
        // What was let go may have run anything.
        let (depth, place) = place_of(version);
        *depth -= 1;
        if place.version != version || !place.kept.put(o) {
            capi::PyObject_GC_Del(o.cast());
        }
        capi::decref(class);
        true
    }
}

/// An instance without attributes, if one is kept.
///
/// # Safety
/// A live class, the GIL held.
#[inline]
pub unsafe fn take(class: Obj) -> Option<Obj> {
    // SAFETY: as documented. The version tells that the class is the one it was, and as it was.
    unsafe {
        let version = type_version(class);
        let (_, place) = place_of(version);
        if place.version != version || version == 0 {
            return None;
        }
        let o = place.kept.take()?;
        revive_untracked(o);
        capi::incref(class);
        capi::PyObject_GC_Track(o.cast());
        Some(o)
    }
}
