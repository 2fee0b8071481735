//! Generators and coroutines: their states, and entering, leaving and ending them by hand.
//!
//! A generator has its frame within itself. While it runs, the frame is linked into the thread's chain and the
//! exception it handles into the thread's; while it is suspended it stands at the RESUME behind a YIELD_VALUE.
//!
//! # Safety
//! As for [`crate::frame`]; generators are live, exact generators or coroutines.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::sync::OnceLock;

use crate::capi::{self, Frame, Obj, PyThreadState, decref, xdecref};
use crate::frame::{self, current_cell};
use crate::layout::{self, Breaker, Version, at, owner, read, write};
use crate::monitoring::{LOCAL_MASK, LOCAL_WORDS};
use crate::opcodes::{Entry, Opcode};
use crate::type_ptr;

/// The state of a generator that has ended.
const CLEARED: i8 = 4;
/// The state of a running one.
const EXECUTING: i8 = 0;

/// The bit of RESUME's argument that says that it follows a `yield from` or `await`.
const DELEGATES: u8 = 2;

/// Units from SEND to the RESUME that follows its YIELD_VALUE: the instruction, its cache, the other one.
const SEND_TO_RESUME: i32 = 3;

/// Whether an object is an exact generator or coroutine.
#[inline]
pub unsafe fn is_exact(o: Obj) -> bool {
    // SAFETY: a live object.
    let ty = unsafe { capi::type_of(o) };
    ty == type_ptr!(PyGen_Type) || ty == type_ptr!(PyCoro_Type)
}

/// A generator's frame.
#[inline]
pub unsafe fn frame_of(generator: Obj) -> *mut Frame {
    // SAFETY: the module's duty.
    unsafe { at(generator, layout::get().gen_frame) }
}

/// The generator that a frame is in, if it is in one.
#[inline]
pub unsafe fn of_frame(frame: *mut Frame) -> Option<Obj> {
    // SAFETY: the owner tells where the frame lies.
    unsafe { (frame::owned_by(frame) == owner::GENERATOR).then(|| at(frame, -layout::get().gen_frame)) }
}

#[inline]
unsafe fn state(generator: Obj) -> i8 {
    // SAFETY: the module's duty.
    unsafe { read(generator, layout::get().gen_frame_state) }
}

/// Whether a generator waits at a `yield`, of its own or of another's.
#[inline]
pub unsafe fn is_suspended(generator: Obj) -> bool {
    let [_, at_yield, delegating] = layout::get().gen_states;
    // SAFETY: the module's duty.
    let state = unsafe { state(generator) };
    state == at_yield || state == delegating
}

/// Whether a generator has not been started.
#[inline]
pub unsafe fn is_fresh(generator: Obj) -> bool {
    // SAFETY: the module's duty.
    unsafe { state(generator) == layout::get().gen_states[0] }
}

/// Whether a suspended generator handles an exception.
#[inline]
pub unsafe fn handles(generator: Obj) -> bool {
    // SAFETY: the field holds an object or NULL.
    unsafe {
        let exception: Obj = read(generator, layout::get().gen_exc_state);
        !exception.is_null() && exception != capi::none()
    }
}

/// What a code object has around the place where a generator delegates: SEND, its cache, YIELD_VALUE, RESUME, two bytes
/// each, as one word. Specialised forms count, instrumented ones do not.
struct Waiting {
    /// The bytes that matter: three opcodes, and the bit of RESUME's argument that says that it delegates.
    mask: u64,
    /// What they may be.
    words: [u64; 4],
}

static WAITING: OnceLock<Waiting> = OnceLock::new();

/// The numbers of an opcode and its specialised form.
fn numbers(of: Opcode) -> [u64; 2] {
    let entries = &layout::get().opcodes.entries;
    let is = |plain: bool| {
        let found = entries.iter().position(|e| match e {
            Entry::Plain(op) => plain && *op == of,
            Entry::Special(op, _) => !plain && *op == of,
            _ => false,
        });
        found.map(|n| n as u64)
    };
    let plain = is(true).unwrap_or_default();
    [plain, is(false).unwrap_or(plain)]
}

fn waiting() -> &'static Waiting {
    WAITING.get_or_init(|| {
        let [yields, _] = numbers(Opcode::YieldValue);
        let word = |send: u64, resume: u64| send | yields << 32 | resume << 48 | u64::from(DELEGATES) << 56;
        let (sends, resumes) = (numbers(Opcode::Send), numbers(Opcode::Resume));
        let words = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(s, r)| word(sends[s], resumes[r]));
        Waiting { mask: 0x00ff_00ff_0000_00ff | u64::from(DELEGATES) << 56, words }
    })
}

