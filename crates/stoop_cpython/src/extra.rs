//! A pointer of ours on every code object.

use std::ffi::c_void;

use crate::capi::{
    FreeFn, Obj, PyErr_Clear, PyUnstable_Code_GetExtra, PyUnstable_Code_SetExtra, PyUnstable_Eval_RequestCodeExtraIndex,
};

/// A place reserved on every code object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeExtra(isize);

impl CodeExtra {
    /// Reserves a place; `free` is called with what it holds when a code object dies, or when it is replaced.
    /// `None` when CPython's few places are taken.
    ///
    /// # Safety
    /// GIL held; `free` must not run Python code, and must stay loaded.
    pub unsafe fn request(free: Option<FreeFn>) -> Option<CodeExtra> {
        // SAFETY: the caller's duty.
        let index = unsafe { PyUnstable_Eval_RequestCodeExtraIndex(free) };
        (index >= 0).then_some(CodeExtra(index))
    }

    /// What the place holds; NULL if nothing.
    ///
    /// # Safety
    /// A live code object; GIL held.
    pub unsafe fn get(self, code: Obj) -> *mut c_void {
        let mut extra = std::ptr::null_mut();
        // SAFETY: the caller's code object; fails only for other objects.
        unsafe {
            if PyUnstable_Code_GetExtra(code, self.0, &mut extra) != 0 {
                PyErr_Clear();
                return std::ptr::null_mut();
            }
        }
        extra
    }

    /// Fills the place; what it held is freed. False if there is no memory.
    ///
    /// # Safety
    /// A live code object; GIL held.
    pub unsafe fn set(self, code: Obj, extra: *mut c_void) -> bool {
        // SAFETY: the caller's code object.
        unsafe {
            if PyUnstable_Code_SetExtra(code, self.0, extra) != 0 {
                PyErr_Clear();
                return false;
            }
        }
        true
    }
}
