//! Strings: single characters, comparisons, appending.
//!
//! # Safety
//! Every helper here borrows live exact strings (unless its row in the table says "steals") and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ptr::null_mut;
use std::sync::OnceLock;

use stoop_cpython::capi::{self, Obj};
use stoop_cpython::objects;

use super::ffi;

/// The strings of the first 256 characters, which the interpreter keeps for good.
pub fn characters() -> &'static [usize; 256] {
    static TABLE: OnceLock<[usize; 256]> = OnceLock::new();
    // SAFETY: the GIL is held; these strings are immortal.
    TABLE.get_or_init(|| std::array::from_fn(|c| unsafe { ffi::PyUnicode_FromOrdinal(c as i32) as usize }))
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
