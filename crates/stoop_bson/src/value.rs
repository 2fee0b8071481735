//! One value into one place.

use crate::document::{absent_leaf, op_of};
use crate::element::{Type, first};
use crate::error::{Fallible, Fault, describe};
use crate::number;
use crate::op::{Op, expected};
use crate::plan::Leaf;
use crate::schema::{Convert, Kind, Unit};
use crate::sink::{Place, Sink};

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
        _ => return Err(refused(leaf, ty, value, "")),
    }
    Ok(())
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
