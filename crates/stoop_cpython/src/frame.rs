//! Interpreter frames: reading them, pushing and popping them by hand, handing them to the interpreter.
//!
//! Three ways to set a frame's instruction pointer, which 3.12 tells apart and 3.13 does not:
//! [`set_running`] says which instruction is running (what tracebacks and `f_lineno` show), [`set_next`] where
//! the interpreter goes on once [`resume`] hands it the frame, [`set_landing`] where it goes on after a JUMP callback.
//!
//! # Safety
//! Every function wants a live thread state of the calling thread (or, for readers, of a thread that waits for
//! the GIL) and frames of its chain.

use std::ffi::c_void;

use crate::capi::{
    _PyEval_EvalFrameDefault, Frame, Obj, PyCell_New, PyCode_Type, PyErr_Clear, PyErr_GetRaisedException,
    PyErr_SetRaisedException, PyInterpreterState_Get, PyInterpreterState_ThreadHead, PyObject_GC_IsTracked, PyObject_GC_Track,
    PyThreadState, PyThreadState_GetFrame, PyThreadState_Next, decref, incref, xdecref,
};
use crate::data_stack::{release, reserve};
use crate::decode::kind;
use crate::layout::{self, Layout, at, owner, read, write};
use crate::objects::{bytes_slice, tuple_slice};

pub use crate::data_stack::reserve_chunk;
pub use crate::exceptions::{handler_of, unwind};
pub use crate::in_place::{in_place, is_in_place, own_function};

/// The cell that holds a thread's current frame.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn current_cell(tstate: *mut PyThreadState) -> *mut *mut Frame {
    let l = layout::get();
    // SAFETY: the layout's thread-state fields; the C frame record of 3.12 is never NULL.
    unsafe {
        match l.ts_cframe {
            None => at(tstate, l.ts_current_frame),
            Some(cframe) => at(read::<*mut c_void, _>(tstate, cframe), l.ts_current_frame),
        }
    }
}

/// A thread's current frame; NULL outside Python code. May be an entry marker ([`is_marker`]).
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn current(tstate: *mut PyThreadState) -> *mut Frame {
    // SAFETY: the cell is valid.
    unsafe { current_cell(tstate).read() }
}

/// The calling frame.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn previous(frame: *mut Frame) -> *mut Frame {
    // SAFETY: the caller's frame.
    unsafe { read(frame, layout::get().frame_previous) }
}

/// Who owns the frame's memory (see [`owner`]).
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn owned_by(frame: *mut Frame) -> u8 {
    // SAFETY: the caller's frame.
    unsafe { read(frame, layout::get().frame_owner) }
}

/// Whether the frame is only the C stack's entry marker, without Python code.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn is_marker(frame: *mut Frame) -> bool {
    // SAFETY: the caller's frame.
    unsafe { owned_by(frame) == owner::CSTACK }
}

/// The frame's code object (borrowed); NULL if it runs none.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn code(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's frame; what is there is an object or NULL.
    unsafe {
        let code: Obj = read(frame, layout::get().frame_code);
        if !code.is_null() && (*code).ob_type == &raw mut PyCode_Type { code } else { std::ptr::null_mut() }
    }
}

/// The frame's function (borrowed). Not valid on entry markers.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn function(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's frame.
    unsafe { read(frame, layout::get().frame_function) }
}

/// The frame's globals (borrowed).
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn globals(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's frame.
    unsafe { read(frame, layout::get().frame_globals) }
}

/// The frame's builtins (borrowed).
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn builtins(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's frame.
    unsafe { read(frame, layout::get().frame_builtins) }
}

/// The frame's locals mapping (borrowed; NULL in functions).
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn locals_mapping(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's frame.
    unsafe { read(frame, layout::get().frame_f_locals) }
}

/// The frame object, if somebody made one (borrowed).
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn frame_object(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's frame.
    unsafe { read(frame, layout::get().frame_object) }
}

