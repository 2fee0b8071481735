//! Arithmetic on ints of up to four digits, boxed: what 64-bit hashes, random numbers and the like are made of.
//!
//! CPython makes an intermediate object for each product, quotient and two's complement, digit by digit. Values of up to
//! 120 bits fit a machine's double word.

use stoop_cpython::capi::{self, Obj};
use stoop_cpython::objects;
use stoop_ir::ops::BinOp;

use super::pools;

/// `a OP b`; `None` where Python raises, or yields no int, or one that is too wide.
fn compute(op: BinOp, a: i128, b: i128) -> Option<i128> {
    match op {
        BinOp::Add => a.checked_add(b),
        BinOp::Sub => a.checked_sub(b),
        BinOp::Mul => match (u64::try_from(a), u64::try_from(b)) {
            (Ok(a), Ok(b)) => i128::try_from(u128::from(a) * u128::from(b)).ok(),
            _ => a.checked_mul(b),
        },
        BinOp::And => Some(a & b),
        BinOp::Or => Some(a | b),
        BinOp::Xor => Some(a ^ b),
        BinOp::Shl => {
            let count = u32::try_from(b).ok().filter(|c| *c < i128::BITS)?;
            let shifted = a << count;
            (shifted >> count == a).then_some(shifted)
        }
        BinOp::Shr => (b >= 0).then(|| a >> b.min(i128::from(i128::BITS) - 1)),
        BinOp::FloorDiv | BinOp::Mod => divide(a, b).map(|(quotient, rest)| if op == BinOp::Mod { rest } else { quotient }),
        BinOp::TrueDiv | BinOp::Pow | BinOp::MatMul => None,
    }
}

/// The floor of the quotient, and a remainder of the divisor's sign.
fn divide(a: i128, b: i128) -> Option<(i128, i128)> {
    if let (Ok(a), Ok(b)) = (u64::try_from(a), u64::try_from(b)) {
        return Some((a.checked_div(b)?.into(), (a % b).into()));
    }
    let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
    if rest != 0 && (rest < 0) != (b < 0) { Some((quotient - 1, rest + b)) } else { Some((quotient, rest)) }
}

/// `a OP b` of two exact ints; NULL, without an exception, where that is not computed here.
///
/// # Safety
/// Live exact ints, the GIL held.
pub unsafe fn binary(op: BinOp, a: Obj, b: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe {
        let (Some(x), Some(y)) = (objects::wide_value(a), objects::wide_value(b)) else { return std::ptr::null_mut() };
        let Some(result) = compute(op, x, y) else { return std::ptr::null_mut() };
        let made = pools::new_wide(result);
        if made.is_null() {
            // Out of memory: the interpreter meets that too.
            capi::PyErr_Clear();
        }
        made
    }
}

/// The low 64 bits of an exact int, in two's complement.
///
/// # Safety
/// A live exact int, the GIL held.
pub unsafe extern "C" fn low(o: Obj) -> i64 {
    // SAFETY: the caller's object, of which any size has low bits.
    unsafe { objects::wide_value(o).map_or_else(|| capi::PyLong_AsUnsignedLongLongMask(o) as i64, |value| value as i64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_python() {
        let big = (1i128 << 120) - 1;
        for (op, a, b, expected) in [
            (BinOp::Add, big, big, Some(2 * big)),
            (BinOp::Add, i128::MAX, 1, None),
            (BinOp::Sub, -big, big, Some(-2 * big)),
            (BinOp::Mul, u64::MAX.into(), i64::MAX.into(), Some(i128::from(u64::MAX) * i128::from(i64::MAX))),
            (BinOp::Mul, u64::MAX.into(), u64::MAX.into(), None),
            (BinOp::Mul, -(1 << 70), 1 << 50, Some(-(1 << 120))),
            (BinOp::Mul, 1 << 100, 1 << 50, None),
            (BinOp::And, -1, u64::MAX.into(), Some(u64::MAX.into())),
            (BinOp::Xor, -1, 5, Some(-6)),
            (BinOp::Shl, 3, 100, Some(3 << 100)),
            (BinOp::Shl, -1, 127, Some(i128::MIN)),
            (BinOp::Shl, 1, 127, None),
            (BinOp::Shl, 0, 500, None),
            (BinOp::Shl, 1, -1, None),
            (BinOp::Shr, -5, 1000, Some(-1)),
            (BinOp::Shr, 1 << 100, 98, Some(4)),
            (BinOp::Shr, 1, -1, None),
            (BinOp::FloorDiv, -7, 2, Some(-4)),
            (BinOp::Mod, -7, 2, Some(1)),
            (BinOp::FloorDiv, 7, -2, Some(-4)),
            (BinOp::Mod, 7, -2, Some(-1)),
            (BinOp::Mod, -(1 << 90), 1 << 40, Some(0)),
            (BinOp::Mod, -(1 << 90) - 1, 1 << 40, Some((1 << 40) - 1)),
            (BinOp::FloorDiv, 1 << 90, 0, None),
            (BinOp::Mod, 1, 0, None),
            (BinOp::Pow, 2, 3, None),
        ] {
            assert_eq!(compute(op, a, b), expected, "{a} {op:?} {b}");
        }
    }
}
