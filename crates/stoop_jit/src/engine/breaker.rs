//! Serving the eval breaker from a native loop.

use stoop_cpython::capi::{self, Frame, PyThreadState};
use stoop_cpython::monitoring;

/// 0: go on; 1: the interpreter must serve it; -1: an exception is set.
///
/// # Safety
/// The current frame, in order; the GIL is held.
pub unsafe fn serve(ts: *mut PyThreadState, _frame: *mut Frame) -> i32 {
    // SAFETY: the frame is in order, so any code may run here.
    unsafe {
        if let Some(handle) = capi::optional().handle_pending {
            let before = monitoring::version(ts);
            if handle(ts) < 0 {
                return -1;
            }
            return i32::from(monitoring::version(ts) != before);
        }
        // 3.12 keeps the rest to itself: let others have the GIL, and leave if that was not all.
        let saved = capi::PyEval_SaveThread();
        capi::PyEval_RestoreThread(saved);
        i32::from(monitoring::pending(ts))
    }
}
