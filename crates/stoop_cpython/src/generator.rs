//! Generators and coroutines: their states, and entering, leaving and ending them by hand.
//!
//! A generator has its frame within itself. While it runs, the frame is linked into the thread's chain and the
//! exception it handles into the thread's; while it is suspended it stands at the RESUME behind a YIELD_VALUE.
//!
//! # Safety
//! As for [`crate::frame`]; generators are live, exact generators or coroutines.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use crate::capi::{self, Frame, Obj, PyThreadState, decref};
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

/// Where a type keeps its function for `PyIter_Send`.
pub unsafe fn send_slot(ty: Obj) -> *mut usize {
    /// Behind the functions for `await`, `async for` and what that asks.
    const SEND: i32 = 24;
    // SAFETY: generators' and coroutines' types have asynchronous protocols, in static data.
    unsafe { at(read::<*mut u8, _>(ty, layout::get().tp_as_async), SEND) }
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

/// What a suspended generator hands on to: the generator it delegates to, if that is suspended, too.
#[inline(always)]
unsafe fn suspended_inner<V: Version>(generator: Obj) -> Option<Obj> {
    let l = const { &V::LAYOUT };
    let [_, at_yield, delegating] = l.gen_states;
    // SAFETY: the module's duty; what is on the stack of a suspended generator lives.
    unsafe {
        if read::<i8, _>(generator, l.gen_frame_state) != delegating || at_yield == delegating && delegate(generator).is_none() {
            return None;
        }
        let frame: *mut Frame = at(generator, l.gen_frame);
        let top: i32 = read(frame, l.frame_stacktop);
        let inner: Obj = read(frame, l.frame_locals + 8 * (top - 1));
        let state = |o: Obj| read::<i8, _>(o, l.gen_frame_state);
        (is_exact(inner) && (state(inner) == at_yield || state(inner) == delegating)).then_some(inner)
    }
}

/// Follows a suspended generator to the last one in the row of those that delegate: that one, and how many there are
/// before it, which is less than `most`. Each of these is shown to `met`.
#[inline(always)]
pub unsafe fn innermost<V: Version>(outermost: Obj, most: i32, mut met: impl FnMut(Obj)) -> (Obj, i32) {
    let (mut generator, mut count) = (outermost, 0);
    // SAFETY: each generator is held by the one outside it.
    unsafe {
        while count < most
            && let Some(inner) = suspended_inner::<V>(generator)
        {
            met(generator);
            (generator, count) = (inner, count + 1);
        }
    }
    (generator, count)
}

/// The generator that waits for another at so many places behind the outermost one. They all delegate.
pub unsafe fn nth(outermost: Obj, n: i32) -> Obj {
    let mut generator = outermost;
    // SAFETY: the operand on top is what it delegates to.
    unsafe {
        for _ in 0..n {
            let frame = frame_of(generator);
            generator = frame::slot(frame, frame::stacktop(frame) as usize - 1).read();
        }
    }
    generator
}

/// Enters so many generators that delegate, the outermost one first: they stand at their SENDs then. The calls that this
/// is are the caller's to count.
pub unsafe fn descend(ts: *mut PyThreadState, outermost: Obj, count: i32) {
    // SAFETY: each generator is held by the one outside it, and none runs.
    unsafe {
        let links = (frame::current(ts), read::<*mut Obj, _>(ts, layout::get().ts_exc_info));
        let (frame, handled) = enter_row(outermost, count, links);
        current_cell(ts).write(frame);
        write(ts, layout::get().ts_exc_info, handled);
    }
}

/// Links a row of generators that delegate behind a frame and what is handled there: those of the last one.
unsafe fn enter_row(outermost: Obj, count: i32, links: (*mut Frame, *mut Obj)) -> (*mut Frame, *mut Obj) {
    let l = layout::get();
    let back = -2 * (SEND_TO_RESUME + 2 * l.frame_instr_bias) as isize;
    let ((mut frame, mut handled), mut generator) = (links, outermost);
    // SAFETY: see `descend`.
    unsafe {
        for _ in 0..count {
            let fr: *mut Frame = at(generator, l.gen_frame);
            write(generator, l.gen_exc_state + 8, handled);
            handled = at(generator, l.gen_exc_state);
            write(fr, l.frame_previous, frame);
            frame = fr;
            write(generator, l.gen_frame_state, EXECUTING);
            write(fr, l.frame_instr, read::<*const u8, _>(fr, l.frame_instr).offset(back));
            generator = frame::slot(fr, frame::stacktop(fr) as usize - 1).read();
        }
    }
    (frame, handled)
}

/// A row of generators that wait for the running one, whose frame is the current one, and that nobody has entered: nobody
/// can look before [`reveal`] does so.
#[derive(Debug)]
pub struct Hidden {
    outermost: AtomicUsize,
    count: AtomicI32,
}

/// Those of the thread that has the GIL, which is not given up while there are any.
pub static HIDDEN: Hidden = Hidden { outermost: AtomicUsize::new(0), count: AtomicI32::new(0) };

impl Hidden {
    /// Hides a row, if there is any.
    #[inline]
    pub fn set(&self, outermost: Obj, count: i32) {
        self.count.store(count, Ordering::Relaxed);
        self.outermost.store(if count > 0 { outermost as usize } else { 0 }, Ordering::Relaxed);
    }

    /// Whether there was one; now there is none.
    #[inline]
    pub fn take(&self) -> bool {
        let outermost = self.outermost.load(Ordering::Relaxed);
        self.outermost.store(0, Ordering::Relaxed);
        outermost != 0
    }

    /// The word that is 0 where there is none.
    pub fn address(&self) -> usize {
        self.outermost.as_ptr() as usize
    }
}

/// Enters the generators that are hidden, if there are any. To be done before anybody can look.
#[inline(always)]
pub unsafe fn reveal() {
    if HIDDEN.outermost.load(Ordering::Relaxed) != 0 {
        // SAFETY: the module's duty.
        unsafe { reveal_now(capi::PyThreadState_Get()) }
    }
}

/// As [`reveal`], where there are some.
#[cold]
pub unsafe extern "C" fn reveal_now(ts: *mut PyThreadState) {
    // SAFETY: the module's duty.
    unsafe {
        let outermost = HIDDEN.outermost.swap(0, Ordering::Relaxed) as Obj;
        enter_outside(ts, outermost, HIDDEN.count.load(Ordering::Relaxed));
    }
}

/// Enters so many generators that wait for the running one, and delegate.
pub unsafe fn enter_outside(ts: *mut PyThreadState, outermost: Obj, count: i32) {
    let l = layout::get();
    // SAFETY: the current frame is that of the generator they wait for.
    unsafe {
        let fr = frame::current(ts);
        let inner: Obj = at(fr, -l.gen_frame);
        let links = (frame::previous(fr), read::<*mut Obj, _>(inner, l.gen_exc_state + 8));
        let (previous, handled) = enter_row(outermost, count, links);
        write(fr, l.frame_previous, previous);
        write(inner, l.gen_exc_state + 8, handled);
    }
}

/// Undoes what [`descend`] or [`reveal`] did to so many generators, the last ones first.
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
        }
    }
}

