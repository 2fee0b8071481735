//! What is done with a value: one table from (kind of field, type of value) to an operation.

use crate::element::{DENSE, TYPES, Type, dense};
use crate::schema::{Convert, Kind, Unit};

/// What is done with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// The field does not take this type.
    Refuse,
    /// The field's policy for null.
    Null,
    /// A byte that must be 0 or 1.
    Bool,
    /// Four bytes as they are.
    Copy4,
    /// Eight bytes as they are.
    Copy8,
    /// Twelve bytes as they are.
    Copy12,
    /// Sixteen bytes as they are.
    Copy16,
    /// An int32 as a double.
    Int32ToF64,
    /// An int32 as an int64.
    Int32ToI64,
    /// Any other pair of numbers.
    Number,
    /// Milliseconds in another unit.
    Datetime,
    /// An ObjectId in digits.
    Hex,
    /// Text as UTF-32.
    FixedText,
    /// Text or bytes into a fixed width.
    FixedBytes,
    /// Text of any length.
    Text,
    /// A fixed number of bytes.
    FixedBinary,
    /// Bytes of any number.
    Binary,
    /// A UUID.
    Uuid,
    /// A decimal as a scaled integer.
    Decimal,
    /// The type and the value's bytes.
    Raw,
}

/// The operations of a field, by dense type.
pub type Ops = [Op; DENSE];

/// The operations of a kind of field.
pub fn ops(kind: &Kind, convert: Convert) -> Ops {
    let mut ops = [Op::Refuse; DENSE];
    for &ty in TYPES {
        ops[dense(ty.0)] = op(kind, ty, convert);
    }
    ops
}

fn is_number(ty: Type) -> bool {
    matches!(ty, Type::DOUBLE | Type::INT32 | Type::INT64)
}

fn op(kind: &Kind, ty: Type, convert: Convert) -> Op {
    let lossy = convert == Convert::Lossy;
    let strict = convert == Convert::Strict;
    match (kind, ty) {
        (Kind::Raw | Kind::Object, Type::UNDEFINED) => Op::Raw,
        (_, Type::NULL | Type::UNDEFINED) => Op::Null,
        (Kind::F64, Type::DOUBLE) | (Kind::Int(8), Type::INT64) => Op::Copy8,
        (Kind::Int(4), Type::INT32) => Op::Copy4,
        (Kind::F64, Type::INT32) if !strict => Op::Int32ToF64,
        (Kind::Int(8), Type::INT32) if !strict => Op::Int32ToI64,
        // A narrow or unsigned integer has no type of its own in BSON: int32 and int64 hold them.
        (Kind::F32, Type::DOUBLE) | (Kind::Int(1 | 2) | Kind::Uint(1 | 2), Type::INT32) => Op::Number,
        (Kind::Uint(_), Type::INT32 | Type::INT64) => Op::Number,
        (Kind::F64 | Kind::F32 | Kind::Int(_) | Kind::Uint(_), _) if is_number(ty) && !strict => Op::Number,
        (Kind::F64 | Kind::F32, Type::DECIMAL128) if lossy => Op::Number,
        (Kind::F64 | Kind::F32 | Kind::Int(_) | Kind::Uint(_), Type::BOOL) if lossy => Op::Number,
        (Kind::Bool, Type::BOOL) => Op::Bool,
        (Kind::Bool, _) if lossy && is_number(ty) => Op::Number,
        (Kind::Datetime(Unit::Milliseconds), Type::DATETIME) | (Kind::Timestamp, Type::TIMESTAMP) => Op::Copy8,
        (Kind::Datetime(_), Type::DATETIME) => Op::Datetime,
        (Kind::ObjectId, Type::OBJECT_ID) => Op::Copy12,
        (Kind::ObjectIdHex, Type::OBJECT_ID) => Op::Hex,
        (Kind::FixedText(_), Type::STRING) => Op::FixedText,
        (Kind::FixedBytes(_), Type::STRING | Type::BINARY) => Op::FixedBytes,
        (Kind::Text, Type::STRING) => Op::Text,
        (Kind::FixedBinary(..), Type::BINARY) => Op::FixedBinary,
        (Kind::Binary(_), Type::BINARY) => Op::Binary,
        (Kind::Uuid(_), Type::BINARY) => Op::Uuid,
        (Kind::Decimal, Type::DECIMAL128) => Op::Copy16,
        (Kind::ScaledDecimal { .. }, Type::DECIMAL128) => Op::Decimal,
        (Kind::ScaledDecimal { .. }, Type::INT32 | Type::INT64) if !strict => Op::Decimal,
        (Kind::Raw | Kind::Object, _) => Op::Raw,
        _ => Op::Refuse,
    }
}

/// The bytes a value takes; `None` for those of any length and for what consists of others.
pub fn width(kind: &Kind) -> Option<usize> {
    Some(match *kind {
        Kind::F64 | Kind::Datetime(_) | Kind::Timestamp => 8,
        Kind::F32 => 4,
        Kind::Int(size) | Kind::Uint(size) => size.into(),
        Kind::Bool => 1,
        Kind::ObjectId => 12,
        Kind::ObjectIdHex => 24,
        Kind::FixedText(characters) => characters * 4,
        Kind::FixedBytes(size) | Kind::FixedBinary(size, _) => size,
        Kind::Uuid(_) | Kind::Decimal | Kind::ScaledDecimal { .. } => 16,
        Kind::Null => 0,
        Kind::Text | Kind::Binary(_) | Kind::Raw | Kind::Object | Kind::Struct(_) | Kind::Array(..) | Kind::List(_) => {
            return None;
        }
    })
}

/// What errors say was expected.
pub fn expected(kind: &Kind) -> String {
    match kind {
        Kind::F64 => "float64".into(),
        Kind::F32 => "float32".into(),
        Kind::Int(size) => format!("int{}", u32::from(*size) * 8),
        Kind::Uint(size) => format!("uint{}", u32::from(*size) * 8),
        Kind::Bool => "bool".into(),
        Kind::Datetime(unit) => format!("datetime64[{}]", unit.name()),
        Kind::ObjectId | Kind::ObjectIdHex => "objectId".into(),
        Kind::FixedText(characters) => format!("string of at most {characters} characters"),
        Kind::FixedBytes(size) => format!("string of at most {size} bytes"),
        Kind::Text => "string".into(),
        Kind::FixedBinary(size, subtype) => format!("binary of {size} bytes{}", of_subtype(*subtype)),
        Kind::Binary(subtype) => format!("binary{}", of_subtype(*subtype)),
        Kind::Uuid(subtype) => format!("UUID (binary of 16 bytes, subtype {subtype})"),
        Kind::Decimal => "decimal128".into(),
        Kind::ScaledDecimal { precision, scale } => format!("decimal128({precision}, {scale})"),
        Kind::Timestamp => "timestamp".into(),
        Kind::Raw | Kind::Object => "any value".into(),
        Kind::Null => "null".into(),
        Kind::Struct(_) => "document".into(),
        Kind::Array(_, count) => format!("array of {count} items"),
        Kind::List(_) => "array".into(),
    }
}

fn of_subtype(subtype: Option<u8>) -> String {
    subtype.map(|subtype| format!(", subtype {subtype}")).unwrap_or_default()
}
