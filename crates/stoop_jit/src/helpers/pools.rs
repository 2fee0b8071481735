//! Number objects that compiled code drops, kept for the next ones that it makes.
//!
//! Boxing numbers is much of what code about objects does. The allocator costs several times what the number does, so the
//! last few ints and floats that compiled code frees are not given back to it.
//!
//! # Safety
//! Every helper here needs the GIL, which orders all accesses to the pools.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use stoop_cpython::capi::{self, Obj, type_of};
use stoop_cpython::generator;
use stoop_cpython::kept::{self, Pool};
use stoop_cpython::layout::{self, read, write};
use stoop_cpython::type_ptr;

use super::ffi;

/// Bits of a digit.
const DIGIT_BITS: u32 = 30;
/// The greatest digit.
const ONES: u64 = (1 << DIGIT_BITS) - 1;
/// The least magnitude of three digits.
const TWO_FULL: u64 = 1 << (2 * DIGIT_BITS);
/// The sign field of an int's tag word for negative numbers.
const NEGATIVE: u64 = 2;
/// How many objects a pool keeps.
const MOST: usize = 64;

/// By how many digits the ints have.
static INTS: [Pool<MOST>; 5] = [const { Pool::new() }; 5];
static FLOATS: Pool<MOST> = Pool::new();

/// An object with one reference and a value that is still to be set, if one is kept.
#[inline]
unsafe fn take(pool: &Pool<MOST>) -> Option<Obj> {
    // SAFETY: the GIL is held; what is kept has a type, and the memory of its own that it had.
    unsafe {
        let o = pool.take()?;
        kept::revive(o);
        Some(o)
    }
}

/// An int. NULL, with an exception, without memory.
pub unsafe extern "C" fn new_int(value: i64) -> Obj {
    if (-5..=256).contains(&value) {
        // The interpreter's own.
        // SAFETY: the GIL is held.
        return unsafe { capi::PyLong_FromLongLong(value) };
    }
    let digits = digits(value);
    // SAFETY: the pool's ints have room for so many digits.
    unsafe {
        let Some(o) = take(&INTS[digits - 1]) else { return capi::PyLong_FromLongLong(value) };
        set_int(o, value, digits);
        o
    }
}

/// An int of any size that such a value can have. NULL, with an exception, without memory.
pub unsafe fn new_wide(value: i128) -> Obj {
    // SAFETY: the GIL is held; the pool's ints have room for so many digits.
    unsafe {
        if let Ok(value) = i64::try_from(value) {
            return new_int(value);
        }
        let magnitude = value.unsigned_abs();
        let digits = (128 - magnitude.leading_zeros()).div_ceil(DIGIT_BITS) as usize;
        let Some(o) = take(&INTS[digits - 1]) else {
            return ffi::_PyLong_FromByteArray(value.to_le_bytes().as_ptr(), size_of::<i128>(), 1, 1);
        };
        let l = layout::get();
        write(o, l.long_tag, (digits as u64) << 3 | if value < 0 { NEGATIVE } else { 0 });
        for k in 0..digits {
            write(o, l.long_digits + 4 * k as i32, (magnitude >> (DIGIT_BITS * k as u32)) as u32 & ONES as u32);
        }
        o
    }
}

/// How many digits an int has that is not zero.
#[inline]
pub fn digits(value: i64) -> usize {
    let magnitude = value.unsigned_abs();
    match magnitude {
        ..=ONES => 1,
        _ if magnitude < TWO_FULL => 2,
        _ => 3,
    }
}

/// Gives an int, which nobody else has and which has room for so many digits, its value.
#[inline]
pub unsafe fn set_int(o: Obj, value: i64, digits: usize) {
    // SAFETY: the caller's object.
    unsafe { set_magnitude(o, value.unsigned_abs(), digits, value < 0) }
}

/// The same, by magnitude and sign.
#[inline]
pub unsafe fn set_magnitude(o: Obj, magnitude: u64, digits: usize, is_negative: bool) {
    let l = layout::get();
    // SAFETY: the caller's object.
    unsafe {
        write(o, l.long_tag, (digits as u64) << 3 | if is_negative { NEGATIVE } else { 0 });
        for k in 0..digits {
            write(o, l.long_digits + 4 * k as i32, (magnitude >> (DIGIT_BITS * k as u32) & ONES) as u32);
        }
    }
}

/// A float. NULL, with an exception, without memory.
pub unsafe extern "C" fn new_float(value: f64) -> Obj {
    // SAFETY: the pool's floats have a value.
    unsafe {
        let Some(o) = take(&FLOATS) else { return capi::PyFloat_FromDouble(value) };
        write(o, layout::get().float_value, value);
        o
    }
}

/// Destroys an object whose last reference is gone.
pub unsafe extern "C" fn destroy(o: Obj) {
    // SAFETY: the caller's object. Exact ints and floats have nothing but their value.
    unsafe {
        let ty = type_of(o);
        let kept = if ty == type_ptr!(PyLong_Type) {
            let digits = (read::<u64, _>(o, layout::get().long_tag) >> 3) as usize;
            INTS.get(digits.wrapping_sub(1)).is_some_and(|pool| pool.put(o))
        } else if ty == type_ptr!(PyFloat_Type) {
            FLOATS.put(o)
        } else {
            stoop_cpython::instances::put(o, release)
        };
        if !kept {
            generator::reveal();
            capi::_Py_Dealloc(o);
        }
    }
}

/// The same; 1 if that may have run any code, 0 if it has certainly not.
pub unsafe extern "C" fn destroy_told(o: Obj) -> i32 {
    // SAFETY: the caller's object.
    unsafe {
        let quiet = stoop_cpython::quiet::dies_quietly(o);
        destroy(o);
        i32::from(!quiet)
    }
}

/// Gives a reference up unless NULL.
pub unsafe fn release(o: Obj) {
    // SAFETY: the caller's reference.
    unsafe {
        if !o.is_null() && !capi::is_immortal(o) {
            (*o).ob_refcnt -= 1;
            if (*o).ob_refcnt == 0 {
                destroy(o);
            }
        }
    }
}
