//! Leaving from inside an inlined function: the frames it would have are made, innermost last, and run to their ends.

use std::sync::Arc;

use stoop_codegen::unit::ExitDesc;
use stoop_cpython::capi::{self, Frame, Obj, PyThreadState};
use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::opcodes::Opcode;
use stoop_cpython::{frame, generator, handled};

use super::consumed;
use super::exits;
use super::homes::Home;
use super::record::Record;
use crate::frontend::Role;
use crate::helpers::operators;

/// A frame that is in the middle of a call.
struct Calling<'a> {
    frame: *mut Frame,
    info: &'a CodeInfo,
    /// Index of the calling instruction.
    at: usize,
    /// What the function called stands in place of.
    role: Role,
    /// The generator whose frame this is, if it is one's: a reference of our own.
    generator: Option<Obj>,
}

/// The frame that runs, or has just run.
struct Inner {
    frame: *mut Frame,
    /// As in [`Calling`].
    generator: Option<Obj>,
}

impl Calling<'_> {
    /// Takes what was called back, and the generator if it was one, and tells where the interpreter goes on; `None` when an
    /// exception is set.
    unsafe fn receive(&self, ts: *mut PyThreadState, result: Obj, generator: Option<Obj>) -> Option<u32> {
        let i = &self.info.instrs[self.at];
        let result = match (self.role, generator) {
            // SAFETY: the callers' frame and generator.
            (Role::Consumed(c), Some(g)) => unsafe { consumed::finish(ts, self.frame, c, g, result) },
            _ => result,
        };
        // SAFETY: the stack has room for the result, where the instruction leaves one.
        unsafe {
            if result.is_null() {
                return None;
            }
            match self.role {
                Role::Init => {
                    if result != capi::none() {
                        crate::helpers::instances::init_result(result);
                        return None;
                    }
                }
                Role::Operator => {
                    let y = frame::pop(self.frame);
                    let x = frame::pop(self.frame);
                    let result = operator_result(i, x, y, result);
                    capi::decref(x);
                    capi::decref(y);
                    if result.is_null() {
                        return None;
                    }
                    frame::push(self.frame, result);
                }
                Role::Call if i.op == Opcode::StoreSubscr => capi::decref(result),
                Role::Call | Role::Consumed(_) => frame::push(self.frame, result),
            }
        }
        Some(i.next)
    }
}

/// What an operator yields once the method that was asked first has returned.
///
/// # Safety
/// Live operands; the method's result is handed over.
unsafe fn operator_result(i: &Instr, x: Obj, y: Obj, result: Obj) -> Obj {
    // SAFETY: as documented.
    unsafe {
        let mut result = result;
        if result == capi::not_implemented() {
            capi::decref(result);
            result = match i.op {
                Opcode::CompareOp => operators::compare_further(crate::frontend::comparison(i), x, y),
                _ => {
                    let (op, inplace) = crate::frontend::binary_op(i);
                    operators::binary_further(op, inplace, x, y)
                }
            };
        }
        if result.is_null() || i.op != Opcode::CompareOp || !i.flag {
            return result;
        }
        let truth = capi::PyObject_IsTrue(result);
        capi::decref(result);
        match truth {
            0 => capi::py_false(),
            1.. => capi::py_true(),
            _ => std::ptr::null_mut(),
        }
    }
}

/// An exit's frames, all but the innermost as they are in the middle of their calls, outermost first.
struct Chain<'a> {
    calling: Vec<Calling<'a>>,
    /// None where a generator could not be made: an exception is set.
    inner: Option<Inner>,
}

/// Frames of inlined functions that stand above the real one, outermost first.
unsafe fn standing(ts: *mut PyThreadState, real: *mut Frame) -> Vec<*mut Frame> {
    let mut out = Vec::new();
    // SAFETY: compiled code leaves nothing but these above its own frame.
    unsafe {
        let mut at = frame::current(ts);
        while at != real {
            out.push(at);
            at = frame::previous(at);
        }
    }
    out.reverse();
    out
}

