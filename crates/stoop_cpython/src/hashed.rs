//! Dicts, sets and sequences looked into without running Python code.
//!
//! Hashing a key and comparing it with others runs Python code only where a class brings its own `__hash__` or
//! `__eq__`. Whether it does is asked first; where it might, the answer is that nothing can be said. Nothing here sets
//! an exception.

use std::ffi::c_int;
use std::sync::OnceLock;

use crate::capi::{self, Obj, type_of};
use crate::layout::{self, Layout, flags, read, write};
use crate::objects::{int_value, str_bytes, tuple_slice, type_flags};
use crate::type_ptr;

unsafe extern "C" {
    fn _PyDict_SetItem_KnownHash(dict: Obj, key: Obj, value: Obj, hash: isize) -> c_int;
}

/// What a look-up found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// It is there. Of a dict: where its value lies, until the dict changes. Of a set: the item itself.
    There(*mut Obj),
    /// It is not there.
    Nothing,
    /// It cannot be told without running Python code.
    Unsure,
}

/// How deep tuples in tuples are followed.
const DEEP: u32 = 4;

/// Slots of built-in types that run no Python code of their own, whoever inherits them.
struct Plain {
    hashes: [usize; 6],
    comparisons: [usize; 6],
    /// Knows its items' hashes.
    hash_of_frozenset: usize,
    /// These two ask the items.
    hash_of_tuple: usize,
    comparison_of_tuples: usize,
    /// May warn when it meets something else.
    comparison_of_bytes: usize,
}

fn plain(l: &Layout) -> &'static Plain {
    static PLAIN: OnceLock<Plain> = OnceLock::new();
    PLAIN.get_or_init(|| {
        let types = [
            type_ptr!(PyBaseObject_Type),
            type_ptr!(PyLong_Type),
            type_ptr!(PyFloat_Type),
            type_ptr!(PyUnicode_Type),
            type_ptr!(PyBytes_Type),
            // SAFETY: None has a type.
            unsafe { type_of(capi::none()) },
        ];
        // SAFETY: static types, which are ready.
        let slots = |offset: i32| types.map(|t| unsafe { read::<usize, _>(t, offset) });
        // SAFETY: as above.
        let slot = |t: Obj, offset: i32| unsafe { read::<usize, _>(t, offset) };
        let tuple = type_ptr!(PyTuple_Type);
        Plain {
            hashes: slots(l.tp_hash),
            comparisons: slots(l.tp_richcompare),
            hash_of_frozenset: slot(type_ptr!(PyFrozenSet_Type), l.tp_hash),
            hash_of_tuple: slot(tuple, l.tp_hash),
            comparison_of_tuples: slot(tuple, l.tp_richcompare),
            comparison_of_bytes: slot(type_ptr!(PyBytes_Type), l.tp_richcompare),
        }
    })
}

/// The value of an int of at most one digit.
#[inline]
unsafe fn small_int(l: &Layout, o: Obj) -> Option<isize> {
    // SAFETY: an exact int.
    unsafe {
        let tag: usize = read(o, l.long_tag);
        if tag >= 16 {
            return None;
        }
        let digit = read::<u32, _>(o, l.long_digits) as isize;
        Some((1 - (tag & 3) as isize) * digit)
    }
}

/// The value of an int of at most one digit; `None` for a larger one.
///
/// # Safety
/// A live exact int.
#[inline]
pub unsafe fn small_int_of(o: Obj) -> Option<isize> {
    // SAFETY: as documented.
    unsafe { small_int(layout::get(), o) }
}

/// The hash of an object, if finding it out runs no Python code and cannot fail.
///
/// # Safety
/// A live object; the GIL is held.
#[inline]
pub unsafe fn plain_hash(o: Obj) -> Option<isize> {
    let l = layout::get();
    // SAFETY: the caller's object; a str caches its hash.
    unsafe {
        let ty = type_of(o);
        if ty == type_ptr!(PyUnicode_Type) {
            let cached: isize = read(o, l.str_hash);
            return if cached != -1 { Some(cached) } else { call_hash(l, ty, o) };
        }
        if ty == type_ptr!(PyLong_Type)
            && let Some(i) = small_int(l, o)
        {
            return Some(if i == -1 { -2 } else { i });
        }
        other_hash(l, ty, o)
    }
}

