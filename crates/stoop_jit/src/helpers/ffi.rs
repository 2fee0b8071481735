//! Functions of the C API that only helpers need; both 3.12 and 3.13 export them.

use std::ffi::c_int;

use stoop_cpython::capi::Obj;

unsafe extern "C" {
    /// Joins strings; borrows all.
    pub fn _PyUnicode_JoinArray(separator: Obj, items: *const Obj, count: isize) -> Obj;
    /// `list.extend`: `None`, or NULL with an exception.
    pub fn _PyList_Extend(list: Obj, iterable: Obj) -> Obj;
    /// An uninitialised object of a type without items and without garbage collection.
    pub fn _PyObject_New(ty: Obj) -> Obj;
    /// The name of a callable for messages: `"f()"`.
    pub fn _PyObject_FunctionStr(callable: Obj) -> Obj;
    /// Adds a mapping's items; 2: a key that is there already is a `KeyError`.
    pub fn _PyDict_MergeEx(dict: Obj, mapping: Obj, override_: c_int) -> c_int;
    /// A special method of an object's type, bound; NULL without exception if there is none.
    pub fn _PyObject_LookupSpecial(o: Obj, name: Obj) -> Obj;
    /// An exception's arguments, a new reference.
    pub fn PyException_GetArgs(exception: Obj) -> Obj;
    /// An int from the bytes of a two's complement.
    pub fn _PyLong_FromByteArray(bytes: *const u8, count: usize, little_endian: c_int, signed: c_int) -> Obj;
    /// The string of a character.
    pub fn PyUnicode_FromOrdinal(ordinal: c_int) -> Obj;
    /// -1, 0 or 1.
    pub fn PyUnicode_Compare(a: Obj, b: Obj) -> c_int;
    /// Whether a string is in another.
    pub fn PyUnicode_Contains(whole: Obj, part: Obj) -> c_int;
    /// Appends to the string at `left`, in place where it has one owner; NULL there on failure.
    pub fn PyUnicode_Append(left: *mut Obj, right: Obj);
    /// The characters between two places in range.
    pub fn PyUnicode_Substring(text: Obj, start: isize, stop: isize) -> Obj;
    /// `iter(callable, sentinel)`.
    pub fn PyCallIter_New(callable: Obj, sentinel: Obj) -> Obj;
    /// Takes a dict; steals nothing.
    pub fn PyFunction_SetAnnotations(function: Obj, annotations: Obj) -> c_int;
    /// A fresh module.
    pub fn PyModule_NewObject(name: Obj) -> Obj;
    /// A fresh string, all of whose characters are at most `max_char`.
    pub fn PyUnicode_New(length: isize, max_char: u32) -> Obj;
}
