//! Operators on any objects, slices, formatting.
//!
//! # Safety
//! Every helper here borrows live objects and needs the GIL; any Python code may run.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ptr::null_mut;

use stoop_cpython::capi::{self, Obj, decref, new_ref, type_of};
use stoop_cpython::layout::{self, flags, read};
use stoop_cpython::objects::type_flags;
use stoop_cpython::type_ptr;
use stoop_ir::ops::{BinOp, CmpOp, UnOp};

/// `a OP b` where both are exact ints of a few digits; NULL, without an exception, otherwise.
#[inline]
unsafe fn ints(op: BinOp, a: Obj, b: Obj) -> Obj {
    let int = type_ptr!(PyLong_Type);
    // SAFETY: the caller's objects, of the class found.
    unsafe { if type_of(a) == int && type_of(b) == int { super::wide::binary(op, a, b) } else { null_mut() } }
}

type Operator = unsafe extern "C" fn(Obj, Obj) -> Obj;

unsafe extern "C" fn power(a: Obj, b: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe { capi::PyNumber_Power(a, b, capi::none()) }
}

unsafe extern "C" fn inplace_power(a: Obj, b: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe { capi::PyNumber_InPlacePower(a, b, capi::none()) }
}

/// The interpreter's `a OP b` and `a OP= b`.
fn operators(op: BinOp) -> (Operator, Operator) {
    match op {
        BinOp::Add => (capi::PyNumber_Add, capi::PyNumber_InPlaceAdd),
        BinOp::Sub => (capi::PyNumber_Subtract, capi::PyNumber_InPlaceSubtract),
        BinOp::Mul => (capi::PyNumber_Multiply, capi::PyNumber_InPlaceMultiply),
        BinOp::TrueDiv => (capi::PyNumber_TrueDivide, capi::PyNumber_InPlaceTrueDivide),
        BinOp::FloorDiv => (capi::PyNumber_FloorDivide, capi::PyNumber_InPlaceFloorDivide),
        BinOp::Mod => (capi::PyNumber_Remainder, capi::PyNumber_InPlaceRemainder),
        BinOp::Pow => (power, inplace_power),
        BinOp::And => (capi::PyNumber_And, capi::PyNumber_InPlaceAnd),
        BinOp::Or => (capi::PyNumber_Or, capi::PyNumber_InPlaceOr),
        BinOp::Xor => (capi::PyNumber_Xor, capi::PyNumber_InPlaceXor),
        BinOp::Shl => (capi::PyNumber_Lshift, capi::PyNumber_InPlaceLshift),
        BinOp::Shr => (capi::PyNumber_Rshift, capi::PyNumber_InPlaceRshift),
        BinOp::MatMul => (capi::PyNumber_MatrixMultiply, capi::PyNumber_InPlaceMatrixMultiply),
    }
}

/// `a OP b`; `op` is [`BinOp`]'s position.
pub unsafe extern "C" fn binary(op: i32, a: Obj, b: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe { operate(op, a, b, |both| both.0) }
}

/// `a OP= b`; `op` is [`BinOp`]'s position.
pub unsafe extern "C" fn inplace(op: i32, a: Obj, b: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe { operate(op, a, b, |both| both.1) }
}

#[inline]
unsafe fn operate(op: i32, a: Obj, b: Obj, which: impl FnOnce((Operator, Operator)) -> Operator) -> Obj {
    let Some(&op) = BinOp::ALL.get(op as usize) else {
        return unknown();
    };
    // SAFETY: the caller's objects.
    unsafe {
        let made = ints(op, a, b);
        if made.is_null() { which(operators(op))(a, b) } else { made }
    }
}

/// `nb_bool` of `tp_as_number`.
const BOOL: i32 = 72;
/// `sq_length` and `mp_length` of their tables.
const LENGTH: i32 = 0;

/// What a type has in a table of its slots; 0 if it has no such table.
unsafe fn slot(ty: Obj, table: i32, entry: i32) -> usize {
    // SAFETY: a live type; a table is NULL or has the entry.
    unsafe {
        let table: *const u8 = read(ty, table);
        if table.is_null() { 0 } else { read(table, entry) }
    }
}