/// Lets a frame's object go that nobody but the frame holds, and in which nobody has put anything: whoever asks next
/// gets a new one.
///
/// # Safety
/// See the module.
pub unsafe fn forget_object(frame: *mut Frame) {
    let l = layout::get();
    // SAFETY: an object with one reference is known to its frame only; freeing it leaves the frame as it is.
    unsafe {
        let object = frame_object(frame);
        if !object.is_null() && (*object).ob_refcnt == 1 {
            let carries = |at: i32| !read::<Obj, _>(object, at).is_null();
            if carries(l.frameobject_trace) || l.frameobject_extra.is_some_and(carries) {
                return;
            }
            write(frame, layout::get().frame_object, std::ptr::null_mut::<c_void>());
            decref(object);
        }
    }
}

/// The slots: locals, cells, free variables, then the operand stack.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn slots(frame: *mut Frame) -> *mut Obj {
    // SAFETY: the caller's frame.
    unsafe { at(frame, layout::get().frame_locals) }
}

/// A slot.
///
/// # Safety
/// See the module; `index` below `co_nlocalsplus + co_stacksize`.
#[inline]
pub unsafe fn slot(frame: *mut Frame, index: usize) -> *mut Obj {
    // SAFETY: the caller's index.
    unsafe { slots(frame).add(index) }
}

/// Slots in use: `co_nlocalsplus` plus the operand stack's depth. -1 while the interpreter itself runs the frame.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn stacktop(frame: *mut Frame) -> i32 {
    // SAFETY: the caller's frame.
    unsafe { read(frame, layout::get().frame_stacktop) }
}

/// Sets the number of slots in use.
///
/// # Safety
/// See the module; what lies below is NULL or an owned reference.
#[inline]
pub unsafe fn set_stacktop(frame: *mut Frame, top: i32) {
    // SAFETY: the caller's frame.
    unsafe { write(frame, layout::get().frame_stacktop, top) }
}

/// Pushes an operand, taking over the reference.
///
/// # Safety
/// See the module; room for it (`co_stacksize`).
#[inline]
pub unsafe fn push(frame: *mut Frame, value: Obj) {
    // SAFETY: the caller's duty.
    unsafe {
        let top = stacktop(frame);
        slot(frame, top as usize).write(value);
        set_stacktop(frame, top + 1);
    }
}

/// The operand on top, borrowed.
///
/// # Safety
/// See the module; there is one.
#[inline]
pub unsafe fn top(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's duty.
    unsafe { slot(frame, stacktop(frame) as usize - 1).read() }
}

/// Pops an operand, whose reference is the caller's from then on.
///
/// # Safety
/// See the module; there is one.
#[inline]
pub unsafe fn pop(frame: *mut Frame) -> Obj {
    // SAFETY: the caller's duty.
    unsafe {
        let top = stacktop(frame) - 1;
        set_stacktop(frame, top);
        slot(frame, top as usize).read()
    }
}

/// Address of a code unit.
///
/// # Safety
/// A live code object; the result is not read here.
#[inline]
pub unsafe fn unit_address(code: Obj, unit: i32) -> *mut u16 {
    let first = code.cast::<u8>().wrapping_offset(layout::get().co_code_adaptive as isize);
    first.cast::<u16>().wrapping_offset(unit as isize)
}

/// The unit of the saved instruction pointer (3.12: may be -1, or an inline cache of the instruction before).
///
/// # Safety
/// See the module; the frame has a code object.
#[inline]
pub unsafe fn saved_unit(frame: *mut Frame) -> i32 {
    // SAFETY: the pointer lies in the code units (3.12: or one before).
    unsafe {
        let saved: *const u8 = read(frame, layout::get().frame_instr);
        let first = unit_address(read(frame, layout::get().frame_code), 0).cast::<u8>();
        ((saved as isize - first as isize) / 2) as i32
    }
}

