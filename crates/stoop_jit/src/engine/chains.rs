//! What a resumed generator does, and what that means for those that delegate to it.
//!
//! A generator that is suspended in `yield from` or `await` hands what it is sent to another one, and that one's value
//! back. Where such generators stand in a row, the innermost is resumed at once, and when it ends, the one that waits for
//! it goes on. The interpreter walks through all of them for each value.
//!
//! Those that wait have to be linked into the thread's chain of frames, and to be running, where anybody can look. Machine
//! code seldom lets anybody. So they stay as they are, and are *hidden*, until it does: `stoop_cpython`'s
//! [`generator::reveal`] then enters them all. Wherever machine code may run Python code it asks for that before.

use std::marker::PhantomData;

use stoop_cpython::capi::{self, Obj, PyThreadState};
use stoop_cpython::generator::{self, HIDDEN, is_exact, is_fresh, is_suspended};
use stoop_cpython::layout::{self, Version, read};
use stoop_cpython::{frame, of_version, type_ptr};

use super::eager;
use super::entry::is_quiet;
use super::exits::HANDED_BACK;
use super::generators::{self, look_up, missing};
use super::record::Record;
use super::trial::Verdict;
use crate::frontend::Entry;

/// What machine code adds to a value that is to be sent to what lies on top of the generator's stack.
pub(super) const DELEGATES: usize = 4;

/// What became of a generator that was resumed.
pub(super) enum Outcome {
    Yielded(Obj),
    Returned(Obj),
    Raised,
}

/// What is to be done next.
enum Step {
    /// Resume a suspended or fresh generator with a value.
    Resume(Obj, Obj),
    /// Let an entered one go on at its next unit.
    GoOn(Obj),
    /// Send a value to what is on top of the stack of one that has been entered. It goes on at its SEND.
    Send(Obj, Obj),
    /// The innermost one has done this, and is not the running one any more.
    Done(Outcome),
}

/// The last ones of a row that are remembered.
const KEPT: usize = 32;

/// A row of generators: the outermost is being resumed, each waits for the next.
struct Row<V: Version> {
    ts: *mut PyThreadState,
    outermost: Obj,
    /// How many wait for the innermost.
    depth: i32,
    /// The last ones of these, each at its index modulo the size.
    kept: [Obj; KEPT],
    /// The index from which on they are right.
    known: i32,
    /// Whether they have been entered.
    shown: bool,
    /// Whether one of them handles an exception, which is then the context of others.
    handling: bool,
    version: PhantomData<V>,
}

/// Whether a suspended generator hands on what it is sent to another.
pub(super) unsafe fn hands_on(generator: Obj) -> bool {
    // SAFETY: a live generator.
    unsafe { generator::delegate(generator).is_some_and(|inner| is_exact(inner) && is_suspended(inner)) }
}

/// Resumes a suspended or fresh generator with a value (borrowed). Where it waits for another that is not compiled, nothing
/// is done, and where that one's region is still to be tried, and is not being `tried`: that region.
///
/// # Safety
/// A live, exact generator that the caller holds; the running thread, in which no tool listens.
pub(super) unsafe fn run(ts: *mut PyThreadState, generator: Obj, sent: Obj, tried: bool) -> Result<Outcome, Option<*mut Record>> {
    // SAFETY: as documented.
    unsafe { of_version!(run_of(ts, generator, sent, tried)) }
}

/// Does what the result of a generator's machine code says. The generator has been entered, by itself.
///
/// # Safety
/// As for [`run`].
pub(super) unsafe fn settle(ts: *mut PyThreadState, generator: Obj, result: usize) -> Outcome {
    // SAFETY: as documented.
    unsafe { of_version!(settle_of(ts, generator, result)) }
}