/// Where a suspended generator goes on.
#[inline]
unsafe fn next(generator: Obj) -> *const u8 {
    let l = layout::get();
    // SAFETY: the module's duty.
    unsafe {
        let saved: *const u8 = read(frame_of(generator), l.frame_instr);
        saved.wrapping_offset(-2 * l.frame_instr_bias as isize)
    }
}

/// A generator's saved instruction pointer: it tells the code and the place in it.
#[inline]
pub unsafe fn place(generator: Obj) -> usize {
    // SAFETY: the module's duty.
    unsafe { read(frame_of(generator), layout::get().frame_instr) }
}

/// What a suspended generator delegates to: the iterator of its `yield from` or `await`, on top of its stack.
#[inline]
pub unsafe fn delegate(generator: Obj) -> Option<Obj> {
    // SAFETY: behind the word, which lies within the code or the object before it, is where the generator goes on.
    unsafe {
        let w = waiting();
        let word = next(generator).offset(-2 * SEND_TO_RESUME as isize).cast::<u64>().read_unaligned() & w.mask;
        if !w.words.contains(&word) {
            return None;
        }
        let frame = frame_of(generator);
        Some(frame::slot(frame, frame::stacktop(frame) as usize - 1).read())
    }
}

/// Enters a suspended generator and those that it delegates to, but for the last one that is suspended: that one, and how
/// many have been entered. These stand at their SENDs then.
pub unsafe fn descend(ts: *mut PyThreadState, outermost: Obj) -> (Obj, i32) {
    let l = layout::get();
    let [_, at_yield, delegating] = l.gen_states;
    let back = -2 * (SEND_TO_RESUME + 2 * l.frame_instr_bias) as isize;
    // SAFETY: each generator is held by the one outside it, and none runs.
    unsafe {
        let room: i32 = read(ts, l.ts_py_recursion_remaining);
        let (mut frame, mut handled) = (frame::current(ts), read::<*mut Obj, _>(ts, l.ts_exc_info));
        let (mut generator, mut count) = (outermost, 0);
        while count < room
            && let Some(inner) = delegate(generator)
            && is_exact(inner)
            && (state(inner) == at_yield || state(inner) == delegating)
        {
            let fr: *mut Frame = at(generator, l.gen_frame);
            write(generator, l.gen_exc_state + 8, handled);
            handled = at(generator, l.gen_exc_state);
            write(fr, l.frame_previous, frame);
            frame = fr;
            write(generator, l.gen_frame_state, EXECUTING);
            write(fr, l.frame_instr, read::<*const u8, _>(fr, l.frame_instr).offset(back));
            (generator, count) = (inner, count + 1);
        }
        if count > 0 {
            current_cell(ts).write(frame);
            write(ts, l.ts_exc_info, handled);
            write(ts, l.ts_py_recursion_remaining, room - count);
        }
        (generator, count)
    }
}

/// Undoes what [`descend`] did to so many generators, the last ones first.
pub unsafe fn ascend(ts: *mut PyThreadState, count: i32) {
    let l = layout::get();
    let forth = 2 * (SEND_TO_RESUME + 2 * l.frame_instr_bias) as isize;
    // SAFETY: the thread's current frames are theirs.
    unsafe {
        let (mut frame, mut handled) = (frame::current(ts), std::ptr::null_mut::<Obj>());
        for _ in 0..count {
            let generator: Obj = at(frame, -l.gen_frame);
            write(generator, l.gen_frame_state, l.gen_states[2]);
            handled = read(generator, l.gen_exc_state + 8);
            write(generator, l.gen_exc_state + 8, 0usize);
            write(frame, l.frame_instr, read::<*const u8, _>(frame, l.frame_instr).offset(forth));
            let fr = frame;
            frame = read(fr, l.frame_previous);
            write(fr, l.frame_previous, 0usize);
        }
        if count > 0 {
            current_cell(ts).write(frame);
            write(ts, l.ts_exc_info, handled);
            let room: i32 = read(ts, l.ts_py_recursion_remaining);
            write(ts, l.ts_py_recursion_remaining, room + count);
        }
    }
}