/// Whether a function that is called now is called by C code that the current frame's instruction runs, and not by the
/// interpreter or compiled code itself, as far as can be told. `names`: whether it is given keyword arguments.
///
/// # Safety
/// The current thread's state, the GIL held.
pub unsafe fn is_called_from_c(tstate: *mut PyThreadState, names: bool) -> bool {
    // SAFETY: a frame with a code object runs an instruction of it.
    unsafe {
        let frame = current(tstate);
        if frame.is_null() || is_marker(frame) {
            return false;
        }
        let unit = saved_unit(frame);
        if unit < 0 {
            return false;
        }
        let number = unit_address(read(frame, layout::get().frame_code), unit).cast::<u8>().read();
        layout::get().opcodes.entries[number as usize].calls_from_c(names)
    }
}

/// Says which instruction is running (its `op_unit`).
///
/// # Safety
/// See the module; the frame has a code object.
#[inline]
pub unsafe fn set_running(frame: *mut Frame, op_unit: u32) {
    let l = layout::get();
    // SAFETY: the caller's frame.
    unsafe { write(frame, l.frame_instr, unit_address(read(frame, l.frame_code), op_unit as i32)) }
}

/// The unit at which the interpreter would go on with a frame that waits to be resumed.
///
/// # Safety
/// See the module; the frame has a code object and is not in the middle of a call.
#[inline]
pub unsafe fn next_unit(frame: *mut Frame) -> u32 {
    // SAFETY: the caller's frame.
    unsafe { (saved_unit(frame) - layout::get().frame_instr_bias) as u32 }
}

/// Says where the interpreter goes on (an instruction's `unit`).
///
/// # Safety
/// See the module; the frame has a code object.
#[inline]
pub unsafe fn set_next(frame: *mut Frame, unit: u32) {
    let l = layout::get();
    // SAFETY: the caller's frame.
    unsafe {
        let code: Obj = read(frame, l.frame_code);
        write(frame, l.frame_instr, unit_address(code, unit as i32 + l.frame_instr_bias));
    }
}

/// Says, inside a JUMP callback, where the interpreter goes on after it (an instruction's `unit`). On the jumping
/// instruction itself, that jump is then made without being reported again.
///
/// # Safety
/// See the module; the frame has a code object.
#[inline]
pub unsafe fn set_landing(frame: *mut Frame, unit: u32) {
    // SAFETY: the caller's frame. The interpreter takes the pointer as it is, on 3.12 too.
    unsafe { set_running(frame, unit) }
}

/// Whether a frame is past its prologue, so that it may be shown.
///
/// # Safety
/// See the module.
pub unsafe fn is_complete(frame: *mut Frame) -> bool {
    let l = layout::get();
    // SAFETY: the caller's frame; a marker is never complete.
    unsafe {
        if is_marker(frame) {
            return false;
        }
        let code = code(frame);
        !code.is_null() && (owned_by(frame) == owner::GENERATOR || saved_unit(frame) >= read::<i32, _>(code, l.co_firsttraceable))
    }
}

/// The frames of a thread, innermost first, without entry markers.
#[derive(Debug)]
pub struct Frames(*mut Frame);

impl Iterator for Frames {
    type Item = *mut Frame;

    fn next(&mut self) -> Option<*mut Frame> {
        // SAFETY: who made the iterator keeps the chain alive: the GIL is held and no Python code runs meanwhile.
        unsafe {
            while !self.0.is_null() {
                let frame = self.0;
                self.0 = previous(frame);
                if !is_marker(frame) {
                    return Some(frame);
                }
            }
            None
        }
    }
}

/// The frames of a thread.
///
/// # Safety
/// See the module; no Python code may run while the iterator is in use.
pub unsafe fn frames(tstate: *mut PyThreadState) -> Frames {
    // SAFETY: the caller's thread state.
    Frames(unsafe { current(tstate) })
}

/// The thread states of the current interpreter.
///
/// # Safety
/// GIL held; it must not be given up while the list is in use.
pub unsafe fn threads() -> Vec<*mut PyThreadState> {
    let mut out = Vec::new();
    // SAFETY: the list changes only under the GIL for threads that can hold frames.
    unsafe {
        let mut thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
        while !thread.is_null() {
            out.push(thread);
            thread = PyThreadState_Next(thread);
        }
    }
    out
}