unsafe fn run_of<V: Version>(
    ts: *mut PyThreadState,
    generator: Obj,
    sent: Obj,
    tried: bool,
) -> Result<Outcome, Option<*mut Record>> {
    // SAFETY: as for `run`.
    unsafe {
        let mut row = Row::<V>::new(ts, generator);
        let inner = row.follow(generator);
        if row.depth > 0 && !tried {
            let instead = match look_up(generator::place(inner)) {
                Some(r) if !r.is_null() => ((*r).trial.verdict == Verdict::Open && !eager::is_on()).then_some(Some(r)),
                Some(_) => None,
                None => (!eager::is_on()).then_some(None),
            };
            if let Some(instead) = instead {
                generator::count_calls(ts, -row.depth);
                return Err(instead);
            }
        }
        Ok(row.drive(Step::Resume(inner, capi::new_ref(sent))))
    }
}

unsafe fn settle_of<V: Version>(ts: *mut PyThreadState, generator: Obj, result: usize) -> Outcome {
    // SAFETY: as for `settle`.
    unsafe {
        let mut row = Row::<V>::new(ts, generator);
        let step = row.result(generator, result);
        row.drive(step)
    }
}

impl<V: Version> Row<V> {
    fn new(ts: *mut PyThreadState, outermost: Obj) -> Self {
        Row {
            ts,
            outermost,
            depth: 0,
            kept: [std::ptr::null_mut(); KEPT],
            known: 0,
            shown: false,
            handling: false,
            version: PhantomData,
        }
    }

    /// One more waits for the innermost.
    fn note(&mut self, generator: Obj) {
        self.kept[self.depth as usize % KEPT] = generator;
        self.depth += 1;
    }

    /// The innermost of those that a generator delegates to; the others wait.
    unsafe fn follow(&mut self, generator: Obj) -> Obj {
        // SAFETY: a suspended or fresh generator.
        unsafe {
            if !is_suspended(generator) {
                return generator;
            }
            let (ts, room) = (self.ts, generator::room(self.ts));
            let met = |g| {
                self.note(g);
                self.handling |= generator::handles(g);
            };
            let (inner, count) = generator::innermost::<V>(generator, room, met);
            self.known = self.known.max(self.depth - KEPT as i32);
            if count > 0 {
                generator::count_calls(ts, count);
            }
            inner
        }
    }

    unsafe fn drive(&mut self, mut step: Step) -> Outcome {
        // SAFETY: each generator is held by the one outside it, the outermost by the caller.
        unsafe {
            loop {
                step = match step {
                    Step::Resume(g, value) => self.resume(g, value),
                    Step::GoOn(g) => self.go_on(g),
                    Step::Send(g, value) => self.send(g, value),
                    Step::Done(outcome) if self.depth == 0 => return outcome,
                    Step::Done(Outcome::Yielded(value)) => match self.yielded(value) {
                        Ok(outcome) => return outcome,
                        Err(step) => step,
                    },
                    Step::Done(Outcome::Returned(value)) => self.returned(value),
                    Step::Done(Outcome::Raised) => self.raised(),
                }
            }
        }
    }

    /// Enters those that wait, with none of the others running.
    unsafe fn show(&mut self) {
        // SAFETY: the current frame is the one that resumed the outermost.
        unsafe {
            if !self.shown && self.depth > 0 {
                generator::descend(self.ts, self.outermost, self.depth);
                self.shown = true;
            }
        }
    }

    /// The same with the innermost running.
    unsafe fn show_outside(&mut self) {
        // SAFETY: the current frame is the innermost's.
        unsafe {
            if !self.shown && self.depth > 0 {
                generator::enter_outside(self.ts, self.outermost, self.depth);
                self.shown = true;
            }
        }
    }

    /// Lets those that wait be suspended again, with none of the others running, if nobody wants to hear of it.
    unsafe fn hide(&mut self) -> bool {
        // SAFETY: the current frame is the last one's of those that wait, if they have been entered.
        unsafe {
            if self.shown && !is_quiet(self.ts) {
                return false;
            }
            if self.shown {
                generator::ascend(self.ts, self.depth);
                self.shown = false;
            }
            true
        }
    }

