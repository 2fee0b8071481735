//! Python's arithmetic on unboxed constants.

use stoop_ir::Op;

/// The result of a binary operation, or `None` where compiled code would leave.
pub fn int_binary(op: Op, a: i64, b: i64) -> Option<i64> {
    match op {
        Op::IntAdd => a.checked_add(b),
        Op::IntSub => a.checked_sub(b),
        Op::IntMul => a.checked_mul(b),
        Op::IntFloorDiv => {
            let q = a.checked_div(b)?;
            Some(if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q })
        }
        Op::IntMod => {
            // The smallest integer has remainder 0 by -1, though its quotient overflows.
            let r = if b == 0 { return None } else { a.wrapping_rem(b) };
            Some(if r != 0 && (r < 0) != (b < 0) { r + b } else { r })
        }
        Op::IntAnd => Some(a & b),
        Op::IntOr => Some(a | b),
        Op::IntXor => Some(a ^ b),
        Op::IntShl => {
            let n = u32::try_from(b).ok().filter(|n| *n < 64)?;
            Some(a << n).filter(|r| r >> n == a)
        }
        Op::IntShr => (b >= 0).then(|| a >> b.min(63)),
        Op::IntPow => a.checked_pow(u32::try_from(b).ok()?),
        _ => None,
    }
}

/// The result of a unary operation, or `None` where compiled code would leave.
pub fn int_unary(op: Op, a: i64) -> Option<i64> {
    match op {
        Op::IntNeg => a.checked_neg(),
        Op::IntNot => Some(!a),
        Op::IntAbs => a.checked_abs(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use stoop_ir::CmpOp;

    use super::*;

    #[test]
    fn division_is_pythons() {
        let div = |a, b| (int_binary(Op::IntFloorDiv, a, b), int_binary(Op::IntMod, a, b));
        assert_eq!(div(7, 2), (Some(3), Some(1)));
        assert_eq!(div(-7, 2), (Some(-4), Some(1)));
        assert_eq!(div(7, -2), (Some(-4), Some(-1)));
        assert_eq!(div(-7, -2), (Some(3), Some(-1)));
        assert_eq!(div(-8, 2), (Some(-4), Some(0)));
        assert_eq!(div(i64::MIN, -1), (None, Some(0)));
        assert_eq!(div(1, 0), (None, None));
    }

    #[test]
    fn what_does_not_fit_leaves() {
        assert_eq!(int_binary(Op::IntShl, 1, 62), Some(1 << 62));
        assert_eq!(int_binary(Op::IntShl, 1, 63), None);
        assert_eq!(int_binary(Op::IntShl, -1, 63), Some(i64::MIN));
        assert_eq!(int_binary(Op::IntShl, 0, 64), None);
        assert_eq!(int_binary(Op::IntShl, 1, -1), None);
        assert_eq!(int_binary(Op::IntShr, -5, 100), Some(-1));
        assert_eq!(int_binary(Op::IntShr, 5, -1), None);
        assert_eq!(int_binary(Op::IntPow, -3, 3), Some(-27));
        assert_eq!(int_binary(Op::IntPow, 2, 63), None);
        assert_eq!(int_binary(Op::IntPow, 2, -1), None);
        assert_eq!(int_unary(Op::IntNeg, i64::MIN), None);
        assert!(!CmpOp::Le.holds(&f64::NAN, &f64::NAN) && CmpOp::Ne.holds(&f64::NAN, &f64::NAN));
    }
}
