//! One value into one place.

use std::borrow::Cow;

use crate::decimal::Decimal;
use crate::document::{absent_leaf, op_of};
use crate::element::{Type, first};
use crate::error::{Fallible, Fault, describe};
use crate::number;
use crate::op::{Op, expected};
use crate::plan::Leaf;
use crate::schema::{Convert, Kind, Unit};
use crate::sink::{Place, Sink};
use crate::text;
use crate::validate;

/// Stores the value, all of whose bytes are `value`, where the leaf's values go.
#[inline(always)]
pub fn store(leaf: &Leaf, ty: u8, value: &[u8], sink: &mut impl Sink, place: Place) -> Fallible<()> {
    apply(op_of(leaf, ty), leaf, ty, value, sink, place)
}

/// Does what [`store`] does, the operation being known.
#[inline(always)]
pub fn apply(op: Op, leaf: &Leaf, ty: u8, value: &[u8], sink: &mut impl Sink, place: Place) -> Fallible<()> {
    match op {
        Op::Copy8 => put::<8>(leaf, first(value), sink, place),
        Op::Copy4 => put::<4>(leaf, first(value), sink, place),
        Op::Int32ToF64 => put(leaf, f64::from(i32::from_le_bytes(first(value))).to_le_bytes(), sink, place),
        Op::Int32ToI64 => put(leaf, i64::from(i32::from_le_bytes(first(value))).to_le_bytes(), sink, place),
        Op::Copy12 => put::<12>(leaf, first(value), sink, place),
        Op::Copy16 => put::<16>(leaf, first(value), sink, place),
        Op::Bool => {
            if value[0] > 1 {
                return Err(Fault::malformed("", format!("a bool of value {}", value[0])));
            }
            put::<1>(leaf, first(value), sink, place)
        }
        Op::Null => absent_leaf(leaf, leaf.policy.null, "null", sink, place),
        _ => rare(op, leaf, ty, value, sink, place),
    }
}

#[inline(always)]
fn put<const N: usize>(leaf: &Leaf, bytes: [u8; N], sink: &mut impl Sink, place: Place) -> Fallible<()> {
    sink.bytes(leaf.slot, place, N).copy_from_slice(&bytes);
    Ok(())
}

