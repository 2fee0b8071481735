//! `heapq.heappush` and `heapq.heappop`: as CPython's, but what is in the heap is compared without the objects' protocols
//! as long as that can be told: ints, floats and strs, and tuples of these.
//!
//! They take the places of the C functions behind the module's, for interpreted callers as well. Nothing is changed before
//! all comparisons are made: where one can't be told, the former function does all of it.
//!
//! # Safety
//! Every function here has the signature and the duties of the C function it stands for.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::cmp::Ordering;
use std::sync::atomic::{AtomicUsize, Ordering as Sync};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stoop_cpython::capi::{self, Obj, type_of};
use stoop_cpython::layout::{self, read};
use stoop_cpython::natives::{self, Replacement};
use stoop_cpython::{objects, type_ptr};

use super::{containers, ffi};

type OneFn = unsafe extern "C" fn(Obj, Obj) -> Obj;
type ArrayFn = unsafe extern "C" fn(Obj, *const Obj, isize) -> Obj;

/// CPython's own.
static PUSH: AtomicUsize = AtomicUsize::new(0);
static POP: AtomicUsize = AtomicUsize::new(0);
/// A heap of more levels does not fit into memory.
const LEVELS: usize = 64;
/// Tuples within tuples are followed so far.
const DEPTH: u32 = 3;

/// What stands in their places.
static REPLACED: Mutex<Vec<Replacement>> = Mutex::new(Vec::new());

fn replaced() -> MutexGuard<'static, Vec<Replacement>> {
    REPLACED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts these in the places of CPython's, once the program has imported the module.
///
/// # Safety
/// The GIL of the main interpreter is held; the layout has been checked.
pub unsafe fn start() {
    if PUSH.load(Sync::Relaxed) != 0 {
        return;
    }
    // SAFETY: `sys.modules` is an exact dict; the signatures are those that both versions' functions have.
    unsafe {
        let module = capi::PyDict_GetItemString(capi::PyImport_GetModuleDict(), c"_heapq".as_ptr());
        if module.is_null() {
            return;
        }
        let rows = [
            (&PUSH, c"heappush", natives::ARRAY, push as *const () as usize),
            (&POP, c"heappop", natives::ONE, pop as *const () as usize),
        ];
        for (former, name, flags, new) in rows {
            let found = capi::PyObject_GetAttrString(module, name.as_ptr());
            if found.is_null() {
                capi::PyErr_Clear();
                continue;
            }
            if let Some(replacement) = Replacement::make(found, module, name, &[(flags, new)]) {
                former.store(replacement.former, Sync::Relaxed);
                replaced().push(replacement);
            }
            capi::decref(found);
        }
    }
}

/// Puts these there again after [`stop`].
///
/// # Safety
/// The GIL is held.
pub unsafe fn restart() {
    // SAFETY: as documented.
    replaced().iter().for_each(|r| unsafe { r.redo() });
}

/// Puts CPython's back. Who has seen the address of one of these may go on calling it.
///
/// # Safety
/// The GIL is held.
pub unsafe fn stop() {
    // SAFETY: as documented.
    replaced().iter().for_each(|r| unsafe { r.undo() });
}

/// The order of two objects, where the built-in classes tell it. Of numbers that are not numbers it is not told.
unsafe fn order(a: Obj, b: Obj, depth: u32) -> Option<Ordering> {
    // SAFETY: live objects, of the classes found.
    unsafe {
        let ty = type_of(a);
        if ty != type_of(b) {
            return None;
        }
        if ty == type_ptr!(PyLong_Type) {
            Some(objects::int_value(a)?.cmp(&objects::int_value(b)?))
        } else if ty == type_ptr!(PyFloat_Type) {
            objects::float_value(a).partial_cmp(&objects::float_value(b))
        } else if ty == type_ptr!(PyUnicode_Type) {
            Some(ffi::PyUnicode_Compare(a, b).cmp(&0))
        } else if ty == type_ptr!(PyTuple_Type) && depth > 0 {
            let (x, y) = (objects::tuple_slice(a), objects::tuple_slice(b));
            for (p, q) in x.iter().zip(y) {
                // The same object is taken to be equal, whatever its class says.
                if p != q {
                    match order(*p, *q, depth - 1)? {
                        Ordering::Equal => {}
                        unequal => return Some(unequal),
                    }
                }
            }
            Some(x.len().cmp(&y.len()))
        } else {
            None
        }
    }
}