unsafe fn call_hash(l: &Layout, ty: Obj, o: Obj) -> Option<isize> {
    type Hash = unsafe extern "C" fn(Obj) -> isize;
    // SAFETY: the type has `tp_hash`, which does not fail for the types that come here.
    unsafe {
        let hash: Hash = read(ty, l.tp_hash);
        Some(hash(o)).filter(|h| *h != -1)
    }
}

unsafe fn other_hash(l: &Layout, ty: Obj, o: Obj) -> Option<isize> {
    // SAFETY: the caller's object and its type.
    unsafe {
        let (slot, plain): (usize, _) = (read(ty, l.tp_hash), plain(l));
        if slot == plain.hash_of_tuple {
            return tuple_hash(tuple_slice(o), DEEP);
        }
        if plain.hashes.contains(&slot) || slot == plain.hash_of_frozenset { call_hash(l, ty, o) } else { None }
    }
}

/// As `tuple.__hash__`: a part of xxHash over the items' hashes.
#[inline]
fn mix(lanes: impl ExactSizeIterator<Item = Option<isize>>) -> Option<isize> {
    const PRIMES: [u64; 3] = [11_400_714_785_074_694_791, 14_029_467_366_897_019_727, 2_870_177_450_012_600_261];
    const LENGTH: u64 = 3_527_539;
    const INSTEAD_OF_MINUS_ONE: isize = 1_546_275_796;
    let (mut acc, count) = (PRIMES[2], lanes.len() as u64);
    for lane in lanes {
        acc = acc.wrapping_add((lane? as u64).wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0]);
    }
    acc = acc.wrapping_add(count ^ PRIMES[2] ^ LENGTH);
    let hash = acc as isize;
    Some(if hash == -1 { INSTEAD_OF_MINUS_ONE } else { hash })
}

unsafe fn tuple_hash(items: &[Obj], deep: u32) -> Option<isize> {
    let l = layout::get();
    // SAFETY: items of a live tuple.
    mix(items.iter().map(|item| unsafe {
        if read::<usize, _>(type_of(*item), l.tp_hash) != plain(l).hash_of_tuple {
            return plain_hash(*item);
        }
        if deep == 0 { None } else { tuple_hash(tuple_slice(*item), deep - 1) }
    }))
}

/// Whether `a == b`, of objects that are not the same, if finding it out runs no Python code. Does not ask whether hashes are
/// equal.
///
/// # Safety
/// Live objects; the GIL is held.
#[inline]
pub unsafe fn plain_equal(a: Obj, b: Obj) -> Option<bool> {
    let l = layout::get();
    // SAFETY: the caller's objects.
    unsafe {
        let (s, t) = (type_of(a), type_of(b));
        if s == t {
            if s == type_ptr!(PyUnicode_Type) {
                return Some(equal_texts(l, a, b));
            }
            if s == type_ptr!(PyLong_Type)
                && let (Some(i), Some(j)) = (small_int(l, a), small_int(l, b))
            {
                return Some(i == j);
            }
        }
        other_equal(l, a, b, DEEP)
    }
}

/// Whether `a == a`, if finding it out runs no Python code.
///
/// # Safety
/// As for [`plain_equal`].
pub unsafe fn equals_itself(a: Obj) -> Option<bool> {
    let l = layout::get();
    // SAFETY: the caller's object.
    unsafe {
        let plain = plain(l);
        let by: usize = read(type_of(a), l.tp_richcompare);
        if by == read::<usize, _>(type_ptr!(PyFloat_Type), l.tp_richcompare) {
            let value: f64 = read(a, l.float_value);
            return Some(!value.is_nan());
        }
        // Tuples ask each item whether it is the same first.
        (plain.comparisons.contains(&by) || by == plain.comparison_of_tuples).then_some(true)
    }
}

/// Whether two strs are equal. Each has the narrowest form there is: equal ones have the same.
#[inline]
unsafe fn equal_texts(l: &Layout, a: Obj, b: Obj) -> bool {
    // SAFETY: exact strs.
    unsafe {
        if read::<isize, _>(a, l.str_length) != read::<isize, _>(b, l.str_length) {
            return false;
        }
        let ((k, x), (m, y)) = (str_bytes(a), str_bytes(b));
        k == m && equal_bytes(x.as_ptr(), y.as_ptr(), x.len())
    }
}