/// The functions by which built-in classes tell their truth or length: they run no Python code and do not fail.
fn plain_truths() -> &'static [usize] {
    static FOUND: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    FOUND.get_or_init(|| {
        let l = layout::get();
        let types = [
            type_ptr!(PyLong_Type),
            type_ptr!(PyFloat_Type),
            type_ptr!(PyUnicode_Type),
            type_ptr!(PyBytes_Type),
            type_ptr!(PyByteArray_Type),
            type_ptr!(PyList_Type),
            type_ptr!(PyTuple_Type),
            type_ptr!(PyDict_Type),
            type_ptr!(PySet_Type),
        ];
        let tables = [(l.tp_as_number, BOOL), (l.tp_as_mapping, LENGTH), (l.tp_as_sequence, LENGTH)];
        // SAFETY: built-in types.
        let slots = types.iter().flat_map(|ty| tables.map(|(table, entry)| unsafe { slot(*ty, table, entry) }));
        slots.filter(|function| *function != 0).collect()
    })
}

/// Truth of an object whose class leaves it to a built-in one, or says nothing about it; -1 if it decides by itself.
pub unsafe extern "C" fn truth(o: Obj) -> i32 {
    let l = layout::get();
    // SAFETY: a live object.
    unsafe {
        if o == capi::none() {
            return 0;
        }
        let ty = type_of(o);
        let told_by = match (slot(ty, l.tp_as_number, BOOL), slot(ty, l.tp_as_mapping, LENGTH)) {
            (0, 0) => slot(ty, l.tp_as_sequence, LENGTH),
            (0, length) => length,
            (truth, _) => truth,
        };
        match told_by {
            0 => 1,
            function if plain_truths().contains(&function) => capi::PyObject_IsTrue(o),
            _ => -1,
        }
    }
}

/// `OP a`; `op` is [`UnOp`]'s position.
pub unsafe extern "C" fn unary(op: i32, a: Obj) -> Obj {
    let Some(&op) = UnOp::ALL.get(op as usize) else {
        return unknown();
    };
    // SAFETY: the caller's object.
    unsafe {
        match op {
            UnOp::Neg => capi::PyNumber_Negative(a),
            UnOp::Pos => capi::PyNumber_Positive(a),
            UnOp::Invert => capi::PyNumber_Invert(a),
            UnOp::Not => match capi::PyObject_IsTrue(a) {
                0 => new_ref(capi::py_true()),
                1.. => new_ref(capi::py_false()),
                _ => null_mut(),
            },
        }
    }
}

/// An operator number outside its table: always a bug in the lowering.
fn unknown() -> Obj {
    // SAFETY: the GIL is held by every helper's caller.
    unsafe { capi::PyErr_SetString(capi::PyExc_SystemError, c"Stoop: unknown operator number".as_ptr()) };
    null_mut()
}

/// What `a OP b` does after the method of `a` has returned `NotImplemented`: `a` is an instance of a class that derives from
/// Python classes only, or a number; `b` is of the same class, a number, or an instance of another class.
///
/// # Safety
/// Live objects, the GIL held.
pub unsafe fn binary_further(op: BinOp, inplace: bool, a: Obj, b: Obj) -> Obj {
    let l = layout::get();
    let [_, reflected, _] = crate::frontend::method_names(op);
    // SAFETY: live objects and types; names are C strings.
    unsafe {
        let (of_a, of_b) = (type_of(a), type_of(b));
        let both_python = type_flags(of_a) & flags::HEAP != 0 && type_flags(of_b) & flags::HEAP != 0;
        if of_a != of_b && both_python {
            let name = std::ffi::CString::new(reflected).unwrap_or_default();
            let name = capi::PyUnicode_InternFromString(name.as_ptr());
            let method = if name.is_null() { name } else { capi::_PyType_Lookup(of_b, name) };
            capi::xdecref(name);
            if !method.is_null() {
                let args = [b, a];
                capi::incref(method);
                let result = capi::PyObject_Vectorcall(method, args.as_ptr(), 2, null_mut());
                decref(method);
                if result != capi::not_implemented() {
                    return result;
                }
                decref(result);
            }
        }
        let sign = match op {
            BinOp::Add => c"+",
            BinOp::Sub => c"-",
            BinOp::Mul => c"*",
            BinOp::TrueDiv => c"/",
            BinOp::FloorDiv => c"//",
            BinOp::Mod => c"%",
            BinOp::Pow if inplace => c"**",
            BinOp::Pow => c"** or pow()",
            BinOp::And => c"&",
            BinOp::Or => c"|",
            BinOp::Xor => c"^",
            BinOp::Shl => c"<<",
            BinOp::Shr => c">>",
            BinOp::MatMul => c"@",
        };
        let equals = if inplace { c"=" } else { c"" };
        let (x, y): (*const std::ffi::c_char, *const std::ffi::c_char) = (read(of_a, l.tp_name), read(of_b, l.tp_name));
        capi::PyErr_Format(
            capi::PyExc_TypeError,
            c"unsupported operand type(s) for %.100s%s: '%.100s' and '%.100s'".as_ptr(),
            sign.as_ptr(),
            equals.as_ptr(),
            x,
            y,
        );
        null_mut()
    }
}

