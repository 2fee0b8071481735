//! Columns in the layout of Arrow into documents: the way back.

use crate::element::{self, Type};
use crate::encode::{EncodeError, Objects, Writer, hex_id, milliseconds};
use crate::schema::Unit;
use crate::validate;

/// How a column's values become BSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Integers of so many bytes.
    Int(usize),
    /// The same without a sign.
    Uint(usize),
    /// Of four or eight bytes.
    Float(usize),
    /// A bit each.
    Bool,
    /// Ticks of four or eight bytes.
    Time(usize, Unit),
    /// Seconds << 32 | increment.
    Timestamp,
    /// Twelve bytes.
    ObjectId,
    /// Text of 24 hexadecimal digits.
    HexId,
    /// UTF-8.
    Text,
    /// Bytes of a subtype.
    Binary(u8),
    /// A type byte and a value.
    Raw,
    /// Decimals as they are, in sixteen bytes.
    Decimal,
    /// Integers of sixteen bytes that count units of a scale.
    Scaled(i32),
    /// Nothing but null.
    Null,
    /// Any number of items.
    List,
    /// So many items.
    FixedList(usize),
    /// An embedded document.
    Document,
}

/// Where values of more than a few bytes lie.
#[derive(Clone, Copy, Debug)]
pub enum Extents<'a> {
    /// All of one size.
    Fixed(usize),
    /// Between offsets of 32 bits.
    Short(&'a [u8]),
    /// Between offsets of 64 bits.
    Long(&'a [u8]),
}

/// A column, in the layout of Arrow.
#[derive(Clone, Debug)]
pub struct ColumnIn<'a> {
    /// The field's name.
    pub name: String,
    /// What its values become.
    pub form: Form,
    /// Values to skip in all buffers.
    pub offset: usize,
    /// A bit a value, 0 for null; `None` where there is no null.
    pub validity: Option<&'a [u8]>,
    /// Where values begin and end.
    pub extents: Extents<'a>,
    /// Their bytes.
    pub values: &'a [u8],
    /// The fields of documents, the items of lists.
    pub children: Vec<ColumnIn<'a>>,
}

const SHORT: &str = "a buffer has fewer values than its column";

fn bit(bits: &[u8], at: usize) -> Option<bool> {
    bits.get(at / 8).map(|byte| byte >> (at % 8) & 1 != 0)
}

impl<'a> ColumnIn<'a> {
    fn is_null(&self, index: usize) -> Result<bool, String> {
        if self.form == Form::Null {
            return Ok(true);
        }
        match self.validity {
            Some(bits) => bit(bits, index).map(|valid| !valid).ok_or_else(|| SHORT.to_owned()),
            None => Ok(false),
        }
    }

    fn extent(&self, index: usize) -> Option<(usize, usize)> {
        let number = |bytes: &[u8], at: usize, size: usize| {
            let mut wide = [0; 8];
            wide[..size].copy_from_slice(bytes.get(at.checked_mul(size)?..)?.get(..size)?);
            usize::try_from(u64::from_le_bytes(wide)).ok()
        };
        match self.extents {
            Extents::Fixed(width) => Some((index.checked_mul(width)?, index.checked_add(1)?.checked_mul(width)?)),
            Extents::Short(bytes) => Some((number(bytes, index, 4)?, number(bytes, index.checked_add(1)?, 4)?)),
            Extents::Long(bytes) => Some((number(bytes, index, 8)?, number(bytes, index.checked_add(1)?, 8)?)),
        }
    }

    fn bytes(&self, index: usize) -> Result<&'a [u8], String> {
        self.extent(index).and_then(|(start, end)| self.values.get(start..end)).ok_or_else(|| SHORT.to_owned())
    }

    /// So many bytes of each value, widened to eight with their sign or without.
    fn whole(&self, index: usize, size: usize, signed: bool) -> Result<[u8; 8], String> {
        let bytes = self.values.get(index.saturating_mul(size)..).and_then(|rest| rest.get(..size)).ok_or(SHORT)?;
        let negative = signed && bytes[size - 1] & 0x80 != 0;
        let mut wide = if negative { [0xFF; 8] } else { [0; 8] };
        wide[..size].copy_from_slice(bytes);
        Ok(wide)
    }
}

/// Encodes the rows of columns as documents, back to back. Nulls are left out, or written as null with `keep_nulls`.
pub fn encode(columns: &[ColumnIn<'_>], rows: std::ops::Range<usize>, keep_nulls: bool) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let none = Objects::new();
    let (first, number) = (rows.start, rows.len());
    for row in rows {
        let mut writer = Writer { out: &mut out, objects: &none, row, path: Vec::new() };
        let done = document(&mut writer, columns, row, keep_nulls);
        done.map_err(|problem| {
            // Noted from the inside outwards, by those that it passed.
            writer.path.reverse();
            EncodeError { row, path: writer.path.join("."), problem }
        })?;
        if row == first {
            // Most rows are as long as the first.
            out.reserve_exact(out.len().saturating_mul(number - 1));
        }
    }
    Ok(out)
}

fn document(writer: &mut Writer<'_>, columns: &[ColumnIn<'_>], row: usize, keep_nulls: bool) -> Result<(), String> {
    let start = writer.open();
    for column in columns {
        let index = row.saturating_add(column.offset);
        let done = match column.is_null(index) {
            Ok(false) => value(writer, &column.name, column, index, keep_nulls),
            Ok(true) if keep_nulls => {
                writer.put(Type::NULL, &column.name, &[]);
                Ok(())
            }
            Ok(true) => Ok(()),
            Err(problem) => Err(problem),
        };
        if done.is_err() {
            writer.path.push(column.name.clone());
            return done;
        }
    }
    writer.close(start)
}

