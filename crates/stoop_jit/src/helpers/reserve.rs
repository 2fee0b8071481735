//! What is kept for when there is no memory: compiled code that makes numbers cannot say that it failed. When half of it
//! is used up, MemoryError is raised at the next safe point.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

use stoop_cpython::capi::{self, Obj, PyMethodDef};
use stoop_cpython::layout::{self, write};
use stoop_cpython::type_ptr;

use super::{ffi, pools};

/// How many numbers of each kind, and iterators over ranges.
const SPARE: usize = 64;

struct Reserve {
    ints: Vec<Obj>,
    floats: Vec<Obj>,
    ranges: Vec<Obj>,
    /// Stands for an object that could not be made: an iterator that raises MemoryError.
    missing: Obj,
}

struct Global(UnsafeCell<Reserve>);
// SAFETY: every access is made with the GIL held.
unsafe impl Sync for Global {}

static RESERVE: Global =
    Global(UnsafeCell::new(Reserve { ints: Vec::new(), floats: Vec::new(), ranges: Vec::new(), missing: std::ptr::null_mut() }));

fn reserve() -> &'static mut Reserve {
    // SAFETY: the GIL is held, and no caller keeps the reference over a call.
    unsafe { &mut *RESERVE.0.get() }
}

struct Def(PyMethodDef);
// SAFETY: read only.
unsafe impl Sync for Def {}

unsafe extern "C" fn raise(_this: Obj, _arguments: Obj) -> Obj {
    // SAFETY: called by the interpreter.
    unsafe { capi::PyErr_NoMemory() }
}

static RAISE: Def = Def(PyMethodDef {
    ml_name: c"missing".as_ptr(),
    ml_meth: raise as *const std::ffi::c_void,
    ml_flags: capi::METH_NOARGS,
    ml_doc: std::ptr::null(),
});

/// Makes what is missing; does what it can.
///
/// # Safety
/// The GIL of the main interpreter is held; no exception is set.
pub unsafe fn fill() {
    // SAFETY: new references, kept for good.
    unsafe {
        let r = reserve();
        top_up(&mut r.ints, || capi::PyLong_FromLongLong(i64::MAX));
        top_up(&mut r.floats, || capi::PyFloat_FromDouble(0.0));
        top_up(&mut r.ranges, || ffi::_PyObject_New(type_ptr!(PyRangeIter_Type)));
        if r.missing.is_null() {
            let callable = capi::PyCFunction_NewEx((&raw const RAISE.0).cast_mut(), std::ptr::null_mut(), std::ptr::null_mut());
            if !callable.is_null() {
                r.missing = ffi::PyCallIter_New(callable, capi::none());
                capi::decref(callable);
            }
        }
        LOW.store(r.ints.len() + r.floats.len() + r.ranges.len() < 3 * SPARE, Ordering::Relaxed);
        capi::PyErr_Clear();
    }
}

fn top_up(kept: &mut Vec<Obj>, make: impl Fn() -> Obj) {
    while kept.len() < SPARE {
        let made = make();
        if made.is_null() {
            break;
        }
        kept.push(made);
    }
}

/// Whether something was taken out.
static LOW: AtomicBool = AtomicBool::new(false);

/// Takes something out, and asks for the exception when there is not much left.
fn take(from: fn(&mut Reserve) -> &mut Vec<Obj>) -> Obj {
    let left = from(reserve());
    let taken = left.pop();
    LOW.store(true, Ordering::Relaxed);
    if left.len() == SPARE / 2 {
        // SAFETY: the GIL is held. Where there is no room for the request, much else is about to happen.
        unsafe { capi::Py_AddPendingCall(raise_late, std::ptr::null_mut()) };
    }
    taken.unwrap_or_else(|| give_up())
}

unsafe extern "C" fn raise_late(_: *mut std::ffi::c_void) -> std::ffi::c_int {
    // SAFETY: called by the interpreter.
    unsafe { capi::PyErr_NoMemory() };
    -1
}

/// What has been taken is replaced, after something could be made.
#[inline]
unsafe fn refill() {
    if LOW.load(Ordering::Relaxed) {
        // SAFETY: the caller's duty.
        unsafe { fill() }
    }
}

/// An int; the GIL is held. Never NULL.
///
/// # Safety
/// No exception is set.
#[inline]
pub unsafe fn int(value: i64) -> Obj {
    // SAFETY: as documented.
    unsafe {
        let made = pools::new_int(value);
        if made.is_null() {
            return reserved_int(value);
        }
        refill();
        made
    }
}

#[cold]
unsafe fn reserved_int(value: i64) -> Obj {
    // SAFETY: ints of the reserve have room for three digits, and one owner. Zero is made without memory.
    unsafe {
        capi::PyErr_Clear();
        let o = take(|r| &mut r.ints);
        pools::set_int(o, value, pools::digits(value));
        o
    }
}

/// A float; the GIL is held. Never NULL.
///
/// # Safety
/// No exception is set.
#[inline]
pub unsafe fn float(value: f64) -> Obj {
    // SAFETY: as documented; floats of the reserve have one owner.
    unsafe {
        let made = pools::new_float(value);
        if !made.is_null() {
            refill();
            return made;
        }
        capi::PyErr_Clear();
        let o = take(|r| &mut r.floats);
        write(o, layout::get().float_value, value);
        o
    }
}

/// As [`int`], for compiled code.
///
/// # Safety
/// As [`int`].
pub unsafe extern "C" fn box_int(value: i64) -> Obj {
    // SAFETY: as documented.
    unsafe { int(value) }
}

/// An int of these bits, which have no sign; never NULL. For compiled code.
///
/// # Safety
/// As [`int`].
pub unsafe extern "C" fn box_uint(bits: i64) -> Obj {
    // SAFETY: as documented; ints of the reserve have room for three digits, and one owner.
    unsafe {
        if bits >= 0 {
            return int(bits);
        }
        let made = pools::new_wide(i128::from(bits as u64));
        if !made.is_null() {
            refill();
            return made;
        }
        capi::PyErr_Clear();
        let o = take(|r| &mut r.ints);
        pools::set_magnitude(o, bits as u64, 3, false);
        o
    }
}

/// As [`float`], for compiled code.
///
/// # Safety
/// As [`float`].
pub unsafe extern "C" fn box_float(value: f64) -> Obj {
    // SAFETY: as documented.
    unsafe { float(value) }
}

/// An uninitialised iterator over a range; NULL if there is none.
///
/// # Safety
/// The GIL is held.
#[cold]
pub unsafe fn range() -> Obj {
    // SAFETY: as documented.
    unsafe { capi::PyErr_Clear() };
    LOW.store(true, Ordering::Relaxed);
    reserve().ranges.pop().unwrap_or(std::ptr::null_mut())
}

/// Stands for an object that could not be made: using it raises. A reference of its own.
///
/// # Safety
/// The GIL is held.
#[cold]
pub unsafe fn missing() -> Obj {
    let o = reserve().missing;
    if o.is_null() {
        give_up()
    }
    // SAFETY: kept for good.
    unsafe {
        capi::PyErr_Clear();
        capi::new_ref(o)
    }
}

fn give_up() -> ! {
    // SAFETY: C strings; does not return.
    unsafe { capi::_Py_FatalErrorFunc(c"stoop".as_ptr(), c"out of memory in compiled code".as_ptr()) }
}
