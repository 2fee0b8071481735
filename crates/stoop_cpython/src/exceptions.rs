//! Unwinding a frame by hand, and telling the tools that listen what becomes of an exception.
//!
//! # Safety
//! As for [`crate::frame`].

use crate::capi::{
    Frame, Obj, PyErr_Format, PyErr_GetRaisedException, PyErr_SetRaisedException, PyEval_GetFrame, PyExc_ValueError,
    PyLong_FromLong, PyObject_Vectorcall, PyThreadState, PyTraceBack_Here, decref, incref, xdecref,
};
use crate::decode::{Handler, exception_table};
use crate::frame::{code, is_complete, push, saved_unit, set_next, set_running, set_stacktop, slot, stacktop};
use crate::layout::{self, read, write};
use crate::monitoring::{TOOL, TOOLS, callable_offset, is_disable};
use crate::objects::bytes_slice;

/// The handler in charge of a unit of a code object.
///
/// # Safety
/// A live code object.
pub unsafe fn handler_of(code: Obj, unit: u32) -> Option<Handler> {
    // SAFETY: the exception table is a bytes object.
    let rows = unsafe { exception_table(bytes_slice(read(code, layout::get().co_exceptiontable))) };
    rows.into_iter().find(|h| h.start <= unit && unit < h.end)
}

/// Whether `raise … from Class` looks at what calling the class has made (3.13).
pub fn checks_causes() -> bool {
    layout::get().minor >= 13
}

/// Adds the traceback entry for the current frame, at the instruction where it stands, to the exception that is set.
///
/// # Safety
/// See the module; `frame` is the current one.
pub unsafe fn add_traceback(tstate: *mut PyThreadState, frame: *mut Frame) {
    debug_assert!(!tstate.is_null());
    // SAFETY: the frame is the current one, so PyEval_GetFrame makes and lends its own frame object.
    unsafe {
        if is_complete(frame) {
            // The frame object must be made without an exception set, like everything that allocates.
            let exception = PyErr_GetRaisedException();
            let object = PyEval_GetFrame();
            PyErr_SetRaisedException(exception);
            if !object.is_null() {
                PyTraceBack_Here(object);
            }
        }
    }
}

/// Tells the tools that listen that the exception that is set, raised by the instruction at which the current frame
/// stands, goes to its handler there. What their callbacks raise takes its place.
///
/// # Safety
/// See the module; `frame` is the current one; an exception is set.
pub unsafe fn tell_caught(tstate: *mut PyThreadState, frame: *mut Frame) {
    // SAFETY: compiled code has set where the frame stands.
    unsafe {
        let (code, at) = (code(frame), saved_unit(frame) as u32);
        tell(tstate, code, at, ExceptionEvent::Raise);
        if let Some(handler) = handler_of(code, at) {
            tell(tstate, code, handler.target, ExceptionEvent::Handled);
        }
    }
}

/// Dispatches the exception that is set, raised by the instruction at `op_unit` of the current frame: adds the
/// traceback entry (unless the instruction re-raises), and if a handler is in charge, cuts the operand stack to
/// its level, pushes what it wants and sets the frame to go on there by [`resume`]. False if there is none: the
/// exception stays set and the frame is to be popped.
///
/// Inside a JUMP callback: ask [`handler_of`] first. With a handler, call this, then [`set_landing`] on its target.
/// Without one do not: [`set_running`] and [`crate::monitoring::Answer::Raise`] let the interpreter add the
/// traceback entry and pop the frame itself.
///
/// Tools that listen are told as the interpreter would tell them.
///
/// # Safety
/// See the module; `frame` is the current one; its slots below the stacktop are right.
pub unsafe fn unwind(tstate: *mut PyThreadState, frame: *mut Frame, op_unit: u32, reraised: bool) -> bool {
    debug_assert!(!tstate.is_null());
    // SAFETY: the frame is the current one, so PyEval_GetFrame makes and lends its own frame object.
    unsafe {
        set_running(frame, op_unit);
        if !reraised {
            add_traceback(tstate, frame);
        }
        let code = code(frame);
        tell(tstate, code, op_unit, if reraised { ExceptionEvent::Reraise } else { ExceptionEvent::Raise });
        let mut raising = op_unit;
        loop {
            let Some(handler) = handler_of(code, raising) else {
                cut(frame, code, 0);
                tell(tstate, code, raising, ExceptionEvent::Unwind);
                return false;
            };
            cut(frame, code, handler.depth);
            let exception = PyErr_GetRaisedException();
            if handler.lasti {
                let lasti = PyLong_FromLong(i64::from(raising));
                if lasti.is_null() {
                    xdecref(exception);
                    return false;
                }
                push(frame, lasti);
            }
            incref(exception);
            push(frame, exception);
            set_next(frame, handler.target);
            PyErr_SetRaisedException(exception);
            if tell(tstate, code, handler.target, ExceptionEvent::Handled) {
                xdecref(PyErr_GetRaisedException());
                return true;
            }
            // A tool raised there: the interpreter goes on as if from the code unit before the handler.
            raising = handler.target - 1;
        }
    }
}

