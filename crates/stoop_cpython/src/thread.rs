//! Threads and the GIL, for those who are not called from Python.

use crate::capi::{
    PendingCall, PyEval_RestoreThread, PyEval_SaveThread, PyGILState_Ensure, PyGILState_Release, PyInterpreterState_Main,
    PyThreadState, PyThreadState_Get, optional,
};

/// Whether the interpreter is shutting down: no foreign thread may ask for the GIL any more (it would never
/// return). Needs no GIL.
pub fn is_finalizing() -> bool {
    // SAFETY: reads one flag.
    optional().is_finalizing.is_some_and(|f| unsafe { f() } != 0)
}

/// The calling thread's state.
///
/// # Safety
/// GIL held.
#[inline]
pub unsafe fn current() -> *mut PyThreadState {
    // SAFETY: the caller's duty.
    unsafe { PyThreadState_Get() }
}

/// Whether [`ask`] works, and code that serves the eval breaker by itself can serve that, too: not on 3.12.
pub fn can_ask() -> bool {
    optional().handle_pending.is_some() && optional().add_pending_call.is_some()
}

/// Has `f` called soon by a thread of the main interpreter that runs Python code, between two instructions, with the
/// GIL held. Needs no GIL, and takes it from nobody: a thread that waits for the GIL makes the one that has it wait
/// until both have been woken. False if there is no room for the call.
pub fn ask(f: PendingCall) -> bool {
    // SAFETY: callable from any thread while the interpreter lives; the call needs no argument.
    optional().add_pending_call.is_some_and(|add| unsafe { add(PyInterpreterState_Main(), f, std::ptr::null_mut(), 0) } == 0)
}

/// The GIL, held by a foreign thread until dropped.
#[derive(Debug)]
pub struct Gil(i32);

impl Gil {
    /// Takes the GIL. `None` while the interpreter shuts down.
    pub fn ensure() -> Option<Gil> {
        if is_finalizing() {
            return None;
        }
        // SAFETY: callable from any thread of an initialised interpreter.
        Some(Gil(unsafe { PyGILState_Ensure() }))
    }
}

impl Drop for Gil {
    fn drop(&mut self) {
        // SAFETY: balances `ensure` on the same thread, since the guard is not Send.
        unsafe { PyGILState_Release(self.0) }
    }
}

/// A foreign thread with a thread state of its own, which takes the GIL many times for a short while: making a
/// thread state each time would cost more than the visit.
///
/// After a `fork` the child must [`forget`](std::mem::forget) it: its thread is gone and its state freed.
/// It must be dropped, on its thread, before the interpreter finalises.
#[derive(Debug)]
pub struct Visitor {
    state: i32,
    thread: *mut PyThreadState,
}

impl Visitor {
    /// Prepares the calling thread, waiting for the GIL once. `None` while the interpreter shuts down.
    pub fn new() -> Option<Visitor> {
        if is_finalizing() {
            return None;
        }
        // SAFETY: callable from any thread of an initialised interpreter; the GIL is given back at once.
        unsafe {
            let state = PyGILState_Ensure();
            Some(Visitor { state, thread: PyEval_SaveThread() })
        }
    }

    /// Runs `f` with the GIL held. `None` while the interpreter shuts down.
    pub fn visit<T>(&mut self, f: impl FnOnce(*mut PyThreadState) -> T) -> Option<T> {
        if is_finalizing() {
            return None;
        }
        // SAFETY: the state belongs to this thread, and is detached between visits.
        unsafe {
            PyEval_RestoreThread(self.thread);
            let result = f(self.thread);
            self.thread = PyEval_SaveThread();
            Some(result)
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if is_finalizing() {
            return;
        }
        // SAFETY: reattaches this thread's own state and lets it go, balancing `new`.
        unsafe {
            PyEval_RestoreThread(self.thread);
            PyGILState_Release(self.state);
        }
    }
}
