//! The C API this project calls, declared by hand.
//!
//! Symbols resolve from the host process when the extension module is loaded: nothing is linked here.
//! Only what both 3.12 and 3.13 export is declared; what one of them lacks is looked up at run time ([`Optional`]).
//!
//! # Safety
//! Every function needs the GIL (unless its row says otherwise) and live objects; a NULL or negative result
//! means that an exception is set.
#![allow(missing_docs, reason = "declarations mirror CPython's own reference, name by name")]
#![allow(non_upper_case_globals, reason = "CPython's names")]

use std::ffi::{c_char, c_int, c_long, c_longlong, c_ulong, c_void};
use std::sync::OnceLock;

/// The head of every object. Everything behind it is reached through [`crate::layout::Layout`].
#[repr(C)]
#[derive(Debug)]
pub struct PyObject {
    /// Reference count.
    pub ob_refcnt: isize,
    /// Type (a type object).
    pub ob_type: *mut PyObject,
}

/// A Python object, any.
pub type Obj = *mut PyObject;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name { _opaque: [u8; 0] }
    )* };
}

opaque! {
    /// A thread state.
    PyThreadState;
    /// An interpreter.
    PyInterpreterState;
    /// An interpreter frame (`_PyInterpreterFrame`); see [`crate::frame`].
    Frame;
}

/// `vectorcallfunc`.
pub type VectorcallFn = unsafe extern "C" fn(callable: Obj, args: *const Obj, nargsf: usize, kwnames: Obj) -> Obj;
/// `METH_FASTCALL`.
pub type FastcallFn = unsafe extern "C" fn(slf: Obj, args: *const Obj, nargs: isize) -> Obj;
/// `METH_O` and `METH_NOARGS`.
pub type PyCFunction = unsafe extern "C" fn(slf: Obj, arg: Obj) -> Obj;
/// `allocfunc`.
pub type AllocFn = unsafe extern "C" fn(ty: Obj, count: isize) -> Obj;
/// `initproc`, `ternaryfunc` and friends.
pub type TernaryFn = unsafe extern "C" fn(a: Obj, b: Obj, c: Obj) -> Obj;
/// `freefunc`.
pub type FreeFn = unsafe extern "C" fn(memory: *mut c_void);
/// `PyFunction_WatchCallback`.
pub type FunctionWatchFn = unsafe extern "C" fn(event: c_int, function: Obj, new_value: Obj) -> c_int;
/// `PyDict_WatchCallback`.
pub type DictWatchFn = unsafe extern "C" fn(event: c_int, dict: Obj, key: Obj, new_value: Obj) -> c_int;
/// `PyType_WatchCallback`.
pub type TypeWatchFn = unsafe extern "C" fn(ty: Obj) -> c_int;
/// `PyCode_WatchCallback`.
pub type CodeWatchFn = unsafe extern "C" fn(event: c_int, code: Obj) -> c_int;

/// `PyMethodDef`.
#[repr(C)]
#[derive(Debug)]
pub struct PyMethodDef {
    pub ml_name: *const c_char,
    pub ml_meth: *const c_void,
    pub ml_flags: c_int,
    pub ml_doc: *const c_char,
}

/// `PyModuleDef`, as far as it is needed.
#[repr(C)]
#[derive(Debug)]
pub struct PyModuleDef {
    pub m_base: PyObject,
    pub m_init: *const c_void,
    pub m_index: isize,
    pub m_copy: Obj,
    pub m_name: *const c_char,
    pub m_doc: *const c_char,
    pub m_size: isize,
    pub m_methods: *mut PyMethodDef,
}

/// `struct _inittab`: a module that is part of the interpreter.
#[repr(C)]
#[derive(Debug)]
pub struct Inittab {
    pub name: *const c_char,
    pub initfunc: Option<unsafe extern "C" fn() -> Obj>,
}

/// `PyObjectArenaAllocator`.
#[repr(C)]
#[derive(Debug)]
pub struct PyObjectArenaAllocator {
    pub ctx: *mut c_void,
    pub alloc: Option<unsafe extern "C" fn(ctx: *mut c_void, size: usize) -> *mut c_void>,
    pub free: Option<unsafe extern "C" fn(ctx: *mut c_void, ptr: *mut c_void, size: usize)>,
}

pub const METH_VARARGS: c_int = 1;
pub const METH_KEYWORDS: c_int = 2;
pub const METH_NOARGS: c_int = 4;
pub const METH_O: c_int = 8;
pub const METH_FASTCALL: c_int = 0x80;
/// Set in `nargsf`: the place before the first argument may be used by the callee.
pub const VECTORCALL_ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);
pub const Py_LT: c_int = 0;
pub const Py_LE: c_int = 1;
pub const Py_EQ: c_int = 2;
pub const Py_NE: c_int = 3;
pub const Py_GT: c_int = 4;
pub const Py_GE: c_int = 5;

pub const CO_OPTIMIZED: u32 = 0x1;
pub const CO_NEWLOCALS: u32 = 0x2;
pub const CO_VARARGS: u32 = 0x4;
pub const CO_VARKEYWORDS: u32 = 0x8;
pub const CO_NESTED: u32 = 0x10;
pub const CO_GENERATOR: u32 = 0x20;
pub const CO_COROUTINE: u32 = 0x80;
pub const CO_ITERABLE_COROUTINE: u32 = 0x100;
pub const CO_ASYNC_GENERATOR: u32 = 0x200;

