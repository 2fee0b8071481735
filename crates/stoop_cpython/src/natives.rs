//! The C functions behind built-in functions and methods.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::capi::{self, Obj, PyMethodDef, PyModuleDef, type_of};
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

/// `METH_VARARGS`.
pub const TUPLE: i32 = 0x01;
/// `METH_O`.
pub const ONE: i32 = 0x08;
/// `METH_FASTCALL`.
pub const ARRAY: i32 = 0x80;
/// `METH_FASTCALL | METH_KEYWORDS`.
pub const ARRAY_AND_NAMES: i32 = 0x82;

/// A C function that stands in the place of a built-in function's own.
#[derive(Debug)]
pub struct Replacement {
    place: AtomicPtr<usize>,
    new: usize,
    /// CPython's own.
    pub former: usize,
}

impl Replacement {
    /// Puts another C function behind a module's built-in function of that name, for whoever calls it. `news` has one for
    /// each way to take arguments that is known. `None` if the function is not CPython's own.
    ///
    /// # Safety
    /// Live objects, the GIL held. The new function has the signature that its flags say, and stays.
    pub unsafe fn make(o: Obj, module: Obj, name: &CStr, news: &[(i32, usize)]) -> Option<Replacement> {
        let l = layout::get();
        // SAFETY: the caller's object, whose definition is static data.
        unsafe {
            if type_of(o) != type_ptr!(PyCFunction_Type) || read::<Obj, _>(o, l.cfunction_self) != module {
                return None;
            }
            let definition: *mut PyMethodDef = read(o, l.cfunction_def);
            if CStr::from_ptr((*definition).ml_name) != name {
                return None;
            }
            Replacement::behind(definition, news)
        }
    }

    /// The same for a function of a module that is part of the interpreter, whether it has been imported or not.
    ///
    /// # Safety
    /// The GIL is held. The module is initialised in phases. The new function has the signature that its flags say, and
    /// stays.
    pub unsafe fn make_inside(module: &CStr, name: &CStr, news: &[(i32, usize)]) -> Option<Replacement> {
        // SAFETY: the table ends with a row without a name; initialising in phases only names the static definition, whose
        // list of functions ends with one without a name.
        unsafe {
            let mut row = capi::PyImport_Inittab;
            while CStr::from_ptr((*row).name.as_ref()?) != module {
                row = row.add(1);
            }
            let found = (*row).initfunc?();
            if found.is_null() || type_of(found) != type_ptr!(PyModuleDef_Type) {
                return None;
            }
            let mut definition = (*found.cast::<PyModuleDef>()).m_methods;
            while CStr::from_ptr((*definition).ml_name.as_ref()?) != name {
                definition = definition.add(1);
            }
            Replacement::behind(definition, news)
        }
    }

    /// # Safety
    /// The definition of a function is static; for the rest see `make`.
    unsafe fn behind(definition: *mut PyMethodDef, news: &[(i32, usize)]) -> Option<Replacement> {
        // SAFETY: CPython itself never writes definitions, but reads them at each call.
        unsafe {
            let (_, new) = *news.iter().find(|(flags, _)| *flags == (*definition).ml_flags)?;
            let place = (&raw mut (*definition).ml_meth).cast::<usize>();
            Some(Replacement { former: place.replace(new), new, place: AtomicPtr::new(place) })
        }
    }

    fn exchange(&self, from: usize, to: usize) {
        let place = self.place.load(Ordering::Relaxed);
        // SAFETY: as in `make`; both functions have the same signature and stay.
        unsafe {
            if *place == from {
                *place = to;
            }
        }
    }

    /// Puts CPython's own back, unless somebody else has put something there.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn undo(&self) {
        self.exchange(self.new, self.former);
    }

    /// Puts the new one there again after [`Self::undo`].
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn redo(&self) {
        self.exchange(self.former, self.new);
    }
}

/// Puts another C function behind a built-in type's method of that name that takes one argument; what was there.
///
/// # Safety
/// As for [`replace`]; a type whose methods are static data.
pub unsafe fn replace_method(ty: Obj, name: &std::ffi::CStr, function: usize) -> Option<usize> {
    // SAFETY: as for `replace`.
    unsafe {
        let o = capi::PyObject_GetAttrString(ty, name.as_ptr());
        if o.is_null() {
            capi::PyErr_Clear();
            return None;
        }
        let found = native(o).filter(|n| n.convention == Convention::One && n.owner == ty);
        let place = found.map(|_| {
            let definition: *mut PyMethodDef = read(o, layout::get().methoddescr_def);
            (&raw mut (*definition).ml_meth).cast::<usize>()
        });
        capi::decref(o);
        Some(place?.replace(function))
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
        Some((read(o, l.descr_type), CStr::from_ptr((*definition).ml_name).to_string_lossy().into_owned()))
    }
}
