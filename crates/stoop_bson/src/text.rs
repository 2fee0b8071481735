//! Strings and bytes into fixed widths.

use crate::element::int32;

const TOO_LONG: &str = "too long; overflow=\"truncate\" cuts";
const ENDS_WITH_NUL: &str = "ends with NUL, which a fixed width cannot tell from its padding";

/// Writes UTF-8 as UTF-32, padded with zeros.
pub fn utf32(utf8: &[u8], out: &mut [u8], truncate: bool) -> Result<(), &'static str> {
    if utf8.last() == Some(&0) {
        return Err(ENDS_WITH_NUL);
    }
    let mut places = out.chunks_exact_mut(4);
    if utf8.is_ascii() {
        if utf8.len() > places.len() && !truncate {
            return Err(TOO_LONG);
        }
        for (place, byte) in places.by_ref().zip(utf8) {
            place.copy_from_slice(&u32::from(*byte).to_le_bytes());
        }
    } else {
        // The caller has made sure that it is UTF-8.
        for character in std::str::from_utf8(utf8).unwrap_or_default().chars() {
            match places.next() {
                Some(place) => place.copy_from_slice(&u32::from(character).to_le_bytes()),
                None if truncate => break,
                None => return Err(TOO_LONG),
            }
        }
    }
    for place in places {
        place.fill(0);
    }
    Ok(())
}

/// Writes bytes padded with zeros; text is cut between characters.
pub fn padded(bytes: &[u8], out: &mut [u8], truncate: bool, is_text: bool) -> Result<(), &'static str> {
    if bytes.last() == Some(&0) {
        return Err(ENDS_WITH_NUL);
    }
    let mut size = bytes.len();
    if size > out.len() {
        if !truncate {
            return Err(TOO_LONG);
        }
        size = out.len();
        while is_text && size > 0 && bytes[size] & 0xC0 == 0x80 {
            size -= 1;
        }
    }
    out[..size].copy_from_slice(&bytes[..size]);
    out[size..].fill(0);
    Ok(())
}

/// The subtype and the bytes of a binary; the old subtype 2 has a length of its own inside.
pub fn binary(value: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let (subtype, bytes) = (value[4], &value[5..]);
    if subtype != 2 {
        return Ok((subtype, bytes));
    }
    match int32(bytes, 0) {
        Some(size) if size as usize == bytes.len() - 4 => Ok((subtype, &bytes[4..])),
        _ => Err("of subtype 2, whose inner length is wrong"),
    }
}
