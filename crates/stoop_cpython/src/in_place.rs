//! Frames that stand for functions compiled in place.
//!
//! # Safety
//! As for [`crate::frame`].

use crate::capi::{Frame, incref};
use crate::frame::function;
use crate::layout::{self, read, write};

/// In a frame that stands for a function compiled in place: no call's result goes so far on.
const IN_PLACE: u16 = u16::MAX;

/// The words of a frame of a function compiled in place, given those of [`fresh`].
pub fn in_place(words: &mut [(i32, u64)]) {
    let at = layout::get().frame_return_offset;
    for (offset, word) in words {
        if *offset <= at && at < *offset + 8 {
            *word |= u64::from(IN_PLACE) << (8 * (at - *offset));
        }
    }
}

/// Whether a frame stands for a function compiled in place.
///
/// # Safety
/// See the module; no marker.
pub unsafe fn is_in_place(frame: *mut Frame) -> bool {
    // SAFETY: the caller's frame.
    unsafe { read::<u16, _>(frame, layout::get().frame_return_offset) == IN_PLACE }
}

/// Makes a frame of a function compiled in place one like any other: with references of its own to function and code.
///
/// # Safety
/// See the module; a frame whose function and code are alive.
pub unsafe fn own_function(frame: *mut Frame) {
    // SAFETY: live objects.
    unsafe {
        write(frame, layout::get().frame_return_offset, 0u16);
        incref(function(frame));
        incref(read(frame, layout::get().frame_code));
    }
}
