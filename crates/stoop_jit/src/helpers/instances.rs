//! Instances of Python classes.

use stoop_cpython::capi::{self, Obj, type_of};
use stoop_cpython::layout::{self, read};
use stoop_cpython::objects;

/// A fresh instance of a class, as `object.__new__` without arguments makes them. Runs no Python code: a collection that
/// the allocation makes due happens at the next safe point.
///
/// # Safety
/// A heap type whose `tp_new` is `object`'s and whose `tp_alloc` is the general one; the GIL is held.
pub unsafe extern "C" fn new_object(class: Obj) -> Obj {
    // SAFETY: the caller's class.
    unsafe { objects::new_instance(class) }
}

/// Raises the TypeError for an `__init__` that returned something, and drops that.
///
/// # Safety
/// A live object whose reference is handed over, the GIL held.
pub unsafe extern "C" fn init_result(result: Obj) {
    // SAFETY: the format's field is the C string of a live type.
    unsafe {
        let name: *const std::ffi::c_char = read(type_of(result), layout::get().tp_name);
        capi::PyErr_Format(capi::PyExc_TypeError, c"__init__() should return None, not '%.200s'".as_ptr(), name);
        capi::decref(result);
    }
}
