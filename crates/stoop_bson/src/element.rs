//! The elements of a BSON document: their types, names and sizes.

/// The type byte of an element.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Type(pub u8);

/// How the length of a value is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Always this many bytes.
    Fixed(u8),
    /// A length, then that many bytes, the last of them NUL.
    Text,
    /// A length that counts itself and the terminator.
    Document,
    /// A length, a subtype, then that many bytes.
    Binary,
    /// Two strings that end with NUL.
    Regex,
    /// Text and an ObjectId.
    Pointer,
    /// A length that counts itself, text, a document.
    Scoped,
    /// No such type.
    Unknown,
}

macro_rules! types {
    ($($constant:ident = $byte:literal, $name:literal, $extent:expr;)*) => {
        impl Type {
            $(#[doc = concat!("The type `", $name, "`.")] pub const $constant: Type = Type($byte);)*

            /// The name that errors and statistics use; those of the BSON specification's aliases.
            pub fn name(self) -> &'static str {
                match self.0 { $($byte => $name,)* _ => "an unknown type" }
            }

            /// How the length of a value of this type is found.
            pub const fn extent(self) -> Extent {
                match self.0 { $($byte => $extent,)* _ => Extent::Unknown }
            }
        }

        /// All types there are.
        pub const TYPES: &[Type] = &[$(Type::$constant),*];
    };
}

types! {
    DOUBLE = 0x01, "double", Extent::Fixed(8);
    STRING = 0x02, "string", Extent::Text;
    DOCUMENT = 0x03, "document", Extent::Document;
    ARRAY = 0x04, "array", Extent::Document;
    BINARY = 0x05, "binary", Extent::Binary;
    UNDEFINED = 0x06, "undefined", Extent::Fixed(0);
    OBJECT_ID = 0x07, "objectId", Extent::Fixed(12);
    BOOL = 0x08, "bool", Extent::Fixed(1);
    DATETIME = 0x09, "date", Extent::Fixed(8);
    NULL = 0x0A, "null", Extent::Fixed(0);
    REGEX = 0x0B, "regex", Extent::Regex;
    DB_POINTER = 0x0C, "dbPointer", Extent::Pointer;
    CODE = 0x0D, "javascript", Extent::Text;
    SYMBOL = 0x0E, "symbol", Extent::Text;
    CODE_WITH_SCOPE = 0x0F, "javascriptWithScope", Extent::Scoped;
    INT32 = 0x10, "int32", Extent::Fixed(4);
    TIMESTAMP = 0x11, "timestamp", Extent::Fixed(8);
    INT64 = 0x12, "int64", Extent::Fixed(8);
    DECIMAL128 = 0x13, "decimal128", Extent::Fixed(16);
    MAX_KEY = 0x7F, "maxKey", Extent::Fixed(0);
    MIN_KEY = 0xFF, "minKey", Extent::Fixed(0);
}

/// A dense number for a type: the index into tables that have one row a type.
pub const fn dense(ty: u8) -> usize {
    match ty {
        0x7F => 0x14,
        0xFF => 0x15,
        0x01..=0x13 => ty as usize,
        _ => 0,
    }
}

/// Rows in a table indexed by [`dense`].
pub const DENSE: usize = 0x16;

/// Sizes of values by type byte; above 0xF0 the ways to find them.
const SIZES: [u8; 256] = {
    let mut sizes = [UNKNOWN; 256];
    let mut byte = 0;
    while byte < 256 {
        sizes[byte] = match Type(byte as u8).extent() {
            Extent::Fixed(size) => size,
            Extent::Text => TEXT,
            Extent::Document => DOCUMENT,
            Extent::Binary => BINARY,
            Extent::Regex => REGEX,
            Extent::Pointer => POINTER,
            Extent::Scoped => SCOPED,
            Extent::Unknown => UNKNOWN,
        };
        byte += 1;
    }
    sizes
};
const TEXT: u8 = 0xF1;
const DOCUMENT: u8 = 0xF2;
const BINARY: u8 = 0xF3;
const REGEX: u8 = 0xF4;
const POINTER: u8 = 0xF5;
const SCOPED: u8 = 0xF6;
const UNKNOWN: u8 = 0xFF;

/// The first bytes of a slice that has at least as many.
#[inline(always)]
pub fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

/// The int32 at a place, if it lies within the bytes.
#[inline(always)]
pub fn int32(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The size of the value of type `ty` at the start of `bytes`, which end where the document's elements end.
///
/// Only what is needed to step over the value is checked, and that the last byte of text and of documents is
/// NUL. An `Err` says what is wrong, in words that follow "found".
#[inline(always)]
pub fn value_size(ty: u8, bytes: &[u8]) -> Result<usize, &'static str> {
    let size = SIZES[ty as usize];
    if size < 0xF0 {
        return if usize::from(size) <= bytes.len() { Ok(size.into()) } else { Err(CUT) };
    }
    variable_size(size, bytes)
}

/// The size of values of a type that has one for all.
#[inline(always)]
pub fn fixed_size(ty: u8) -> Option<usize> {
    let size = SIZES[ty as usize];
    (size < 0xF0).then_some(size.into())
}

/// A value of a fixed size that does not fit.
pub const CUT: &str = "a value that runs past the end of its document";

fn variable_size(way: u8, bytes: &[u8]) -> Result<usize, &'static str> {
    if way == UNKNOWN {
        return Err("an element of unknown type");
    }
    if way == REGEX {
        let pattern = bytes.iter().position(|&b| b == 0).ok_or("a regex without an end")? + 1;
        let options = bytes[pattern..].iter().position(|&b| b == 0).ok_or("a regex without an end")? + 1;
        return Ok(pattern + options);
    }
    let length = int32(bytes, 0).ok_or(CUT)?;
    let length = usize::try_from(length).map_err(|_| "a negative length")?;
    let ends_with_nul = |size: usize, problem| match bytes.get(size - 1) {
        Some(0) => Ok(size),
        Some(_) => Err(problem),
        None => Err(CUT),
    };
    match way {
        TEXT | POINTER if length == 0 => Err("a string of length 0 (the terminator counts)"),
        TEXT => ends_with_nul(length + 4, "a string without its terminator"),
        POINTER => {
            ends_with_nul(length + 4, "a string without its terminator")?;
            if length + 16 <= bytes.len() { Ok(length + 16) } else { Err(CUT) }
        }
        BINARY => {
            if length + 5 <= bytes.len() {
                Ok(length + 5)
            } else {
                Err(CUT)
            }
        }
        SCOPED if length < 14 => Err("a code with scope that is too short"),
        DOCUMENT if length < 5 => Err("a document of fewer than 5 bytes"),
        _ => ends_with_nul(length, "a document without its terminator"),
    }
}

/// Where the first NUL at or after `at` lies.
#[inline(always)]
pub fn find_nul(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let zeros = zero_bytes(u64::from_le_bytes(*word));
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    Some(at + bytes.get(at..)?.iter().position(|&b| b == 0)?)
}

/// The high bit of the first byte that is zero; bits above it mean nothing.
#[inline(always)]
pub fn zero_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    word.wrapping_sub(LOW) & !word & (LOW << 7)
}
