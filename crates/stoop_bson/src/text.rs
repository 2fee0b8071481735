//! Strings and bytes into fixed widths.

use crate::element::{first, int32};
use crate::op::Op;
use crate::sink::SHORT_TEXT;

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
        // The text first: an iterator that ends second has lost one place to the zip.
        for (byte, place) in utf8.iter().zip(places.by_ref()) {
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

/// Where the text whose length is at `at` ends, if it ends with NUL.
#[inline(always)]
pub fn end(bytes: &[u8], at: usize) -> Option<usize> {
    let length = int32(bytes, at)?;
    if length < 1 {
        return None;
    }
    let end = at + 4 + length as usize;
    (*bytes.get(end - 1)? == 0).then_some(end)
}

/// Texts up to this many characters are written without asking how long they are.
const SHORT: usize = 64;

/// Writes the text from `at` to `end`, its length and terminator included, into a fixed width, as it is or as UTF-32,
/// padded with zeros.
///
/// Only ASCII that fits and needs no care; whether it was. Bytes behind the text are read and masked, which costs
/// less than a copy whose length nobody can predict.
#[inline(always)]
pub fn short(op: Op, bytes: &[u8], at: usize, end: usize, out: &mut [u8]) -> bool {
    match (op, out.len()) {
        (Op::FixedBytes, 0..2) => chunks::<1, 1>(bytes, at, end, out, |text| text),
        (Op::FixedBytes, 2..4) => chunks::<2, 2>(bytes, at, end, out, |text| text),
        (Op::FixedBytes, 4..8) => chunks::<4, 4>(bytes, at, end, out, |text| text),
        (Op::FixedBytes, 8..16) => chunks::<8, 8>(bytes, at, end, out, |text| text),
        (Op::FixedBytes, _) => chunks::<16, 16>(bytes, at, end, out, |text| text),
        (Op::FixedText, 0..8) => chunks::<1, 4>(bytes, at, end, out, widened),
        (Op::FixedText, 8..16) => chunks::<2, 8>(bytes, at, end, out, widened),
        (Op::FixedText, 16..32) => chunks::<4, 16>(bytes, at, end, out, widened),
        (Op::FixedText, _) => chunks::<8, 32>(bytes, at, end, out, widened),
        _ => false,
    }
}

/// The text from `at` to `end`, its length and terminator included, and what lies behind it; and its length. Only ASCII
/// that is short.
#[inline(always)]
pub fn short_ascii(bytes: &[u8], at: usize, end: usize) -> Option<(&[u8; SHORT_TEXT], usize)> {
    let length = end - at - 5;
    let window: &[u8; SHORT_TEXT] = bytes.get(at + 4..at + 4 + SHORT_TEXT)?.first_chunk()?;
    let mut all = [0; 16];
    for (number, chunk) in window.as_chunks::<16>().0.iter().enumerate() {
        let left = length.saturating_sub(number * 16).min(16);
        let kept: [u8; 16] = first(&KEPT[16 - left..]);
        for place in 0..16 {
            all[place] |= chunk[place] & kept[place];
        }
    }
    (length <= SHORT_TEXT && all.iter().fold(0, |all, byte| all | byte) & 0x80 == 0).then_some((window, length))
}

/// Ones, as many as are to be kept, and zeros: a mask of any length is cut from it.
const KEPT: [u8; 32] = {
    let mut kept = [0; 32];
    kept.split_at_mut(16).0.copy_from_slice(&[0xFF; 16]);
    kept
};

/// Writes `N` characters at a time as `M` bytes.
#[inline(always)]
fn chunks<const N: usize, const M: usize>(
    bytes: &[u8],
    at: usize,
    end: usize,
    out: &mut [u8],
    form: impl Fn([u8; N]) -> [u8; M],
) -> bool {
    let (text, length, width) = (at + 4, end - at - 5, out.len() / (M / N));
    let Some(window) = bytes.get(text..text + width) else { return false };
    if length > width || width > SHORT || (length > 0 && bytes[end - 2] == 0) {
        return false;
    }
    let mut all = [0; N];
    let last = width.saturating_sub(N);
    let mut start = 0;
    while start < width {
        // The last ones may overlap those before.
        let from = start.min(last);
        let left = length.saturating_sub(from).min(N);
        let (mut chunk, kept): ([u8; N], [u8; N]) = (first(&window[from..]), first(&KEPT[16 - left..]));
        for place in 0..N {
            chunk[place] &= kept[place];
            all[place] |= chunk[place];
        }
        out[from * (M / N)..][..M].copy_from_slice(&form(chunk));
        start += N;
    }
    all.iter().fold(0, |all, byte| all | byte) & 0x80 == 0
}

/// Each byte as a number of four.
#[inline(always)]
fn widened<const N: usize, const M: usize>(text: [u8; N]) -> [u8; M] {
    let mut wide = [0; M];
    for (place, byte) in text.into_iter().enumerate() {
        wide[place * 4] = byte;
    }
    wide
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
