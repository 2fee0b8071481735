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

/// Writes the text from `at` to `end`, its length and terminator included, into a fixed width, padded with zeros.
///
/// Only ASCII that fits and needs no care; whether it was. Bytes behind the text are read and masked, which costs
/// less than a copy whose length nobody can predict.
#[inline(always)]
pub fn short(bytes: &[u8], at: usize, end: usize, out: &mut [u8]) -> bool {
    let length = end - at - 5;
    let width = out.len();
    let Some(window) = bytes.get(at + 4..at + 4 + width.next_multiple_of(8)) else { return false };
    if length > width || width > SHORT || (length > 0 && bytes[end - 2] == 0) {
        return false;
    }
    let (mut all, mut left) = (0, length);
    let (places, rest) = out.as_chunks_mut::<8>();
    let (words, _) = window.as_chunks::<8>();
    for (place, word) in places.iter_mut().zip(words) {
        let word = kept(*word, left);
        left = left.saturating_sub(8);
        all |= word;
        *place = word.to_le_bytes();
    }
    if let (size @ 1.., Some(word)) = (rest.len(), words.last()) {
        let word = kept(*word, left);
        all |= word;
        rest.copy_from_slice(&word.to_le_bytes()[..size]);
    }
    all & NOT_ASCII == 0
}

const NOT_ASCII: u64 = 0x8080_8080_8080_8080;

/// The first bytes of a word.
#[inline(always)]
fn kept(word: [u8; 8], bytes: usize) -> u64 {
    // In two shifts, as one cannot shift by 64; a branch would be guessed wrong half of the time.
    let bits = bytes.min(8) as u32 * 4;
    u64::from_le_bytes(word) & !(u64::MAX << bits << bits)
}

/// The same as UTF-32.
#[inline(always)]
pub fn short_utf32(bytes: &[u8], at: usize, end: usize, out: &mut [u8]) -> bool {
    let length = end - at - 5;
    let width = out.len() / 4;
    let Some(window) = bytes.get(at + 4..at + 4 + width.next_multiple_of(8)) else { return false };
    if length > width || width > SHORT || (length > 0 && bytes[end - 2] == 0) {
        return false;
    }
    let (mut all, mut left) = (0, length);
    let (places, rest) = out.as_chunks_mut::<32>();
    let (words, _) = window.as_chunks::<8>();
    for (place, word) in places.iter_mut().zip(words) {
        let word = kept(*word, left);
        left = left.saturating_sub(8);
        all |= word;
        *place = widened(word);
    }
    if let (size @ 1.., Some(word)) = (rest.len(), words.last()) {
        let word = kept(*word, left);
        all |= word;
        rest.copy_from_slice(&widened(word)[..size]);
    }
    all & NOT_ASCII == 0
}

/// Eight bytes as eight numbers of four bytes.
#[inline(always)]
fn widened(word: u64) -> [u8; 32] {
    let mut wide = [0; 32];
    for (place, byte) in word.to_le_bytes().into_iter().enumerate() {
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
