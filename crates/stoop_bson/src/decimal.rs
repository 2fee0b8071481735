//! Decimals: IEEE 754 decimal128 in the binary encoding, as BSON has it.

/// A decimal taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decimal {
    /// (negative, coefficient, exponent of ten).
    Finite(bool, u128, i32),
    /// Negative or not.
    Infinite(bool),
    /// Not a number.
    Nan,
}

impl Decimal {
    /// The decimal of 16 bytes.
    pub fn of(bytes: [u8; 16]) -> Decimal {
        let bits = u128::from_le_bytes(bytes);
        let negative = bits >> 127 != 0;
        match (bits >> 122) as u8 & 0x1F {
            0x1E => Decimal::Infinite(negative),
            0x1F => Decimal::Nan,
            // Coefficients that begin so are larger than 34 digits allow: they stand for zero.
            combination if combination >= 0x18 => Decimal::Finite(negative, 0, ((bits >> 111) as i32 & 0x3FFF) - 6176),
            _ => {
                let coefficient = bits & ((1 << 113) - 1);
                let coefficient = if coefficient < 10u128.pow(34) { coefficient } else { 0 };
                Decimal::Finite(negative, coefficient, ((bits >> 113) as i32 & 0x3FFF) - 6176)
            }
        }
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        match self {
            Decimal::Nan => f64::NAN,
            Decimal::Infinite(negative) => {
                if negative {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                }
            }
            Decimal::Finite(negative, coefficient, exponent) => {
                // Rust's parser rounds correctly, whatever the digits and the exponent.
                let size: f64 = format!("{coefficient}e{exponent}").parse().unwrap_or(f64::NAN);
                if negative { -size } else { size }
            }
        }
    }

    /// The decimal in units of 10^-scale, in at most `precision` digits; rounded to even if that is allowed.
    pub fn scaled(self, precision: u8, scale: i8, lossy: bool) -> Result<i128, &'static str> {
        let Decimal::Finite(negative, coefficient, exponent) = self else { return Err("not a finite number") };
        let shift = exponent + i32::from(scale);
        let size = if coefficient == 0 {
            0
        } else if shift >= 0 {
            let factor = u32::try_from(shift).ok().and_then(|shift| 10u128.checked_pow(shift));
            factor.and_then(|factor| coefficient.checked_mul(factor)).ok_or("out of range for the precision")?
        } else {
            divide(coefficient, shift.unsigned_abs(), lossy)?
        };
        if size >= 10u128.checked_pow(precision.into()).unwrap_or(1 << 127) {
            return Err("out of range for the precision");
        }
        Ok(if negative { -(size as i128) } else { size as i128 })
    }
}

fn divide(coefficient: u128, digits: u32, lossy: bool) -> Result<u128, &'static str> {
    let (whole, rest, factor) = match 10u128.checked_pow(digits) {
        Some(factor) => (coefficient / factor, coefficient % factor, factor),
        None => (0, coefficient, u128::MAX),
    };
    match (rest == 0, lossy) {
        (true, _) => Ok(whole),
        (false, false) => Err("more digits than the scale holds; convert=\"lossy\" rounds"),
        (false, true) => {
            let twice = rest.saturating_mul(2);
            Ok(whole + u128::from(twice > factor || (twice == factor && whole % 2 == 1)))
        }
    }
}
