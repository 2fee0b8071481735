//! What a caller asks for: fields, their kinds, places and policies.

/// The fields of a result.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// In the order of the result.
    pub fields: Vec<Field>,
}

/// One field of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The names from the outermost document inwards.
    pub path: Vec<String>,
    /// What a column is called.
    pub name: String,
    /// The time zone of a column of times.
    pub zone: String,
    /// A column's offsets have 64 bits, in Arrow's large types.
    pub large: bool,
    /// What its values become.
    pub kind: Kind,
    /// What happens to values that are missing, null or do not fit.
    pub policy: Policy,
    /// Where it lies in a row, for results in rows.
    pub place: Option<RowPlace>,
}

/// Where a field lies in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowPlace {
    /// From the row's (or the surrounding item's) start.
    pub offset: usize,
    /// The same in a row of the mask.
    pub mask: Option<usize>,
    /// The distance of a fixed array's items; of the innermost, for several dimensions.
    pub stride: usize,
    /// The same in the mask.
    pub mask_stride: usize,
}

/// What a field's values become.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A double, rounded only where asked for.
    F64,
    /// A single.
    F32,
    /// A signed integer of this many bytes.
    Int(u8),
    /// An unsigned integer of this many bytes.
    Uint(u8),
    /// A byte, 0 or 1.
    Bool,
    /// Signed ticks of a unit since 1970.
    Datetime(Unit),
    /// 12 bytes.
    ObjectId,
    /// 24 hexadecimal digits.
    ObjectIdHex,
    /// UTF-32 in this many characters, the rest zeros.
    FixedText(usize),
    /// UTF-8 in this many bytes, the rest zeros.
    FixedBytes(usize),
    /// UTF-8 of any length.
    Text,
    /// Exactly this many bytes.
    FixedBinary(usize, Option<u8>),
    /// Bytes of any number.
    Binary(Option<u8>),
    /// 16 bytes of this subtype.
    Uuid(u8),
    /// The 16 bytes of a decimal as they are.
    Decimal,
    /// A 128-bit integer that counts units of a scale.
    ScaledDecimal {
        /// Digits.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// Seconds << 32 | increment.
    Timestamp,
    /// The type byte and the value's bytes.
    Raw,
    /// The same for results in rows, kept beside them.
    Object,
    /// Nothing but null.
    Null,
    /// An embedded document.
    Struct(Vec<Field>),
    /// A fixed number of items.
    Array(Box<Field>, usize),
    /// Any number of items.
    List(Box<Field>),
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Unit {
    Days,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Unit {
    /// The name in NumPy and Arrow.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Days => "D",
            Unit::Hours => "h",
            Unit::Minutes => "m",
            Unit::Seconds => "s",
            Unit::Milliseconds => "ms",
            Unit::Microseconds => "us",
            Unit::Nanoseconds => "ns",
        }
    }

    /// Milliseconds a tick, for units of at least one; else ticks a millisecond, negative.
    pub(crate) fn ratio(self) -> i64 {
        match self {
            Unit::Days => 86_400_000,
            Unit::Hours => 3_600_000,
            Unit::Minutes => 60_000,
            Unit::Seconds => 1000,
            Unit::Milliseconds => 1,
            Unit::Microseconds => -1000,
            Unit::Nanoseconds => -1_000_000,
        }
    }
}

/// What happens to values that are missing, null or do not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// A document without the field.
    pub missing: Absent,
    /// A field that is null.
    pub null: Absent,
    /// The bytes that stand for absent values.
    pub fill: Vec<u8>,
    /// Between types of numbers.
    pub convert: Convert,
    /// Cut texts that are too long, instead of refusing them.
    pub truncate: bool,
    /// Arrays of fewer items than asked for are filled up with missing ones, instead of being refused.
    pub pad: bool,
    /// Put the replacement character where text is no UTF-8, instead of refusing it.
    pub replace_invalid: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            missing: Absent::Error,
            null: Absent::Error,
            fill: Vec::new(),
            convert: Convert::Exact,
            truncate: false,
            pad: false,
            replace_invalid: false,
        }
    }
}

/// What an absent value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Absent {
    Error,
    Fill,
    Mask,
}

/// Which conversions are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convert {
    /// None: the field's own type only.
    Strict,
    /// Those that keep the value.
    Exact,
    /// Those that round, too; never those that wrap or invent a value.
    Lossy,
}
