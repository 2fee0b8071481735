//! What is wrong with a document, in words.

use std::fmt;

use crate::element::{Type, first, int32};

/// What is wrong within a document; boxed, because it is made rarely and returned through hot code.
pub type Fallible<T> = Result<T, Box<Fault>>;

/// What is wrong within a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, with dots; empty for the document itself.
    pub path: String,
    /// What should have been there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// What is expected of bytes that are no BSON.
const VALID: &str = "valid BSON";

impl Fault {
    /// A value that is not what the field wants.
    #[cold]
    pub fn new(path: &str, expected: impl Into<String>, found: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { path: path.to_owned(), expected: expected.into(), found: found.into() })
    }

    /// Bytes that are no BSON.
    #[cold]
    pub fn malformed(path: &str, found: impl Into<String>) -> Box<Fault> {
        Fault::new(path, VALID, found)
    }

    /// Whether the bytes are no BSON, whatever was wanted of them.
    pub fn is_malformed(&self) -> bool {
        self.expected == VALID
    }

    /// The same, one level further up.
    #[cold]
    pub fn within(mut self: Box<Fault>, parent: &str) -> Box<Fault> {
        self.path = match (parent.is_empty(), self.path.is_empty()) {
            (true, _) => self.path,
            (_, true) => parent.to_owned(),
            _ => format!("{parent}.{}", self.path),
        };
        self
    }
}

/// A document that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The document's number, from 0.
    pub document: u64,
    /// Where the document starts.
    pub offset: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {} (byte {}): ", grouped(self.document), grouped(self.offset))?;
        if !self.fault.path.is_empty() {
            write!(f, "field \"{}\": ", self.fault.path)?;
        }
        write!(f, "expected {}, found {}", self.fault.expected, self.fault.found)
    }
}

impl std::error::Error for DecodeError {}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A value as errors show it: its type, and its text where that is short.
pub fn describe(ty: u8, value: &[u8]) -> String {
    let name = Type(ty).name();
    match Type(ty) {
        Type::DOUBLE => format!("{name} {:?}", f64::from_le_bytes(first(value))),
        Type::INT32 => format!("{name} {}", i32::from_le_bytes(first(value))),
        Type::INT64 => format!("{name} {}", i64::from_le_bytes(first(value))),
        Type::BOOL => format!("{name} {}", if value[0] == 0 { "false" } else { "true" }),
        Type::DATETIME => format!("{name} {} ms", i64::from_le_bytes(first(value))),
        Type::STRING | Type::SYMBOL => {
            let text = String::from_utf8_lossy(&value[4..value.len() - 1]);
            let mut short: String = text.chars().take(40).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            format!("{name} {short:?}")
        }
        Type::BINARY => format!("{name} of {} bytes, subtype {}", value.len() - 5, value[4]),
        Type::DOCUMENT | Type::ARRAY => format!("{name} of {} bytes", int32(value, 0).unwrap_or(0)),
        _ => name.to_owned(),
    }
}
