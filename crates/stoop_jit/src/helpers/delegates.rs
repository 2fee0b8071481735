//! What generators and coroutines send to.
//!
//! # Safety
//! Every helper here borrows a live object and needs the GIL. They reveal the generators that wait where they run Python
//! code.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use stoop_cpython::capi::{self, Obj, new_ref, type_of};
use stoop_cpython::generator::{self, is_exact};
use stoop_cpython::layout::{self, read};
use stoop_cpython::{fresh_generator, inspect, objects, type_ptr};

use super::names::dunder_iter;

/// The flag of generators that may be awaited.
const ITERABLE_COROUTINE: u32 = 0x100;

/// A call of a generator's or coroutine's function.
pub unsafe extern "C" fn new_generator(function: Obj, args: *const Obj, count: isize) -> Obj {
    // SAFETY: see the module; the function's own code tells what it is.
    unsafe {
        let given = std::slice::from_raw_parts(args, count as usize);
        fresh_generator::call(capi::PyThreadState_Get(), function, given).unwrap_or_else(|| {
            generator::reveal();
            capi::PyObject_Vectorcall(function, args, count as usize, null_mut())
        })
    }
}

/// GET_YIELD_FROM_ITER.
pub unsafe extern "C" fn yield_from_iter(o: Obj, coroutines: i64) -> Obj {
    // SAFETY: see the module.
    unsafe {
        let ty = type_of(o);
        if ty == type_ptr!(PyGen_Type) || ty == type_ptr!(PyCoro_Type) && coroutines != 0 {
            return new_ref(o);
        }
        if ty != type_ptr!(PyCoro_Type)
            && let Some(made) = own_iter(ty, o)
        {
            return made;
        }
        generator::reveal();
        if ty == type_ptr!(PyCoro_Type) {
            let text = c"cannot 'yield from' a coroutine object in a non-coroutine generator";
            capi::PyErr_SetString(capi::PyExc_TypeError, text.as_ptr());
            return null_mut();
        }
        capi::PyObject_GetIter(o)
    }
}

/// The generator that `iter()` of an instance of a class made in Python makes; `None` if it may be more than that.
unsafe fn own_iter(ty: Obj, o: Obj) -> Option<Obj> {
    // SAFETY: see the module; looking up along the bases runs no Python code. The function is kept by the class.
    unsafe {
        let heap = objects::type_flags(ty) & layout::flags::HEAP != 0;
        let method = if heap { capi::_PyType_Lookup(ty, dunder_iter()) } else { null_mut() };
        if method.is_null() || type_of(method) != type_ptr!(PyFunction_Type) {
            return None;
        }
        fresh_generator::call(capi::PyThreadState_Get(), method, &[o])
    }
}

/// GET_AWAITABLE.
pub unsafe extern "C" fn awaitable(o: Obj, argument: i64) -> Obj {
    type Unary = unsafe extern "C" fn(Obj) -> Obj;
    // SAFETY: see the module; a type's slots hold functions of their protocols or NULL.
    unsafe {
        let ty = type_of(o);
        if ty == type_ptr!(PyCoro_Type) {
            if generator::is_suspended(o) && generator::delegate(o).is_some() {
                generator::reveal();
                capi::PyErr_SetString(capi::PyExc_RuntimeError, c"coroutine is being awaited already".as_ptr());
                return null_mut();
            }
            return new_ref(o);
        }
        if is_coroutine(o) {
            return new_ref(o);
        }
        generator::reveal();
        let name = type_name(ty);
        let slots: *const *const c_void = read(ty, layout::get().tp_as_async);
        let get = if slots.is_null() { std::ptr::null() } else { slots.read() };
        if get.is_null() {
            let text = match argument {
                1 => c"'async with' received an object from __aenter__ that does not implement __await__: %.100s",
                2 => c"'async with' received an object from __aexit__ that does not implement __await__: %.100s",
                _ => c"object %.100s can't be used in 'await' expression",
            };
            capi::PyErr_Format(capi::PyExc_TypeError, text.as_ptr(), name);
            return null_mut();
        }
        let get: Unary = std::mem::transmute(get);
        let iterator = get(o);
        if iterator.is_null() {
            return iterator;
        }
        let text = if type_of(iterator) == type_ptr!(PyCoro_Type) || is_coroutine(iterator) {
            c"__await__() returned a coroutine"
        } else if capi::PyIter_Check(iterator) == 0 {
            c"__await__() returned non-iterator of type '%.100s'"
        } else {
            return iterator;
        };
        capi::PyErr_Format(capi::PyExc_TypeError, text.as_ptr(), type_name(type_of(iterator)));
        capi::decref(iterator);
        null_mut()
    }
}

/// A type's name, a C string.
unsafe fn type_name(ty: Obj) -> *const c_char {
    // SAFETY: a live type.
    unsafe { read(ty, layout::get().tp_name) }
}

/// Whether an object is a generator that may be awaited.
unsafe fn is_coroutine(o: Obj) -> bool {
    // SAFETY: a live object.
    unsafe { is_exact(o) && inspect::code_flags(stoop_cpython::frame::code(generator::frame_of(o))) & ITERABLE_COROUTINE != 0 }
}