/// Makes a generator the running one: its frame the current one, what it handles what is handled.
#[inline]
pub unsafe fn enter(ts: *mut PyThreadState, generator: Obj) {
    let l = layout::get();
    // SAFETY: the generator is not running.
    unsafe {
        let frame = frame_of(generator);
        write(generator, l.gen_exc_state + 8, read::<*mut Obj, _>(ts, l.ts_exc_info));
        write(ts, l.ts_exc_info, at::<Obj, _>(generator, l.gen_exc_state));
        write(frame, l.frame_previous, frame::current(ts));
        current_cell(ts).write(frame);
        write(generator, l.gen_frame_state, EXECUTING);
    }
}

/// The SEND that a delegating generator stands at, and where it goes on once that is exhausted.
pub unsafe fn send_units(generator: Obj) -> (u32, u32) {
    let l = layout::get();
    // SAFETY: see `descend`. 3.12 takes the instruction's cache for where it stands.
    unsafe {
        let frame = frame_of(generator);
        let at = (frame::saved_unit(frame) + l.frame_instr_bias) as u32;
        let place = frame::unit_address(read(frame, l.frame_code), at as i32).cast::<u8>();
        (at, at + 2 + u32::from(place.add(1).read()))
    }
}

/// Makes a delegating generator go on at its YIELD_VALUE.
#[inline]
pub unsafe fn stand_at_yield(generator: Obj) {
    // SAFETY: it stands at its SEND, with the value to yield on its stack.
    unsafe {
        let (send, _) = send_units(generator);
        frame::set_next(frame_of(generator), send + 2);
    }
}

/// Takes the running generator out of the chain; its frame is as it should be. Its state is the caller's to set.
#[inline]
unsafe fn unlink(ts: *mut PyThreadState, generator: Obj) {
    let l = layout::get();
    // SAFETY: it is the current one.
    unsafe {
        let frame = frame_of(generator);
        write(ts, l.ts_exc_info, read::<*mut Obj, _>(generator, l.gen_exc_state + 8));
        write(generator, l.gen_exc_state + 8, 0usize);
        current_cell(ts).write(frame::previous(frame));
        write(frame, l.frame_previous, 0usize);
    }
}

/// Suspends the running generator, whose frame stands behind a YIELD_VALUE.
#[inline]
pub unsafe fn suspend(ts: *mut PyThreadState, generator: Obj, delegates: bool) {
    let l = layout::get();
    // SAFETY: it is the current one.
    unsafe {
        write(generator, l.gen_frame_state, l.gen_states[1 + usize::from(delegates)]);
        unlink(ts, generator);
    }
}

/// Ends the running generator: drops all that its frame has. May run any Python code; keeps an exception that is set.
pub unsafe fn end(ts: *mut PyThreadState, generator: Obj) {
    let l = layout::get();
    // SAFETY: it is the current one; its slots up to the stacktop are owned references or NULL.
    unsafe {
        let frame = frame_of(generator);
        write(generator, l.gen_frame_state, CLEARED);
        unlink(ts, generator);
        if frame::hand_over(l, ts, frame) {
            return;
        }
        let top = frame::stacktop(frame).max(0) as usize;
        frame::set_stacktop(frame, 0);
        for i in 0..top {
            xdecref(frame::slot(frame, i).replace(std::ptr::null_mut()));
        }
        xdecref(frame::locals_mapping(frame));
        write(frame, l.frame_f_locals, 0usize);
        decref(frame::function(frame));
    }
}

/// Hands the running generator's frame to the interpreter, which goes on at its next unit until it yields or ends.
/// What it yields or returns; NULL with an exception set. The generator is not linked any more then.
pub unsafe fn resume(ts: *mut PyThreadState, generator: Obj) -> Obj {
    // SAFETY: as documented.
    unsafe { frame::resume(ts, frame_of(generator)) }
}

/// Where a generator goes on natively, and what it must be like to do so without a closer look.
#[derive(Clone, Copy, Debug)]
pub struct Quick {
    /// Its saved instruction pointer.
    pub place: usize,
    /// Slots in use, without what it is sent.
    pub top: i32,
    /// Of these, how many are locals.
    pub locals: i32,
    /// Its globals and builtins.
    pub names: [Obj; 2],
    /// Where its code object keeps which tools listen to it; see [`crate::monitoring::LOCAL_WORDS`].
    pub events: u64,
    /// The monitoring version at which no tool but ours was active.
    pub quiet: u64,
    /// The thread that ran last, the lowest address of its stack that is to be used, and the bytes from there on.
    pub stack: [u64; 3],
    /// C-recursion units that are left to others.
    pub reserve: i32,
}

/// The saved instruction pointer: as [`place`], for a version that is known.
#[inline(always)]
pub unsafe fn quick_place<V: Version>(generator: Obj) -> usize {
    // SAFETY: the module's duty.
    unsafe { read(generator, V::LAYOUT.gen_frame + V::LAYOUT.frame_instr) }
}

