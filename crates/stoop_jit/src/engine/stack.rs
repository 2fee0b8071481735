//! Machine stack: how much of it is left on this thread.
//!
//! A call of compiled code takes machine stack, one of the interpreter's own does not. So that a program that
//! recurses as deep as plain CPython allows does not run out, compiled code steps aside on the last part of it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use stoop_codegen::cranelift::entry::StackBounds;
use stoop_cpython::capi::PyThreadState;
use stoop_cpython::inspect;

thread_local! {
    /// The lowest address compiled code may start at, the stack's end, and its lowest address.
    static BOUNDS: Cell<(usize, usize, usize)> = const { Cell::new((0, 0, 0)) };
}

/// C-recursion units that are left to others.
pub const C_RECURSION_RESERVE: i32 = 350;

/// The stack of the thread that asked last. Compiled entries look here first: it costs less than a thread-local.
static LAST: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Where compiled entries find the bounds of the thread that ran last.
pub fn bounds() -> StackBounds {
    StackBounds { thread: LAST[0].as_ptr() as u64, floor: LAST[1].as_ptr() as u64, span: LAST[2].as_ptr() as u64 }
}

/// Whether compiled code should not be entered from here.
///
/// # Safety
/// A live thread state, this thread's; the GIL is held.
#[inline]
pub unsafe fn is_low(ts: *mut PyThreadState) -> bool {
    let here = 0u8;
    let at = std::ptr::from_ref(&here) as usize;
    let (mut floor, mut end, _) = BOUNDS.get();
    if floor == 0 {
        let found = find();
        (floor, end, _) = found;
        BOUNDS.set(found);
    }
    for (word, value) in LAST.iter().zip([ts as usize, floor, end.saturating_sub(floor)]) {
        word.store(value as u64, Ordering::Relaxed);
    }
    // SAFETY: the thread state is this thread's.
    at < floor || unsafe { inspect::c_recursion_remaining(ts) } < C_RECURSION_RESERVE
}

/// The thread that asked last, the lowest address of its stack that compiled code may start at, and the bytes from there.
#[inline(always)]
pub fn last() -> [u64; 3] {
    let word = |k: usize| LAST[k].load(Ordering::Relaxed);
    [word(0), word(1), word(2)]
}

/// Takes C-recursion units away from a thread that is on the last part of its stack: compiled calls have taken machine
/// stack without counting, so that what is left may hold fewer levels than the interpreter thinks. How many were taken.
///
/// # Safety
/// As [`is_low`], which has been asked.
pub unsafe fn limit_c_recursion(ts: *mut PyThreadState) -> i32 {
    /// What the interpreter reckons with: its units, over an ordinary stack.
    const LEVEL: usize = 840;
    let here = 0u8;
    let left = (std::ptr::from_ref(&here) as usize).saturating_sub(BOUNDS.get().2) / LEVEL;
    // SAFETY: the thread state is this thread's.
    unsafe {
        let taken = (inspect::c_recursion_remaining(ts) - i32::try_from(left).unwrap_or(i32::MAX)).max(0);
        inspect::give_c_recursion(ts, -taken);
        taken
    }
}

#[cold]
fn find() -> (usize, usize, usize) {
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
    (floor.max(1), low + size, low)
}