/// Makes all frames of an exit, or completes those that stand. The innermost counts as called, too.
unsafe fn make<'a>(
    maker: &mut exits::Maker<'_>,
    ts: *mut PyThreadState,
    real: *mut Frame,
    (own, inlined): (&'a CodeInfo, &'a [crate::frontend::Inlined]),
    variables: &[Arc<Home>],
    e: &ExitDesc,
) -> Chain<'a> {
    // SAFETY: frames are made outermost first, each complete before the next is pushed; inlined functions are kept
    // alive by the region, and the region by its activation. What is borrowed in the buffer is held by this frame.
    unsafe {
        let info_of = |code: u32| -> &'a CodeInfo { if code == 0 { own } else { &inlined[code as usize - 1].code } };
        let mut found = standing(ts, real).into_iter();
        let mut calling: Vec<Calling<'a>> = Vec::new();
        let states = e.parents.iter().rev().map(|p| (p.code, p.unit, &p.locals, &p.stack));
        for (code, unit, locals, stack) in states.chain([(e.code, e.unit, &e.locals, &e.stack)]) {
            let info = info_of(code);
            let role = code.checked_sub(1).map(|k| inlined[k as usize].role);
            if let (Some(role), Some(caller)) = (role, calling.last_mut()) {
                caller.role = role;
            }
            let made = match role {
                None => {
                    exits::rebuild(maker, real, locals, stack, info.nlocalsplus, variables);
                    Inner { frame: real, generator: None }
                }
                Some(Role::Consumed(consumer)) => {
                    let g = consumed::begin(ts, real, consumer);
                    if g.is_null() {
                        exits::let_go(maker, locals);
                        exits::let_go_of_stack(maker, stack);
                        return Chain { calling, inner: None };
                    }
                    frame::force_enter_call(ts);
                    let f = generator::frame_of(g);
                    exits::rebuild(maker, f, locals, stack, info.nlocalsplus, &[]);
                    consumed::share_iterator(f, info.nlocalsplus);
                    Inner { frame: f, generator: Some(g) }
                }
                Some(_) => {
                    let f = match found.next() {
                        Some(f) => {
                            debug_assert_eq!(frame::code(f), info.code);
                            frame::own_function(f);
                            // Others could look, and write: it holds what it should.
                            exits::rebuild(maker, f, &[], stack, info.nlocalsplus, &[]);
                            exits::let_go(maker, locals);
                            f
                        }
                        None => {
                            frame::force_enter_call(ts);
                            let f = frame::push_frame(ts, inlined[code as usize - 1].function as Obj);
                            exits::rebuild(maker, f, locals, stack, info.nlocalsplus, &[]);
                            f
                        }
                    };
                    Inner { frame: f, generator: None }
                }
            };
            if calling.len() == e.parents.len() {
                return Chain { calling, inner: Some(made) };
            }
            let k = info.index_of(unit).unwrap_or(0);
            frame::set_running(made.frame, info.instrs[k].op_unit);
            calling.push(Calling { frame: made.frame, info, at: k, role: Role::Call, generator: made.generator });
        }
        unreachable!("the innermost frame is the last")
    }
}

/// Rebuilds all frames of an exit and lets the interpreter run them.
///
/// # Safety
/// As for [`exits::side_exit`]; the exit has parents.
pub(super) unsafe fn leave(
    maker: exits::Maker<'_>,
    ts: *mut PyThreadState,
    real: *mut Frame,
    record: *mut Record,
    e: &ExitDesc,
) -> usize {
    // SAFETY: as documented.
    unsafe { go_on(maker, ts, real, record, e, std::ptr::null_mut()) }
}

/// Goes on with the exception that is set, raised in an inlined function. Its frame stands if Python code could run there.
///
/// # Safety
/// As for [`leave`].
pub(super) unsafe fn raise(
    maker: exits::Maker<'_>,
    ts: *mut PyThreadState,
    real: *mut Frame,
    record: *mut Record,
    e: &ExitDesc,
) -> usize {
    // SAFETY: as documented. The exception is kept aside while the frames are completed.
    unsafe { go_on(maker, ts, real, record, e, capi::PyErr_GetRaisedException()) }
}

/// Completes the frames of an exit, and has the innermost run on, or handle the exception unless that is NULL.
unsafe fn go_on(
    mut maker: exits::Maker<'_>,
    ts: *mut PyThreadState,
    real: *mut Frame,
    record: *mut Record,
    e: &ExitDesc,
    exception: Obj,
) -> usize {
    // SAFETY: as documented; what the frames stand for is complete.
    unsafe {
        let own = (*record).info.clone();
        let inlined: Vec<crate::frontend::Inlined> = (&(*record).inlined).clone();
        let Chain { calling, inner } = make(&mut maker, ts, real, (&own, &inlined), &(*record).variables, e);
        let Some(inner) = inner else {
            capi::xdecref(exception);
            return finish(ts, record, calling, std::ptr::null_mut(), None);
        };
        if !exception.is_null() {
            capi::PyErr_SetRaisedException(exception);
        }
        let generator = inner.generator;
        let result = if !exception.is_null() || maker.raises() {
            unwind(ts, &inner, &inlined[e.code as usize - 1].code, e.unit)
        } else {
            frame::set_next(inner.frame, e.unit);
            frame::leave_call(ts);
            frame::resume(ts, inner.frame)
        };
        finish(ts, record, calling, result, generator)
    }
}