unsafe extern "C" {
    // --- PyBool, PyBytes ---
    pub fn PyBool_FromLong(v: c_long) -> Obj;
    pub fn PyBytes_AsString(o: Obj) -> *const c_char;
    pub fn PyByteArray_FromStringAndSize(s: *const c_char, n: isize) -> Obj;
    pub fn PyBytes_FromStringAndSize(s: *const c_char, n: isize) -> Obj;
    pub fn PyBytes_Size(o: Obj) -> isize;

    // --- PyCFunction, PyCallable, PyCapsule, PyCell, PyClassMethod ---
    pub fn PyCFunction_NewEx(def: *mut PyMethodDef, slf: Obj, module: Obj) -> Obj;
    pub fn PyCallable_Check(o: Obj) -> c_int;
    pub fn PyCell_Get(cell: Obj) -> Obj;
    pub fn PyCell_New(value: Obj) -> Obj;
    pub fn PyCell_Set(cell: Obj, value: Obj) -> c_int;

    // --- PyCode ---
    pub fn PyCode_AddWatcher(callback: CodeWatchFn) -> c_int;
    pub fn PyCode_Addr2Line(code: Obj, byte_offset: c_int) -> c_int;
    pub fn PyCode_ClearWatcher(id: c_int) -> c_int;
    pub fn PyCode_GetCode(code: Obj) -> Obj;

    // --- PyDict ---
    pub fn PyDict_AddWatcher(callback: DictWatchFn) -> c_int;
    pub fn PyDict_ClearWatcher(id: c_int) -> c_int;
    pub fn PyDict_Clear(d: Obj);
    pub fn PyDict_Contains(d: Obj, key: Obj) -> c_int;
    pub fn PyDict_Copy(d: Obj) -> Obj;
    pub fn PyDict_DelItem(d: Obj, key: Obj) -> c_int;
    pub fn PyDict_DelItemString(d: Obj, key: *const c_char) -> c_int;
    /// Borrowed; NULL without exception when missing; swallows errors.
    pub fn PyDict_GetItem(d: Obj, key: Obj) -> Obj;
    /// Borrowed; NULL without exception when missing.
    pub fn PyDict_GetItemString(d: Obj, key: *const c_char) -> Obj;
    /// Borrowed; NULL without exception when missing.
    pub fn PyDict_GetItemWithError(d: Obj, key: Obj) -> Obj;
    pub fn PyDict_Items(d: Obj) -> Obj;
    pub fn PyDict_Keys(d: Obj) -> Obj;
    pub fn PyDict_Merge(d: Obj, other: Obj, override_: c_int) -> c_int;
    pub fn PyDict_New() -> Obj;
    pub fn PyDict_Next(d: Obj, pos: *mut isize, key: *mut Obj, value: *mut Obj) -> c_int;
    pub fn PyDict_SetDefault(d: Obj, key: Obj, default: Obj) -> Obj;
    pub fn PyDict_SetItem(d: Obj, key: Obj, value: Obj) -> c_int;
    pub fn PyDict_SetItemString(d: Obj, key: *const c_char, value: Obj) -> c_int;
    pub fn PyDict_Size(d: Obj) -> isize;
    pub fn PyDict_Unwatch(id: c_int, d: Obj) -> c_int;
    pub fn PyDict_Update(d: Obj, other: Obj) -> c_int;
    pub fn PyDict_Values(d: Obj) -> Obj;
    pub fn PyDict_Watch(id: c_int, d: Obj) -> c_int;

    // --- PyErr ---
    pub fn PyErr_CheckSignals() -> c_int;
    pub fn PyErr_Clear();
    pub fn PyErr_ExceptionMatches(ty: Obj) -> c_int;
    pub fn PyErr_Format(ty: Obj, format: *const c_char, ...) -> Obj;
    pub fn PyErr_GetHandledException() -> Obj;
    pub fn PyErr_GetRaisedException() -> Obj;
    pub fn PyErr_GivenExceptionMatches(given: Obj, ty: Obj) -> c_int;
    pub fn PyErr_NoMemory() -> Obj;
    pub fn PyErr_Occurred() -> Obj;
    pub fn PyErr_Print();
    pub fn PyErr_SetHandledException(exc: Obj);
    pub fn PyErr_SetNone(ty: Obj);
    pub fn PyErr_SetObject(ty: Obj, value: Obj);
    pub fn PyErr_SetRaisedException(exc: Obj);
    pub fn PyErr_SetString(ty: Obj, text: *const c_char);
    pub fn PyErr_WarnEx(category: Obj, text: *const c_char, stack_level: isize) -> c_int;
    pub fn PyErr_WriteUnraisable(context: Obj);

    // --- PyEval ---
    pub fn PyEval_GetBuiltins() -> Obj;
    /// Borrowed; may make a frame object.
    pub fn PyEval_GetFrame() -> Obj;
    pub fn PyEval_GetGlobals() -> Obj;
    pub fn PyEval_RestoreThread(tstate: *mut PyThreadState);
    pub fn PyEval_SaveThread() -> *mut PyThreadState;
    pub fn _PyGen_SetStopIterationValue(value: Obj) -> c_int;
    pub fn _PyGen_FetchStopIterationValue(value: *mut Obj) -> c_int;
    pub fn _PyEval_EvalFrameDefault(tstate: *mut PyThreadState, frame: *mut Frame, throwflag: c_int) -> Obj;
    pub fn _PyEval_SliceIndex(o: Obj, out: *mut isize) -> c_int;
    pub fn PyUnstable_Eval_RequestCodeExtraIndex(free: Option<FreeFn>) -> isize;
    pub fn PyUnstable_Code_GetExtra(code: Obj, index: isize, out: *mut *mut c_void) -> c_int;
    pub fn PyUnstable_Code_SetExtra(code: Obj, index: isize, extra: *mut c_void) -> c_int;

    // --- PyException, PyFloat ---
    pub fn PyException_GetTraceback(exc: Obj) -> Obj;
    pub fn PyException_SetTraceback(exc: Obj, tb: Obj) -> c_int;
    pub fn PyException_SetCause(exc: Obj, cause: Obj);
    pub fn PyException_SetContext(exc: Obj, context: Obj);
    pub fn PyException_GetContext(exc: Obj) -> Obj;
    pub fn PyFloat_AsDouble(o: Obj) -> f64;
    pub fn PyFloat_FromDouble(v: f64) -> Obj;

    // --- PyFrame, PyFrozenSet ---
    pub fn PyFrame_GetBack(frame: Obj) -> Obj;
    pub fn PyFrame_GetCode(frame: Obj) -> Obj;
    pub fn PyFrame_GetLasti(frame: Obj) -> c_int;
    pub fn PyFrozenSet_New(iterable: Obj) -> Obj;

    // --- PyFunction ---
    pub fn PyFunction_AddWatcher(callback: FunctionWatchFn) -> c_int;
    pub fn PyFunction_ClearWatcher(id: c_int) -> c_int;
    pub fn PyFunction_GetCode(f: Obj) -> Obj;
    pub fn PyFunction_New(code: Obj, globals: Obj) -> Obj;
    pub fn PyFunction_NewWithQualName(code: Obj, globals: Obj, qualname: Obj) -> Obj;
    pub fn PyFunction_SetClosure(f: Obj, closure: Obj) -> c_int;
    pub fn PyFunction_SetDefaults(f: Obj, defaults: Obj) -> c_int;
    pub fn PyFunction_SetKwDefaults(f: Obj, defaults: Obj) -> c_int;
    pub fn PyFunction_SetVectorcall(f: Obj, vectorcall: VectorcallFn);

    // --- PyGC, PyGILState ---
    pub fn PyGC_Collect() -> isize;
    pub fn PyGC_Disable() -> c_int;
    pub fn PyGC_Enable() -> c_int;
    /// Needs no GIL.
    pub fn PyGILState_Check() -> c_int;
    /// Needs no GIL.
    pub fn PyGILState_Ensure() -> c_int;
    pub fn PyGILState_GetThisThreadState() -> *mut PyThreadState;
    pub fn PyGILState_Release(state: c_int);

    // --- PyImport ---
    pub fn PyImport_AddModule(name: *const c_char) -> Obj;
    pub fn PyImport_GetMagicNumber() -> c_long;
    pub fn PyImport_GetModule(name: Obj) -> Obj;
    pub fn PyImport_GetModuleDict() -> Obj;
    pub fn PyImport_ImportModule(name: *const c_char) -> Obj;
    pub fn PyImport_ImportModuleLevelObject(name: Obj, globals: Obj, locals: Obj, from: Obj, level: c_int) -> Obj;

    // --- PyInterpreterState ---
    pub fn PyInterpreterState_Get() -> *mut PyInterpreterState;
    pub fn PyInterpreterState_GetID(interp: *mut PyInterpreterState) -> i64;
    pub fn PyInterpreterState_Head() -> *mut PyInterpreterState;
    pub fn PyInterpreterState_Main() -> *mut PyInterpreterState;
    pub fn PyInterpreterState_Next(interp: *mut PyInterpreterState) -> *mut PyInterpreterState;
    pub fn _PyInterpreterState_GetEvalFrameFunc(interp: *mut PyInterpreterState) -> *const c_void;
    pub fn PyInterpreterState_ThreadHead(interp: *mut PyInterpreterState) -> *mut PyThreadState;

    // --- PyIter, PyList ---
    pub fn PyIter_Check(o: Obj) -> c_int;
    /// NULL without exception at the end.
    pub fn PyIter_Next(iter: Obj) -> Obj;
    pub fn PyList_Append(list: Obj, item: Obj) -> c_int;
    pub fn PyList_AsTuple(list: Obj) -> Obj;
    /// Borrowed.
    pub fn PyList_GetItem(list: Obj, index: isize) -> Obj;
    pub fn PyList_GetSlice(list: Obj, low: isize, high: isize) -> Obj;
    pub fn PyList_Insert(list: Obj, index: isize, item: Obj) -> c_int;
    pub fn PyList_New(count: isize) -> Obj;
    pub fn PyList_Reverse(list: Obj) -> c_int;
    /// Steals.
    pub fn PyList_SetItem(list: Obj, index: isize, item: Obj) -> c_int;
    pub fn PyList_SetSlice(list: Obj, low: isize, high: isize, items: Obj) -> c_int;
    pub fn PyList_Size(list: Obj) -> isize;
    pub fn PyList_Sort(list: Obj) -> c_int;

    // --- PyLong ---
    pub fn PyLong_AsDouble(o: Obj) -> f64;
    pub fn PyLong_AsLong(o: Obj) -> c_long;
    pub fn PyLong_AsLongAndOverflow(o: Obj, overflow: *mut c_int) -> c_long;
    pub fn PyLong_AsLongLongAndOverflow(o: Obj, overflow: *mut c_int) -> c_longlong;
    pub fn PyLong_AsSsize_t(o: Obj) -> isize;
    pub fn PyLong_AsUnsignedLongLongMask(o: Obj) -> u64;
    pub fn PyLong_FromDouble(v: f64) -> Obj;
    pub fn PyLong_FromLong(v: c_long) -> Obj;
    pub fn PyLong_FromLongLong(v: c_longlong) -> Obj;
    pub fn PyLong_FromSsize_t(v: isize) -> Obj;
    pub fn PyLong_FromUnsignedLong(v: c_ulong) -> Obj;
    pub fn PyLong_FromUnsignedLongLong(v: u64) -> Obj;

    // --- PyMapping, PyMem, PyMethod, PyModule ---
    pub fn PyMapping_Keys(o: Obj) -> Obj;
    pub fn PyMem_Free(p: *mut c_void);
    pub fn PyMem_Malloc(n: usize) -> *mut c_void;
    pub fn PyMethod_New(function: Obj, slf: Obj) -> Obj;
    /// Borrowed.
    pub fn PyModule_GetDict(module: Obj) -> Obj;

    // --- PyNumber ---
    pub fn PyNumber_Absolute(o: Obj) -> Obj;
    pub fn PyNumber_Add(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_And(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_AsSsize_t(o: Obj, exc: Obj) -> isize;
    pub fn PyNumber_Float(o: Obj) -> Obj;
    pub fn PyNumber_FloorDivide(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceAdd(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceAnd(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceFloorDivide(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceLshift(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceMatrixMultiply(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceMultiply(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceOr(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlacePower(a: Obj, b: Obj, modulus: Obj) -> Obj;
    pub fn PyNumber_InPlaceRemainder(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceRshift(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceSubtract(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceTrueDivide(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_InPlaceXor(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_Index(o: Obj) -> Obj;
    pub fn PyNumber_Invert(o: Obj) -> Obj;
    pub fn PyNumber_Long(o: Obj) -> Obj;
    pub fn PyNumber_Lshift(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_MatrixMultiply(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_Multiply(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_Negative(o: Obj) -> Obj;
    pub fn PyNumber_Or(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_Positive(o: Obj) -> Obj;
    pub fn PyNumber_Power(a: Obj, b: Obj, modulus: Obj) -> Obj;
    pub fn PyNumber_Remainder(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_Rshift(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_Subtract(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_TrueDivide(a: Obj, b: Obj) -> Obj;
    pub fn PyNumber_Xor(a: Obj, b: Obj) -> Obj;

    // --- PyObject ---
    pub fn PyObject_ASCII(o: Obj) -> Obj;
    pub fn PyObject_Call(callable: Obj, args: Obj, kwargs: Obj) -> Obj;
    pub fn PyObject_CallFunction(callable: Obj, format: *const c_char, ...) -> Obj;
    pub fn PyObject_CallFunctionObjArgs(callable: Obj, ...) -> Obj;
    pub fn PyObject_CallMethod(o: Obj, name: *const c_char, format: *const c_char, ...) -> Obj;
    pub fn PyObject_CallMethodObjArgs(o: Obj, name: Obj, ...) -> Obj;
    pub fn PyObject_CallNoArgs(callable: Obj) -> Obj;
    pub fn PyObject_CallObject(callable: Obj, args: Obj) -> Obj;
    pub fn PyObject_CallOneArg(callable: Obj, arg: Obj) -> Obj;
    pub fn PyObject_DelItem(o: Obj, key: Obj) -> c_int;
    pub fn PyObject_Dir(o: Obj) -> Obj;
    pub fn PyObject_Format(o: Obj, spec: Obj) -> Obj;
    pub fn PyObject_Free(memory: *mut c_void);
    pub fn PyObject_GC_Del(o: *mut c_void);
    pub fn PyObject_GC_IsTracked(o: Obj) -> c_int;
    pub fn PyObject_GC_Track(o: *mut c_void);
    pub fn PyObject_GC_UnTrack(o: *mut c_void);
    pub fn PyObject_GenericGetAttr(o: Obj, name: Obj) -> Obj;
    pub fn PyObject_GenericSetAttr(o: Obj, name: Obj, value: Obj) -> c_int;
    pub fn PyObject_GetArenaAllocator(allocator: *mut PyObjectArenaAllocator);
    pub fn PyObject_GetAttr(o: Obj, name: Obj) -> Obj;
    pub fn PyObject_GetAttrString(o: Obj, name: *const c_char) -> Obj;
    pub fn PyObject_GetItem(o: Obj, key: Obj) -> Obj;
    pub fn PyObject_GetIter(o: Obj) -> Obj;
    pub fn PyObject_HasAttr(o: Obj, name: Obj) -> c_int;
    pub fn PyObject_HasAttrString(o: Obj, name: *const c_char) -> c_int;
    pub fn PyObject_Hash(o: Obj) -> isize;
    pub fn PyObject_IsInstance(o: Obj, cls: Obj) -> c_int;
    pub fn PyObject_IsSubclass(o: Obj, cls: Obj) -> c_int;
    pub fn PyObject_IsTrue(o: Obj) -> c_int;
    pub fn PyObject_Length(o: Obj) -> isize;
    pub fn PyObject_LengthHint(o: Obj, default: isize) -> isize;
    pub fn PyObject_Not(o: Obj) -> c_int;
    pub fn PyObject_Repr(o: Obj) -> Obj;
    pub fn PyObject_RichCompare(a: Obj, b: Obj, op: c_int) -> Obj;
    pub fn PyObject_RichCompareBool(a: Obj, b: Obj, op: c_int) -> c_int;
    pub fn PyObject_SelfIter(o: Obj) -> Obj;
    pub fn PyObject_SetAttr(o: Obj, name: Obj, value: Obj) -> c_int;
    pub fn PyObject_SetAttrString(o: Obj, name: *const c_char, value: Obj) -> c_int;
    pub fn PyObject_SetItem(o: Obj, key: Obj, value: Obj) -> c_int;
    pub fn PyObject_Size(o: Obj) -> isize;
    pub fn PyObject_Str(o: Obj) -> Obj;
    pub fn PyObject_Type(o: Obj) -> Obj;
    pub fn PyObject_Vectorcall(callable: Obj, args: *const Obj, nargsf: usize, kwnames: Obj) -> Obj;
    pub fn PyObject_VectorcallDict(callable: Obj, args: *const Obj, nargsf: usize, kwargs: Obj) -> Obj;
    pub fn PyObject_VectorcallMethod(name: Obj, args: *const Obj, nargsf: usize, kwnames: Obj) -> Obj;
    pub fn PyVectorcall_Call(callable: Obj, args: Obj, kwargs: Obj) -> Obj;
    pub fn PyVectorcall_Function(callable: Obj) -> Option<VectorcallFn>;
    pub fn _PyObject_GC_New(ty: Obj) -> Obj;
    /// A new reference; the found attribute may be an unbound method: 1 if so, see CPython's LOAD_ATTR.
    pub fn _PyObject_GetMethod(o: Obj, name: Obj, method: *mut Obj) -> c_int;
    pub fn _PyObject_GetDictPtr(o: Obj) -> *mut Obj;

    // --- PyRun, PySequence ---
    pub fn PyRun_String(text: *const c_char, start: c_int, globals: Obj, locals: Obj) -> Obj;
    pub fn PySequence_Concat(a: Obj, b: Obj) -> Obj;
    pub fn PySequence_Contains(o: Obj, item: Obj) -> c_int;
    pub fn PySequence_Check(o: Obj) -> c_int;
    pub fn PySequence_DelSlice(o: Obj, low: isize, high: isize) -> c_int;
    pub fn PySequence_GetItem(o: Obj, index: isize) -> Obj;
    pub fn PySequence_GetSlice(o: Obj, low: isize, high: isize) -> Obj;
    pub fn PySequence_List(o: Obj) -> Obj;
    pub fn PySequence_SetItem(o: Obj, index: isize, value: Obj) -> c_int;
    pub fn PySequence_SetSlice(o: Obj, low: isize, high: isize, value: Obj) -> c_int;
    pub fn PySequence_Tuple(o: Obj) -> Obj;

    // --- PySet, PySlice, PySys ---
    pub fn PySet_Add(set: Obj, item: Obj) -> c_int;
    pub fn PySet_Contains(set: Obj, item: Obj) -> c_int;
    pub fn PySet_New(iterable: Obj) -> Obj;
    pub fn PySlice_AdjustIndices(length: isize, start: *mut isize, stop: *mut isize, step: isize) -> isize;
    pub fn PySlice_New(start: Obj, stop: Obj, step: Obj) -> Obj;
    pub fn PySlice_Unpack(slice: Obj, start: *mut isize, stop: *mut isize, step: *mut isize) -> c_int;
    pub fn _PySet_Update(set: Obj, iterable: Obj) -> c_int;
    /// Borrowed; NULL without exception when missing.
    pub fn PySys_GetObject(name: *const c_char) -> Obj;

    // --- PyThreadState, PyTraceBack ---
    pub fn PyThreadState_Get() -> *mut PyThreadState;
    pub fn PyThreadState_GetDict() -> Obj;
    pub fn PyThreadState_GetFrame(tstate: *mut PyThreadState) -> Obj;
    pub fn PyThreadState_GetID(tstate: *mut PyThreadState) -> u64;
    pub fn PyThreadState_GetInterpreter(tstate: *mut PyThreadState) -> *mut PyInterpreterState;
    pub fn PyThreadState_Next(tstate: *mut PyThreadState) -> *mut PyThreadState;
    pub fn PyThreadState_SetAsyncExc(thread_id: c_ulong, exc: Obj) -> c_int;
    pub fn PyThread_get_thread_ident() -> c_ulong;
    pub fn PyTraceBack_Here(frame: Obj) -> c_int;

    // --- PyTuple ---
    pub fn PyTuple_GetItem(t: Obj, index: isize) -> Obj;
    pub fn PyTuple_GetSlice(t: Obj, low: isize, high: isize) -> Obj;
    pub fn PyTuple_New(count: isize) -> Obj;
    pub fn PyTuple_Pack(count: isize, ...) -> Obj;
    /// Steals.
    pub fn PyTuple_SetItem(t: Obj, index: isize, item: Obj) -> c_int;
    pub fn PyTuple_Size(t: Obj) -> isize;

    // --- PyType ---
    pub fn PyType_AddWatcher(callback: TypeWatchFn) -> c_int;
    pub fn PyType_ClearWatcher(id: c_int) -> c_int;
    pub fn PyType_GenericAlloc(ty: Obj, count: isize) -> Obj;
    pub fn PyType_GetSlot(ty: Obj, slot: i32) -> *mut c_void;
    pub fn PyType_GetFlags(ty: Obj) -> c_ulong;
    pub fn PyType_IsSubtype(a: Obj, b: Obj) -> c_int;
    pub fn PyType_Modified(ty: Obj);
    pub fn PyType_Ready(ty: Obj) -> c_int;
    pub fn PyType_Unwatch(id: c_int, ty: Obj) -> c_int;
    pub fn PyType_Watch(id: c_int, ty: Obj) -> c_int;
    pub fn PyUnstable_Type_AssignVersionTag(ty: Obj) -> c_int;
    /// Borrowed, without raising: what the type's MRO says.
    pub fn _PyObject_GC_NewVar(ty: Obj, items: isize) -> Obj;
    pub fn _PyType_Lookup(ty: Obj, name: Obj) -> Obj;

    // --- PyUnicode ---
    pub fn PyUnicode_Append(left: *mut Obj, right: Obj);
    pub fn PyUnicode_AsUTF8(o: Obj) -> *const c_char;
    pub fn PyUnicode_AsUTF8AndSize(o: Obj, size: *mut isize) -> *const c_char;
    pub fn PyUnicode_Compare(a: Obj, b: Obj) -> c_int;
    pub fn PyUnicode_CompareWithASCIIString(a: Obj, b: *const c_char) -> c_int;
    pub fn PyUnicode_Concat(a: Obj, b: Obj) -> Obj;
    pub fn PyUnicode_Contains(a: Obj, b: Obj) -> c_int;
    pub fn PyUnicode_FromFormat(format: *const c_char, ...) -> Obj;
    pub fn PyUnicode_FromOrdinal(c: c_int) -> Obj;
    pub fn PyUnicode_FromString(s: *const c_char) -> Obj;
    pub fn PyUnicode_FromStringAndSize(s: *const c_char, n: isize) -> Obj;
    pub fn PyUnicode_InternFromString(s: *const c_char) -> Obj;
    pub fn PyUnicode_InternInPlace(o: *mut Obj);
    pub fn PyUnicode_Join(separator: Obj, seq: Obj) -> Obj;
    pub fn PyUnicode_ReadChar(o: Obj, index: isize) -> u32;
    pub fn PyUnicode_RichCompare(a: Obj, b: Obj, op: c_int) -> Obj;
    pub fn PyUnicode_Substring(o: Obj, start: isize, end: isize) -> Obj;

    // --- PyUnstable, Py, others ---
    pub fn PyWeakref_GetObject(r: Obj) -> Obj;
    pub fn PyWeakref_NewRef(o: Obj, callback: Obj) -> Obj;
    pub fn Py_AddPendingCall(f: unsafe extern "C" fn(*mut c_void) -> c_int, arg: *mut c_void) -> c_int;
    pub fn Py_AtExit(f: unsafe extern "C" fn()) -> c_int;
    pub fn Py_EnterRecursiveCall(text: *const c_char) -> c_int;
    pub fn Py_GetRecursionLimit() -> c_int;
    pub fn Py_GetVersion() -> *const c_char;
    pub fn Py_IsInitialized() -> c_int;
    pub fn Py_LeaveRecursiveCall();
    pub fn _Py_Dealloc(o: Obj);
    /// Gives memory that has held an object of its type one reference again.
    pub fn _Py_NewReference(o: Obj);
    pub fn _Py_FatalErrorFunc(func: *const c_char, text: *const c_char) -> !;
    pub static Py_Version: c_ulong;
    pub static PyImport_Inittab: *const Inittab;

    // --- singletons ---
    pub static mut _Py_EllipsisObject: PyObject;
    pub static mut _Py_FalseStruct: PyObject;
    pub static mut _Py_NoneStruct: PyObject;
    pub static mut _Py_NotImplementedStruct: PyObject;
    pub static mut _Py_TrueStruct: PyObject;

    // --- types ---
    pub static mut PyAsyncGen_Type: PyObject;
    pub static mut PyBaseObject_Type: PyObject;
    pub static mut PyBool_Type: PyObject;
    pub static mut PyByteArray_Type: PyObject;
    pub static mut PyBytes_Type: PyObject;
    pub static mut PyCFunction_Type: PyObject;
    pub static mut PyCell_Type: PyObject;
    pub static mut PyClassMethodDescr_Type: PyObject;
    pub static mut PyClassMethod_Type: PyObject;
    pub static mut PyCode_Type: PyObject;
    pub static mut PyComplex_Type: PyObject;
    pub static mut PyCoro_Type: PyObject;
    pub static mut PyDictItems_Type: PyObject;
    pub static mut PyDictIterItem_Type: PyObject;
    pub static mut PyDictIterKey_Type: PyObject;
    pub static mut PyDictIterValue_Type: PyObject;
    pub static mut PyDictKeys_Type: PyObject;
    pub static mut PyDictValues_Type: PyObject;
    pub static mut PyDict_Type: PyObject;
    pub static mut PyEllipsis_Type: PyObject;
    pub static mut PyEnum_Type: PyObject;
    pub static mut PyFloat_Type: PyObject;
    pub static mut PyFrame_Type: PyObject;
    pub static mut PyFrozenSet_Type: PyObject;
    pub static mut PyFunction_Type: PyObject;
    pub static mut PyGen_Type: PyObject;
    pub static mut PyGetSetDescr_Type: PyObject;
    pub static mut PyListIter_Type: PyObject;
    pub static mut PyList_Type: PyObject;
    pub static mut PyLong_Type: PyObject;
    pub static mut PyMap_Type: PyObject;
    pub static mut PyMemberDescr_Type: PyObject;
    pub static mut PyMethodDescr_Type: PyObject;
    pub static mut PyModuleDef_Type: PyObject;
    pub static mut PyMethod_Type: PyObject;
    pub static mut PyModule_Type: PyObject;
    pub static mut PyProperty_Type: PyObject;
    pub static mut PyRangeIter_Type: PyObject;
    pub static mut PyRange_Type: PyObject;
    pub static mut PyReversed_Type: PyObject;
    pub static mut PySetIter_Type: PyObject;
    pub static mut PySet_Type: PyObject;
    pub static mut PySlice_Type: PyObject;
    pub static mut PyStaticMethod_Type: PyObject;
    pub static mut PySuper_Type: PyObject;
    pub static mut PyTupleIter_Type: PyObject;
    pub static mut PyTuple_Type: PyObject;
    pub static mut PyType_Type: PyObject;
    pub static mut PyUnicodeIter_Type: PyObject;
    pub static mut PyUnicode_Type: PyObject;
    pub static mut PyWrapperDescr_Type: PyObject;
    pub static mut PyZip_Type: PyObject;

    // --- exceptions (pointers to types) ---
    pub static mut PyExc_AssertionError: Obj;
    pub static mut PyExc_AttributeError: Obj;
    pub static mut PyExc_BaseException: Obj;
    pub static mut PyExc_Exception: Obj;
    pub static mut PyExc_ImportError: Obj;
    pub static mut PyExc_IndexError: Obj;
    pub static mut PyExc_KeyError: Obj;
    pub static mut PyExc_KeyboardInterrupt: Obj;
    pub static mut PyExc_MemoryError: Obj;
    pub static mut PyExc_NameError: Obj;
    pub static mut PyExc_OverflowError: Obj;
    pub static mut PyExc_RecursionError: Obj;
    pub static mut PyExc_RuntimeError: Obj;
    pub static mut PyExc_RuntimeWarning: Obj;
    pub static mut PyExc_StopIteration: Obj;
    pub static mut PyExc_SystemError: Obj;
    pub static mut PyExc_TypeError: Obj;
    pub static mut PyExc_UnboundLocalError: Obj;
    pub static mut PyExc_ValueError: Obj;
    pub static mut PyExc_ZeroDivisionError: Obj;
}

/// Functions that only some supported versions export.
#[derive(Clone, Copy, Debug)]
pub struct Optional {
    /// `_Py_HandlePending` (3.13): serves the eval breaker; negative with an exception set.
    pub handle_pending: Option<unsafe extern "C" fn(tstate: *mut PyThreadState) -> c_int>,
    /// `_PyEval_FrameClearAndPop` (3.13): drops a frame that has been unlinked; handles frame objects.
    pub frame_clear_and_pop: Option<unsafe extern "C" fn(tstate: *mut PyThreadState, frame: *mut Frame)>,
    /// `_PyDict_LoadGlobal` (3.13): new reference, or NULL with or without an exception.
    pub dict_load_global: Option<unsafe extern "C" fn(globals: Obj, builtins: Obj, name: Obj) -> Obj>,
    /// `Py_IsFinalizing` (3.13) or `_Py_IsFinalizing` (3.12). Needs no GIL.
    pub is_finalizing: Option<unsafe extern "C" fn() -> c_int>,
    /// `_PyFunction_Vectorcall` (3.12; on 3.13 read it from a function).
    pub function_vectorcall: Option<VectorcallFn>,
    /// `_PyEval_AddPendingCall`: has a call made by some thread of an interpreter, 0 if there is room for it. Needs no GIL.
    pub add_pending_call: Option<AddPendingCall>,
}

/// Interpreter, function, its argument, and 1 for the main thread alone.
type AddPendingCall =
    unsafe extern "C" fn(interp: *mut PyInterpreterState, f: PendingCall, arg: *mut c_void, main_only: c_int) -> c_int;

/// What is called, with the GIL held, between two instructions; negative with an exception set.
pub type PendingCall = unsafe extern "C" fn(arg: *mut c_void) -> c_int;

/// The address of a symbol that not all versions export; NULL if there is none.
pub fn symbol(name: &std::ffi::CStr) -> *mut c_void {
    // SAFETY: dlsym takes any C string; RTLD_DEFAULT searches the process and what it has loaded.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// The optional functions, looked up once.
pub fn optional() -> &'static Optional {
    static FOUND: OnceLock<Optional> = OnceLock::new();
    FOUND.get_or_init(|| {
        // SAFETY: each symbol, where exported, has the declared C signature; NULL becomes None.
        unsafe {
            Optional {
                handle_pending: std::mem::transmute::<*mut c_void, Option<unsafe extern "C" fn(*mut PyThreadState) -> c_int>>(
                    symbol(c"_Py_HandlePending"),
                ),
                frame_clear_and_pop: std::mem::transmute::<
                    *mut c_void,
                    Option<unsafe extern "C" fn(*mut PyThreadState, *mut Frame)>,
                >(symbol(c"_PyEval_FrameClearAndPop")),
                dict_load_global: std::mem::transmute::<*mut c_void, Option<unsafe extern "C" fn(Obj, Obj, Obj) -> Obj>>(symbol(
                    c"_PyDict_LoadGlobal",
                )),
                is_finalizing: std::mem::transmute::<*mut c_void, Option<unsafe extern "C" fn() -> c_int>>({
                    let new = symbol(c"Py_IsFinalizing");
                    if new.is_null() { symbol(c"_Py_IsFinalizing") } else { new }
                }),
                function_vectorcall: std::mem::transmute::<*mut c_void, Option<VectorcallFn>>(symbol(c"_PyFunction_Vectorcall")),
                add_pending_call: std::mem::transmute::<*mut c_void, Option<AddPendingCall>>(symbol(c"_PyEval_AddPendingCall")),
            }
        }
    })
}

/// Whether an object is immortal (never counted).
///
/// # Safety
/// A live object.
#[inline(always)]
pub unsafe fn is_immortal(o: Obj) -> bool {
    // SAFETY: the caller's object; reading the low half as CPython does.
    unsafe { ((*o).ob_refcnt as i32) < 0 }
}

/// Takes a reference.
///
/// # Safety
/// A live object; GIL held.
#[inline(always)]
pub unsafe fn incref(o: Obj) {
    // SAFETY: the caller's object. The low half is counted and stored alone, so that immortal objects stay put.
    unsafe {
        let low = (&raw mut (*o).ob_refcnt).cast::<u32>();
        let next = (*low).wrapping_add(1);
        if next != 0 {
            *low = next;
        }
    }
}

/// Takes a reference unless NULL.
///
/// # Safety
/// As [`incref`], or NULL.
#[inline(always)]
pub unsafe fn xincref(o: Obj) {
    if !o.is_null() {
        // SAFETY: the caller's duty.
        unsafe { incref(o) }
    }
}

/// Takes a reference and returns the object.
///
/// # Safety
/// As [`incref`].
#[inline(always)]
pub unsafe fn new_ref(o: Obj) -> Obj {
    // SAFETY: the caller's duty.
    unsafe { incref(o) };
    o
}

/// Gives a reference up. May run any Python code.
///
/// # Safety
/// A reference that the caller owns; GIL held.
#[inline(always)]
pub unsafe fn decref(o: Obj) {
    // SAFETY: the caller's reference.
    unsafe {
        if is_immortal(o) {
            return;
        }
        (*o).ob_refcnt -= 1;
        if (*o).ob_refcnt == 0 {
            _Py_Dealloc(o);
        }
    }
}

/// Gives a reference up unless NULL.
///
/// # Safety
/// As [`decref`], or NULL.
#[inline(always)]
pub unsafe fn xdecref(o: Obj) {
    if !o.is_null() {
        // SAFETY: the caller's duty.
        unsafe { decref(o) }
    }
}

/// The type of an object.
///
/// # Safety
/// A live object.
#[inline(always)]
pub unsafe fn type_of(o: Obj) -> Obj {
    // SAFETY: the caller's object.
    unsafe { (*o).ob_type }
}

/// `None` (borrowed; immortal).
#[inline(always)]
pub fn none() -> Obj {
    &raw mut _Py_NoneStruct
}

/// `NotImplemented`.
pub fn not_implemented() -> Obj {
    &raw mut _Py_NotImplementedStruct
}

/// `True` (borrowed; immortal).
#[inline(always)]
pub fn py_true() -> Obj {
    &raw mut _Py_TrueStruct
}

/// `False` (borrowed; immortal).
#[inline(always)]
pub fn py_false() -> Obj {
    &raw mut _Py_FalseStruct
}

/// Address of a built-in type or singleton: `type_ptr!(PyList_Type)`.
#[macro_export]
macro_rules! type_ptr {
    ($name:ident) => {
        &raw mut $crate::capi::$name
    };
}
