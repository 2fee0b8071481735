//! Class and mapping patterns, and the making of classes.
//!
//! # Safety
//! Every helper here borrows live objects and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ptr::null_mut;

use stoop_cpython::capi::{self, Frame, Obj, new_ref, type_of, xdecref};
use stoop_cpython::layout::{self, read};
use stoop_cpython::objects::{is_type, tuple_slice, type_flags};
use stoop_cpython::type_ptr;

use super::ffi;
use super::names::{Raised, dunder_build_class, dunder_match_args, look_up, method_get, optional_attribute};

/// A reference that is dropped at the end.
struct Owned(Obj);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: our own reference, the GIL held.
        unsafe { xdecref(self.0) };
    }
}

/// An object, unless it is NULL with an exception set.
fn made(o: Obj) -> Result<Owned, Raised> {
    if o.is_null() { Err(Raised) } else { Ok(Owned(o)) }
}

/// A reference for compiled code; NULL with an exception set.
fn given(result: Result<Owned, Raised>) -> Obj {
    match result {
        Ok(mut o) => std::mem::replace(&mut o.0, null_mut()),
        Err(Raised) => null_mut(),
    }
}

/// A class pattern with so many positional parts and these keywords: a tuple of the parts' subjects, or None.
pub unsafe extern "C" fn match_class(subject: Obj, class: Obj, count: i64, names: Obj) -> Obj {
    // SAFETY: the caller's objects.
    given(unsafe { matched_class(subject, class, count as usize, names) })
}

unsafe fn matched_class(subject: Obj, class: Obj, count: usize, names: Obj) -> Result<Owned, Raised> {
    // SAFETY: the caller's objects; the names are a tuple of strings.
    unsafe {
        if !is_type(class) {
            capi::PyErr_SetString(capi::PyExc_TypeError, c"called match pattern must be a class".as_ptr());
            return Err(Raised);
        }
        match capi::PyObject_IsInstance(subject, class) {
            0 => return Ok(Owned(new_ref(capi::none()))),
            1.. => {}
            _ => return Err(Raised),
        }
        let mut found: Vec<Owned> = Vec::new();
        let mut seen: Vec<Obj> = Vec::new();
        let positional = if count > 0 { positional_names(subject, class, count, &mut found)? } else { None };
        let before = positional.as_ref().map_or(&[][..], |p| &tuple_slice(p.0)[..count]);
        for &name in before {
            if type_of(name) != type_ptr!(PyUnicode_Type) {
                let format = c"__match_args__ elements must be strings (got %s)";
                capi::PyErr_Format(capi::PyExc_TypeError, format.as_ptr(), type_name(type_of(name)));
                return Err(Raised);
            }
            match part(subject, class, name, &mut seen)? {
                Some(o) => found.push(o),
                None => return Ok(Owned(new_ref(capi::none()))),
            }
        }
        for &name in tuple_slice(names) {
            match part(subject, class, name, &mut seen)? {
                Some(o) => found.push(o),
                None => return Ok(Owned(new_ref(capi::none()))),
            }
        }
        tuple_of(found)
    }
}

unsafe fn type_name(ty: Obj) -> *const std::ffi::c_char {
    // SAFETY: a live type's name is a C string.
    unsafe { read(ty, layout::get().tp_name) }
}

/// The class's `__match_args__`, of which there are enough; `None` where the subject itself, then `found`, is the one part.
unsafe fn positional_names(subject: Obj, class: Obj, count: usize, found: &mut Vec<Owned>) -> Result<Option<Owned>, Raised> {
    const MATCH_SELF: u64 = 1 << 22;
    // SAFETY: a live class.
    unsafe {
        let names = Owned(optional_attribute(class, dunder_match_args())?);
        let itself = names.0.is_null() && type_flags(class) & MATCH_SELF != 0;
        if !names.0.is_null() && type_of(names.0) != type_ptr!(PyTuple_Type) {
            let format = c"%s.__match_args__ must be a tuple (got %s)";
            capi::PyErr_Format(capi::PyExc_TypeError, format.as_ptr(), type_name(class), type_name(type_of(names.0)));
            return Err(Raised);
        }
        let allowed = if names.0.is_null() { usize::from(itself) } else { tuple_slice(names.0).len() };
        if allowed < count {
            let plural = if allowed == 1 { c"" } else { c"s" };
            let format = c"%s() accepts %zd positional sub-pattern%s (%zd given)";
            capi::PyErr_Format(capi::PyExc_TypeError, format.as_ptr(), type_name(class), allowed, plural.as_ptr(), count);
            return Err(Raised);
        }
        if itself {
            found.push(Owned(new_ref(subject)));
            return Ok(None);
        }
        Ok(Some(names))
    }
}