    unsafe fn resume(&mut self, g: Obj, value: Obj) -> Step {
        // SAFETY: a suspended or fresh generator, the innermost.
        unsafe {
            if let Some(result) = self.quickly(g, generator::quick_place::<V>(g), value) {
                return self.result(g, result);
            }
            let delegates = is_suspended(g) && generator::delegate(g).is_some();
            generator::enter(self.ts, g);
            if delegates {
                generator::back_to_send(g);
                return Step::Send(g, value);
            }
            frame::push(generator::frame_of(g), value);
            Step::GoOn(g)
        }
    }

    /// Runs the region at a place with a generator that goes on there, if nothing is out of the ordinary.
    #[inline(always)]
    unsafe fn quickly(&mut self, g: Obj, place: usize, value: Obj) -> Option<usize> {
        // SAFETY: the generator is the innermost; the others wait.
        unsafe {
            if self.shown || self.handling {
                return None;
            }
            let result = generators::enter::<V>(self.ts, g, place, value, self.outermost, self.depth)?;
            self.shown = self.depth > 0 && !HIDDEN.take();
            Some(result)
        }
    }

    /// Runs an entered generator from its next unit: natively if that is compiled.
    unsafe fn go_on(&mut self, g: Obj) -> Step {
        // SAFETY: the generator is the running one.
        unsafe {
            let place = generator::place(g);
            let record = match look_up(place) {
                Some(record) if !record.is_null() && (*record).is_valid() => record,
                None if !eager::is_on() => return self.interpret(g),
                _ => {
                    self.show_outside();
                    match missing(g, place) {
                        Some(record) => record,
                        None => return self.interpret(g),
                    }
                }
            };
            let r = &mut *record;
            let Entry::Resume { depth, .. } = r.entry else { return self.interpret(g) };
            let (fr, base) = (generator::frame_of(g), r.info.nlocalsplus as i32);
            frame::forget_object(fr);
            let fits = frame::stacktop(fr) == base + depth as i32
                && frame::globals(fr) == r.globals
                && frame::builtins(fr) == r.builtins
                && frame::frame_object(fr).is_null()
                && !generator::handles(g)
                && r.is_unobserved();
            // The interpreter raises RecursionError.
            if !fits || super::stack::is_low(self.ts) || !frame::enter_call(self.ts) {
                return self.interpret(g);
            }
            let result = self.native(g, record);
            self.result(g, result)
        }
    }

    unsafe fn native(&mut self, g: Obj, record: *mut Record) -> usize {
        // SAFETY: the generator stands where the region begins; the region lives while it is active.
        unsafe {
            let (fr, r) = (generator::frame_of(g), &mut *record);
            frame::set_stacktop(fr, r.info.nlocalsplus as i32);
            r.entries += 1;
            r.active += 1;
            let run = r.native.expect("a valid region has code");
            if self.handling {
                self.show_outside();
            }
            if !self.shown {
                HIDDEN.set(self.outermost, self.depth);
            }
            let result = run(self.ts, fr);
            self.shown |= !HIDDEN.take() && self.depth > 0;
            (*record).active -= 1;
            frame::leave_call(self.ts);
            result
        }
    }

    /// What the result of a generator's machine code says. What it leaves to the interpreter is done.
    #[inline(always)]
    unsafe fn result(&mut self, g: Obj, result: usize) -> Step {
        // SAFETY: the generator is the running one.
        unsafe {
            match result {
                0 => {
                    self.end(g);
                    Step::Done(Outcome::Raised)
                }
                HANDED_BACK => self.interpret(g),
                returned if returned & 1 != 0 => {
                    self.end(g);
                    Step::Done(Outcome::Returned((returned & !1) as Obj))
                }
                sent if sent & DELEGATES != 0 => {
                    let value = (sent & !DELEGATES) as Obj;
                    if !self.shown
                        && let Some(receiver) = generator::quick_delegate::<V>(self.ts, g, value)
                    {
                        return self.delegate(g, receiver, value);
                    }
                    Step::Send(g, value)
                }
                yielded => {
                    generator::quick_suspend::<V>(self.ts, g);
                    Step::Done(Outcome::Yielded(yielded as Obj))
                }
            }
        }
    }

