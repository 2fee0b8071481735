//! Resuming generators and coroutines: natively where their code is compiled, and past those that merely delegate.
//!
//! Whoever asks a generator for its next value from C (builtins, compiled code) comes here: through the slot
//! `tp_iternext` of the type. The interpreter's own loops resume generators without it.
//!
//! A generator that is suspended in `yield from` or `await` hands what it is sent to another one, and that one's value
//! back. Where such generators stand in a row, the innermost is resumed at once: the others are put into the thread's
//! chain of frames as if they ran, and taken out when it yields. The interpreter would walk through all of them twice.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use stoop_cpython::capi::{self, Obj, PyThreadState};
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::generator::Quick;
use stoop_cpython::generator::{self, delegate, is_exact, is_fresh, is_suspended};
use stoop_cpython::layout::{self, Of312, Of313, Version, read, write};
use stoop_cpython::opcodes::Opcode;
use stoop_cpython::{frame, type_ptr};

use super::entry::{QUIET_VERSION, is_quiet};
use super::exits::HANDED_BACK;
use super::record::{CodeState, NativeFn, Record};
use super::trial::{self, Verdict};
use super::{eager, registry, sampler, stack};
use crate::frontend::Entry;
use crate::reasons::Refusal;

/// What machine code adds to a value it yields while it delegates.
const DELEGATES: usize = 4;

/// What became of a generator that was resumed.
enum Outcome {
    Yielded(Obj),
    Returned(Obj),
    Raised,
}

type NextFn = unsafe extern "C" fn(Obj) -> Obj;

/// The interpreter's `tp_iternext` of generators.
static FORMER: AtomicUsize = AtomicUsize::new(0);
/// Whether the engine is on.
static ON: AtomicBool = AtomicBool::new(false);

/// Takes the slot over, once. The type is never freed, and nothing keeps what the slot held but its `__next__`, which
/// goes on as before.
///
/// # Safety
/// The GIL is held; the layout has been checked.
pub unsafe fn start() {
    let (l, ty) = (layout::get(), type_ptr!(PyGen_Type));
    ON.store(true, Ordering::Relaxed);
    // SAFETY: a built-in type's slot, a plain function pointer.
    unsafe {
        if FORMER.load(Ordering::Relaxed) == 0 {
            FORMER.store(read::<usize, _>(ty, l.tp_iternext), Ordering::Relaxed);
            let slot = if l.minor == 12 { next::<Of312> as *const c_void } else { next::<Of313> as *const c_void };
            write(ty, l.tp_iternext, slot);
        }
    }
}

/// From now on the interpreter resumes generators by itself.
pub fn stop() {
    ON.store(false, Ordering::Relaxed);
}

/// The slot.
unsafe extern "C" fn next<V: Version>(generator: Obj) -> Obj {
    // SAFETY: the slot's protocol: a live generator, the GIL held.
    unsafe {
        let place = generator::quick_place::<V>(generator);
        let unknown = entry(place).at.load(Ordering::Relaxed) != place;
        if unknown && !generator::may_delegate::<V>(generator) && !eager::is_on() {
            return former(generator);
        }
        let ts = capi::PyThreadState_Get();
        if let Some(value) = quickly::<V>(ts, generator) {
            return value;
        }
        match look_up(generator::place(generator)) {
            Some(r) if !r.is_null() && (*r).trial.verdict == Verdict::Open => try_out::<V>(ts, generator, r),
            _ => slowly(ts, generator),
        }
    }
}

/// The slot as it was.
unsafe fn former(generator: Obj) -> Obj {
    // SAFETY: saved from the type.
    unsafe {
        let former: NextFn = std::mem::transmute(FORMER.load(Ordering::Relaxed) as *const c_void);
        former(generator)
    }
}

/// The slot, with a close look.
unsafe fn slowly(ts: *mut PyThreadState, generator: Obj) -> Obj {
    // SAFETY: as for `next`.
    unsafe {
        match advance(ts, generator, capi::none()) {
            None => former(generator),
            Some(outcome) => answer(outcome),
        }
    }
}