/// Whether so many bytes are equal: `memcmp` for keys, which are short.
#[inline]
unsafe fn equal_bytes(x: *const u8, y: *const u8, len: usize) -> bool {
    // The words there; the last one may overlap the one before.
    macro_rules! words {
        ($t:ty) => {{
            const SIZE: usize = size_of::<$t>();
            let same = |at: usize| x.add(at).cast::<$t>().read_unaligned() == y.add(at).cast::<$t>().read_unaligned();
            let mut at = 0;
            while at + SIZE < len {
                if !same(at) {
                    return false;
                }
                at += SIZE;
            }
            same(len - SIZE)
        }};
    }
    // SAFETY: the caller's bytes; every word lies within them.
    unsafe {
        match len {
            0 => true,
            1 => *x == *y,
            2..4 => words!(u16),
            4..8 => words!(u32),
            _ => words!(u64),
        }
    }
}

unsafe fn known_type(plain: &Plain, l: &Layout, o: Obj) -> bool {
    // SAFETY: a live object.
    unsafe { plain.comparisons.contains(&read(type_of(o), l.tp_richcompare)) }
}

unsafe fn other_equal(l: &Layout, a: Obj, b: Obj, deep: u32) -> Option<bool> {
    const EQ: c_int = 2;
    // SAFETY: live objects; comparing by the slots asked for runs no Python code.
    unsafe {
        let plain = plain(l);
        let [x, y]: [usize; 2] = [a, b].map(|o| read(type_of(o), l.tp_richcompare));
        if x == plain.comparison_of_tuples && y == x {
            let (m, n) = (tuple_slice(a), tuple_slice(b));
            if deep == 0 {
                return None;
            }
            // The interpreter compares the items before it compares the lengths.
            if m.len() != n.len()
                && m.iter().zip(n).any(|(i, j)| i != j && !(known_type(plain, l, *i) && known_type(plain, l, *j)))
            {
                return None;
            }
            if m.len() != n.len() {
                return Some(false);
            }
            for (i, j) in m.iter().zip(n) {
                let nested = |o: Obj| read::<usize, _>(type_of(o), l.tp_richcompare) == plain.comparison_of_tuples;
                let same = i == j || if nested(*i) { other_equal(l, *i, *j, deep - 1)? } else { plain_equal(*i, *j)? };
                if !same {
                    return Some(false);
                }
            }
            return Some(true);
        }
        let known = |slot: usize| plain.comparisons.contains(&slot) || slot == plain.comparison_of_tuples;
        let warns = x != y && [x, y].contains(&plain.comparison_of_bytes);
        if !known(x) || !known(y) || warns {
            return None;
        }
        match capi::PyObject_RichCompareBool(a, b, EQ) {
            -1 => {
                capi::PyErr_Clear();
                None
            }
            equal => Some(equal == 1),
        }
    }
}

/// An item of a tuple that is not made.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// An int.
    Int(i64),
    /// An object.
    Object(Obj),
}

impl Part {
    unsafe fn hash(self) -> Option<isize> {
        /// As `int.__hash__`: the remainder by this, with the int's sign.
        const MODULUS: u64 = (1 << 61) - 1;
        match self {
            // SAFETY: a live object.
            Part::Object(o) => unsafe { plain_hash(o) },
            Part::Int(i) => {
                let rest = (i.unsigned_abs() % MODULUS) as isize;
                let hash = if i < 0 { -rest } else { rest };
                Some(if hash == -1 { -2 } else { hash })
            }
        }
    }

    unsafe fn is(self, there: Obj) -> Option<bool> {
        // SAFETY: live objects.
        unsafe {
            match self {
                Part::Object(o) => is_key(there, o),
                Part::Int(i) if type_of(there) == type_ptr!(PyLong_Type) => Some(int_value(there) == Some(i)),
                Part::Int(_) if type_of(there) == type_ptr!(PyUnicode_Type) => Some(false),
                Part::Int(_) => None,
            }
        }
    }
}