/// Has the innermost frame handle the exception that is set, or ends it: what it returns.
unsafe fn unwind(ts: *mut PyThreadState, inner: &Inner, info: &CodeInfo, unit: u32) -> Obj {
    let op_unit = info.index_of(unit).map_or(unit, |k| info.instrs[k].op_unit);
    // SAFETY: the frame is complete, and the current one.
    unsafe { raise_in(ts, inner.frame, inner.generator, op_unit) }
}

/// Has the current frame handle the exception that is set, raised at a unit, and run on; or ends it. What it returns or, a
/// generator's, yields.
unsafe fn raise_in(ts: *mut PyThreadState, f: *mut Frame, generator: Option<Obj>, op_unit: u32) -> Obj {
    // SAFETY: the callers' complete frame.
    unsafe {
        let handled = frame::unwind(ts, f, op_unit, false);
        frame::leave_call(ts);
        if handled {
            return frame::resume(ts, f);
        }
        match generator {
            Some(g) => generator::end(ts, g, || {}),
            None => frame::pop_frame(ts, f),
        }
    }
    std::ptr::null_mut()
}

/// Lets the interpreter run frames that are in the middle of calls, the innermost of which has just ended, or yielded: a
/// generator's.
unsafe fn finish(
    ts: *mut PyThreadState,
    record: *mut Record,
    mut calling: Vec<Calling<'_>>,
    mut result: Obj,
    mut generator: Option<Obj>,
) -> usize {
    // SAFETY: each is the current frame when it is its turn.
    unsafe {
        while calling.len() > 1 {
            let Some(c) = calling.pop() else { break };
            let op_unit = c.info.instrs[c.at].op_unit;
            let next = c.receive(ts, result, generator);
            generator = c.generator;
            result = match next {
                Some(next) => {
                    frame::set_next(c.frame, next);
                    frame::leave_call(ts);
                    frame::resume(ts, c.frame)
                }
                None => raise_in(ts, c.frame, c.generator, op_unit),
            };
        }
        let c = &calling[0];
        let i = &c.info.instrs[c.at];
        match c.receive(ts, result, generator) {
            Some(next) => exits::go_on(ts, c.frame, record, next),
            None => exits::raise(ts, c.frame, record, i.unit, i.op_unit),
        }
    }
}

/// The runtime helper `FirstInlined`.
///
/// # Safety
/// Called by compiled code with its own frame, above which frames of inlined functions stand.
pub unsafe extern "C" fn first_inlined(ts: *mut PyThreadState, real: *mut Frame) -> *mut Frame {
    // SAFETY: as documented.
    unsafe { standing(ts, real)[0] }
}

/// The runtime helper `RoomForInlined`.
///
/// # Safety
/// Called by compiled code with the calling thread's state.
pub unsafe extern "C" fn room_for_inlined(ts: *mut PyThreadState, bytes: i64) -> *mut Frame {
    // SAFETY: as documented.
    unsafe {
        let room = frame::reserve_chunk(ts, bytes as usize);
        if room.is_null() {
            capi::_Py_FatalErrorFunc(c"stoop".as_ptr(), c"out of memory for frames".as_ptr());
        }
        room
    }
}

/// The runtime helper `PopInlined`: ends the frames of inlined functions above the real one, unless somebody has one of
/// them, or has got at what the real one holds.
///
/// # Safety
/// Called by compiled code with its own frame.
pub unsafe extern "C" fn pop_inlined(ts: *mut PyThreadState, real: *mut Frame) {
    // SAFETY: as documented; the frames own what their slots hold.
    unsafe {
        let frames = standing(ts, real);
        let quiet = super::entry::is_quiet(ts);
        let looked_at = |f: &*mut Frame| handled::is_seen(*f) || !quiet && !frame::frame_object(*f).is_null();
        if looked_at(&real) || frames.iter().any(looked_at) {
            return;
        }
        for f in frames.into_iter().rev() {
            frame::own_function(f);
            frame::leave_call(ts);
            frame::pop_frame(ts, f);
        }
    }
}