/// Runs a region, or lets the interpreter, to find out which is faster.
#[cold]
unsafe fn try_out<V: Version>(ts: *mut PyThreadState, generator: Obj, record: *mut Record) -> Obj {
    // SAFETY: as for `next`; the region is kept while it is marked active.
    unsafe {
        (*record).active += 1;
        let compiled = (*record).trial.next_is_compiled();
        // What is timed is the quick way, which is open for this once.
        open(record);
        let start = trial::now();
        let value = match compiled {
            true => quickly::<V>(ts, generator).unwrap_or_else(|| slowly(ts, generator)),
            false => former(generator),
        };
        let ticks = trial::now() - start;
        (*record).active -= 1;
        entry(place_of((*record).code, (*record).unit())).native.set(None);
        // Deciding may free objects, which wants no exception set.
        if !value.is_null()
            && (*record).is_valid()
            && (*record).trial.verdict == Verdict::Open
            && (*record).trial.note(compiled, ticks)
        {
            if (*record).trial.verdict == Verdict::Slower {
                let (code, unit) = ((*record).code, (*record).unit());
                registry::drop_region(record, Refusal::SlowerResumptions.sentence());
                let s = registry::state(code);
                s.trials += 1;
                s.slower.insert(unit, s.samples.saturating_add(AGAIN << s.trials.min(16)));
            } else {
                publish(record);
            }
        }
        value
    }
}

/// Resumes a generator that waits at a place with a region, where nothing is out of the ordinary; `None`: nothing has been
/// done. What [`advance`] does, for the most frequent case.
///
/// # Safety
/// A live, exact generator and the running thread; the GIL is held.
#[inline(always)]
pub unsafe fn quickly<V: Version>(ts: *mut PyThreadState, generator: Obj) -> Option<Obj> {
    // SAFETY: as for `advance`; a place with machine code has a live region.
    unsafe {
        let place = generator::quick_place::<V>(generator);
        let p = entry(place);
        let run = p.native.get()?;
        let mut quick = p.quick.get();
        quick.quiet = QUIET_VERSION.load(Ordering::Relaxed);
        quick.stack = stack::last();
        let r = p.record.load(Ordering::Relaxed);
        if quick.place != place || (*r).valid.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let fr = generator::quick_enter::<V>(ts, generator, &quick)?;
        (*r).entries += 1;
        (*r).active += 1;
        let result = run(ts, fr);
        (*r).active -= 1;
        generator::quick_leave_call::<V>(ts);
        if result > HANDED_BACK && result & (1 | DELEGATES) == 0 {
            generator::quick_suspend::<V>(ts, generator);
            return Some(result as Obj);
        }
        Some(settle(ts, generator, result))
    }
}

/// What the slot answers once machine code has done other than yield.
#[cold]
unsafe fn settle(ts: *mut PyThreadState, generator: Obj, result: usize) -> Obj {
    // SAFETY: as for `native`.
    unsafe { answer(outcome(ts, generator, result)) }
}

/// What the slot answers.
unsafe fn answer(outcome: Outcome) -> Obj {
    // SAFETY: a reference of the caller's.
    unsafe {
        match outcome {
            Outcome::Yielded(value) => value,
            Outcome::Raised => std::ptr::null_mut(),
            Outcome::Returned(value) => {
                if value != capi::none() {
                    capi::_PyGen_SetStopIterationValue(value);
                }
                capi::decref(value);
                std::ptr::null_mut()
            }
        }
    }
}

/// Resumes a generator with a value (borrowed), if there is anything to gain; `None`: nothing has been done.
unsafe fn advance(ts: *mut PyThreadState, generator: Obj, sent: Obj) -> Option<Outcome> {
    // SAFETY: a live generator, the GIL held.
    unsafe {
        if !ON.load(Ordering::Relaxed) || !is_exact(generator) {
            return None;
        }
        let suspended = is_suspended(generator);
        if !suspended && !is_fresh(generator) {
            return None;
        }
        let delegates = suspended && next_inner(generator).is_some();
        if !delegates && !is_known(generator) || !is_quiet(ts) || stack::is_low(ts) {
            return None;
        }
        Some(run(ts, generator, sent))
    }
}