    /// Ends the running generator.
    unsafe fn end(&mut self, g: Obj) {
        // SAFETY: the others are entered before anybody can look.
        unsafe { generator::quick_end::<V>(self.ts, g, || self.show()) }
    }

    /// Lets the interpreter run a generator that has been entered, from its next unit.
    unsafe fn interpret(&mut self, g: Obj) -> Step {
        // SAFETY: the generator is the running one.
        unsafe {
            self.show_outside();
            let value = generator::resume(self.ts, g);
            Step::Done(if value.is_null() {
                Outcome::Raised
            } else if is_suspended(g) {
                Outcome::Yielded(value)
            } else {
                Outcome::Returned(value)
            })
        }
    }

    unsafe fn send(&mut self, g: Obj, value: Obj) -> Step {
        // SAFETY: the generator is the running one, and has what it sends to on its stack.
        unsafe {
            let (ts, fr) = (self.ts, generator::frame_of(g));
            let receiver = frame::top(fr);
            if is_exact(receiver) {
                let ready = is_suspended(receiver) || is_fresh(receiver) && value == capi::none();
                if ready && generator::room(ts) > 1 && is_quiet(ts) {
                    generator::past_send(g);
                    generator::suspend(ts, g, true);
                    if self.hide() {
                        return self.delegate(g, receiver, value);
                    }
                    generator::enter(ts, g);
                    generator::back_to_send(g);
                }
            } else if value == capi::none() {
                let next: Option<unsafe extern "C" fn(Obj) -> Obj> = read(capi::type_of(receiver), layout::get().tp_iternext);
                if let Some(next) = next {
                    return self.ask(g, receiver, next);
                }
            }
            frame::push(fr, value);
            self.interpret(g)
        }
    }

    /// A generator has been suspended to wait for another, which is to be resumed with a value.
    #[inline(always)]
    unsafe fn delegate(&mut self, g: Obj, receiver: Obj, value: Obj) -> Step {
        // SAFETY: the receiver is held by the one that waits.
        unsafe {
            self.note(g);
            self.known = self.known.max(self.depth - KEPT as i32);
            generator::count_calls(self.ts, 1);
            let inner = self.follow(receiver);
            Step::Resume(inner, value)
        }
    }

    /// Asks what a generator delegates to, which is no generator, for its next value.
    unsafe fn ask(&mut self, g: Obj, receiver: Obj, next: unsafe extern "C" fn(Obj) -> Obj) -> Step {
        // SAFETY: as for `send`; the receiver is held by the stack.
        unsafe {
            if !is_harmless(receiver) {
                self.show_outside();
            }
            generator::stand_at_send(g);
            let (ts, fr) = (self.ts, generator::frame_of(g));
            let (send, end) = generator::send_units(g);
            let mut value = next(receiver);
            if !value.is_null() {
                if is_quiet(ts) {
                    frame::set_next(fr, send);
                    generator::past_send(g);
                    generator::suspend(ts, g, true);
                    return Step::Done(Outcome::Yielded(value));
                }
                frame::push(fr, value);
                generator::stand_at_yield(g);
                return self.interpret(g);
            }
            if capi::_PyGen_FetchStopIterationValue(&raw mut value) == 0 {
                return self.come_back(g, value, end);
            }
            self.show_outside();
            self.unwind(g, send)
        }
    }

    /// An exception is set, raised at a SEND of the running generator.
    unsafe fn unwind(&mut self, g: Obj, send: u32) -> Step {
        // SAFETY: as documented.
        unsafe {
            if frame::unwind(self.ts, generator::frame_of(g), send, false) {
                return self.interpret(g);
            }
            self.end(g);
            Step::Done(Outcome::Raised)
        }
    }