/// Drops the operands above a depth, keeping the exception that is set.
unsafe fn cut(frame: *mut Frame, code: Obj, depth: u32) {
    // SAFETY: operands are owned references or NULL; each is out of the frame before it is dropped.
    unsafe {
        let level = read::<i32, _>(code, layout::get().co_nlocalsplus) + depth as i32;
        if stacktop(frame) <= level {
            return;
        }
        let exception = PyErr_GetRaisedException();
        while stacktop(frame) > level {
            let top = stacktop(frame) - 1;
            set_stacktop(frame, top);
            xdecref(slot(frame, top as usize).replace(std::ptr::null_mut()));
        }
        PyErr_SetRaisedException(exception);
    }
}

/// Events that exceptions cause, by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExceptionEvent {
    /// An exception was raised, or came out of a call.
    Raise = 10,
    /// It is about to be handled.
    Handled = 11,
    /// It leaves the function.
    Unwind = 12,
    /// It is raised again, after a `finally`.
    Reraise = 14,
}

/// Tells the tools that listen what has become of the exception that is set, as the interpreter does when it unwinds a
/// frame. `unit` is the instruction's. False if a callback raised: its exception is set instead.
///
/// # Safety
/// GIL held; an exception is set; the current frame runs `code`.
pub unsafe fn tell(tstate: *mut PyThreadState, code: Obj, unit: u32, event: ExceptionEvent) -> bool {
    let l = layout::get();
    // SAFETY: the interpreter's monitors are a byte an event, its callbacks objects or NULL.
    unsafe {
        let interp: *mut u8 = read(tstate, l.ts_interp);
        let tools = read::<u8, _>(interp, l.interp_tools + event as i32) & !(1 << TOOL);
        if tools == 0 || read::<i32, _>(tstate, l.ts_tracing) != 0 {
            return true;
        }
        let exception = PyErr_GetRaisedException();
        let offset = PyLong_FromLong(2 * i64::from(unit));
        let good = !offset.is_null()
            && (0..TOOLS).rev().filter(|tool| tools & (1 << tool) != 0).all(|tool| {
                let place = callable_offset(tool, event as i32);
                call_tool(tstate, interp, place, event, &[code, offset, exception])
            });
        xdecref(offset);
        if good {
            PyErr_SetRaisedException(exception);
        } else {
            decref(exception);
        }
        good
    }
}

/// Calls a tool's callback, if it has one; false if it raised.
unsafe fn call_tool(ts: *mut PyThreadState, interp: *mut u8, place: i32, event: ExceptionEvent, args: &[Obj]) -> bool {
    let l = layout::get();
    // SAFETY: as in `tell`; the callback is kept while it runs.
    unsafe {
        let callback: Obj = read(interp, place);
        if callback.is_null() {
            return true;
        }
        incref(callback);
        let (tracing, what) = (read::<i32, _>(ts, l.ts_tracing), read::<i32, _>(ts, l.ts_what_event));
        write(ts, l.ts_what_event, event as i32);
        write(ts, l.ts_tracing, tracing + 1);
        let result = PyObject_Vectorcall(callback, args.as_ptr(), args.len(), std::ptr::null_mut());
        write(ts, l.ts_tracing, read::<i32, _>(ts, l.ts_tracing) - 1);
        write(ts, l.ts_what_event, what);
        let disable = is_disable(result);
        xdecref(result);
        if disable {
            let name = match event {
                ExceptionEvent::Raise => c"RAISE",
                ExceptionEvent::Handled => c"EXCEPTION_HANDLED",
                ExceptionEvent::Unwind => c"PY_UNWIND",
                ExceptionEvent::Reraise => c"RERAISE",
            };
            let removed = read::<Obj, _>(interp, place);
            write(interp, place, std::ptr::null_mut::<std::ffi::c_void>());
            xdecref(removed);
            PyErr_Format(PyExc_ValueError, c"Cannot disable %s events. Callback removed.".as_ptr(), name.as_ptr());
        }
        decref(callback);
        !result.is_null() && !disable
    }
}
