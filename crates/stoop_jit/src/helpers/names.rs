//! Attributes, globals and names, imports.
//!
//! # Safety
//! Every helper here borrows live objects and needs the GIL; frames are live and of the current thread.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::OnceLock;

use stoop_cpython::capi::{self, Frame, Obj, decref, new_ref, type_of, xdecref};
use stoop_cpython::layout::{self, read};
use stoop_cpython::type_ptr;

use super::ffi;

/// Declares functions that yield an interned string, made once and kept.
macro_rules! interned {
    ($($name:ident $text:literal;)*) => { $(
        pub(super) fn $name() -> Obj {
            static STRING: OnceLock<usize> = OnceLock::new();
            // SAFETY: the GIL is held by every helper's caller; the text is a C string.
            *STRING.get_or_init(|| unsafe { capi::PyUnicode_InternFromString($text.as_ptr()) as usize }) as Obj
        }
    )* };
}

interned! {
    dunder_import c"__import__";
    dunder_iter c"__iter__";
    dunder_name c"__name__";
    dunder_spec c"__spec__";
    dunder_file c"__file__";
    dunder_enter c"__enter__";
    dunder_exit c"__exit__";
    dunder_match_args c"__match_args__";
    dunder_build_class c"__build_class__";
    method_get c"get";
    name_attribute c"name";
}

/// `del o.name`.
pub unsafe extern "C" fn del_attr(o: Obj, name: Obj) -> i32 {
    // SAFETY: the caller's objects; NULL deletes.
    unsafe { capi::PyObject_SetAttr(o, name, null_mut()) }
}

/// A failed look-up; the exception is set.
pub(super) struct Raised;

/// An item of a namespace: a new reference, or NULL when it has none.
pub(super) unsafe fn look_up(namespace: Obj, name: Obj) -> Result<Obj, Raised> {
    // SAFETY: the caller's objects.
    unsafe {
        if type_of(namespace) == type_ptr!(PyDict_Type) {
            return in_dict(namespace, name);
        }
        let value = capi::PyObject_GetItem(namespace, name);
        if value.is_null() {
            if capi::PyErr_ExceptionMatches(capi::PyExc_KeyError) == 0 {
                return Err(Raised);
            }
            capi::PyErr_Clear();
        }
        Ok(value)
    }
}

/// As [`look_up`], by the dict's own table even in a subclass.
unsafe fn in_dict(dict: Obj, name: Obj) -> Result<Obj, Raised> {
    // SAFETY: the caller's dict and name.
    unsafe {
        let value = capi::PyDict_GetItemWithError(dict, name);
        if !value.is_null() {
            return Ok(new_ref(value));
        }
        if capi::PyErr_Occurred().is_null() { Ok(value) } else { Err(Raised) }
    }
}

/// Raises the NameError for an undefined name, with its `name` attribute set; returns NULL.
unsafe fn undefined(name: Obj) -> Obj {
    // SAFETY: a str; the format's field is its C text.
    unsafe {
        let text = capi::PyUnicode_AsUTF8(name);
        if text.is_null() {
            return null_mut();
        }
        capi::PyErr_Format(capi::PyExc_NameError, c"name '%.200s' is not defined".as_ptr(), text);
        let exception = capi::PyErr_GetRaisedException();
        // The attribute only helps suggestions: its failure would not matter.
        if capi::PyErr_GivenExceptionMatches(exception, capi::PyExc_NameError) != 0
            && capi::PyObject_SetAttr(exception, name_attribute(), name) < 0
        {
            capi::PyErr_Clear();
        }
        capi::PyErr_SetRaisedException(exception);
    }
    null_mut()
}

/// Where a look-up of a global starts.
#[derive(Clone, Copy)]
struct Namespaces {
    globals: Obj,
    builtins: Obj,
}

unsafe fn namespaces(frame: *mut Frame) -> Namespaces {
    let layout = layout::get();
    // SAFETY: a live frame.
    unsafe { Namespaces { globals: read(frame, layout.frame_globals), builtins: read(frame, layout.frame_builtins) } }
}

unsafe fn f_locals(frame: *mut Frame) -> Obj {
    // SAFETY: a live frame.
    unsafe { read(frame, layout::get().frame_f_locals) }
}

/// A global or builtin.
pub unsafe extern "C" fn load_global(frame: *mut Frame, name: Obj) -> Obj {
    // SAFETY: the caller's frame and name.
    unsafe {
        let spaces = namespaces(frame);
        match look_up(spaces.globals, name) {
            Err(Raised) => null_mut(),
            Ok(value) if !value.is_null() => value,
            Ok(_) => builtin(spaces, name),
        }
    }
}

