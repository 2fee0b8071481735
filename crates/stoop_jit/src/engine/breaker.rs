//! Serving the eval breaker from a native loop.

use stoop_cpython::capi::{self, Frame, Obj, PyThreadState};
use stoop_cpython::{generator, handled, monitoring};

/// 0: go on; 1: the interpreter must serve it, or the frame's locals may be others now; -1: an exception is set.
///
/// # Safety
/// The current frame, in order; the GIL is held.
pub unsafe fn serve(ts: *mut PyThreadState, frame: *mut Frame) -> i32 {
    // SAFETY: the frame is in order, so any code may run here.
    unsafe {
        if let Some(handle) = capi::optional().handle_pending {
            let before = monitoring::version(ts);
            if handle(ts) < 0 {
                return -1;
            }
            return i32::from(monitoring::version(ts) != before || handled::may_be_written(frame) != 0);
        }
        // 3.12 keeps the rest to itself: let others have the GIL, and leave if that was not all.
        let saved = capi::PyEval_SaveThread();
        capi::PyEval_RestoreThread(saved);
        i32::from(monitoring::pending(ts) || handled::may_be_written(frame) != 0)
    }
}

/// Serves the eval breaker after a call of something that is not a Python function, as the interpreter does: a
/// signal that came meanwhile is handled by the instruction that called. Takes the call's result and gives it back;
/// NULL with an exception set, if a handler raised.
///
/// # Safety
/// The result of a call made by the current frame, which is in order; the GIL is held.
#[inline]
pub unsafe fn after_call(result: Obj) -> Obj {
    // SAFETY: as documented.
    unsafe {
        let ts = capi::PyThreadState_Get();
        if result.is_null() || !monitoring::pending(ts) { result } else { serve_after_call(ts, result) }
    }
}

#[cold]
unsafe fn serve_after_call(ts: *mut PyThreadState, result: Obj) -> Obj {
    // SAFETY: the frame is in order, so any code may run here.
    unsafe {
        generator::reveal();
        let raised = match capi::optional().handle_pending {
            Some(handle) => handle(ts) < 0,
            // Signals are what can be told apart by when they are handled; the rest waits for the next poll.
            None => capi::PyErr_CheckSignals() < 0,
        };
        if !raised {
            return result;
        }
        // The interpreter, too, drops the result while the exception is set aside.
        let exception = capi::PyErr_GetRaisedException();
        capi::decref(result);
        capi::PyErr_SetRaisedException(exception);
        std::ptr::null_mut()
    }
}