/// The generator that a suspended one delegates to, if that is suspended too.
#[inline]
unsafe fn next_inner(generator: Obj) -> Option<Obj> {
    // SAFETY: what is on the stack of a suspended generator lives.
    unsafe { delegate(generator).filter(|inner| is_exact(*inner) && is_suspended(*inner)) }
}

/// Resumes the innermost of a row of generators, and sees what it does through to the outermost.
unsafe fn run(ts: *mut PyThreadState, generator: Obj, sent: Obj) -> Outcome {
    // SAFETY: each generator is held by the one outside it, the outermost by the caller. Those that are entered are the
    // thread's current frames until they are suspended or handed to the interpreter.
    unsafe {
        let (inner, mut depth) = if is_suspended(generator) { generator::descend(ts, generator) } else { (generator, 0) };
        frame::push(generator::frame_of(inner), capi::new_ref(sent));
        generator::enter(ts, inner);
        let mut outcome = go_on(ts, inner);
        while depth > 0 {
            if matches!(outcome, Outcome::Yielded(_)) && is_quiet(ts) {
                generator::ascend(ts, depth);
                break;
            }
            outcome = come_back(ts, outcome);
            depth -= 1;
        }
        outcome
    }
}

/// Goes on with the innermost generator that delegates, once what it delegates to has done something.
unsafe fn come_back(ts: *mut PyThreadState, outcome: Outcome) -> Outcome {
    // SAFETY: the current frame is that of a generator that was entered to delegate.
    unsafe {
        let fr = frame::current(ts);
        let Some(outer) = generator::of_frame(fr) else { return outcome };
        let (send, end) = generator::send_units(outer);
        frame::leave_call(ts);
        match outcome {
            // A tool wants to hear of it.
            Outcome::Yielded(value) => {
                frame::push(fr, value);
                generator::stand_at_yield(outer);
                interpret(ts, outer)
            }
            Outcome::Returned(value) => {
                frame::push(fr, value);
                frame::set_next(fr, end);
                go_on(ts, outer)
            }
            Outcome::Raised if frame::unwind(ts, fr, send, false) => interpret(ts, outer),
            Outcome::Raised => {
                generator::end(ts, outer);
                Outcome::Raised
            }
        }
    }
}

/// Lets the interpreter run a generator that has been entered, from its next unit.
unsafe fn interpret(ts: *mut PyThreadState, generator: Obj) -> Outcome {
    // SAFETY: as for `run`.
    unsafe {
        let value = generator::resume(ts, generator);
        if value.is_null() {
            Outcome::Raised
        } else if is_suspended(generator) {
            Outcome::Yielded(value)
        } else {
            Outcome::Returned(value)
        }
    }
}

/// Runs a generator that has been entered, from its next unit: natively if that is compiled.
unsafe fn go_on(ts: *mut PyThreadState, generator: Obj) -> Outcome {
    // SAFETY: as for `run`.
    unsafe {
        let place = generator::place(generator);
        let record = match look_up(place) {
            Some(record) if !record.is_null() && (*record).is_valid() => record,
            None if !eager::is_on() => return interpret(ts, generator),
            _ => match missing(generator, place) {
                Some(record) => record,
                None => return interpret(ts, generator),
            },
        };
        let r = &mut *record;
        let Entry::Resume { depth, .. } = r.entry else { return interpret(ts, generator) };
        let (fr, base) = (generator::frame_of(generator), r.info.nlocalsplus as i32);
        frame::forget_object(fr);
        let fits = frame::stacktop(fr) == base + depth as i32
            && frame::globals(fr) == r.globals
            && frame::builtins(fr) == r.builtins
            && frame::frame_object(fr).is_null()
            && !generator::handles(generator)
            && r.is_unobserved();
        if !fits {
            return interpret(ts, generator);
        }
        native(ts, generator, record)
    }
}