unsafe fn builtin(spaces: Namespaces, name: Obj) -> Obj {
    // SAFETY: a frame's builtins.
    unsafe {
        match look_up(spaces.builtins, name) {
            Err(Raised) => null_mut(),
            Ok(value) if !value.is_null() => value,
            Ok(_) => undefined(name),
        }
    }
}

/// Sets a global.
pub unsafe extern "C" fn store_global(frame: *mut Frame, name: Obj, value: Obj) -> i32 {
    // SAFETY: the caller's objects; globals are a dict.
    unsafe { capi::PyDict_SetItem(namespaces(frame).globals, name, value) }
}

/// Deletes a global.
pub unsafe extern "C" fn del_global(frame: *mut Frame, name: Obj) -> i32 {
    // SAFETY: the caller's objects; globals are a dict.
    unsafe {
        let result = capi::PyDict_DelItem(namespaces(frame).globals, name);
        if result < 0 && capi::PyErr_ExceptionMatches(capi::PyExc_KeyError) != 0 {
            undefined(name);
        }
        result
    }
}

/// A name of a module or class body: its locals, then globals, then builtins.
pub unsafe extern "C" fn load_name(frame: *mut Frame, name: Obj) -> Obj {
    // SAFETY: the caller's frame and name.
    unsafe {
        let locals = f_locals(frame);
        if locals.is_null() {
            capi::PyErr_Format(capi::PyExc_SystemError, c"no locals when loading %R".as_ptr(), name);
            return null_mut();
        }
        let spaces = namespaces(frame);
        match look_up(locals, name) {
            Err(Raised) => return null_mut(),
            Ok(value) if !value.is_null() => return value,
            Ok(_) => {}
        }
        match in_dict(spaces.globals, name) {
            Err(Raised) => null_mut(),
            Ok(value) if !value.is_null() => value,
            Ok(_) => builtin(spaces, name),
        }
    }
}

/// Sets a name in the frame's locals.
pub unsafe extern "C" fn store_name(frame: *mut Frame, name: Obj, value: Obj) -> i32 {
    // SAFETY: the caller's objects.
    unsafe {
        let locals = f_locals(frame);
        if locals.is_null() {
            capi::PyErr_Format(capi::PyExc_SystemError, c"no locals found when storing %R".as_ptr(), name);
            return -1;
        }
        if type_of(locals) == type_ptr!(PyDict_Type) {
            capi::PyDict_SetItem(locals, name, value)
        } else {
            capi::PyObject_SetItem(locals, name, value)
        }
    }
}

/// `import name`, through the builtins' `__import__`, whatever that is.
pub unsafe extern "C" fn import(frame: *mut Frame, name: Obj, level: Obj, fromlist: Obj) -> Obj {
    // SAFETY: the caller's frame and objects; the argument array has five.
    unsafe {
        let spaces = namespaces(frame);
        let Ok(importer) = look_up(spaces.builtins, dunder_import()) else {
            return null_mut();
        };
        if importer.is_null() {
            capi::PyErr_SetString(capi::PyExc_ImportError, c"__import__ not found".as_ptr());
            return null_mut();
        }
        let locals = f_locals(frame);
        let locals = if locals.is_null() { capi::none() } else { locals };
        let args = [name, spaces.globals, locals, fromlist, level];
        let module = capi::PyObject_Vectorcall(importer, args.as_ptr(), args.len(), null_mut());
        decref(importer);
        module
    }
}

/// An attribute, or NULL when there is none.
pub(super) unsafe fn optional_attribute(o: Obj, name: Obj) -> Result<Obj, Raised> {
    // SAFETY: the caller's objects.
    unsafe {
        let value = capi::PyObject_GetAttr(o, name);
        if value.is_null() {
            if capi::PyErr_ExceptionMatches(capi::PyExc_AttributeError) == 0 {
                return Err(Raised);
            }
            capi::PyErr_Clear();
        }
        Ok(value)
    }
}

/// `from module import name`: the attribute, else the submodule that `sys.modules` knows.
pub unsafe extern "C" fn import_from(module: Obj, name: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe {
        match optional_attribute(module, name) {
            Err(Raised) => return null_mut(),
            Ok(value) if !value.is_null() => return value,
            Ok(_) => {}
        }
        let Ok(package) = optional_attribute(module, dunder_name()) else {
            return null_mut();
        };
        let value = match package.is_null() || capi::PyType_IsSubtype(type_of(package), type_ptr!(PyUnicode_Type)) == 0 {
            true => null_mut(),
            false => submodule(package, name),
        };
        if value.is_null() && capi::PyErr_Occurred().is_null() {
            cannot_import(module, package, name);
        }
        xdecref(package);
        value
    }
}

