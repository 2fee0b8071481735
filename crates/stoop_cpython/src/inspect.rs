//! Small questions about live objects: their exact class, a function's defaults, a string's interning.
//!
//! No Python code runs and no exception is left set.

use crate::capi::{self, Obj};
use crate::layout::{self, read};
use crate::objects;

macro_rules! types {
    ($($name:literal $ty:ident;)*) => {
        /// Names and addresses of the built-in types whose exact instances the compiler knows.
        pub fn builtin_types() -> Vec<(&'static str, Obj)> {
            vec![$(($name, (&raw mut capi::$ty).cast())),*]
        }
    };
}

types! {
    "int" PyLong_Type;
    "float" PyFloat_Type;
    "bool" PyBool_Type;
    "str" PyUnicode_Type;
    "bytes" PyBytes_Type;
    "list" PyList_Type;
    "tuple" PyTuple_Type;
    "dict" PyDict_Type;
    "set" PySet_Type;
    "frozenset" PyFrozenSet_Type;
    "range" PyRange_Type;
    "range_iter" PyRangeIter_Type;
    "list_iter" PyListIter_Type;
    "tuple_iter" PyTupleIter_Type;
    "slice" PySlice_Type;
    "function" PyFunction_Type;
    "builtin" PyCFunction_Type;
    "method" PyMethod_Type;
    "module" PyModule_Type;
    "cell" PyCell_Type;
    "complex" PyComplex_Type;
    "bytearray" PyByteArray_Type;
    "type" PyType_Type;
}

/// Whether an object is an exact dict.
///
/// # Safety
/// A live object.
pub unsafe fn is_exact_dict(o: Obj) -> bool {
    // SAFETY: the caller's object.
    unsafe { capi::type_of(o) == (&raw mut capi::PyDict_Type).cast() }
}

/// Whether the garbage collector knows an object.
///
/// # Safety
/// A live object; the GIL is held.
pub unsafe fn is_collected(o: Obj) -> bool {
    // SAFETY: the caller's object.
    unsafe { capi::PyObject_GC_IsTracked(o) != 0 }
}

/// Whether an object is an exact str.
///
/// # Safety
/// A live object.
pub unsafe fn is_exact_str(o: Obj) -> bool {
    // SAFETY: the caller's object.
    unsafe { capi::type_of(o) == (&raw mut capi::PyUnicode_Type).cast() }
}

/// Whether an exact str is interned.
///
/// # Safety
/// A live exact str.
pub unsafe fn is_interned(s: Obj) -> bool {
    // SAFETY: the low two bits of the state tell.
    unsafe { read::<u32, _>(s, layout::get().str_state) & 3 != 0 }
}

/// A function's positional defaults.
///
/// # Safety
/// A live function that outlives the slice and keeps its defaults.
pub unsafe fn function_defaults<'a>(f: Obj) -> &'a [Obj] {
    // SAFETY: the field is NULL or a tuple.
    unsafe {
        let d: Obj = read(f, layout::get().func_defaults);
        if d.is_null() { &[] } else { objects::tuple_slice(d) }
    }
}

/// What the n-th cell of a function's closure holds, or NULL.
///
/// # Safety
/// A live function.
pub unsafe fn function_cell(f: Obj, n: usize) -> Obj {
    let l = layout::get();
    // SAFETY: the field is NULL or a tuple of cells.
    unsafe {
        let closure: Obj = read(f, l.func_closure);
        let cell = if closure.is_null() { None } else { objects::tuple_slice(closure).get(n) };
        cell.map_or(std::ptr::null_mut(), |c| read(*c, l.cell_ref))
    }
}

/// A function's keyword defaults: a dict, or NULL.
///
/// # Safety
/// A live function.
pub unsafe fn function_kwdefaults(f: Obj) -> Obj {
    // SAFETY: as documented.
    unsafe { read(f, layout::get().func_kwdefaults) }
}

/// Whether a code object is among the constants of another, a function's: that of a function or generator made in it.
///
/// # Safety
/// A live code object.
pub unsafe fn makes(outer: Obj, code: Obj) -> bool {
    /// `CO_OPTIMIZED`: neither a module's nor a class's.
    const OPTIMIZED: u32 = 1;
    let l = layout::get();
    // SAFETY: as documented; constants are a tuple.
    unsafe {
        read::<u32, _>(outer, l.co_flags) & OPTIMIZED != 0
            && crate::objects::tuple_slice(read(outer, l.co_consts)).contains(&code)
    }
}

/// A function's code object (borrowed).
///
/// # Safety
/// A live function.
pub unsafe fn function_code(f: Obj) -> Obj {
    // SAFETY: as documented.
    unsafe { read(f, layout::get().func_code) }
}

