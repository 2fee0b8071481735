//! The gate: is this a CPython we know, and do its objects really look as the tables say?
//!
//! Every layout is probed on live objects, through public API on one side and our offsets on the other. A
//! mismatch gives a sentence, never a crash: reads stay within objects that are at least as large.

use std::ffi::CStr;

use crate::capi::*;
use crate::layout::{self, Layout};
use crate::probe::probe;

/// The versions that have tables.
const SUPPORTED: &str = "CPython 3.12 and 3.13";

/// Checks the running interpreter and chooses its layout, for the process. The error is a sentence for the user.
///
/// # Safety
/// GIL held, in an initialised interpreter.
pub unsafe fn check() -> Result<&'static Layout, String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err("Stoop runs on x86-64 Linux only so far".into());
    }
    // SAFETY: public API only until a layout is chosen.
    unsafe {
        let hex = Py_Version;
        let (major, minor, micro) = ((hex >> 24) as u8, (hex >> 16) as u8, (hex >> 8) as u8);
        let version = format!("{major}.{minor}.{micro}");
        let implementation = sys_text(c"implementation", Some(c"name")).unwrap_or_default();
        if implementation != "cpython" {
            return Err(format!("Stoop supports {SUPPORTED}; this is {implementation}"));
        }
        let found = if major == 3 { layout::for_minor(minor) } else { None };
        let Some(l) = found else {
            return Err(format!("Stoop supports {SUPPORTED}; this is CPython {version}"));
        };
        let abi = sys_text(c"abiflags", None).unwrap_or_default();
        if abi.contains('t') {
            return Err(format!("Stoop supports regular builds of {SUPPORTED}; this one is free-threaded"));
        }
        if abi.contains('d') || !PySys_GetObject(c"gettotalrefcount".as_ptr()).is_null() {
            return Err(format!("Stoop supports regular builds of {SUPPORTED}; this is a debug build"));
        }
        if PyInterpreterState_Get() != PyInterpreterState_Main() {
            return Err("Stoop works in the main interpreter only; this is a subinterpreter".into());
        }
        let magic = (PyImport_GetMagicNumber() & 0xffff) as u16;
        if magic != l.magic {
            return Err(format!("CPython {version} has bytecode magic number {magic}; Stoop knows {} for 3.{minor}", l.magic));
        }
        layout::set(l);
        match probe(l) {
            Ok(()) => Ok(l),
            Err(what) => {
                PyErr_Clear();
                Err(format!("CPython {version} is laid out differently from what Stoop knows: {what}"))
            }
        }
    }
}

/// Whether another frame evaluator (PEP 523) is installed, beside which Stoop must not run.
///
/// # Safety
/// GIL held.
pub unsafe fn foreign_evaluator() -> bool {
    // SAFETY: compares addresses.
    unsafe { _PyInterpreterState_GetEvalFrameFunc(PyInterpreterState_Get()) != evaluator() }
}

pub(crate) fn evaluator() -> *const std::ffi::c_void {
    _PyEval_EvalFrameDefault as *const std::ffi::c_void
}

/// The text of `sys.name`, or of its attribute.
unsafe fn sys_text(name: &CStr, attribute: Option<&CStr>) -> Option<String> {
    // SAFETY: public API; a borrowed object of the sys module.
    unsafe {
        let object = PySys_GetObject(name.as_ptr());
        if object.is_null() {
            return None;
        }
        let owned = match attribute {
            Some(attribute) => PyObject_GetAttrString(object, attribute.as_ptr()),
            None => new_ref(object),
        };
        if owned.is_null() {
            PyErr_Clear();
            return None;
        }
        let text = PyUnicode_AsUTF8(owned);
        let text = if text.is_null() {
            PyErr_Clear();
            None
        } else {
            Some(CStr::from_ptr(text).to_string_lossy().into_owned())
        };
        decref(owned);
        text
    }
}
