//! Dicts, sets, and what is in them, without running Python code. What can't be told that way is left to the caller.
//!
//! # Safety
//! Every helper here borrows live objects, containers of the exact classes named, and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use stoop_cpython::capi::{self, Obj, type_of};
use stoop_cpython::hashed::{self, Found, Part, dict_find, plain_equal, plain_hash, set_find};
use stoop_cpython::layout::{self, flags, read};
use stoop_cpython::objects::{list_slice, tuple_slice, type_flags};
use stoop_cpython::quiet;
use stoop_cpython::type_ptr;

/// What [`find`] yields where it can't tell: no value lies there.
const UNSURE: i64 = 1;

/// Where a key's value lies; 0 if there is none, 1 if it can't be told.
pub unsafe extern "C" fn find(dict: Obj, key: Obj) -> i64 {
    // SAFETY: a dict and a key.
    unsafe {
        match plain_hash(key).map(|hash| dict_find(dict, key, hash)) {
            Some(Found::There(place)) => place as i64,
            Some(Found::Nothing) => 0,
            _ => UNSURE,
        }
    }
}

/// As [`find`], for a tuple of so many items as key, of which those with a bit in `shape >> 8` are ints themselves.
pub unsafe extern "C" fn find_tuple(dict: Obj, items: *const i64, shape: i64) -> i64 {
    const MOST: usize = 8;
    let count = (shape & 0xff) as usize;
    let mut parts = [Part::Int(0); MOST];
    let Some(parts) = parts.get_mut(..count) else { return UNSURE };
    // SAFETY: the caller's array of live objects and ints.
    unsafe {
        for (k, part) in parts.iter_mut().enumerate() {
            let word = items.add(k).read();
            *part = if shape >> (8 + k) & 1 != 0 { Part::Int(word) } else { Part::Object(word as Obj) };
        }
        match hashed::dict_find_tuple(dict, parts) {
            Found::There(place) => place as i64,
            Found::Nothing => 0,
            Found::Unsure => UNSURE,
        }
    }
}

/// `container[key]`. Subclasses of dict that do not look keys up in a way of their own, such as `defaultdict`, are asked for
/// what is there without going through their protocol.
pub unsafe extern "C" fn get_item(container: Obj, key: Obj) -> Obj {
    /// `mp_subscript` of a type's `tp_as_mapping`.
    const SUBSCRIPT: i32 = 8;
    let l = layout::get();
    // SAFETY: live objects; a subclass of dict has a mapping protocol.
    unsafe {
        let ty = type_of(container);
        let subscript = |ty: Obj| read::<usize, _>(read::<*const u8, _>(ty, l.tp_as_mapping), SUBSCRIPT);
        if type_flags(ty) & flags::DICT != 0
            && subscript(ty) == subscript(type_ptr!(PyDict_Type))
            && let Some(hash) = plain_hash(key)
            && let Found::There(place) = dict_find(container, key, hash)
        {
            return capi::new_ref(*place);
        }
        capi::PyObject_GetItem(container, key)
    }
}

/// Raises the KeyError for a key.
pub unsafe extern "C" fn no_key(key: Obj) {
    // SAFETY: a live key; the exception takes a tuple of its own, so that a tuple as key is not taken for arguments.
    unsafe {
        let args = capi::PyTuple_New(1);
        if !args.is_null() {
            capi::PyTuple_SetItem(args, 0, capi::new_ref(key));
            capi::PyErr_SetObject(capi::PyExc_KeyError, args);
            capi::decref(args);
        }
    }
}

/// `dict[key] = value`: the former value, to be dropped by the caller, or 0; -1 with an exception, or 1 with nothing done.
/// `place` is what [`find`] told.
pub unsafe extern "C" fn dict_set(dict: Obj, key: Obj, value: Obj, place: i64) -> i64 {
    // SAFETY: a dict, a key, a value; the dict has not changed since.
    unsafe { hashed::dict_set(dict, key, value, place as *mut Obj) }
}

/// `set.add(item)` likewise.
pub unsafe extern "C" fn set_add(set: Obj, item: Obj) -> i32 {
    // SAFETY: a set and an item; adding compares what looking compared.
    unsafe {
        match plain_hash(item).map(|hash| set_find(set, item, hash)) {
            Some(Found::There(_)) => 0,
            Some(Found::Nothing) => capi::PySet_Add(set, item),
            _ => 1,
        }
    }
}

