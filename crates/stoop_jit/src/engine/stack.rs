//! Machine stack: how much of it is left on this thread.
//!
//! A call of compiled code takes machine stack, one of the interpreter's own does not. So that a program that
//! recurses as deep as plain CPython allows does not run out, compiled code steps aside on the last part of it.

use std::cell::Cell;

use stoop_cpython::capi::PyThreadState;
use stoop_cpython::inspect;

thread_local! {
    static FLOOR: Cell<usize> = const { Cell::new(0) };
}

/// C-recursion units that are left to others.
const C_RECURSION_RESERVE: i32 = 350;

/// Whether compiled code should not be entered from here.
///
/// # Safety
/// A live thread state, this thread's.
#[inline]
pub unsafe fn is_low(ts: *mut PyThreadState) -> bool {
    let here = 0u8;
    let at = std::ptr::from_ref(&here) as usize;
    let floor = FLOOR.get();
    // SAFETY: the thread state is this thread's.
    at < (if floor == 0 { find_floor() } else { floor }) || unsafe { inspect::c_recursion_remaining(ts) } < C_RECURSION_RESERVE
}

#[cold]
fn find_floor() -> usize {
    const SMALLEST_RESERVE: usize = 256 << 10;
    // SAFETY: plain pthread calls on an attribute object of our own.
    let (low, size) = unsafe {
        let mut attr: libc::pthread_attr_t = std::mem::zeroed();
        let mut low = std::ptr::null_mut();
        let mut size = 0;
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attr) == 0 {
            libc::pthread_attr_getstack(&attr, &mut low, &mut size);
            libc::pthread_attr_destroy(&mut attr);
        }
        (low as usize, size)
    };
    let floor = low + (size / 4).max(SMALLEST_RESERVE).min(size);
    FLOOR.set(floor.max(1));
    floor
}