/// Runs a region, and leaves to the interpreter what it leaves.
unsafe fn native(ts: *mut PyThreadState, generator: Obj, record: *mut Record) -> Outcome {
    // SAFETY: the generator has been entered and stands where the region begins; the region lives while it is active.
    unsafe {
        let fr = generator::frame_of(generator);
        if !frame::enter_call(ts) {
            // The interpreter raises RecursionError.
            return interpret(ts, generator);
        }
        let r = &mut *record;
        frame::set_stacktop(fr, r.info.nlocalsplus as i32);
        r.entries += 1;
        r.active += 1;
        let run = r.native.expect("a valid region has code");
        let result = run(ts, fr);
        (*record).active -= 1;
        frame::leave_call(ts);
        outcome(ts, generator, result)
    }
}

/// What machine code's result says, once what it leaves to the interpreter is done.
unsafe fn outcome(ts: *mut PyThreadState, generator: Obj, result: usize) -> Outcome {
    // SAFETY: the generator is the running one.
    unsafe {
        match result {
            0 => {
                generator::end(ts, generator);
                Outcome::Raised
            }
            HANDED_BACK => interpret(ts, generator),
            returned if returned & 1 != 0 => {
                generator::end(ts, generator);
                Outcome::Returned((returned & !1) as Obj)
            }
            yielded => {
                generator::suspend(ts, generator, yielded & DELEGATES != 0);
                Outcome::Yielded((yielded & !DELEGATES) as Obj)
            }
        }
    }
}

/// A place where generators go on: the saved instruction pointer, and the region there; NULL where there is to be one.
#[repr(align(64))]
struct Place {
    at: AtomicUsize,
    record: AtomicPtr<Record>,
    /// The region's machine code, if it is there and known to pay.
    native: Cell<Option<NativeFn>>,
    /// What it must be like to enter that without a closer look.
    quick: Cell<Quick>,
}
// SAFETY: every access is made with the GIL held.
unsafe impl Sync for Place {}

const NOWHERE: Quick = Quick {
    place: 0,
    top: 0,
    locals: 0,
    names: [std::ptr::null_mut(); 2],
    events: 0,
    quiet: 0,
    stack: [0; 3],
    reserve: stack::C_RECURSION_RESERVE,
};

/// The places that matter, each at the only index it can have. One that finds another's entry replaces it.
static PLACES: [Place; 1024] = [const {
    Place {
        at: AtomicUsize::new(0),
        record: AtomicPtr::new(std::ptr::null_mut()),
        native: Cell::new(None),
        quick: Cell::new(NOWHERE),
    }
}; 1024];

fn entry(place: usize) -> &'static Place {
    &PLACES[(place >> 1 ^ place >> 11) % PLACES.len()]
}

#[inline]
fn look_up(place: usize) -> Option<*mut Record> {
    let p = entry(place);
    (p.at.load(Ordering::Relaxed) == place).then(|| p.record.load(Ordering::Relaxed))
}

fn note(place: usize, record: *mut Record) {
    let p = entry(place);
    p.at.store(place, Ordering::Relaxed);
    p.record.store(record, Ordering::Relaxed);
    p.native.set(None);
}

fn forget(place: usize) {
    let p = entry(place);
    if p.at.load(Ordering::Relaxed) == place {
        p.at.store(0, Ordering::Relaxed);
        p.record.store(std::ptr::null_mut(), Ordering::Relaxed);
        p.native.set(None);
    }
}

fn is_known(generator: Obj) -> bool {
    // SAFETY: the callers' generator.
    eager::is_on() || look_up(unsafe { generator::place(generator) }).is_some()
}

/// The saved instruction pointer of generators that go on at a unit.
fn place_of(code: Obj, unit: u32) -> usize {
    // SAFETY: an address only.
    unsafe { frame::unit_address(code, unit as i32 + layout::get().frame_instr_bias) as usize }
}