#[inline(never)]
fn rare(op: Op, leaf: &Leaf, ty: u8, value: &[u8], sink: &mut impl Sink, place: Place) -> Fallible<()> {
    match op {
        Op::Number => {
            let (bytes, width) =
                number::convert(&leaf.kind, leaf.policy.convert, Type(ty), value).map_err(|why| refused(leaf, ty, value, why))?;
            sink.bytes(leaf.slot, place, width).copy_from_slice(&bytes[..width]);
        }
        Op::Datetime => {
            let ticks = ticks(leaf, i64::from_le_bytes(first(value))).map_err(|why| refused(leaf, ty, value, why))?;
            put(leaf, ticks.to_le_bytes(), sink, place)?;
        }
        Op::Hex => {
            let bytes = sink.bytes(leaf.slot, place, 24);
            for (pair, byte) in bytes.chunks_exact_mut(2).zip(value) {
                pair[0] = HEX[usize::from(byte >> 4)];
                pair[1] = HEX[usize::from(byte & 15)];
            }
        }
        Op::FixedText => {
            let text = text(leaf, value)?;
            text::utf32(&text, sink.bytes(leaf.slot, place, leaf.width), leaf.policy.truncate)
                .map_err(|why| refused(leaf, ty, value, why))?;
        }
        Op::FixedBytes => {
            let bytes = match Type(ty) {
                Type::STRING => text(leaf, value)?,
                _ => Cow::Borrowed(text::binary(value).map_err(|why| refused(leaf, ty, value, why))?.1),
            };
            text::padded(&bytes, sink.bytes(leaf.slot, place, leaf.width), leaf.policy.truncate, Type(ty) == Type::STRING)
                .map_err(|why| refused(leaf, ty, value, why))?;
        }
        Op::Text => {
            let text = text(leaf, value)?;
            sink.variable(leaf.slot, place, None, &text);
        }
        Op::FixedBinary | Op::Binary | Op::Uuid => {
            let (subtype, bytes) = text::binary(value).map_err(|why| refused(leaf, ty, value, why))?;
            let (wanted, size) = match leaf.kind {
                Kind::FixedBinary(size, subtype) => (subtype, Some(size)),
                Kind::Binary(subtype) => (subtype, None),
                Kind::Uuid(subtype) => (Some(subtype), Some(16)),
                _ => (None, None),
            };
            if wanted.is_some_and(|wanted| wanted != subtype) {
                return Err(refused(leaf, ty, value, ""));
            }
            match size {
                None => sink.variable(leaf.slot, place, None, bytes),
                Some(size) if size == bytes.len() => sink.bytes(leaf.slot, place, size).copy_from_slice(bytes),
                Some(size) if size < bytes.len() && leaf.policy.truncate => {
                    sink.bytes(leaf.slot, place, size).copy_from_slice(&bytes[..size]);
                }
                Some(_) => return Err(refused(leaf, ty, value, "")),
            }
        }
        Op::Decimal => {
            let Kind::ScaledDecimal { precision, scale } = leaf.kind else { return Err(refused(leaf, ty, value, "")) };
            let decimal = match Type(ty) {
                Type::INT32 => whole_decimal(i32::from_le_bytes(first(value)).into()),
                Type::INT64 => whole_decimal(i64::from_le_bytes(first(value))),
                _ => Decimal::of(first(value)),
            };
            let scaled = decimal
                .scaled(precision, scale, leaf.policy.convert == Convert::Lossy)
                .map_err(|why| refused(leaf, ty, value, why))?;
            put(leaf, scaled.to_le_bytes(), sink, place)?;
        }
        Op::Raw => {
            if leaf.kind == Kind::Object && Type(ty) == Type::STRING {
                text(leaf, value)?;
            } else {
                // Whoever gets these bytes takes them for BSON.
                validate::value(ty, value)?;
            }
            sink.variable(leaf.slot, place, Some(ty), value);
        }
        Op::Refuse | Op::Null | Op::Bool | Op::Copy4 | Op::Copy8 | Op::Copy12 | Op::Copy16 | Op::Int32ToF64 | Op::Int32ToI64 => {
            return Err(refused(leaf, ty, value, ""));
        }
    }
    Ok(())
}

const HEX: [u8; 16] = *b"0123456789abcdef";

fn whole_decimal(value: i64) -> Decimal {
    Decimal::Finite(value < 0, value.unsigned_abs().into(), 0)
}

/// The bytes of a string, which are UTF-8 or what the policy makes of them.
fn text<'v>(leaf: &Leaf, value: &'v [u8]) -> Fallible<Cow<'v, [u8]>> {
    let bytes = &value[4..value.len() - 1];
    if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
        return Ok(Cow::Borrowed(bytes));
    }
    if leaf.policy.replace_invalid {
        return Ok(Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes()));
    }
    Err(Fault::malformed("", "a string that is not UTF-8 (utf8=\"replace\" keeps the rest)"))
}

/// Milliseconds as ticks of the leaf's unit.
fn ticks(leaf: &Leaf, milliseconds: i64) -> Result<i64, &'static str> {
    let Kind::Datetime(unit) = leaf.kind else { return Err("") };
    scale_time(milliseconds, unit, leaf.policy.convert)
}

fn scale_time(milliseconds: i64, unit: Unit, convert: Convert) -> Result<i64, &'static str> {
    let ratio = unit.ratio();
    if ratio < 0 {
        return milliseconds.checked_mul(-ratio).ok_or("out of range for the unit");
    }
    if milliseconds % ratio != 0 && convert != Convert::Lossy {
        return Err("not a whole number of units; convert=\"lossy\" rounds down");
    }
    Ok(milliseconds.div_euclid(ratio))
}

/// A value that the field does not take, with the reason where the type alone does not say it.
#[cold]
pub fn refused(leaf: &Leaf, ty: u8, value: &[u8], why: &str) -> Box<Fault> {
    let found = describe(ty, value);
    Fault::new("", expected(&leaf.kind), if why.is_empty() { found } else { format!("{found} ({why})") })
}
