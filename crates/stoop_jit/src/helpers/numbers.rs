//! Arithmetic on unboxed values, and on boxed numbers, with Python's results, to the bit. Runs no Python.

use stoop_cpython::capi::{self, Obj, type_of};
use stoop_cpython::objects;
use stoop_cpython::type_ptr;
use stoop_ir::ops::{BinOp, CmpOp};

/// The C library's functions, so that results are CPython's: it calls the same ones.
mod libm {
    unsafe extern "C" {
        pub safe fn pow(x: f64, y: f64) -> f64;
        pub safe fn fmod(x: f64, y: f64) -> f64;
    }
}

fn power(mut base: i64, mut exponent: i64) -> Option<i64> {
    if exponent < 0 {
        return None;
    }
    let mut result: i64 = 1;
    loop {
        if exponent & 1 == 1 {
            result = result.checked_mul(base)?;
        }
        exponent >>= 1;
        if exponent == 0 {
            return Some(result);
        }
        base = base.checked_mul(base)?;
    }
}

/// `base ** exponent` into `*out`: 1, or 0 on overflow or a negative exponent.
///
/// # Safety
/// `out` is writable.
pub unsafe extern "C" fn int_pow(base: i64, exponent: i64, out: *mut i64) -> i32 {
    match power(base, exponent) {
        Some(value) => {
            // SAFETY: the caller's `out`.
            unsafe { out.write(value) };
            1
        }
        None => 0,
    }
}

/// `a % b` for a divisor that is not zero: the divisor's sign, also on zeros.
pub extern "C" fn float_mod(a: f64, b: f64) -> f64 {
    let m = libm::fmod(a, b);
    if m == 0.0 {
        0f64.copysign(b)
    } else if (b < 0.0) != (m < 0.0) {
        m + b
    } else {
        m
    }
}