/// How many more calls the recursion limit allows.
#[inline]
pub unsafe fn room(ts: *mut PyThreadState) -> i32 {
    // SAFETY: a 32-bit counter.
    unsafe { read(ts, layout::get().ts_py_recursion_remaining) }
}

/// Counts so many calls, or gives them back.
#[inline(always)]
pub unsafe fn count_calls(ts: *mut PyThreadState, calls: i32) {
    // SAFETY: a 32-bit counter.
    unsafe { write(ts, layout::get().ts_py_recursion_remaining, room(ts) - calls) }
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

/// The SEND that a delegating generator stands at, and the END_SEND at which it goes on.
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

/// Makes a generator that goes on behind a SEND's YIELD_VALUE go on at that SEND.
#[inline]
pub unsafe fn back_to_send(generator: Obj) {
    // SAFETY: the SEND is that many units before.
    unsafe { step(generator, -SEND_TO_RESUME) }
}

/// The reverse of [`back_to_send`].
#[inline]
pub unsafe fn past_send(generator: Obj) {
    // SAFETY: as above.
    unsafe { step(generator, SEND_TO_RESUME) }
}

#[inline]
unsafe fn step(generator: Obj, units: i32) {
    let l = layout::get();
    // SAFETY: the callers'.
    unsafe {
        let frame = frame_of(generator);
        write(frame, l.frame_instr, read::<*const u8, _>(frame, l.frame_instr).offset(2 * units as isize));
    }
}

/// Whether a unit of a generator's code is an END_SEND.
#[inline]
pub unsafe fn is_end_of_send(generator: Obj, unit: u32) -> bool {
    // SAFETY: a unit of the code.
    unsafe { is_opcode(read(frame_of(generator), layout::get().frame_code), unit, Opcode::EndSend) }
}

/// Whether a unit of a code object is one of the two instructions that generators' code has and others' has not.
#[inline]
pub(crate) unsafe fn is_opcode(code: Obj, unit: u32, opcode: Opcode) -> bool {
    // SAFETY: a unit of the code.
    let found = unsafe { frame::unit_address(code, unit as i32).cast::<u8>().read() };
    u64::from(found) == number(opcode)
}

/// The number of an opcode: of one that the module asks for often, END_SEND or another.
#[inline]
fn number(opcode: Opcode) -> u64 {
    static NUMBERS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    let known = &NUMBERS[usize::from(opcode == Opcode::EndSend)];
    match known.load(Ordering::Relaxed) {
        0 => {
            let [number, _] = numbers(opcode);
            known.store(number as usize, Ordering::Relaxed);
            number
        }
        number => number as u64,
    }
}

/// Makes a generator that is to go on at its SEND the one that runs it.
#[inline]
pub unsafe fn stand_at_send(generator: Obj) {
    let l = layout::get();
    // SAFETY: as documented; see `send_units`.
    unsafe {
        let (frame, bias) = (frame_of(generator), l.frame_instr_bias);
        let next: *const u8 = read(frame, l.frame_instr);
        write(frame, l.frame_instr, next.offset(-2 * 2 * bias as isize));
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

/// Ends the running generator: drops all that its frame has. May run any Python code, and does `before` then, with the
/// frame out of the chain; keeps an exception that is set.
pub unsafe fn end(ts: *mut PyThreadState, generator: Obj, mut before: impl FnMut()) {
    let l = layout::get();
    // SAFETY: it is the current one; its slots up to the stacktop are owned references or NULL.
    unsafe {
        let frame = frame_of(generator);
        write(generator, l.gen_frame_state, CLEARED);
        unlink(ts, generator);
        if !frame::frame_object(frame).is_null() {
            before();
            if frame::hand_over(l, ts, frame) {
                return;
            }
        }
        let top = frame::stacktop(frame).max(0) as usize;
        frame::set_stacktop(frame, 0);
        let mut drop = |o: Obj| {
            if !o.is_null() {
                if (*o).ob_refcnt == 1 && !is_plain(o) {
                    before();
                }
                decref(o);
            }
        };
        for i in 0..top {
            drop(frame::slot(frame, i).replace(std::ptr::null_mut()));
        }
        drop(frame::locals_mapping(frame));
        write(frame, l.frame_f_locals, 0usize);
        drop(frame::function(frame));
    }
}

/// Whether destroying an object runs no Python code: an exact number or string.
unsafe fn is_plain(o: Obj) -> bool {
    // SAFETY: a live object.
    let ty = unsafe { capi::type_of(o) };
    [type_ptr!(PyLong_Type), type_ptr!(PyFloat_Type), type_ptr!(PyUnicode_Type)].contains(&ty)
}

/// Takes the generator that has ended from the stack of the one that delegated to it. `before` is done if that may run
/// Python code.
#[inline]
pub unsafe fn drop_delegate(generator: Obj, mut before: impl FnMut()) {
    // SAFETY: it is on top; one that has ended has nothing to finalise.
    unsafe {
        let frame = frame_of(generator);
        let inner = frame::pop(frame);
        let bare = is_exact(inner) && state(inner) == CLEARED && read::<usize, _>(inner, layout::get().gen_weakrefs) == 0;
        if (*inner).ob_refcnt == 1 && !bare {
            before();
        }
        decref(inner);
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
    /// C-recursion units that are left to others.
    pub reserve: i32,
}

/// What must be so for machine code to be entered without a closer look.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monitoring version at which no tool but ours was active.
    pub quiet: u64,
    /// The thread that ran last, the lowest address of its stack that is to be used, and the bytes from there on.
    pub stack: [u64; 3],
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

/// Enters a generator that waits as told, gives it a value (taking the reference) and counts a call; `None`, and nothing is
/// done, if anything is different: a tool listens, the stack is deep, somebody has its frame, it handles an exception. Its
/// frame.
#[inline(always)]
pub unsafe fn quick_enter<V: Version>(
    ts: *mut PyThreadState,
    generator: Obj,
    q: &Quick,
    now: &Now,
    value: Obj,
) -> Option<*mut Frame> {
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
        // Below 0 are the states of generators that wait.
        let same = read::<i8, _>(generator, l.gen_frame_state) < EXECUTING
            && read::<i32, _>(frame, l.frame_stacktop) == q.top
            && read::<usize, _>(generator, l.gen_exc_state) | read::<usize, _>(frame, l.frame_object) == 0
            && read::<Obj, _>(frame, l.frame_globals) == q.names[0]
            && read::<Obj, _>(frame, l.frame_builtins) == q.names[1]
            && (first | second) & LOCAL_MASK == 0
            && version == now.quiet
            && ts as u64 == now.stack[0]
            && deep.wrapping_sub(now.stack[1]) < now.stack[2]
            && read::<i32, _>(ts, l.ts_c_recursion_remaining) >= q.reserve
            && room > 0;
        if !same {
            return None;
        }
        write(ts, l.ts_py_recursion_remaining, room - 1);
        write(frame, l.frame_locals + 8 * q.top, value);
        write(frame, l.frame_stacktop, q.locals);
        write(generator, l.gen_exc_state + 8, read::<*mut Obj, _>(ts, l.ts_exc_info));
        write(ts, l.ts_exc_info, at::<Obj, _>(generator, l.gen_exc_state));
        let cell = quick_cell::<V>(ts);
        write(frame, l.frame_previous, *cell);
        *cell = frame;
        write(generator, l.gen_frame_state, EXECUTING);
        Some(frame)
    }
}

/// What holds the thread's current frame.
#[inline(always)]
unsafe fn quick_cell<V: Version>(ts: *mut PyThreadState) -> *mut *mut Frame {
    let l = const { &V::LAYOUT };
    // SAFETY: the module's duty.
    unsafe {
        match l.ts_cframe {
            None => at(ts, l.ts_current_frame),
            Some(cframe) => at(read::<*mut u8, _>(ts, cframe), l.ts_current_frame),
        }
    }
}

/// Suspends the running generator, which goes on at a SEND with a value that the caller has, as one that delegates; to
/// what. `None`, and nothing is done, if that is no generator that waits for a value.
#[inline(always)]
pub unsafe fn quick_delegate<V: Version>(ts: *mut PyThreadState, generator: Obj, value: Obj) -> Option<Obj> {
    let l = const { &V::LAYOUT };
    // SAFETY: it is the current one, with what it delegates to on its stack.
    unsafe {
        let frame: *mut Frame = at(generator, l.gen_frame);
        let top: i32 = read(frame, l.frame_stacktop);
        let inner: Obj = read(frame, l.frame_locals + 8 * (top - 1));
        if !is_exact(inner) {
            return None;
        }
        let state: i8 = read(inner, l.gen_frame_state);
        let ready = state < EXECUTING && (state != l.gen_states[0] || value == capi::none());
        if !ready || read::<i32, _>(ts, l.ts_py_recursion_remaining) <= 1 {
            return None;
        }
        let next: *const u8 = read(frame, l.frame_instr);
        write(frame, l.frame_instr, next.offset(2 * SEND_TO_RESUME as isize));
        quick_unlink::<V>(ts, generator);
        write(generator, l.gen_frame_state, l.gen_states[2]);
        Some(inner)
    }
}

/// Where a suspended generator that delegates goes on behind its END_SEND, as a saved instruction pointer; `None` if there
/// is no such instruction.
#[inline(always)]
pub unsafe fn quick_end_of_send<V: Version>(generator: Obj) -> Option<usize> {
    let l = const { &V::LAYOUT };
    // SAFETY: its SEND is where `past_send` came from; it jumps to the END_SEND.
    unsafe {
        let saved: usize = read(generator, l.gen_frame + l.frame_instr);
        let resume = saved.wrapping_add_signed(-2 * l.frame_instr_bias as isize);
        let send = resume - 2 * SEND_TO_RESUME as usize;
        let distance = ((send + 1) as *const u8).read();
        let end = send + 2 * (2 + distance as usize);
        let is_end = u64::from((end as *const u8).read()) == number(Opcode::EndSend);
        is_end.then_some((end + 2).wrapping_add_signed(2 * l.frame_instr_bias as isize))
    }
}

/// Makes a suspended generator go on elsewhere.
#[inline(always)]
pub unsafe fn quick_set_place<V: Version>(generator: Obj, place: usize) {
    // SAFETY: the module's duty.
    unsafe { write(generator, V::LAYOUT.gen_frame + V::LAYOUT.frame_instr, place) }
}

/// As [`drop_delegate`], for a suspended one: only where nothing is to be done before.
#[inline(always)]
pub unsafe fn quick_drop_delegate<V: Version>(generator: Obj) -> bool {
    let l = const { &V::LAYOUT };
    // SAFETY: as there.
    unsafe {
        let frame: *mut Frame = at(generator, l.gen_frame);
        let top: i32 = read(frame, l.frame_stacktop);
        let inner: Obj = read(frame, l.frame_locals + 8 * (top - 1));
        let bare =
            is_exact(inner) && read::<i8, _>(inner, l.gen_frame_state) == CLEARED && read::<usize, _>(inner, l.gen_weakrefs) == 0;
        if !bare && (*inner).ob_refcnt == 1 {
            return false;
        }
        write(frame, l.frame_stacktop, top - 1);
        if bare && (*inner).ob_refcnt == 1 {
            crate::fresh_generator::drop_ended(inner);
        } else {
            decref(inner);
        }
        true
    }
}

/// As [`end`].
#[inline(always)]
pub unsafe fn quick_end<V: Version>(ts: *mut PyThreadState, generator: Obj, mut before: impl FnMut()) {
    let l = const { &V::LAYOUT };
    // SAFETY: as there.
    unsafe {
        let frame: *mut Frame = at(generator, l.gen_frame);
        if read::<usize, _>(frame, l.frame_object) | read::<usize, _>(frame, l.frame_f_locals) != 0 {
            return end(ts, generator, before);
        }
        write(generator, l.gen_frame_state, CLEARED);
        quick_unlink::<V>(ts, generator);
        let top: i32 = read(frame, l.frame_stacktop);
        write(frame, l.frame_stacktop, 0i32);
        let mut drop = |o: Obj| {
            if !o.is_null() {
                if (*o).ob_refcnt == 1 && !is_plain(o) {
                    before();
                }
                decref(o);
            }
        };
        for k in 0..top {
            let o: Obj = read(frame, l.frame_locals + 8 * k);
            write(frame, l.frame_locals + 8 * k, 0usize);
            drop(o);
        }
        drop(read(frame, l.frame_function));
    }
}

/// Takes the running generator out of the chain.
#[inline(always)]
unsafe fn quick_unlink<V: Version>(ts: *mut PyThreadState, generator: Obj) {
    let l = const { &V::LAYOUT };
    // SAFETY: it is the current one.
    unsafe {
        let frame: *mut Frame = at(generator, l.gen_frame);
        write(ts, l.ts_exc_info, read::<*mut Obj, _>(generator, l.gen_exc_state + 8));
        write(generator, l.gen_exc_state + 8, 0usize);
        *quick_cell::<V>(ts) = read(frame, l.frame_previous);
        write(frame, l.frame_previous, 0usize);
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
        write(generator, l.gen_frame_state, l.gen_states[1]);
        quick_unlink::<V>(ts, generator);
    }
}
