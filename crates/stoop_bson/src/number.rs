//! Conversions between numbers that keep the value, or say that they cannot.

use crate::decimal::Decimal;
use crate::element::{Type, first};
use crate::schema::{Convert, Kind};

const LOSSY_ROUNDS: &str = "not exact; convert=\"lossy\" rounds";
const OUT_OF_RANGE: &str = "out of range";

enum Number {
    Whole(i64),
    Real(f64),
}

/// The value in the form of `kind`, and the number of bytes of it; an `Err` says why there is none.
pub fn convert(kind: &Kind, convert: Convert, ty: Type, value: &[u8]) -> Result<([u8; 8], usize), &'static str> {
    let number = match ty {
        Type::DOUBLE => Number::Real(f64::from_le_bytes(first(value))),
        Type::INT32 => Number::Whole(i32::from_le_bytes(first(value)).into()),
        Type::INT64 => Number::Whole(i64::from_le_bytes(first(value))),
        Type::DECIMAL128 => Number::Real(Decimal::of(first(value)).to_f64()),
        Type::BOOL => Number::Whole(value[0].into()),
        _ => return Err(""),
    };
    let lossy = convert == Convert::Lossy;
    match *kind {
        Kind::F64 => Ok((real(number, lossy)?.to_le_bytes(), 8)),
        Kind::F32 => {
            let bytes = single(number, lossy)?.to_le_bytes();
            Ok(([bytes[0], bytes[1], bytes[2], bytes[3], 0, 0, 0, 0], 4))
        }
        Kind::Int(size) => {
            let whole = whole(number, lossy)?;
            let bits = u32::from(size) * 8;
            let (low, high) = (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1);
            in_range(whole, low, high).map(|bytes| (bytes, size.into()))
        }
        Kind::Uint(size) => {
            let whole = whole(number, lossy)?;
            in_range(whole, 0, (1i128 << (u32::from(size) * 8)) - 1).map(|bytes| (bytes, size.into()))
        }
        Kind::Bool => match whole(number, false)? {
            0 => Ok(([0; 8], 1)),
            1 => Ok(([1, 0, 0, 0, 0, 0, 0, 0], 1)),
            _ => Err("neither 0 nor 1"),
        },
        _ => Err(""),
    }
}

fn in_range(whole: i128, low: i128, high: i128) -> Result<[u8; 8], &'static str> {
    if whole < low || whole > high { Err(OUT_OF_RANGE) } else { Ok((whole as u64).to_le_bytes()) }
}

/// A whole number, of more bits than any field has.
fn whole(number: Number, lossy: bool) -> Result<i128, &'static str> {
    match number {
        Number::Whole(whole) => Ok(whole.into()),
        Number::Real(real) if !real.is_finite() => Err("not a whole number"),
        // No double beyond has a neighbour closer than 1, and no field holds it.
        Number::Real(real) if real.abs() >= 1e30 => Err(OUT_OF_RANGE),
        Number::Real(real) if real.trunc() != real && !lossy => Err("not a whole number"),
        Number::Real(real) => Ok(real.trunc() as i128),
    }
}

fn real(number: Number, lossy: bool) -> Result<f64, &'static str> {
    match number {
        Number::Real(real) => Ok(real),
        Number::Whole(whole) if lossy || (whole as f64) as i128 == i128::from(whole) => Ok(whole as f64),
        Number::Whole(_) => Err(LOSSY_ROUNDS),
    }
}

fn single(number: Number, lossy: bool) -> Result<f32, &'static str> {
    match number {
        Number::Real(real) => {
            let single = real as f32;
            if single.is_infinite() && real.is_finite() {
                return Err(OUT_OF_RANGE);
            }
            if real.is_nan() || lossy || f64::from(single) == real { Ok(single) } else { Err(LOSSY_ROUNDS) }
        }
        Number::Whole(whole) => {
            let single = whole as f32;
            if lossy || single as i128 == i128::from(whole) { Ok(single) } else { Err(LOSSY_ROUNDS) }
        }
    }
}