/// `a // b` for a divisor that is not zero.
pub extern "C" fn float_floor_div(a: f64, b: f64) -> f64 {
    let m = libm::fmod(a, b);
    // a - m is very nearly a multiple of b, so the quotient is an integer but for rounding.
    let mut quotient = (a - m) / b;
    if m != 0.0 && (b < 0.0) != (m < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0f64.copysign(a / b);
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

fn is_odd_integer(x: f64) -> bool {
    libm::fmod(x.abs(), 2.0) == 1.0
}

fn power_of_floats(base: f64, exponent: f64) -> Option<f64> {
    if exponent == 0.0 {
        return Some(1.0);
    }
    if base.is_nan() {
        return Some(base);
    }
    if exponent.is_nan() {
        return Some(if base == 1.0 { 1.0 } else { exponent });
    }
    if exponent.is_infinite() {
        let magnitude = base.abs();
        return Some(if magnitude == 1.0 {
            1.0
        } else if (exponent > 0.0) == (magnitude > 1.0) {
            f64::INFINITY
        } else {
            0.0
        });
    }
    let odd = is_odd_integer(exponent);
    if base.is_infinite() {
        return Some(match (exponent > 0.0, odd) {
            (true, true) => base,
            (true, false) => base.abs(),
            (false, true) => 0f64.copysign(base),
            (false, false) => 0.0,
        });
    }
    if base == 0.0 {
        return (exponent > 0.0).then_some(if odd { base } else { 0.0 });
    }
    let negative = base < 0.0;
    if negative && exponent.floor() != exponent {
        return None;
    }
    let magnitude = base.abs();
    let result = if magnitude == 1.0 { 1.0 } else { finite_power(magnitude, exponent)? };
    Some(if negative && odd { -result } else { result })
}

/// libm's power of a positive base; `None` where CPython reports an overflow.
fn finite_power(base: f64, exponent: f64) -> Option<f64> {
    // SAFETY: errno is this thread's own word.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { errno.write(0) };
    let result = libm::pow(base, exponent);
    // An underflow to zero is a result; any other complaint makes CPython raise.
    // SAFETY: as above.
    let complaint = unsafe { errno.read() };
    (result.is_finite() && (complaint == 0 || result == 0.0)).then_some(result)
}

/// `base ** exponent` into `*out`: 1, or 0 where Python raises or yields a complex number.
///
/// # Safety
/// `out` is writable.
pub unsafe extern "C" fn float_pow(base: f64, exponent: f64, out: *mut f64) -> i32 {
    match power_of_floats(base, exponent) {
        Some(value) => {
            // SAFETY: the caller's `out`.
            unsafe { out.write(value) };
            1
        }
        None => 0,
    }
}

/// An exact int or float.
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// # Safety
    /// A live object.
    #[inline]
    unsafe fn of(o: Obj) -> Option<Number> {
        // SAFETY: the caller's object, of the class found.
        unsafe {
            let ty = type_of(o);
            if ty == type_ptr!(PyFloat_Type) {
                Some(Number::Float(objects::float_value(o)))
            } else if ty == type_ptr!(PyLong_Type) {
                objects::int_value(o).map(Number::Int)
            } else {
                None
            }
        }
    }

    /// As Python converts it.
    fn float(&self) -> f64 {
        match self {
            Number::Int(i) => *i as f64,
            Number::Float(x) => *x,
        }
    }
}

/// The greatest int that a double is sure to hold.
const EXACT: u64 = 1 << 53;

/// `a OP b` of exact ints of up to four digits and floats; NULL without an exception for anything else, and where Python
/// raises or the result is wider.
///
/// # Safety
/// Live objects, the GIL held.
pub unsafe extern "C" fn num_binary(op: i32, a: Obj, b: Obj) -> Obj {
    const ADD: i32 = BinOp::Add as i32;
    const SUB: i32 = BinOp::Sub as i32;
    const MUL: i32 = BinOp::Mul as i32;
    const DIV: i32 = BinOp::TrueDiv as i32;
    const MOD: i32 = BinOp::Mod as i32;
    const FLOOR_DIV: i32 = BinOp::FloorDiv as i32;
    // SAFETY: the caller's objects.
    unsafe {
        let int = type_ptr!(PyLong_Type);
        if op != DIV && type_of(a) == int && type_of(b) == int {
            return BinOp::ALL.get(op as usize).map_or(std::ptr::null_mut(), |op| super::wide::binary(*op, a, b));
        }
    }
    // SAFETY: as above.
    let (Some(x), Some(y)) = (unsafe { (Number::of(a), Number::of(b)) }) else { return std::ptr::null_mut() };
    let small = |i: i64| i.unsigned_abs() <= EXACT;
    let made = match (&x, &y) {
        (Number::Int(i), Number::Int(j)) if !small(*i) || !small(*j) => return std::ptr::null_mut(),
        _ => {
            let (x, y) = (x.float(), y.float());
            let result = match op {
                ADD => x + y,
                SUB => x - y,
                MUL => x * y,
                DIV if y != 0.0 => x / y,
                MOD if y != 0.0 => float_mod(x, y),
                FLOOR_DIV if y != 0.0 => float_floor_div(x, y),
                _ => return std::ptr::null_mut(),
            };
            // SAFETY: the GIL is held.
            unsafe { super::pools::new_float(result) }
        }
    };
    if made.is_null() {
        // Out of memory: the interpreter meets that too.
        // SAFETY: the GIL is held.
        unsafe { capi::PyErr_Clear() };
    }
    made
}

/// The truth of `a OP b` of exact ints and floats; -1 for anything else.
///
/// # Safety
/// Live objects, the GIL held.
pub unsafe extern "C" fn num_compare(op: i32, a: Obj, b: Obj) -> i32 {
    // SAFETY: the caller's objects.
    let (x, y) = unsafe { (Number::of(a), Number::of(b)) };
    let (Some(x), Some(y)) = (x, y) else {
        // SAFETY: comparing ints of any size runs no Python code and does not fail.
        unsafe {
            let int = type_ptr!(PyLong_Type);
            let wide = type_of(a) == int && type_of(b) == int;
            return if wide { capi::PyObject_RichCompareBool(a, b, op) } else { -1 };
        }
    };
    let order = match (&x, &y) {
        (Number::Int(i), Number::Int(j)) => Some(i.cmp(j)),
        (Number::Int(i), Number::Float(_)) | (Number::Float(_), Number::Int(i)) if i.unsigned_abs() > EXACT => return -1,
        _ => x.float().partial_cmp(&y.float()),
    };
    let Some(op) = CmpOp::ALL.get(op as usize) else { return -1 };
    i32::from(match op {
        CmpOp::Lt => order.is_some_and(std::cmp::Ordering::is_lt),
        CmpOp::Le => order.is_some_and(std::cmp::Ordering::is_le),
        CmpOp::Eq => order.is_some_and(std::cmp::Ordering::is_eq),
        CmpOp::Ne => !order.is_some_and(std::cmp::Ordering::is_eq),
        CmpOp::Gt => order.is_some_and(std::cmp::Ordering::is_gt),
        CmpOp::Ge => order.is_some_and(std::cmp::Ordering::is_ge),
    })
}

macro_rules! libm {
    ($($name:ident)*) => {
        unsafe extern "C" {
            $(#[doc = "libm's, which `math` calls too."] pub safe fn $name(x: f64) -> f64;)*
        }
    };
}

libm! { sin cos tan asin acos atan sinh cosh tanh exp log log2 log10 }

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    #[test]
    fn int_powers() {
        assert_eq!(power(0, 0), Some(1));
        assert_eq!(power(0, i64::MAX), Some(0));
        assert_eq!(power(-1, i64::MAX), Some(-1));
        assert_eq!(power(3, 39), Some(4052555153018976267));
        assert_eq!(power(3, 40), None);
        assert_eq!(power(-2, 63), Some(i64::MIN));
        assert_eq!(power(2, 63), None);
        assert_eq!(power(2, 62), Some(1 << 62));
        assert_eq!(power(i64::MIN, 1), Some(i64::MIN));
        assert_eq!(power(7, -1), None);
    }

    #[test]
    fn int_powers_agree_with_the_standard_library() {
        for base in -20i64..=20 {
            for exponent in 0..=70 {
                assert_eq!(power(base, exponent), base.checked_pow(exponent as u32), "{base}**{exponent}");
            }
        }
    }

    #[test]
    fn remainders_take_the_divisors_sign() {
        // Expected values are CPython's.
        for (a, b, expected) in [
            (5.5, 2.0, 1.5),
            (-5.5, 2.0, 0.5),
            (5.5, -2.0, -0.5),
            (-5.5, -2.0, -1.5),
            (4.0, 2.0, 0.0),
            (4.0, -2.0, -0.0),
            (-4.0, 2.0, 0.0),
            (-0.0, 3.0, 0.0),
            (1.0, f64::INFINITY, 1.0),
            (-1.0, f64::INFINITY, f64::INFINITY),
            (1.0, f64::NEG_INFINITY, f64::NEG_INFINITY),
            (f64::INFINITY, 2.0, f64::NAN),
            (-1e-20, 3.0, 3.0),
        ] {
            assert!(same(float_mod(a, b), expected), "{a} % {b} = {}", float_mod(a, b));
        }
    }

    #[test]
    fn floor_quotients() {
        // Expected values are CPython's.
        for (a, b, expected) in [
            (5.5, 2.0, 2.0),
            (-5.5, 2.0, -3.0),
            (5.5, -2.0, -3.0),
            (0.0, -2.0, -0.0),
            (-0.0, 2.0, -0.0),
            (1.0, f64::INFINITY, 0.0),
            (-1.0, f64::INFINITY, -1.0),
            (1.0, 0.1, 9.0),
            (-1e-20, 3.0, -1.0),
            (f64::INFINITY, 2.0, f64::NAN),
            (1e308, 1e-308, f64::INFINITY),
        ] {
            assert!(same(float_floor_div(a, b), expected), "{a} // {b} = {}", float_floor_div(a, b));
        }
    }

    #[test]
    fn float_powers() {
        let p = power_of_floats;
        assert_eq!(p(2.0, 0.5), Some(2f64.sqrt()));
        assert_eq!(p(f64::NAN, 0.0), Some(1.0));
        assert_eq!(p(1.0, f64::NAN), Some(1.0));
        assert_eq!(p(-1.0, f64::INFINITY), Some(1.0));
        assert_eq!(p(0.5, f64::NEG_INFINITY), Some(f64::INFINITY));
        assert_eq!(p(f64::NEG_INFINITY, 3.0), Some(f64::NEG_INFINITY));
        assert_eq!(p(f64::NEG_INFINITY, -3.0).map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(p(-0.0, 3.0).map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(p(-0.0, 2.0).map(f64::to_bits), Some(0.0f64.to_bits()));
        assert_eq!(p(-8.0, 3.0), Some(-512.0));
        assert_eq!(p(-1.0, 3.0), Some(-1.0));
        assert_eq!(p(1e-200, 2.0), Some(0.0), "underflow is a result");
        assert_eq!(p(0.0, -1.0), None, "ZeroDivisionError");
        assert_eq!(p(-8.0, 0.5), None, "complex");
        assert_eq!(p(1e200, 2.0), None, "OverflowError");
    }
}