/// Whether a generator may be one that delegates: all that are suspended may where its state does not tell (3.12).
#[inline(always)]
pub unsafe fn may_delegate<V: Version>(generator: Obj) -> bool {
    // SAFETY: the module's duty.
    unsafe { read::<i8, _>(generator, V::LAYOUT.gen_frame_state) == V::LAYOUT.gen_states[2] }
}

/// Enters a generator that waits as told, and gives it None; `None`, and nothing is done, if anything is different: a tool
/// listens, the stack is deep, somebody has its frame, it handles an exception. Its frame.
#[inline(always)]
pub unsafe fn quick_enter<V: Version>(ts: *mut PyThreadState, generator: Obj, q: &Quick) -> Option<*mut Frame> {
    let l = const { &V::LAYOUT };
    // SAFETY: the module's duty.
    unsafe {
        let frame: *mut Frame = at(generator, l.gen_frame);
        let here = 0u8;
        let deep = std::ptr::from_ref(&here) as u64;
        let version = match l.breaker {
            Breaker::Interpreter { version, .. } => read::<u64, _>(read::<*const u8, _>(ts, l.ts_interp), version),
            Breaker::ThreadState { offset, events, .. } => read::<u64, _>(ts, offset) & !events,
        };
        let room: i32 = read(ts, l.ts_py_recursion_remaining);
        let [first, second] = LOCAL_WORDS.map(|w| ((q.events + w) as *const u64).read_unaligned());
        let same = read::<i8, _>(generator, l.gen_frame_state) == l.gen_states[1]
            && read::<i32, _>(frame, l.frame_stacktop) == q.top
            && read::<usize, _>(generator, l.gen_exc_state) | read::<usize, _>(frame, l.frame_object) == 0
            && read::<Obj, _>(frame, l.frame_globals) == q.names[0]
            && read::<Obj, _>(frame, l.frame_builtins) == q.names[1]
            && (first | second) & LOCAL_MASK == 0
            && version == q.quiet
            && ts as u64 == q.stack[0]
            && deep.wrapping_sub(q.stack[1]) < q.stack[2]
            && read::<i32, _>(ts, l.ts_c_recursion_remaining) >= q.reserve
            && room > 0;
        if !same {
            return None;
        }
        write(ts, l.ts_py_recursion_remaining, room - 1);
        // None is immortal.
        write(frame, l.frame_locals + 8 * q.top, capi::none());
        write(frame, l.frame_stacktop, q.locals);
        write(generator, l.gen_exc_state + 8, read::<*mut Obj, _>(ts, l.ts_exc_info));
        write(ts, l.ts_exc_info, at::<Obj, _>(generator, l.gen_exc_state));
        let cell: *mut *mut Frame = match l.ts_cframe {
            None => at(ts, l.ts_current_frame),
            Some(cframe) => at(read::<*mut u8, _>(ts, cframe), l.ts_current_frame),
        };
        write(frame, l.frame_previous, *cell);
        *cell = frame;
        write(generator, l.gen_frame_state, EXECUTING);
        Some(frame)
    }
}

/// Gives back the call that [`quick_enter`] counted.
#[inline(always)]
pub unsafe fn quick_leave_call<V: Version>(ts: *mut PyThreadState) {
    // SAFETY: the module's duty.
    unsafe {
        let room: i32 = read(ts, V::LAYOUT.ts_py_recursion_remaining);
        write(ts, V::LAYOUT.ts_py_recursion_remaining, room + 1);
    }
}

/// Suspends the running generator at a `yield` of its own: as [`suspend`].
#[inline(always)]
pub unsafe fn quick_suspend<V: Version>(ts: *mut PyThreadState, generator: Obj) {
    let l = const { &V::LAYOUT };
    // SAFETY: it is the current one.
    unsafe {
        let frame: *mut Frame = at(generator, l.gen_frame);
        write(generator, l.gen_frame_state, l.gen_states[1]);
        write(ts, l.ts_exc_info, read::<*mut Obj, _>(generator, l.gen_exc_state + 8));
        write(generator, l.gen_exc_state + 8, 0usize);
        let cell: *mut *mut Frame = match l.ts_cframe {
            None => at(ts, l.ts_current_frame),
            Some(cframe) => at(read::<*mut u8, _>(ts, cframe), l.ts_current_frame),
        };
        *cell = read(frame, l.frame_previous);
        write(frame, l.frame_previous, 0usize);
    }
}