/// An attribute that a pattern asks for, which it may ask for once only; `None` if the subject lacks it.
unsafe fn part(subject: Obj, class: Obj, name: Obj, seen: &mut Vec<Obj>) -> Result<Option<Owned>, Raised> {
    // SAFETY: live strings and objects.
    unsafe {
        if seen.iter().any(|s| *s == name || ffi::PyUnicode_Compare(*s, name) == 0) {
            let format = c"%s() got multiple sub-patterns for attribute %R";
            capi::PyErr_Format(capi::PyExc_TypeError, format.as_ptr(), type_name(class), name);
            return Err(Raised);
        }
        seen.push(name);
        let value = optional_attribute(subject, name)?;
        Ok((!value.is_null()).then_some(Owned(value)))
    }
}

unsafe fn tuple_of(items: Vec<Owned>) -> Result<Owned, Raised> {
    // SAFETY: the tuple takes the references over.
    unsafe {
        let tuple = made(capi::PyTuple_New(items.len() as isize))?;
        for (k, mut item) in items.into_iter().enumerate() {
            capi::PyTuple_SetItem(tuple.0, k as isize, std::mem::replace(&mut item.0, null_mut()));
        }
        Ok(tuple)
    }
}

/// A mapping pattern's values of these keys, a tuple, or None.
pub unsafe extern "C" fn match_keys(subject: Obj, keys: Obj) -> Obj {
    // SAFETY: the caller's objects.
    given(unsafe { matched_keys(subject, keys) })
}

unsafe fn matched_keys(subject: Obj, keys: Obj) -> Result<Owned, Raised> {
    // SAFETY: the keys are a tuple.
    unsafe {
        let keys = tuple_slice(keys);
        if keys.is_empty() {
            return made(capi::PyTuple_New(0));
        }
        let get = made(capi::PyObject_GetAttr(subject, method_get()))?;
        let seen = made(capi::PySet_New(null_mut()))?;
        let nothing = made(capi::PyObject_CallNoArgs(type_ptr!(PyBaseObject_Type)))?;
        let mut values = Vec::new();
        for &key in keys {
            let known = capi::PySet_Contains(seen.0, key);
            if known != 0 || capi::PySet_Add(seen.0, key) != 0 {
                if known > 0 {
                    let format = c"mapping pattern checks duplicate key (%R)";
                    capi::PyErr_Format(capi::PyExc_ValueError, format.as_ptr(), key);
                }
                return Err(Raised);
            }
            let args = [key, nothing.0];
            let value = made(capi::PyObject_Vectorcall(get.0, args.as_ptr(), args.len(), null_mut()))?;
            if value.0 == nothing.0 {
                return Ok(Owned(new_ref(capi::none())));
            }
            values.push(value);
        }
        tuple_of(values)
    }
}

/// The builtins' `__build_class__`, whatever that is.
pub unsafe extern "C" fn load_build_class(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's frame.
    unsafe {
        let builtins: Obj = read(frame, layout::get().frame_builtins);
        match look_up(builtins, dunder_build_class()) {
            Err(Raised) => null_mut(),
            Ok(found) => {
                if found.is_null() {
                    capi::PyErr_SetString(capi::PyExc_NameError, c"__build_class__ not found".as_ptr());
                }
                found
            }
        }
    }
}