/// The same for a comparison.
///
/// # Safety
/// Live objects, the GIL held.
pub unsafe fn compare_further(op: CmpOp, a: Obj, b: Obj) -> Obj {
    type Compare = unsafe extern "C" fn(Obj, Obj, i32) -> Obj;
    let l = layout::get();
    let (swapped, sign) = match op {
        CmpOp::Lt => (CmpOp::Gt, c"<"),
        CmpOp::Le => (CmpOp::Ge, c"<="),
        CmpOp::Eq => (CmpOp::Eq, c"=="),
        CmpOp::Ne => (CmpOp::Ne, c"!="),
        CmpOp::Gt => (CmpOp::Lt, c">"),
        CmpOp::Ge => (CmpOp::Le, c">="),
    };
    // SAFETY: live objects; the slot is NULL or a comparison.
    unsafe {
        let compare: Option<Compare> = read(type_of(b), l.tp_richcompare);
        if let Some(compare) = compare {
            let result = compare(b, a, swapped as i32);
            if result != capi::not_implemented() {
                return result;
            }
            decref(result);
        }
        match op {
            CmpOp::Eq => return new_ref(if a == b { capi::py_true() } else { capi::py_false() }),
            CmpOp::Ne => return new_ref(if a != b { capi::py_true() } else { capi::py_false() }),
            _ => {}
        }
        let (x, y): (*const std::ffi::c_char, *const std::ffi::c_char) =
            (read(type_of(a), l.tp_name), read(type_of(b), l.tp_name));
        capi::PyErr_Format(
            capi::PyExc_TypeError,
            c"'%s' not supported between instances of '%.100s' and '%.100s'".as_ptr(),
            sign.as_ptr(),
            x,
            y,
        );
        null_mut()
    }
}

/// `a OP b`; `op` is `Py_LT` … `Py_GE`.
pub unsafe extern "C" fn compare(op: i32, a: Obj, b: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe { capi::PyObject_RichCompare(a, b, op) }
}

/// The truth of `a OP b`. Unlike `PyObject_RichCompareBool`, asks the objects even when both are the same.
pub unsafe extern "C" fn compare_bool(op: i32, a: Obj, b: Obj) -> i32 {
    // SAFETY: the caller's objects.
    unsafe {
        let result = capi::PyObject_RichCompare(a, b, op);
        if result == capi::py_true() {
            return 1;
        }
        if result == capi::py_false() {
            return 0;
        }
        if result.is_null() {
            return -1;
        }
        let truth = capi::PyObject_IsTrue(result);
        decref(result);
        truth
    }
}

/// `item in container`.
pub unsafe extern "C" fn contains(item: Obj, container: Obj) -> i32 {
    // SAFETY: the caller's objects.
    unsafe {
        let ty = type_of(container);
        if ty == type_ptr!(PyList_Type) || ty == type_ptr!(PyTuple_Type) {
            let found = super::hashed::contains(item, container);
            if found >= 0 {
                return found;
            }
        }
        capi::PySequence_Contains(container, item)
    }
}

/// `container[start:stop]`.
pub unsafe extern "C" fn get_slice(container: Obj, start: Obj, stop: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe {
        let slice = capi::PySlice_New(start, stop, null_mut());
        if slice.is_null() {
            return slice;
        }
        let result = capi::PyObject_GetItem(container, slice);
        decref(slice);
        result
    }
}

/// `container[start:stop] = value`.
pub unsafe extern "C" fn set_slice(container: Obj, start: Obj, stop: Obj, value: Obj) -> i32 {
    // SAFETY: the caller's objects.
    unsafe {
        let slice = capi::PySlice_New(start, stop, null_mut());
        if slice.is_null() {
            return -1;
        }
        let result = capi::PyObject_SetItem(container, slice, value);
        decref(slice);
        result
    }
}

/// `format(value, spec)`; an exact str without a spec is its own text.
pub unsafe extern "C" fn format(value: Obj, spec: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe {
        if spec.is_null() && capi::type_of(value) == type_ptr!(PyUnicode_Type) {
            return new_ref(value);
        }
        capi::PyObject_Format(value, spec)
    }
}

/// `str(value)`, `repr(value)` or `ascii(value)`: kind 1, 2, 3.
pub unsafe extern "C" fn convert(kind: i32, value: Obj) -> Obj {
    // SAFETY: the caller's object.
    unsafe {
        match kind {
            1 => capi::PyObject_Str(value),
            2 => capi::PyObject_Repr(value),
            3 => capi::PyObject_ASCII(value),
            _ => unknown(),
        }
    }
}