fn value(writer: &mut Writer<'_>, name: &str, column: &ColumnIn<'_>, index: usize, keep_nulls: bool) -> Result<(), String> {
    match column.form {
        Form::Int(8) => writer.put(Type::INT64, name, &column.whole(index, 8, true)?),
        Form::Int(size) => writer.put(Type::INT32, name, &column.whole(index, size, true)?[..4]),
        Form::Uint(size @ 1..4) => writer.put(Type::INT32, name, &column.whole(index, size, false)?[..4]),
        Form::Uint(size) => {
            let wide = column.whole(index, size, false)?;
            if wide[7] & 0x80 != 0 {
                return Err(format!("{} is too large for BSON's int64", u64::from_le_bytes(wide)));
            }
            writer.put(Type::INT64, name, &wide);
        }
        Form::Float(8) => writer.put(Type::DOUBLE, name, &column.whole(index, 8, false)?),
        Form::Float(_) => {
            let wide = column.whole(index, 4, false)?;
            let number = f32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]]);
            writer.put(Type::DOUBLE, name, &f64::from(number).to_le_bytes());
        }
        Form::Bool => {
            let set = bit(column.values, index).ok_or(SHORT)?;
            writer.put(Type::BOOL, name, &[set.into()]);
        }
        Form::Time(size, unit) => {
            let ticks = i64::from_le_bytes(column.whole(index, size, true)?);
            // The least value is a time like others in Arrow.
            let time = milliseconds(ticks, unit)?.ok_or("a date beyond BSON's milliseconds")?;
            writer.put(Type::DATETIME, name, &time.to_le_bytes());
        }
        Form::Timestamp => writer.put(Type::TIMESTAMP, name, &column.whole(index, 8, false)?),
        Form::ObjectId => {
            let id = column.bytes(index)?;
            if id.len() != 12 {
                return Err(format!("an ObjectId of {} bytes, not 12", id.len()));
            }
            writer.put(Type::OBJECT_ID, name, id);
        }
        Form::HexId => writer.put(Type::OBJECT_ID, name, &hex_id(column.bytes(index)?)?),
        Form::Text => {
            let text = std::str::from_utf8(column.bytes(index)?).map_err(|_| "text that is no UTF-8")?;
            sized(text.len())?;
            writer.text(name, text);
        }
        Form::Binary(subtype) => {
            let bytes = column.bytes(index)?;
            sized(bytes.len())?;
            writer.binary(name, subtype, bytes);
        }
        Form::Raw => {
            let [ty, value @ ..] = column.bytes(index)? else { return Err("raw bytes without a type".into()) };
            let whole = element::value_size(*ty, value) == Ok(value.len());
            if !whole || validate::value(*ty, value).is_err() {
                return Err("raw bytes that are no BSON value".into());
            }
            writer.put(Type(*ty), name, value);
        }
        Form::Decimal => {
            let bytes = column.values.get(index.saturating_mul(16)..).and_then(|rest| rest.get(..16)).ok_or(SHORT)?;
            writer.put(Type::DECIMAL128, name, bytes);
        }
        Form::Scaled(scale) => {
            let bytes = column.values.get(index.saturating_mul(16)..).and_then(|rest| rest.first_chunk()).ok_or(SHORT)?;
            writer.put(Type::DECIMAL128, name, &decimal(i128::from_le_bytes(*bytes), scale)?.to_le_bytes());
        }
        Form::Null => writer.put(Type::NULL, name, &[]),
        Form::List | Form::FixedList(_) => {
            let [items] = &column.children[..] else { return Err("a list without items".into()) };
            let (first, last) = match column.form {
                Form::FixedList(count) => (index.saturating_mul(count), (index + 1).saturating_mul(count)),
                _ => column.extent(index).ok_or(SHORT)?,
            };
            writer.name(Type::ARRAY, name);
            let start = writer.open();
            for (number, item) in (first..last).enumerate() {
                let (key, at) = (number.to_string(), item.saturating_add(items.offset));
                // A list keeps its places.
                if items.is_null(at)? {
                    writer.put(Type::NULL, &key, &[]);
                } else if let Err(problem) = value(writer, &key, items, at, keep_nulls) {
                    writer.path.push(key);
                    return Err(problem);
                }
            }
            writer.close(start)?;
        }
        Form::Document => {
            writer.name(Type::DOCUMENT, name);
            document(writer, &column.children, index, keep_nulls)?;
        }
    }
    Ok(())
}