/// Pushes and links a frame for a call of `function`: a real frame in every respect, owning references to
/// function and code, all slots NULL, complete (its instruction pointer is at the first traceable unit).
/// NULL without exception if there is no memory. The recursion count is the caller's: see [`enter_call`].
///
/// # Safety
/// See the module; a live Python function whose code is no generator's, coroutine's, or class body's.
pub unsafe fn push_frame(tstate: *mut PyThreadState, function: Obj) -> *mut Frame {
    let l = layout::get();
    // SAFETY: the fields written are those of the interpreter's own initialisation of a frame.
    unsafe {
        let code: Obj = read(function, l.func_code);
        let frame = reserve(l, tstate, read::<i32, _>(code, l.co_framesize) as isize);
        if frame.is_null() {
            return frame;
        }
        incref(function);
        incref(code);
        let count: i32 = read(code, l.co_nlocalsplus);
        write(frame, l.frame_code, code);
        write(frame, l.frame_function, function);
        write(frame, l.frame_globals, read::<Obj, _>(function, l.func_globals));
        write(frame, l.frame_builtins, read::<Obj, _>(function, l.func_builtins));
        write(frame, l.frame_f_locals, std::ptr::null_mut::<c_void>());
        write(frame, l.frame_object, std::ptr::null_mut::<c_void>());
        write(frame, l.frame_instr, unit_address(code, read(code, l.co_firsttraceable)));
        write(frame, l.frame_stacktop, count);
        write(frame, l.frame_return_offset, 0u16);
        write(frame, l.frame_owner, owner::THREAD);
        slots(frame).write_bytes(0, count as usize);
        let cell = current_cell(tstate);
        write(frame, l.frame_previous, cell.read());
        cell.write(frame);
        frame
    }
}

/// What every fresh frame of a code object has in common.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The words up to the locals, by offset, without the function and the previous frame.
    pub words: Vec<(i32, u64)>,
    /// Bytes of a frame.
    pub size: u32,
    /// How many locals there are, of every kind.
    pub locals: u32,
}

/// The frames that [`push_frame`] makes for functions of this code, globals and builtins.
///
/// # Safety
/// A live code object; GIL held.
pub unsafe fn fresh(code: Obj, globals: Obj, builtins: Obj) -> Fresh {
    let l = layout::get();
    let mut image = vec![0u64; l.frame_locals as usize / 8];
    let start: *mut u64 = image.as_mut_ptr();
    // SAFETY: the fields lie before the locals.
    unsafe {
        let count: i32 = read(code, l.co_nlocalsplus);
        write(start, l.frame_code, code);
        write(start, l.frame_globals, globals);
        write(start, l.frame_builtins, builtins);
        let first = unit_address(code, read(code, l.co_firsttraceable));
        write(start, l.frame_instr, first);
        write(start, l.frame_stacktop, count);
        write(start, l.frame_return_offset, 0u16);
        write(start, l.frame_owner, owner::THREAD);
        let words = image.iter().enumerate().map(|(k, w)| (8 * k as i32, *w));
        let varies = |offset: i32| offset == l.frame_function || offset == l.frame_previous;
        Fresh {
            words: words.filter(|(offset, _)| !varies(*offset)).collect(),
            size: 8 * read::<i32, _>(code, l.co_framesize) as u32,
            locals: count as u32,
        }
    }
}