unsafe fn less(a: Obj, b: Obj) -> Option<bool> {
    // SAFETY: live objects.
    unsafe { order(a, b, DEPTH).map(Ordering::is_lt) }
}

/// Where a new last item belongs: its place, going up from the end of a heap of that size.
unsafe fn place_of(items: &[Obj], item: Obj) -> Option<usize> {
    let mut at = items.len();
    while at > 0 {
        let parent = (at - 1) >> 1;
        // SAFETY: the heap's items are alive.
        if !unsafe { less(item, items[parent]) }? {
            break;
        }
        at = parent;
    }
    Some(at)
}

unsafe extern "C" fn push(module: Obj, args: *const Obj, count: isize) -> Obj {
    // SAFETY: see the module.
    unsafe {
        let plain = count == 2 && type_of(*args) == type_ptr!(PyList_Type);
        let placed = plain.then(|| place_of(objects::list_slice(*args), *args.add(1))).flatten();
        let Some(place) = placed else {
            let former: ArrayFn = std::mem::transmute(PUSH.load(Sync::Relaxed) as *const ());
            return former(module, args, count);
        };
        let (heap, item) = (*args, *args.add(1));
        capi::incref(item);
        if containers::list_append(heap, item) < 0 {
            capi::decref(item);
            return std::ptr::null_mut();
        }
        let items = items(heap);
        let mut at = objects::list_slice(heap).len() - 1;
        while at > place {
            let parent = (at - 1) >> 1;
            *items.add(at) = *items.add(parent);
            at = parent;
        }
        *items.add(place) = item;
        capi::new_ref(capi::none())
    }
}

/// Which child takes its parent's place on each level, when the first item has gone and the last one goes where it belongs:
/// the places on the way down, and how many of them move up.
unsafe fn way_down(items: &[Obj]) -> Option<([u32; LEVELS], usize)> {
    let (mut way, mut depth) = ([0u32; LEVELS], 0);
    // The last item takes the first one's place.
    let (last, rest) = items.split_last()?;
    let mut at = 0;
    while 2 * at + 1 < rest.len() {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        // SAFETY: the heap's items are alive.
        at = if right < rest.len() && !unsafe { less(rest[left], rest[right]) }? { right } else { left };
        way[depth] = u32::try_from(at).ok()?;
        depth += 1;
    }
    // Up again from the bottom: the parent of the first place is the last item itself, with which nothing is compared.
    while depth > 0 {
        // SAFETY: as above.
        if !unsafe { less(*last, rest[way[depth - 1] as usize]) }? {
            break;
        }
        depth -= 1;
    }
    Some((way, depth))
}

unsafe extern "C" fn pop(module: Obj, heap: Obj) -> Obj {
    // SAFETY: see the module.
    unsafe {
        let size = if type_of(heap) == type_ptr!(PyList_Type) { objects::list_slice(heap).len() } else { 0 };
        let way = if size > 1 { way_down(objects::list_slice(heap)) } else { None };
        let Some((way, depth)) = way else {
            let former: OneFn = std::mem::transmute(POP.load(Sync::Relaxed) as *const ());
            return former(module, heap);
        };
        let last = containers::list_pop(heap, size as i64 - 1);
        if last.is_null() {
            return last;
        }
        let items = items(heap);
        let first = *items;
        let mut at = 0;
        for next in &way[..depth] {
            *items.add(at) = *items.add(*next as usize);
            at = *next as usize;
        }
        *items.add(at) = last;
        first
    }
}

/// Where a list has its items.
unsafe fn items(list: Obj) -> *mut Obj {
    // SAFETY: an exact list that is not empty.
    unsafe { read(list, layout::get().list_items) }
}
