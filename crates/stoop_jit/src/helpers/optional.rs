//! Attributes that an object may lack: `getattr` with a default, and `hasattr`.
//!
//! That there is none is told by the tables of [`super::attributes`], where the object's class leaves attributes to
//! `object`; no exception is made then.
//!
//! # Safety
//! Every helper here borrows live objects, the name an interned str, and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ptr::null_mut;

use stoop_cpython::capi::{self, Obj, new_ref, type_of};
use stoop_cpython::layout::{self, flags, read};
use stoop_cpython::objects;

use super::attributes::{Place, Table, in_dict, index_of, inline_values, names, own_dict};

static PLACES: Table = Table::new();

/// What was found of an attribute.
enum Found {
    /// A new reference.
    Value(Obj),
    Nothing,
    /// An exception is set.
    Failed,
}

unsafe fn find(ty: Obj, name: Obj) -> Place {
    let l = layout::get();
    // SAFETY: a live type.
    unsafe {
        let plainly = read::<usize, _>(ty, l.tp_getattro) == capi::PyObject_GenericGetAttr as *const () as usize;
        if !plainly || !objects::has_plain_names(ty) || !capi::_PyType_Lookup(ty, name).is_null() {
            return Place::Elsewhere;
        }
        let has_dict = read::<isize, _>(ty, l.tp_dictoffset) != 0 || read::<u64, _>(ty, l.tp_flags) & flags::MANAGED_DICT != 0;
        match index_of(ty, name) {
            Some(k) => Place::Inline(k),
            None if names(ty).is_some() => in_dict(ty),
            None if has_dict => Place::Elsewhere,
            None => Place::Nowhere,
        }
    }
}

/// Looks an attribute up.
unsafe fn look(o: Obj, name: Obj) -> Found {
    // SAFETY: places are those of the object's class, which has none of that name itself.
    unsafe {
        let ty = type_of(o);
        let value = match PLACES.place(ty, name, find) {
            Some(Place::Nowhere) => Some(null_mut()),
            Some(place @ (Place::Inline(_) | Place::InDict)) => match (inline_values(o), place) {
                (Some(values), Place::Inline(k)) => Some(*values.add(k as usize)),
                // The class's shared names may have grown meanwhile.
                (Some(values), _) => Some(index_of(ty, name).map_or(null_mut(), |k| *values.add(k as usize))),
                (None, _) => own_dict(o).map(|dict| capi::PyDict_GetItem(dict, name)),
            },
            _ => None,
        };
        match value {
            Some(value) if value.is_null() => Found::Nothing,
            Some(value) => Found::Value(new_ref(value)),
            None => ask(o, name),
        }
    }
}

/// Asks the object.
unsafe fn ask(o: Obj, name: Obj) -> Found {
    // SAFETY: the caller's objects.
    unsafe {
        let value = capi::PyObject_GetAttr(o, name);
        if !value.is_null() {
            return Found::Value(value);
        }
        if capi::PyErr_ExceptionMatches(capi::PyExc_AttributeError) == 0 {
            return Found::Failed;
        }
        capi::PyErr_Clear();
        Found::Nothing
    }
}

/// `getattr(o, name, default)`.
pub unsafe extern "C" fn get_attr_or(o: Obj, name: Obj, default: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe {
        match look(o, name) {
            Found::Value(value) => value,
            Found::Nothing => new_ref(default),
            Found::Failed => null_mut(),
        }
    }
}

/// `hasattr(o, name)`.
pub unsafe extern "C" fn has_attr(o: Obj, name: Obj) -> i32 {
    // SAFETY: the caller's objects.
    unsafe {
        match look(o, name) {
            Found::Value(value) => {
                capi::decref(value);
                1
            }
            Found::Nothing => 0,
            Found::Failed => -1,
        }
    }
}