fn sized(bytes: usize) -> Result<(), String> {
    if bytes < i32::MAX as usize - 16 { Ok(()) } else { Err("a value of more than 2 GB".into()) }
}

/// A decimal of BSON: `coefficient` / 10^`scale`.
fn decimal(coefficient: i128, scale: i32) -> Result<u128, String> {
    const MOST: u128 = 10u128.pow(34);
    let (mut digits, mut exponent) = (coefficient.unsigned_abs(), -scale);
    while digits >= MOST && digits.is_multiple_of(10) {
        (digits, exponent) = (digits / 10, exponent + 1);
    }
    if digits >= MOST {
        return Err("a decimal of more than 34 digits, which BSON cannot hold exactly".into());
    }
    let biased = u128::try_from(exponent + 6176).ok().filter(|biased| *biased < 12288);
    let biased = biased.ok_or("a decimal whose exponent BSON cannot hold")?;
    Ok(u128::from(coefficient < 0) << 127 | biased << 113 | digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Decimal;

    fn column<'a>(name: &str, form: Form, values: &'a [u8]) -> ColumnIn<'a> {
        let extents = Extents::Fixed(0);
        ColumnIn { name: name.into(), form, offset: 0, validity: None, extents, values, children: Vec::new() }
    }

    #[test]
    fn nulls_are_left_out_or_kept() {
        let mut numbers = column("n", Form::Int(2), &[1, 0, 0xFF, 0xFF]);
        numbers.validity = Some(&[0b10]);
        let columns = [numbers];
        assert_eq!(encode(&columns, 0..2, false).unwrap(), b"\x05\0\0\0\0\x0C\0\0\0\x10n\0\xFF\xFF\xFF\xFF\0");
        assert_eq!(encode(&columns, 0..1, true).unwrap(), b"\x08\0\0\0\x0An\0\0");
    }

    #[test]
    fn lists_of_documents() {
        let item = ColumnIn { children: vec![column("x", Form::Bool, &[0b110])], ..column("item", Form::Document, &[]) };
        let offsets = [1i32, 3].map(i32::to_le_bytes).concat();
        let list = ColumnIn { extents: Extents::Short(&offsets), children: vec![item], ..column("l", Form::List, &[]) };
        let one = |key: &str| [b"\x03", key.as_bytes(), b"\0\x09\0\0\0\x08x\0\x01\0"].concat();
        let items = [one("0"), one("1")].concat();
        let array = [&(items.len() as i32 + 5).to_le_bytes()[..], &items, b"\0"].concat();
        let whole = [&(array.len() as i32 + 8).to_le_bytes()[..], b"\x04l\0", &array, b"\0"].concat();
        assert_eq!(encode(&[list], 0..1, false).unwrap(), whole);
    }

    #[test]
    fn decimals_keep_their_value() {
        let back = |coefficient, scale| Decimal::of(decimal(coefficient, scale).unwrap().to_le_bytes());
        assert_eq!(back(-12345, 2).to_f64(), -123.45);
        assert_eq!(back(7 * 10i128.pow(36), 0).to_f64(), 7e36);
        assert!(decimal(10i128.pow(35) + 1, 0).unwrap_err().contains("34 digits"));
        assert!(decimal(1, 7000).unwrap_err().contains("exponent"));
    }

    #[test]
    fn errors_say_where() {
        let inner = ColumnIn { children: vec![column("x", Form::Uint(8), &[0xFF; 8])], ..column("item", Form::Document, &[]) };
        let list = ColumnIn { children: vec![inner], ..column("l", Form::FixedList(1), &[]) };
        let outer = ColumnIn { children: vec![list], ..column("d", Form::Document, &[]) };
        assert_eq!(encode(&[outer], 0..1, false).unwrap_err().path, "d.l.0.x");
    }

    #[test]
    fn what_bson_cannot_hold_is_refused() {
        let problem = |column: ColumnIn<'_>| encode(&[column], 0..1, false).unwrap_err().problem;
        assert!(problem(column("n", Form::Uint(8), &[0xFF; 8])).contains("too large"));
        assert!(problem(column("n", Form::Int(8), &[0; 4])).contains("fewer"));
        let text = |values| ColumnIn { extents: Extents::Fixed(2), ..column("t", Form::Text, values) };
        assert!(problem(text(&[0xFF, 0])).contains("UTF-8"));
        let raw = |values| ColumnIn { extents: Extents::Fixed(2), ..column("r", Form::Raw, values) };
        assert!(problem(raw(&[1, 0])).contains("no BSON value"));
        assert!(problem(raw(&[8, 7])).contains("no BSON value"));
        let time = column("t", Form::Time(8, Unit::Microseconds), &[1, 0, 0, 0, 0, 0, 0, 0]);
        assert!(problem(time).contains("exactly"));
    }
}