/// How many positional parameters a code object has.
///
/// # Safety
/// A live code object.
pub unsafe fn argument_count(code: Obj) -> usize {
    // SAFETY: as documented; the count is not negative.
    unsafe { read::<i32, _>(code, layout::get().co_argcount) as usize }
}

/// A function's globals (borrowed).
///
/// # Safety
/// A live function.
pub unsafe fn function_globals(f: Obj) -> Obj {
    // SAFETY: as documented.
    unsafe { read(f, layout::get().func_globals) }
}

/// A function's builtins (borrowed).
///
/// # Safety
/// A live function.
pub unsafe fn function_builtins(f: Obj) -> Obj {
    // SAFETY: as documented.
    unsafe { read(f, layout::get().func_builtins) }
}

/// A function's vectorcall entry.
///
/// # Safety
/// A live function.
pub unsafe fn function_vectorcall(f: Obj) -> usize {
    // SAFETY: as documented.
    unsafe { read(f, layout::get().func_vectorcall) }
}

/// `co_flags`.
///
/// # Safety
/// A live code object.
pub unsafe fn code_flags(code: Obj) -> u32 {
    // SAFETY: as documented.
    unsafe { read(code, layout::get().co_flags) }
}

/// A function's version: what the interpreter's specialised calls compare. 0: none.
///
/// # Safety
/// A live function.
pub unsafe fn function_version(f: Obj) -> u32 {
    // SAFETY: as documented.
    unsafe { read(f, layout::get().func_version) }
}

/// Gives a function the version it had before its vectorcall was replaced.
///
/// # Safety
/// A live function with its own vectorcall, whose code and defaults are those it had with this version.
pub unsafe fn set_function_version(f: Obj, version: u32) {
    // SAFETY: as documented.
    unsafe { layout::write(f, layout::get().func_version, version) }
}

/// Replaces the version that functions made of a code object get; the former one. The interpreter enters functions of a
/// version that it has seen at a call without asking for their vectorcall, and gives the version only after it has told
/// of the function. With 0 they get none.
///
/// # Safety
/// A live code object.
pub unsafe fn swap_code_version(code: Obj, version: u32) -> u32 {
    let at = layout::get().co_version;
    // SAFETY: as documented.
    unsafe {
        let former = read(code, at);
        layout::write(code, at, version);
        former
    }
}

/// The name object of a local slot (borrowed).
///
/// # Safety
/// A live code object; the slot exists.
pub unsafe fn local_name(code: Obj, slot: usize) -> Obj {
    // SAFETY: a tuple with one name a slot.
    unsafe { objects::tuple_slice(read(code, layout::get().co_localsplusnames))[slot] }
}

/// Typecode, item size and item descriptor of an exact `array.array`; `None` for any other object.
///
/// The type belongs to a module that is imported late or never, so it is known by its name and by being a heap type
/// that Python code can't have made.
///
/// # Safety
/// A live object.
pub unsafe fn array_kind(o: Obj) -> Option<(u8, u32, u64)> {
    const MADE_IN_C: u64 = layout::flags::HEAP | layout::flags::IMMUTABLE;
    let l = layout::get();
    // SAFETY: a live object's type; of the array type, every instance has a static descriptor.
    unsafe {
        let ty = capi::type_of(o);
        if read::<u64, _>(ty, l.tp_flags) & MADE_IN_C != MADE_IN_C || read::<isize, _>(ty, l.tp_basicsize) != l.array_basicsize {
            return None;
        }
        let name: *const std::ffi::c_char = read(ty, l.tp_name);
        if std::ffi::CStr::from_ptr(name) != c"array.array" {
            return None;
        }
        let descriptor: *mut u8 = read(o, l.array_descr);
        if descriptor.is_null() {
            return None;
        }
        Some((read(descriptor, 0), read(descriptor, l.array_descr_itemsize), descriptor as u64))
    }
}

/// C-recursion units left to a thread.
///
/// # Safety
/// A live thread state.
#[inline]
pub unsafe fn c_recursion_remaining(tstate: *mut capi::PyThreadState) -> i32 {
    // SAFETY: as documented.
    unsafe { read(tstate, layout::get().ts_c_recursion_remaining) }
}

/// Gives a thread C-recursion units, or takes some away.
///
/// # Safety
/// A live thread state.
pub unsafe fn give_c_recursion(tstate: *mut capi::PyThreadState, units: i32) {
    let at = layout::get().ts_c_recursion_remaining;
    // SAFETY: as documented.
    unsafe { layout::write(tstate, at, read::<i32, _>(tstate, at) + units) }
}
