//! Raising, handlers, and context managers.
//!
//! # Safety
//! Every helper here borrows live objects (unless its row in the table says "steals") and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

use stoop_cpython::capi::{self, Obj, decref, new_ref, type_of};
use stoop_cpython::layout::{self, flags, read};
use stoop_cpython::objects::type_flags;

use super::ffi;
use super::names::{dunder_enter, dunder_exit};

/// Whether an object is an exception class.
unsafe fn is_exception_class(o: Obj) -> bool {
    // SAFETY: a class's own flags are those of its instances' type.
    unsafe { type_flags(type_of(o)) & flags::TYPE != 0 && type_flags(o) & flags::BASE_EXCEPTION != 0 }
}

/// Whether an object is an exception.
unsafe fn is_exception(o: Obj) -> bool {
    // SAFETY: a live object.
    unsafe { type_flags(type_of(o)) & flags::BASE_EXCEPTION != 0 }
}

/// `raise exception from cause`, without the cause if it is NULL. Always -1, with an exception set.
pub unsafe extern "C" fn raise(exception: Obj, cause: Obj) -> i32 {
    // SAFETY: the caller's objects; `value` is owned here until it is set.
    unsafe {
        let value = if is_exception_class(exception) {
            let made = capi::PyObject_CallNoArgs(exception);
            if made.is_null() {
                return -1;
            }
            if !is_exception(made) {
                made_no_exception(exception, made);
                return -1;
            }
            made
        } else if is_exception(exception) {
            new_ref(exception)
        } else {
            capi::PyErr_SetString(capi::PyExc_TypeError, c"exceptions must derive from BaseException".as_ptr());
            return -1;
        };
        if !cause.is_null() && !set_cause(value, cause) {
            decref(value);
            return -1;
        }
        // What is raised is told by the class that was named: a metaclass may have made something else of it.
        let class = if is_exception_class(exception) { exception } else { type_of(exception) };
        capi::PyErr_SetObject(class, value);
        decref(value);
        -1
    }
}

/// Says that calling an exception class made something else, which is dropped.
unsafe fn made_no_exception(class: Obj, made: Obj) {
    // SAFETY: live objects, a reference of the caller's.
    unsafe {
        let format = c"calling %R should have returned an instance of BaseException, not %R";
        capi::PyErr_Format(capi::PyExc_TypeError, format.as_ptr(), class, type_of(made));
        decref(made);
    }
}

unsafe fn set_cause(value: Obj, cause: Obj) -> bool {
    // SAFETY: live objects; the setter takes a reference over.
    unsafe {
        let cause = if is_exception_class(cause) {
            let made = capi::PyObject_CallNoArgs(cause);
            if made.is_null() {
                return false;
            }
            if !is_exception(made) && stoop_cpython::exceptions::checks_causes() {
                made_no_exception(cause, made);
                return false;
            }
            made
        } else if is_exception(cause) {
            new_ref(cause)
        } else if cause == capi::none() {
            null_mut()
        } else {
            let text = c"exception causes must derive from BaseException";
            capi::PyErr_SetString(capi::PyExc_TypeError, text.as_ptr());
            return false;
        };
        capi::PyException_SetCause(value, cause);
        true
    }
}

/// Enters a context manager: its bound exit method and what entering yields, as a tuple.
pub unsafe extern "C" fn enter(manager: Obj) -> Obj {
    // SAFETY: the caller's object; every new reference is dropped or handed to the tuple.
    unsafe {
        let enter = special(manager, dunder_enter(), c"'%.200s' object does not support the context manager protocol");
        if enter.is_null() {
            return enter;
        }
        let missed = c"'%.200s' object does not support the context manager protocol (missed __exit__ method)";
        let exit = special(manager, dunder_exit(), missed);
        if exit.is_null() {
            decref(enter);
            return exit;
        }
        let entered = capi::PyObject_CallNoArgs(enter);
        decref(enter);
        if entered.is_null() {
            decref(exit);
            return entered;
        }
        let pair = super::containers::build_tuple([exit, entered].as_ptr(), 2);
        if pair.is_null() {
            decref(exit);
            decref(entered);
        }
        pair
    }
}

/// A special method, bound; `missing` is the TypeError where there is none.
unsafe fn special(o: Obj, name: Obj, missing: &CStr) -> Obj {
    // SAFETY: the caller's object and an interned name.
    unsafe {
        let found = ffi::_PyObject_LookupSpecial(o, name);
        if found.is_null() && capi::PyErr_Occurred().is_null() {
            let name: *const c_char = read(type_of(o), layout::get().tp_name);
            capi::PyErr_Format(capi::PyExc_TypeError, missing.as_ptr(), name);
        }
        found
    }
}

/// Whether a handler for a class, or for those in a tuple, is in charge of an exception; negative with a TypeError
/// where they are no exception classes.
pub unsafe extern "C" fn matches(exception: Obj, class: Obj) -> i32 {
    // SAFETY: the caller's objects.
    unsafe {
        let valid = if type_flags(type_of(class)) & flags::TUPLE != 0 {
            stoop_cpython::objects::tuple_slice(class).iter().all(|c| is_exception_class(*c))
        } else {
            is_exception_class(class)
        };
        if !valid {
            let text = c"catching classes that do not inherit from BaseException is not allowed";
            capi::PyErr_SetString(capi::PyExc_TypeError, text.as_ptr());
            return -1;
        }
        capi::PyErr_GivenExceptionMatches(exception, class)
    }
}