unsafe fn submodule(package: Obj, name: Obj) -> Obj {
    // SAFETY: two strings.
    unsafe {
        let full = capi::PyUnicode_FromFormat(c"%U.%U".as_ptr(), package, name);
        if full.is_null() {
            return full;
        }
        let module = capi::PyImport_GetModule(full);
        decref(full);
        module
    }
}

/// Raises the interpreter's own ImportError for `from package import name`.
///
/// The message depends on the version, on the module's spec and file, and on whether it shadows a library, so
/// the interpreter is made to raise it: it imports from a stand-in that has just these attributes.
unsafe fn cannot_import(module: Obj, package: Obj, name: Obj) {
    // SAFETY: live objects; every new reference is dropped here.
    unsafe {
        let stand_in = stand_in(module, package);
        if stand_in.is_null() {
            return;
        }
        let raised = import_from_stand_in(stand_in, name);
        decref(stand_in);
        if raised.is_err() {
            return;
        }
        // The stand-in has an attribute of its own by that name.
        if capi::PyErr_Occurred().is_null() {
            let format = c"cannot import name %R from %R (unknown location)";
            let package = if package.is_null() { module } else { package };
            capi::PyErr_Format(capi::PyExc_ImportError, format.as_ptr(), name, package);
        }
    }
}

/// A module with another's name, spec and file.
unsafe fn stand_in(module: Obj, package: Obj) -> Obj {
    // SAFETY: live objects; the dict is the stand-in's own.
    unsafe {
        let named = if package.is_null() { dunder_name() } else { package };
        let copy = ffi::PyModule_NewObject(named);
        if copy.is_null() {
            return copy;
        }
        let dict = capi::PyModule_GetDict(copy);
        capi::PyDict_Clear(dict);
        for attribute in [dunder_name(), dunder_spec(), dunder_file()] {
            let value = match attribute == dunder_name() {
                true if package.is_null() => null_mut(),
                true => new_ref(package),
                false => optional_attribute(module, attribute).unwrap_or(null_mut()),
            };
            if !value.is_null() && capi::PyDict_SetItem(dict, attribute, value) < 0 {
                capi::PyErr_Clear();
            }
            xdecref(value);
            // What a broken module raised here, the interpreter will meet again.
            capi::PyErr_Clear();
        }
        copy
    }
}

/// `__import__` of the little program below: whatever is asked for, itself.
unsafe extern "C" fn give_self(slf: Obj, _args: Obj) -> Obj {
    // SAFETY: a built-in function's self lives during its call.
    unsafe { new_ref(slf) }
}

/// The method table entry of [`give_self`]; functions made from it point at it for good.
struct Method(capi::PyMethodDef);
// SAFETY: never written; its pointers are to constants and code.
unsafe impl Sync for Method {}
static GIVE_SELF: Method = Method(capi::PyMethodDef {
    ml_name: c"__import__".as_ptr(),
    ml_meth: give_self as *const std::ffi::c_void,
    ml_flags: capi::METH_VARARGS,
    ml_doc: std::ptr::null(),
});

unsafe fn import_from_stand_in(stand_in: Obj, name: Obj) -> Result<(), Raised> {
    const FILE_INPUT: i32 = 257;
    // SAFETY: new references are dropped on every path; dicts are fresh.
    unsafe {
        let importer = capi::PyCFunction_NewEx((&raw const GIVE_SELF.0).cast_mut(), stand_in, null_mut());
        let builtins = capi::PyDict_New();
        let globals = capi::PyDict_New();
        let text = capi::PyUnicode_FromFormat(c"from m import %U".as_ptr(), name);
        let parts = [importer, builtins, globals, text];
        let mut result = null_mut();
        if parts.iter().all(|p| !p.is_null()) && set(builtins, c"__import__", importer) && set(globals, c"__builtins__", builtins)
        {
            result = capi::PyRun_String(capi::PyUnicode_AsUTF8(text), FILE_INPUT, globals, globals);
        }
        for part in parts {
            xdecref(part);
        }
        if !result.is_null() {
            decref(result);
            return Ok(());
        }
        let exception = capi::PyErr_GetRaisedException();
        capi::PyException_SetTraceback(exception, capi::none());
        capi::PyErr_SetRaisedException(exception);
        Err(Raised)
    }
}

unsafe fn set(dict: Obj, key: &CStr, value: Obj) -> bool {
    // SAFETY: a dict, a C string and a live object.
    unsafe { capi::PyDict_SetItemString(dict, key.as_ptr(), value) == 0 }
}
