//! The C functions behind built-in functions and methods.

use crate::capi::{Obj, PyMethodDef, type_of};
use crate::layout::{self, read};
use crate::type_ptr;

/// How a C function takes what comes after self.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Convention {
    /// `METH_NOARGS`.
    Nothing,
    /// `METH_O`.
    One,
    /// `METH_FASTCALL`.
    Array,
    /// `METH_FASTCALL | METH_KEYWORDS`.
    ArrayAndNames,
}

/// A built-in function's or method's C function.
#[derive(Clone, Copy, Debug)]
pub struct Native {
    /// Its address.
    pub function: u64,
    /// How it takes its arguments.
    pub convention: Convention,
    /// The type it is a method of; NULL for functions.
    pub owner: Obj,
    /// A function's self, which may be NULL.
    pub bound: Obj,
}

/// The C function behind an exact built-in function or an exact method descriptor, if it takes its arguments without a
/// tuple.
///
/// # Safety
/// A live object, the GIL held.
pub unsafe fn native(o: Obj) -> Option<Native> {
    const KEYWORDS: i32 = 0x02;
    const NOARGS: i32 = 0x04;
    const O: i32 = 0x08;
    const STATIC: i32 = 0x20;
    const COEXIST: i32 = 0x40;
    const FASTCALL: i32 = 0x80;
    const FASTCALL_KEYWORDS: i32 = FASTCALL | KEYWORDS;
    let l = layout::get();
    // SAFETY: the caller's object; definitions are static.
    unsafe {
        let null = std::ptr::null_mut();
        let ty = type_of(o);
        let (definition, owner, bound): (*const PyMethodDef, Obj, Obj) = if ty == type_ptr!(PyCFunction_Type) {
            (read(o, l.cfunction_def), null, read(o, l.cfunction_self))
        } else if ty == type_ptr!(PyMethodDescr_Type) {
            (read(o, l.methoddescr_def), read(o, l.descr_type), null)
        } else {
            return None;
        };
        let flags = (*definition).ml_flags;
        if flags & STATIC != 0 {
            return None;
        }
        let convention = match flags & !COEXIST {
            NOARGS => Convention::Nothing,
            O => Convention::One,
            FASTCALL => Convention::Array,
            FASTCALL_KEYWORDS => Convention::ArrayAndNames,
            _ => return None,
        };
        Some(Native { function: (*definition).ml_meth as u64, convention, owner, bound })
    }
}

/// Puts another C function behind a module's built-in function of that name and convention, for whoever calls it; what was
/// there.
///
/// # Safety
/// Live objects, the GIL held. The new function has the same signature, and stays.
pub unsafe fn replace(o: Obj, module: Obj, name: &std::ffi::CStr, convention: Convention, function: usize) -> Option<usize> {
    // SAFETY: the caller's object. Definitions are static data that CPython itself never writes, but reads at each call.
    unsafe {
        let found = native(o).filter(|n| n.convention == convention && n.owner.is_null() && n.bound == module)?;
        let definition: *mut PyMethodDef = read(o, layout::get().cfunction_def);
        if std::ffi::CStr::from_ptr((*definition).ml_name) != name || found.function == function as u64 {
            return None;
        }
        let place = (&raw mut (*definition).ml_meth).cast::<usize>();
        Some(place.replace(function))
    }
}

/// The name of a method descriptor of a type.
///
/// # Safety
/// A live object, the GIL held.
pub unsafe fn method_of(o: Obj) -> Option<(Obj, String)> {
    let l = layout::get();
    // SAFETY: the caller's object; its definition has a name, a C string.
    unsafe {
        if type_of(o) != type_ptr!(PyMethodDescr_Type) {
            return None;
        }
        let definition: *const PyMethodDef = read(o, l.methoddescr_def);
        Some((read(o, l.descr_type), std::ffi::CStr::from_ptr((*definition).ml_name).to_string_lossy().into_owned()))
    }
}
