//! Strings: single characters, comparisons, appending, slices.
//!
//! # Safety
//! Every helper here borrows live exact strings (unless its row in the table says "steals") and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ptr::null_mut;
use std::sync::OnceLock;

use stoop_cpython::capi::{self, Obj};
use stoop_cpython::layout;
use stoop_cpython::objects;
use stoop_cpython::type_ptr;

use super::ffi;

/// The strings of the first 256 characters, which the interpreter keeps for good.
pub fn characters() -> &'static [usize; 256] {
    static TABLE: OnceLock<[usize; 256]> = OnceLock::new();
    // SAFETY: the GIL is held; these strings are immortal.
    TABLE.get_or_init(|| std::array::from_fn(|c| unsafe { ffi::PyUnicode_FromOrdinal(c as i32) as usize }))
}

/// A character of a string, for example: one that is kept for good.
///
/// # Safety
/// A live exact string.
pub unsafe fn example_character(text: Obj) -> Option<u64> {
    // SAFETY: the caller's string.
    let first = unsafe { (objects::str_length(text) > 0).then(|| objects::str_char(text, 0))? };
    Some(characters()[(first as usize).min(255)] as u64)
}

/// The character at a position in range, as a string.
pub unsafe extern "C" fn str_item(text: Obj, position: i64) -> Obj {
    // SAFETY: the caller's string and position.
    unsafe { str_chr(i64::from(objects::str_char(text, position as usize))) }
}

/// The number of the only character; -1 if there is not just one.
pub unsafe extern "C" fn str_ord(text: Obj) -> i64 {
    // SAFETY: the caller's string.
    unsafe { if objects::str_length(text) == 1 { objects::str_char(text, 0).into() } else { -1 } }
}

/// The character of a number, as a string; NULL, without exception, if there is none.
pub unsafe extern "C" fn str_chr(number: i64) -> Obj {
    let Ok(number) = i32::try_from(number) else { return null_mut() };
    // SAFETY: any number may be asked for; the error is the interpreter's to raise.
    unsafe {
        let made = ffi::PyUnicode_FromOrdinal(number);
        if made.is_null() {
            capi::PyErr_Clear();
        }
        made
    }
}

/// An int in decimal.
pub unsafe extern "C" fn str_of(number: i64) -> Obj {
    let mut digits = [0u8; 20];
    let (mut at, mut rest) = (digits.len(), number.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    let text = &digits[at..];
    // SAFETY: a fresh ASCII string of that length is filled before anybody sees it.
    unsafe {
        let made = ffi::PyUnicode_New(text.len() as isize, 127);
        if !made.is_null() {
            objects::fill_ascii(made, text);
        }
        made
    }
}

/// A part of a str, bytes object or tuple; bounds as in a slice.
pub unsafe extern "C" fn slice(of: Obj, start: i64, stop: i64) -> Obj {
    let l = layout::get();
    // SAFETY: an exact instance of one of these.
    unsafe {
        let ty = capi::type_of(of);
        let text = ty == type_ptr!(PyUnicode_Type);
        let len = if text { objects::str_length(of) as i64 } else { layout::read::<i64, _>(of, l.ob_size) };
        let place = |i: i64| if i < 0 { i.saturating_add(len).max(0) } else { i.min(len) };
        let start = place(start);
        let stop = place(stop).max(start);
        if start == 0 && stop == len {
            return capi::new_ref(of);
        }
        if text {
            if stop - start == 1 {
                return str_item(of, start);
            }
            return ffi::PyUnicode_Substring(of, start as isize, stop as isize);
        }
        if ty == type_ptr!(PyBytes_Type) {
            let first = objects::bytes_slice(of).as_ptr().offset(start as isize);
            return capi::PyBytes_FromStringAndSize(first.cast(), (stop - start) as isize);
        }
        capi::PyTuple_GetSlice(of, start as isize, stop as isize)
    }
}

/// Whether two strings are equal.
pub unsafe extern "C" fn str_equal(a: Obj, b: Obj) -> i32 {
    // SAFETY: the caller's strings. Each has the narrowest form there is: equal ones have the same.
    unsafe { i32::from(objects::str_bytes(a) == objects::str_bytes(b)) }
}

/// How two strings are ordered.
pub unsafe extern "C" fn str_order(a: Obj, b: Obj) -> i32 {
    // SAFETY: the caller's strings, for which comparing can't fail.
    unsafe { ffi::PyUnicode_Compare(a, b) }
}

/// Whether the one string is in the other.
pub unsafe extern "C" fn str_in(part: Obj, whole: Obj) -> i32 {
    // SAFETY: the caller's strings.
    unsafe {
        if let ((1, &[c]), (1, bytes)) = (objects::str_bytes(part), objects::str_bytes(whole)) {
            return bytes.contains(&c).into();
        }
        ffi::PyUnicode_Contains(whole, part)
    }
}

/// Appends to the string that a frame slot holds, in place where the slot is its only owner. Empties the slot when
/// it fails.
pub unsafe extern "C" fn str_append(slot: *mut Obj, more: Obj) -> i32 {
    // SAFETY: a slot that owns an exact string, and another string.
    unsafe {
        // `s += s`: what is appended must not move meanwhile. A second owner keeps it where it is.
        let same = *slot == more;
        if same {
            capi::incref(more);
        }
        ffi::PyUnicode_Append(slot, more);
        if same {
            capi::decref(more);
        }
        if (*slot).is_null() { -1 } else { 0 }
    }
}
