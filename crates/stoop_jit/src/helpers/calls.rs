//! Calls, and making functions.
//!
//! # Safety
//! Every helper here borrows live objects (unless its row in the table says "steals") and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ptr::null_mut;

use stoop_cpython::capi::{self, Frame, Obj, VECTORCALL_ARGUMENTS_OFFSET, decref, type_of, xdecref};
use stoop_cpython::layout::{self, read, write};
use stoop_cpython::type_ptr;

use super::ffi;
use crate::engine::breaker;

/// Calls with positional and, behind them, keyword arguments: `count` is both together, `names` a tuple of
/// the keywords' names or NULL. The place before the first argument is free for the callee to use, whether or
/// not `count` carries vectorcall's bit that says so.
pub unsafe extern "C" fn call(callable: Obj, args: *const Obj, count: i64, names: Obj) -> Obj {
    // SAFETY: the caller's array has `count` objects and a free place before.
    unsafe {
        if names.is_null() && type_of(callable) == type_ptr!(PyFunction_Type) {
            let target = crate::engine::links::target(callable);
            return target(callable, args, count as usize | VECTORCALL_ARGUMENTS_OFFSET, names, null_mut());
        }
        if names.is_null()
            && type_of(callable) == type_ptr!(PyMethod_Type)
            && let Some(result) = call_method(callable, args, count as usize & !VECTORCALL_ARGUMENTS_OFFSET)
        {
            return result;
        }
        let keywords: usize = if names.is_null() { 0 } else { read(names, layout::get().ob_size) };
        let positional = (count as usize & !VECTORCALL_ARGUMENTS_OFFSET) - keywords;
        let result = capi::PyObject_Vectorcall(callable, args, positional | VECTORCALL_ARGUMENTS_OFFSET, names);
        served(callable, result)
    }
}

/// Calls a bound method of a Python function: its instance goes to the free place before the arguments. The method, which
/// the caller holds, keeps both.
unsafe fn call_method(method: Obj, args: *const Obj, count: usize) -> Option<Obj> {
    let l = layout::get();
    // SAFETY: a bound method; the place before the arguments is free, and gets back what lay there.
    unsafe {
        let function: Obj = read(method, l.method_func);
        if type_of(function) != type_ptr!(PyFunction_Type) {
            return None;
        }
        let target = crate::engine::links::target(function);
        let place = args.sub(1).cast_mut();
        let before = place.replace(read(method, l.method_self));
        let result = target(function, place, count + 1, null_mut(), null_mut());
        place.write(before);
        Some(result)
    }
}

/// Polls after a call, unless the callee polls where it begins.
unsafe fn served(callable: Obj, result: Obj) -> Obj {
    // SAFETY: a call of compiled code has just returned; its frame is in order.
    unsafe { if type_of(callable) == type_ptr!(PyFunction_Type) { result } else { breaker::after_call(result) } }
}

/// Calls something that runs no Python code, with positional arguments: nobody is to be served after it.
pub unsafe extern "C" fn call_native(callable: Obj, args: *const Obj, count: i64) -> Obj {
    // SAFETY: the caller's array has `count` objects and a free place before.
    unsafe { capi::PyObject_Vectorcall(callable, args, count as usize | VECTORCALL_ARGUMENTS_OFFSET, null_mut()) }
}

/// Polls after a call of a C function; takes its result and gives it back.
pub unsafe extern "C" fn after_call(result: Obj) -> Obj {
    // SAFETY: a call of compiled code has just returned; its frame is in order.
    unsafe { breaker::after_call(result) }
}

/// `callable(*args, **kwargs)`; `kwargs` is a dict or NULL.
pub unsafe extern "C" fn call_ex(callable: Obj, args: Obj, kwargs: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe {
        if type_of(args) == type_ptr!(PyTuple_Type) {
            return served(callable, capi::PyObject_Call(callable, args, kwargs));
        }
        let has_iter = read::<usize, _>(type_of(args), layout::get().tp_iter) != 0;
        if !has_iter && capi::PySequence_Check(args) == 0 {
            not_iterable(callable, args);
            return null_mut();
        }
        let tuple = capi::PySequence_Tuple(args);
        if tuple.is_null() {
            return tuple;
        }
        let result = capi::PyObject_Call(callable, tuple, kwargs);
        decref(tuple);
        served(callable, result)
    }
}

/// Raises the TypeError for a starred argument that cannot be iterated.
unsafe fn not_iterable(callable: Obj, args: Obj) {
    // SAFETY: live objects; the format's fields are an object and a C string.
    unsafe {
        let callee = ffi::_PyObject_FunctionStr(callable);
        if callee.is_null() {
            return;
        }
        let name: *const std::ffi::c_char = read(type_of(args), layout::get().tp_name);
        capi::PyErr_Format(capi::PyExc_TypeError, c"%U argument after * must be an iterable, not %.200s".as_ptr(), callee, name);
        decref(callee);
    }
}

/// A function over the frame's globals.
pub unsafe extern "C" fn make_function(frame: *mut Frame, code: Obj) -> Obj {
    let layout = layout::get();
    // SAFETY: a live frame and a code object.
    unsafe {
        let function = capi::PyFunction_New(code, read(frame, layout.frame_globals));
        if !function.is_null() {
            give_version(function, code);
        }
        function
    }
}

/// Functions of one code object share its version, so that the interpreter's specialised calls hold for all.
unsafe fn give_version(function: Obj, code: Obj) {
    let layout = layout::get();
    // SAFETY: a fresh function and its code object.
    unsafe { write(function, layout.func_version, read::<u32, _>(code, layout.co_version)) };
}

/// Sets a part of a fresh function (1 defaults, 2 keyword defaults, 4 annotations, 8 closure), taking `value`.
pub unsafe extern "C" fn set_function_attr(function: Obj, which: i32, value: Obj) {
    let layout = layout::get();
    let offset = match which {
        1 => layout.func_defaults,
        2 => layout.func_kwdefaults,
        8 => layout.func_closure,
        // SAFETY: the caller's function and value.
        _ => return unsafe { set_annotations(function, value) },
    };
    // SAFETY: the function is fresh, so that the field is NULL; watchers need not hear of it yet.
    unsafe {
        let old: Obj = read(function, offset);
        write(function, offset, value);
        xdecref(old);
    }
}

/// Annotations come as a tuple of name, value, … or as a dict.
unsafe fn set_annotations(function: Obj, value: Obj) {
    let layout = layout::get();
    // SAFETY: a fresh function; names and values are the tuple's.
    unsafe {
        let dict = if type_of(value) == type_ptr!(PyTuple_Type) { pairs_to_dict(value) } else { capi::new_ref(value) };
        if dict.is_null() || ffi::PyFunction_SetAnnotations(function, dict) < 0 {
            // Out of memory, in an operation that cannot fail: the function goes without.
            capi::PyErr_Clear();
        }
        xdecref(dict);
        decref(value);
        // The setter takes the version away.
        give_version(function, read(function, layout.func_code));
    }
}

unsafe fn pairs_to_dict(tuple: Obj) -> Obj {
    let layout = layout::get();
    // SAFETY: an exact tuple of an even number of items.
    unsafe {
        let items = tuple.byte_offset(layout.tuple_items as isize).cast::<Obj>();
        super::containers::build_map(items, read::<i64, _>(tuple, layout.ob_size))
    }
}