/// Does for a pushed frame, once its arguments are in their slots, what the bytecode before the first traceable
/// unit does: makes the cells (keeping arguments in them) and copies the closure. Nobody may look at the frame
/// before: CPython takes cells and free variables for granted. False with MemoryError set.
///
/// # Safety
/// See the module; a frame made by [`push_frame`], on which this has not been called.
pub unsafe fn prologue(frame: *mut Frame) -> bool {
    let l = layout::get();
    // SAFETY: kinds has one byte a slot; free variables are the last ones, in the closure's order.
    unsafe {
        let code: Obj = read(frame, l.frame_code);
        let kinds = bytes_slice(read(code, l.co_localspluskinds));
        for (i, &k) in kinds.iter().enumerate() {
            if k & kind::CELL != 0 {
                let place = slot(frame, i);
                let cell = PyCell_New(*place);
                if cell.is_null() {
                    return false;
                }
                xdecref(place.replace(cell));
            }
        }
        let closure: Obj = read(function(frame), l.func_closure);
        if !closure.is_null() {
            let cells = tuple_slice(closure);
            let first = kinds.len() - cells.len();
            for (i, &cell) in cells.iter().enumerate() {
                incref(cell);
                slot(frame, first + i).write(cell);
            }
        }
        true
    }
}

/// Takes a frame out of the thread's chain; it must be the current one.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn unlink(tstate: *mut PyThreadState, frame: *mut Frame) {
    // SAFETY: the caller's frame is the current one.
    unsafe {
        debug_assert_eq!(current(tstate), frame);
        current_cell(tstate).write(previous(frame));
    }
}

/// Ends a frame made by [`push_frame`]: unlinks it, drops everything its slots own up to its stacktop, and its
/// references to function and code. If somebody holds its frame object, that takes the contents over instead.
/// May run any Python code (finalisers); keeps an exception that is set.
///
/// # Safety
/// See the module; `frame` is the current one, on top of the data stack, and no longer used afterwards.
pub unsafe fn pop_frame(tstate: *mut PyThreadState, frame: *mut Frame) {
    let l = layout::get();
    // SAFETY: the frame is unlinked before anything is dropped, since finalisers may look at the chain; its
    // memory goes back last, since they push their own frames above it.
    unsafe {
        unlink(tstate, frame);
        if !hand_over(l, tstate, frame) {
            for i in 0..stacktop(frame).max(0) as usize {
                let place = slot(frame, i);
                let value = place.replace(std::ptr::null_mut());
                xdecref(value);
            }
            xdecref(locals_mapping(frame));
            decref(function(frame));
        }
        decref(read(frame, l.frame_code));
        release(l, tstate, frame);
    }
}

/// As [`pop_frame`], after the caller has dropped what the slots owned, which is only right while
/// [`frame_object`] is NULL.
///
/// # Safety
/// As [`pop_frame`]; no frame object; all slots are dead.
#[inline]
pub unsafe fn pop_cleared(tstate: *mut PyThreadState, frame: *mut Frame) {
    let l = layout::get();
    // SAFETY: the caller's duty.
    unsafe {
        debug_assert!(frame_object(frame).is_null());
        unlink(tstate, frame);
        decref(function(frame));
        decref(read(frame, l.frame_code));
        release(l, tstate, frame);
    }
}

/// If somebody else holds the frame object, moves the unlinked frame's contents into it. False if the contents
/// are still the caller's to drop.
pub(crate) unsafe fn hand_over(l: &Layout, tstate: *mut PyThreadState, frame: *mut Frame) -> bool {
    // SAFETY: a frame object has room for all its code's slots behind its own fields; the code's reference is
    // counted twice because the caller drops the frame's.
    unsafe {
        let object = frame_object(frame);
        if object.is_null() {
            return false;
        }
        write(frame, l.frame_object, std::ptr::null_mut::<c_void>());
        if (*object).ob_refcnt == 1 {
            decref(object);
            return false;
        }
        incref(read(frame, l.frame_code));
        let bytes = l.frame_locals as usize + 8 * stacktop(frame).max(0) as usize;
        let copy: *mut Frame = at(object, l.frameobject_data);
        std::ptr::copy_nonoverlapping(frame.cast::<u8>(), copy.cast::<u8>(), bytes);
        write(copy, l.frame_owner, owner::FRAME_OBJECT);
        write(copy, l.frame_previous, std::ptr::null_mut::<c_void>());
        write(object, l.frameobject_frame, copy);
        link_back(l, tstate, object);
        if PyObject_GC_IsTracked(object) == 0 {
            PyObject_GC_Track(object.cast());
        }
        decref(object);
        true
    }
}