/// Whether an item is in a set, frozenset, list or tuple; -1 if it can't be told.
pub unsafe extern "C" fn contains(item: Obj, container: Obj) -> i32 {
    // SAFETY: one of these containers; comparing plainly changes none of them.
    unsafe {
        let ty = type_of(container);
        let items = if ty == type_ptr!(PyTuple_Type) {
            tuple_slice(container)
        } else if ty == type_ptr!(PyList_Type) {
            list_slice(container)
        } else {
            let Some(hash) = plain_hash(item) else { return -1 };
            return match set_find(container, item, hash) {
                Found::There(_) => 1,
                Found::Nothing => 0,
                Found::Unsure => -1,
            };
        };
        let int = type_ptr!(PyLong_Type);
        let wanted = if type_of(item) == int { hashed::small_int_of(item) } else { None };
        for there in items {
            if let (Some(n), true) = (wanted, type_of(*there) == int) {
                // An int of more digits is another one.
                if hashed::small_int_of(*there) == Some(n) {
                    return 1;
                }
                continue;
            }
            match if *there == item { Some(true) } else { plain_equal(*there, item) } {
                Some(true) => return 1,
                Some(false) => {}
                None => return -1,
            }
        }
        0
    }
}

/// Whether two objects are equal; -1 if that can't be told.
pub unsafe extern "C" fn equal(a: Obj, b: Obj) -> i32 {
    // SAFETY: live objects.
    unsafe { if a == b { hashed::equals_itself(a) } else { hashed::plain_equal(a, b) }.map_or(-1, i32::from) }
}

/// How many items a dict, set or frozenset has.
pub unsafe extern "C" fn items_len(o: Obj) -> i64 {
    // SAFETY: one of these.
    unsafe { hashed::items_of(o) }
}

/// Whether an object is an instance of a class that is an instance of `type` itself; -1 if its class answers
/// `__class__` in a way of its own.
pub unsafe extern "C" fn is_instance(o: Obj, class: Obj) -> i32 {
    let l = layout::get();
    // SAFETY: live objects. A look-up along the type's bases, by an interned name, runs no Python code.
    unsafe {
        let ty = type_of(o);
        if ty == class || capi::PyType_IsSubtype(ty, class) != 0 {
            return 1;
        }
        let plainly = read::<usize, _>(ty, l.tp_getattro) == capi::PyObject_GenericGetAttr as *const () as usize;
        let (name, its_own) = class_attribute();
        if plainly && !name.is_null() && capi::_PyType_Lookup(ty, name) == its_own { 0 } else { -1 }
    }
}

/// The name `__class__` and what `object` has under it; NULLs if they can't be had.
unsafe fn class_attribute() -> (Obj, Obj) {
    static FOUND: std::sync::OnceLock<[usize; 2]> = std::sync::OnceLock::new();
    // SAFETY: the GIL is held; both are kept for good.
    let [name, descriptor] = *FOUND.get_or_init(|| unsafe {
        let name = capi::PyUnicode_InternFromString(c"__class__".as_ptr());
        if name.is_null() {
            capi::PyErr_Clear();
            return [0, 0];
        }
        [name as usize, capi::_PyType_Lookup(type_ptr!(PyBaseObject_Type), name) as usize]
    });
    (name as Obj, descriptor as Obj)
}

/// The next value of an iterator over a dict or set; NULL at the end, 1 with an exception set, 2 where that may run Python
/// code.
pub unsafe extern "C" fn iter_next(it: Obj) -> Obj {
    const RAISED: Obj = std::ptr::without_provenance_mut(1);
    const UNSURE: Obj = std::ptr::without_provenance_mut(2);
    // SAFETY: a live object; such iterators only read what they iterate over, and let it go at the end.
    unsafe {
        match quiet::iterated(it) {
            Some(over) if over.is_null() || (*over).ob_refcnt > 1 => {}
            _ => return UNSURE,
        }
        let next: unsafe extern "C" fn(Obj) -> Obj = read(capi::type_of(it), layout::get().tp_iternext);
        let value = next(it);
        if value.is_null() && !capi::PyErr_Occurred().is_null() { RAISED } else { value }
    }
}