/// Looks a tuple of these items up in a dict.
///
/// # Safety
/// A live exact dict and live objects; the GIL is held.
pub unsafe fn dict_find_tuple(dict: Obj, parts: &[Part]) -> Found {
    // SAFETY: as documented.
    unsafe {
        let Some(hash) = mix(parts.iter().map(|p| p.hash())) else { return Found::Unsure };
        dict_search(dict, hash, |there| {
            if type_of(there) != type_ptr!(PyTuple_Type) {
                return None;
            }
            let items = tuple_slice(there);
            if items.len() != parts.len() {
                return None;
            }
            for (part, item) in parts.iter().zip(items) {
                if !part.is(*item)? {
                    return Some(false);
                }
            }
            Some(true)
        })
    }
}

/// Whether a key of a table, whose hash is the same, is the one that is looked for.
#[inline]
unsafe fn is_key(there: Obj, key: Obj) -> Option<bool> {
    // SAFETY: live objects.
    unsafe { if there == key { Some(true) } else { plain_equal(there, key) } }
}

/// Looks a key up in a dict.
///
/// # Safety
/// A live exact dict and a live key with that hash; the GIL is held.
#[inline]
pub unsafe fn dict_find(dict: Obj, key: Obj, hash: isize) -> Found {
    // SAFETY: as documented.
    unsafe { dict_search(dict, hash, |there| is_key(there, key)) }
}

/// Looks a key with a hash up in a dict: which of those with the same hash it is, is told by `is_key`.
#[inline(always)]
unsafe fn dict_search(dict: Obj, hash: isize, is_key: impl Fn(Obj) -> Option<bool>) -> Found {
    const GENERAL: u8 = 0;
    const SPLIT: u8 = 2;
    const EMPTY: i64 = -1;
    const PERTURB_SHIFT: u32 = 5;
    let l = layout::get();
    // SAFETY: a dict's table of so many indexes, one, two, four or eight bytes each, is followed by the entries.
    unsafe {
        // Compiled code may hold newer values of a module's variables.
        if is_watched(dict) {
            return Found::Unsure;
        }
        let keys: *mut u8 = read(dict, l.dict_keys);
        let log2_size: u8 = read(keys, l.keys_log2_size);
        let log2_bytes: u8 = read(keys, l.keys_log2_index_bytes);
        let kind: u8 = read(keys, l.keys_kind);
        let indices = keys.offset(l.keys_indices as isize);
        let entries = indices.add(1 << log2_bytes);
        let mask = (1usize << log2_size) - 1;
        let (mut perturb, mut at) = (hash as usize, hash as usize & mask);
        loop {
            let index: i64 = match log2_bytes - log2_size {
                0 => indices.cast::<i8>().add(at).read().into(),
                1 => indices.cast::<i16>().add(at).read().into(),
                2 => indices.cast::<i32>().add(at).read().into(),
                _ => indices.cast::<i64>().add(at).read(),
            };
            if index == EMPTY {
                return Found::Nothing;
            }
            // Less: what was there is gone.
            if index >= 0 {
                let (there, value_at, same_hash): (Obj, _, _);
                if kind == GENERAL {
                    let entry = entries.add(index as usize * l.general_entry_size as usize);
                    there = read(entry, l.general_entry_key);
                    same_hash = read::<isize, _>(entry, l.general_entry_hash) == hash;
                    value_at = entry.offset(l.general_entry_value as isize);
                } else {
                    let entry = entries.add(index as usize * l.unicode_entry_size as usize);
                    there = read(entry, l.unicode_entry_key);
                    same_hash = read::<isize, _>(there, l.str_hash) == hash;
                    value_at = if kind == SPLIT {
                        let values: *mut u8 = read(dict, l.dict_values);
                        values.offset(l.values_first as isize + 8 * index as isize)
                    } else {
                        entry.offset(l.unicode_entry_value as isize)
                    };
                }
                if same_hash {
                    match is_key(there) {
                        Some(true) => {
                            let place = value_at.cast::<Obj>();
                            return if place.read().is_null() { Found::Nothing } else { Found::There(place) };
                        }
                        Some(false) => {}
                        None => return Found::Unsure,
                    }
                }
            }
            perturb >>= PERTURB_SHIFT;
            at = (at * 5 + perturb + 1) & mask;
        }
    }
}