/// Makes the frame object of the current frame the `f_back` of `object`, keeping an exception that is set.
unsafe fn link_back(l: &Layout, tstate: *mut PyThreadState, object: Obj) {
    // SAFETY: making a frame object may fail for lack of memory, which is then forgotten, as the interpreter does.
    unsafe {
        let pending = PyErr_GetRaisedException();
        let back = PyThreadState_GetFrame(tstate);
        if back.is_null() {
            PyErr_Clear();
        }
        let former: Obj = read(object, l.frameobject_back);
        write(object, l.frameobject_back, back);
        xdecref(former);
        if !pending.is_null() {
            PyErr_SetRaisedException(pending);
        }
    }
}

/// Counts a call against the recursion limit; false if that is used up (the interpreter should then make the
/// call, and raise). Undo with [`leave_call`].
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn enter_call(tstate: *mut PyThreadState) -> bool {
    let l = layout::get();
    // SAFETY: a 32-bit counter.
    unsafe {
        let left: i32 = read(tstate, l.ts_py_recursion_remaining);
        if left <= 0 {
            return false;
        }
        write(tstate, l.ts_py_recursion_remaining, left - 1);
        true
    }
}

/// As [`enter_call`] where the call cannot be refused any more: the count may go below zero for a moment.
///
/// # Safety
/// See the module.
pub unsafe fn force_enter_call(tstate: *mut PyThreadState) {
    let l = layout::get();
    // SAFETY: a 32-bit counter.
    unsafe {
        let left: i32 = read(tstate, l.ts_py_recursion_remaining);
        write(tstate, l.ts_py_recursion_remaining, left - 1);
    }
}

/// Ends what [`enter_call`] began; also before [`resume`], which counts by itself.
///
/// # Safety
/// See the module.
#[inline]
pub unsafe fn leave_call(tstate: *mut PyThreadState) {
    let l = layout::get();
    // SAFETY: a 32-bit counter.
    unsafe {
        let left: i32 = read(tstate, l.ts_py_recursion_remaining);
        write(tstate, l.ts_py_recursion_remaining, left + 1);
    }
}

/// Hands the current frame, made by [`push_frame`], to the interpreter, which goes on at its next unit (see
/// [`set_next`]) with its slots and operand stack as they are, runs it to its end and drops it.
/// The result is the call's; NULL with an exception set.
///
/// # Safety
/// See the module; all slots below the stacktop are right; [`leave_call`] has been called. The frame is gone afterwards.
pub unsafe fn resume(tstate: *mut PyThreadState, frame: *mut Frame) -> Obj {
    // SAFETY: an unlinked frame that owns its references is what the interpreter's evaluator takes.
    unsafe {
        unlink(tstate, frame);
        _PyEval_EvalFrameDefault(tstate, frame, 0)
    }
}

/// What monitoring callbacks run under: see [`native_begin`].
#[derive(Clone, Copy, Debug)]
pub struct Callback {
    tracing: i32,
    what_event: i32,
}

/// Inside a monitoring callback: makes nested code traceable and monitorable again while native code runs.
///
/// # Safety
/// See the module. Undo with [`native_end`].
pub unsafe fn native_begin(tstate: *mut PyThreadState) -> Callback {
    let l = layout::get();
    // SAFETY: two 32-bit fields.
    unsafe {
        let saved = Callback { tracing: read(tstate, l.ts_tracing), what_event: read(tstate, l.ts_what_event) };
        write(tstate, l.ts_tracing, 0i32);
        write(tstate, l.ts_what_event, -1i32);
        saved
    }
}

/// Ends what [`native_begin`] began.
///
/// # Safety
/// See the module.
pub unsafe fn native_end(tstate: *mut PyThreadState, saved: Callback) {
    let l = layout::get();
    // SAFETY: two 32-bit fields.
    unsafe {
        write(tstate, l.ts_tracing, saved.tracing);
        write(tstate, l.ts_what_event, saved.what_event);
    }
}
