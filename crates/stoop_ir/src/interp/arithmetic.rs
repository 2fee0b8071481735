//! Unboxed arithmetic of the reference interpreter: exact in 128 bits, then asked whether it fits.

use super::Step;
use super::heap::{Fault, Kind, Val};
use crate::func::{Imm, InstData};
use crate::ops::{BinOp, MathFn, Op};

/// Does an operation on unboxed values; `None` if it is not one.
pub(super) fn step(data: &InstData, args: &[Val]) -> Result<Option<Step>, Fault> {
    let value = match (data.op, args, data.imm) {
        (Op::ConstInt, [], Imm::Int(i)) => Some(Val::I64(i)),
        (Op::ConstBool, [], Imm::Int(i)) => Some(Val::I1(i != 0)),
        (Op::ConstFloat, [], Imm::Float(bits)) => Some(Val::F64(f64::from_bits(bits))),
        (Op::IntCmp, [Val::I64(a), Val::I64(b)], Imm::Cmp(c)) => Some(Val::I1(c.holds(a, b))),
        (Op::FloatCmp, [Val::F64(a), Val::F64(b)], Imm::Cmp(c)) => Some(Val::I1(c.holds(a, b))),
        (Op::IntSelect | Op::FloatSelect, [Val::I1(c), x, y], _) => Some(if *c { *x } else { *y }),
        (Op::FloatFn, [Val::F64(a)], Imm::Int(k)) => {
            let row = usize::try_from(k).ok().and_then(|k| MathFn::ALL.get(k)).ok_or("no such function")?;
            Some(math(*row, *a)).filter(|y| y.is_finite()).map(Val::F64)
        }
        (Op::GuardTrue, [Val::I1(b)], _) => return Ok(Some(if *b { Step::Value(None) } else { Step::Leave })),
        (Op::GuardFalse, [Val::I1(b)], _) => return Ok(Some(if *b { Step::Leave } else { Step::Value(None) })),
        (Op::BoolNot, [Val::I1(b)], _) => Some(Val::I1(!b)),
        (Op::BoolToInt, [Val::I1(b)], _) => Some(Val::I64((*b).into())),
        (op, [Val::I64(a)], _) => match int_unary(op, *a) {
            Some(v) => v,
            None => return Ok(None),
        },
        (op, [Val::F64(a)], _) => match float_unary(op, *a) {
            Some(v) => v,
            None => return Ok(None),
        },
        (op, [Val::I64(a), Val::I64(b)], _) => match int_binary(op, (*a).into(), (*b).into()) {
            Some(v) => v.and_then(|v| i64::try_from(v).ok()).map(Val::I64),
            None => return Ok(None),
        },
        (op, [Val::F64(a), Val::F64(b)], _) => match float_binary(op, *a, *b) {
            Some(v) => v.map(Val::F64),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(value.map_or(Step::Leave, |v| Step::Value(Some(v)))))
}

/// Outer `None`: not such an operation. Inner `None`: it leaves.
fn int_unary(op: Op, a: i64) -> Option<Option<Val>> {
    let fits = |v: i128| i64::try_from(v).ok().map(Val::I64);
    Some(match op {
        Op::IntNeg => fits(-i128::from(a)),
        Op::IntAbs => fits(i128::from(a).abs()),
        Op::IntNot => Some(Val::I64(!a)),
        Op::IntToFloat => Some(Val::F64(a as f64)),
        Op::IntToFloatExact => (a.unsigned_abs() <= 1 << 53).then_some(Val::F64(a as f64)),
        Op::IntToBool => Some(Val::I1(a != 0)),
        _ => return None,
    })
}

fn int_binary(op: Op, a: i128, b: i128) -> Option<Option<i128>> {
    Some(match op {
        Op::IntAdd => Some(a + b),
        Op::IntSub => Some(a - b),
        Op::IntMul => Some(a * b),
        // Floor division by way of the euclidean one: they differ for negative divisors.
        Op::IntFloorDiv => (b != 0).then(|| if b > 0 { a.div_euclid(b) } else { (-a).div_euclid(-b) }),
        Op::IntMod => (b != 0).then(|| if b > 0 { a.rem_euclid(b) } else { -(-a).rem_euclid(-b) }),
        Op::IntAnd => Some(a & b),
        Op::IntOr => Some(a | b),
        Op::IntXor => Some(a ^ b),
        Op::IntShl => (0..64).contains(&b).then(|| a << b),
        Op::IntShr => (b >= 0).then(|| a >> b.min(63)),
        Op::IntAdvance => Some((a as i64).wrapping_add(b as i64).into()),
        Op::IntMulWrap => Some((a as i64).wrapping_mul(b as i64).into()),
        Op::IntShrU => Some((((a as u64) >> b) as i64).into()),
        Op::IntPow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        Op::Index => {
            let i = if a < 0 { a + b } else { a };
            (0..b).contains(&i).then_some(i)
        }
        _ => return None,
    })
}

/// An operator or a comparison on boxed numbers.
pub(super) fn numbers(imm: Imm, a: &Kind, b: &Kind) -> Option<Val> {
    let float = |k: &Kind| match k {
        Kind::Int(i) => Some(*i as f64),
        Kind::Float(f) => Some(*f),
        _ => None,
    };
    match (imm, a, b) {
        (Imm::Cmp(c), Kind::Int(a), Kind::Int(b)) => Some(Val::I1(c.holds(a, b))),
        (Imm::Cmp(c), _, _) => Some(Val::I1(c.holds(&float(a)?, &float(b)?))),
        (Imm::Bin(op @ (BinOp::Add | BinOp::Sub | BinOp::Mul)), Kind::Int(a), Kind::Int(b)) => match op {
            BinOp::Add => a.checked_add(*b).map(Val::I64),
            BinOp::Sub => a.checked_sub(*b).map(Val::I64),
            _ => a.checked_mul(*b).map(Val::I64),
        },
        (Imm::Bin(op), _, _) => {
            let (x, y) = (float(a)?, float(b)?);
            match op {
                BinOp::Add => Some(Val::F64(x + y)),
                BinOp::Sub => Some(Val::F64(x - y)),
                BinOp::Mul => Some(Val::F64(x * y)),
                BinOp::TrueDiv if y != 0.0 => Some(Val::F64(x / y)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn math(f: MathFn, x: f64) -> f64 {
    match f {
        MathFn::Sin => x.sin(),
        MathFn::Cos => x.cos(),
        MathFn::Tan => x.tan(),
        MathFn::Asin => x.asin(),
        MathFn::Acos => x.acos(),
        MathFn::Atan => x.atan(),
        MathFn::Sinh => x.sinh(),
        MathFn::Cosh => x.cosh(),
        MathFn::Tanh => x.tanh(),
        MathFn::Exp => x.exp(),
        MathFn::Log => x.ln(),
        MathFn::Log2 => x.log2(),
        MathFn::Log10 => x.log10(),
    }
}

fn float_unary(op: Op, a: f64) -> Option<Option<Val>> {
    Some(match op {
        Op::FloatNeg => Some(Val::F64(-a)),
        Op::FloatAbs => Some(Val::F64(a.abs())),
        Op::FloatRound => Some(Val::F64(a.round_ties_even())),
        Op::FloatSqrt => (a >= 0.0 || a.is_nan()).then(|| Val::F64(a.sqrt())),
        Op::FloatToInt => {
            let fits = a.trunc() >= i64::MIN as f64 && a.trunc() < -(i64::MIN as f64);
            fits.then_some(Val::I64(a as i64))
        }
        Op::FloatToBool => Some(Val::I1(a != 0.0)),
        _ => return None,
    })
}

fn float_binary(op: Op, a: f64, b: f64) -> Option<Option<f64>> {
    Some(match op {
        Op::FloatAdd => Some(a + b),
        Op::FloatSub => Some(a - b),
        Op::FloatMul => Some(a * b),
        Op::FloatDiv => (b != 0.0).then(|| a / b),
        Op::FloatFloorDiv => (b != 0.0).then(|| divmod(a, b).0),
        Op::FloatMod => (b != 0.0).then(|| divmod(a, b).1),
        Op::FloatPow => {
            let r = a.powf(b);
            let raises = (a == 0.0 && b < 0.0) || (a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0);
            let overflows = r.is_infinite() && a.is_finite() && b.is_finite();
            (!raises && !overflows).then_some(r)
        }
        _ => return None,
    })
}

/// Python's floor quotient and remainder of doubles.
fn divmod(a: f64, b: f64) -> (f64, f64) {
    let mut rem = a % b;
    let mut quot = (a - rem) / b;
    if rem == 0.0 {
        rem = 0.0_f64.copysign(b);
    } else if (b < 0.0) != (rem < 0.0) {
        rem += b;
        quot -= 1.0;
    }
    let floor = if quot == 0.0 {
        0.0_f64.copysign(a / b)
    } else if quot - quot.floor() > 0.5 {
        quot.floor() + 1.0
    } else {
        quot.floor()
    };
    (floor, rem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_divide_as_pythons_do() {
        assert_eq!(divmod(7.5, -2.0), (-4.0, -0.5));
        assert_eq!(divmod(-7.5, 2.0), (-4.0, 0.5));
        assert!(divmod(-0.0, 1.0).0.is_sign_negative());
        assert_eq!(divmod(1.0, f64::INFINITY), (0.0, 1.0));
        assert_eq!(divmod(-1.0, f64::INFINITY), (-1.0, f64::INFINITY));
    }

    #[test]
    fn ints_divide_as_pythons_do() {
        let q = |a, b| (int_binary(Op::IntFloorDiv, a, b).unwrap().unwrap(), int_binary(Op::IntMod, a, b).unwrap().unwrap());
        assert_eq!(q(7, 2), (3, 1));
        assert_eq!(q(-7, 2), (-4, 1));
        assert_eq!(q(7, -2), (-4, -1));
        assert_eq!(q(-7, -2), (3, -1));
        assert_eq!(q(-8, -2), (4, 0));
    }
}