/// Looks an item up in a set.
///
/// # Safety
/// A live exact set or frozenset and a live object with that hash; the GIL is held.
#[inline]
pub unsafe fn set_find(set: Obj, item: Obj, hash: isize) -> Found {
    const ENTRY: usize = 16;
    const LINEAR_PROBES: usize = 9;
    const PERTURB_SHIFT: u32 = 5;
    let l = layout::get();
    // SAFETY: a set's table has `mask + 1` entries, one of them empty at least.
    unsafe {
        let mask: usize = read(set, l.set_mask);
        let table: *mut u8 = read(set, l.set_table);
        let (mut perturb, mut at) = (hash as usize, hash as usize & mask);
        loop {
            let last = if at + LINEAR_PROBES <= mask { at + LINEAR_PROBES } else { at };
            for k in at..=last {
                let entry = table.add(k * ENTRY);
                let (there, its_hash): (Obj, isize) = (read(entry, 0), read(entry, 8));
                if there.is_null() {
                    return Found::Nothing;
                }
                // What stands where an item was removed has the hash -1, which is no item's.
                if its_hash == hash {
                    match is_key(there, item) {
                        Some(true) => return Found::There(entry.cast()),
                        Some(false) => {}
                        None => return Found::Unsure,
                    }
                }
            }
            perturb >>= PERTURB_SHIFT;
            at = (at.wrapping_mul(5).wrapping_add(1).wrapping_add(perturb)) & mask;
        }
    }
}

/// Whether somebody is told of a dict's changes.
#[inline]
unsafe fn is_watched(dict: Obj) -> bool {
    const WATCHERS: u64 = 0xff;
    // SAFETY: an exact dict.
    unsafe { read::<u64, _>(dict, layout::get().dict_version_tag) & WATCHERS != 0 }
}

/// `dict[key] = value` where the key is there, and its value at this place: without another look-up. Yields the former
/// value.
unsafe fn replace(dict: Obj, place: *mut Obj, value: Obj) -> Obj {
    /// Above the bits that watchers use.
    const CHANGE: u64 = 1 << 12;
    let l = layout::get();
    // SAFETY: a dict that nobody watches, a place of its.
    unsafe {
        write(dict, l.dict_version_tag, read::<u64, _>(dict, l.dict_version_tag).wrapping_add(CHANGE));
        capi::incref(value);
        place.replace(value)
    }
}

/// Whether a value may be put into a dict without more ado: the collector knows of the dict, or need not know of the
/// value.
#[inline]
unsafe fn is_simple(dict: Obj, value: Obj) -> bool {
    // SAFETY: live objects.
    unsafe { type_flags(type_of(value)) & flags::GC == 0 || capi::PyObject_GC_IsTracked(dict) != 0 }
}

/// `dict[key] = value`: the former value, a reference that the caller drops, or 0 if there was none; -1 with an exception
/// set; 1, with nothing done, where watchers would have to be told.
///
/// # Safety
/// A live exact dict and live objects; `place` is where the key's value lies in it by [`dict_find`], or NULL if that is
/// nowhere; the GIL is held.
#[inline]
pub unsafe fn dict_set(dict: Obj, key: Obj, value: Obj, place: *mut Obj) -> i64 {
    let l = layout::get();
    // SAFETY: storing compares the keys that looking compared. The former value is held while it is replaced.
    unsafe {
        if is_watched(dict) {
            return 1;
        }
        let combined = read::<usize, _>(dict, l.dict_values) == 0;
        if !place.is_null() && combined && is_simple(dict, value) {
            return replace(dict, place, value) as i64;
        }
        // The key was looked for already, without Python code.
        let Some(hash) = plain_hash(key) else { return 1 };
        let former = if place.is_null() { std::ptr::null_mut() } else { capi::new_ref(*place) };
        if _PyDict_SetItem_KnownHash(dict, key, value, hash) < 0 {
            capi::xdecref(former);
            return -1;
        }
        former as i64
    }
}

/// How many items a dict, a set or a frozenset has.
///
/// # Safety
/// A live exact one.
pub unsafe fn items_of(o: Obj) -> i64 {
    let l = layout::get();
    // SAFETY: the caller's object.
    unsafe { read(o, if type_of(o) == type_ptr!(PyDict_Type) { l.dict_used } else { l.set_used }) }
}