/// A region is there: generators enter it from now on.
///
/// # Safety
/// A live region; the GIL is held.
pub unsafe fn publish(record: *mut Record) {
    // SAFETY: as documented.
    let r = unsafe { &*record };
    let place = place_of(r.code, r.unit());
    note(place, record);
    if matches!(r.trial.verdict, Verdict::Pays | Verdict::PaysForCompiled) {
        // SAFETY: as documented.
        unsafe { open(record) };
    }
}

/// Lets generators that go on at a region's place do so without a closer look, if that is possible at all.
///
/// # Safety
/// A live region that has been published; the GIL is held.
unsafe fn open(record: *mut Record) {
    // SAFETY: as documented.
    let r = unsafe { &*record };
    let place = place_of(r.code, r.unit());
    if let (Entry::Resume { depth, .. }, [events]) = (r.entry, &r.local_events[..]) {
        let (p, locals) = (entry(place), r.info.nlocalsplus as i32);
        p.native.set(r.native);
        let names = [r.globals, r.builtins];
        p.quick.set(Quick { place, top: locals + depth as i32 - 1, locals, names, events: *events, ..NOWHERE });
    }
}

/// A region is about to go.
pub fn withdraw(record: &Record) {
    if let Entry::Resume { unit, .. } = record.entry {
        let place = place_of(record.code, unit);
        if look_up(place) == Some(std::ptr::from_ref(record).cast_mut()) {
            forget(place);
        }
    }
}

/// Has a region made for where generators of a code object go on, once one does.
pub fn want_at(code: Obj, unit: u32) {
    registry::state(code).wanted.insert(unit);
    note(place_of(code, unit), std::ptr::null_mut());
}

/// Samples after which a region that was slower is tried again; twice as many each time.
const AGAIN: u32 = 4;

/// Above this many places a generator's own are left to the interpreter: each has a region of its own.
const MOST_PLACES: usize = 6;

/// The units at which a code object's generators start and go on.
fn units(info: &CodeInfo) -> Vec<u32> {
    let pairs = info.instrs.windows(2);
    pairs.filter(|w| matches!(w[0].op, Opcode::ReturnGenerator | Opcode::YieldValue)).map(|w| w[1].unit).collect()
}

/// A generator's code is hot: has its regions made. Whether there is still one to come.
pub fn want(s: &mut CodeState, info: &CodeInfo) -> bool {
    let units = units(info);
    if units.len() > MOST_PLACES {
        return false;
    }
    let (code, mut open) = (s.code, false);
    for unit in units {
        // What it resumes, or what resumes it, may be compiled by now.
        if s.slower.get(&unit).is_some_and(|at| s.samples >= *at) {
            s.slower.remove(&unit);
            s.refused.remove(&Some(unit));
        }
        let known = s.refused.contains_key(&Some(unit)) || s.loops.get(&unit).is_some_and(|r| r.is_valid());
        if !known {
            open = true;
            if !s.pending.contains(&Some(unit)) && !s.wanted.contains(&unit) {
                want_at(code, unit);
            }
        }
    }
    open
}

/// What to do at a place that has no region: `None` where there is none after that.
unsafe fn missing(generator: Obj, place: usize) -> Option<*mut Record> {
    // SAFETY: the generator has been entered; its frame is complete, with what it was sent on its stack.
    unsafe {
        let fr = generator::frame_of(generator);
        let (code, unit) = (frame::code(fr), frame::next_unit(fr));
        match registry::loop_at(code, unit) {
            registry::LoopAt::Region(r) => {
                publish(r);
                return Some(r);
            }
            registry::LoopAt::New if eager::is_due(registry::state(code), unit) => {
                sampler::request_inside(fr, code, unit, |unit, depth| Entry::Resume { unit, depth });
            }
            registry::LoopAt::New => return None,
            registry::LoopAt::None => {}
        }
        match registry::loop_at(code, unit) {
            registry::LoopAt::Region(r) => Some(r),
            _ => {
                forget(place);
                None
            }
        }
    }
}