    /// What the running generator delegated to has ended with a value.
    unsafe fn come_back(&mut self, g: Obj, value: Obj, end: u32) -> Step {
        // SAFETY: the generator stands at its SEND.
        unsafe {
            let fr = generator::frame_of(g);
            if !is_quiet(self.ts) || !generator::is_end_of_send(g, end) {
                frame::push(fr, value);
                frame::set_next(fr, end);
                return self.interpret(g);
            }
            generator::drop_delegate(g, || self.show_outside());
            frame::push(fr, value);
            frame::set_next(fr, end + 1);
            Step::GoOn(g)
        }
    }

    /// The last one of those that wait becomes the running one, at its SEND.
    unsafe fn enter_last(&mut self) -> Obj {
        // SAFETY: its delegate is not running any more.
        unsafe {
            self.depth -= 1;
            generator::count_calls(self.ts, -1);
            if self.shown {
                self.shown = self.depth > 0;
                let of = generator::of_frame(frame::current(self.ts));
                return of.expect("those that wait are generators");
            }
            let g = self.last();
            generator::enter(self.ts, g);
            generator::back_to_send(g);
            generator::stand_at_send(g);
            g
        }
    }

    /// The one of those that wait with the index `depth`, none of which has been entered.
    #[inline(always)]
    unsafe fn last(&mut self) -> Obj {
        if self.depth < self.known {
            self.known = (self.depth + 1 - KEPT as i32).max(0);
            // SAFETY: each holds the next.
            unsafe {
                let mut g = generator::nth(self.outermost, self.known);
                for k in self.known..=self.depth {
                    self.kept[k as usize % KEPT] = g;
                    g = generator::nth(g, 1);
                }
            }
        }
        self.kept[self.depth as usize % KEPT]
    }

    /// The innermost has yielded; what the outermost does, or what is to be done where a tool wants to hear of it.
    unsafe fn yielded(&mut self, value: Obj) -> Result<Outcome, Step> {
        // SAFETY: those that wait have been entered, or are hidden.
        unsafe {
            if self.hide() {
                generator::count_calls(self.ts, -self.depth);
                return Ok(Outcome::Yielded(value));
            }
            let g = self.enter_last();
            frame::push(generator::frame_of(g), value);
            generator::stand_at_yield(g);
            Err(self.interpret(g))
        }
    }

    /// The innermost has returned.
    unsafe fn returned(&mut self, value: Obj) -> Step {
        // SAFETY: as for `yielded`.
        unsafe {
            if !self.shown {
                self.depth -= 1;
                let g = self.last();
                if let Some(place) = generator::quick_end_of_send::<V>(g)
                    && generators::look_up(place).is_some()
                    && generator::quick_drop_delegate::<V>(g)
                {
                    generator::count_calls(self.ts, -1);
                    generator::quick_set_place::<V>(g, place);
                    if let Some(result) = self.quickly(g, place, value) {
                        return self.result(g, result);
                    }
                    generator::enter(self.ts, g);
                    frame::push(generator::frame_of(g), value);
                    return Step::GoOn(g);
                }
                self.depth += 1;
            }
            let g = self.enter_last();
            let (_, end) = generator::send_units(g);
            self.come_back(g, value, end)
        }
    }

    /// The innermost has raised.
    unsafe fn raised(&mut self) -> Step {
        // SAFETY: as for `yielded`.
        unsafe {
            self.show();
            let g = self.enter_last();
            let (send, _) = generator::send_units(g);
            self.unwind(g, send)
        }
    }
}

/// Whether asking an iterator for its next value runs no Python code.
pub unsafe fn is_harmless(iterator: Obj) -> bool {
    // SAFETY: a live object.
    let ty = unsafe { capi::type_of(iterator) };
    [type_ptr!(PyListIter_Type), type_ptr!(PyTupleIter_Type), type_ptr!(PyRangeIter_Type)].contains(&ty)
}
