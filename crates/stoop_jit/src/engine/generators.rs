//! Resuming generators and coroutines: natively where their code is compiled, and past those that merely delegate.
//!
//! Whoever asks a generator for its next value from C (builtins, compiled code) comes here: through the slot
//! `tp_iternext` of the type. The interpreter's own loops resume generators without it.
//!
//! What a resumed generator does, and those that it delegates to, is in [`chains`].

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use stoop_cpython::capi::{self, Obj, PyThreadState};
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::generator::{self, is_exact, is_fresh, is_suspended};
use stoop_cpython::generator::{HIDDEN, Now, Quick};
use stoop_cpython::layout::{self, Version, read, write};
use stoop_cpython::opcodes::Opcode;
use stoop_cpython::{frame, of_version, type_ptr};

use super::chains::{self, DELEGATES, Outcome};
use super::entry::{QUIET_VERSION, is_quiet};
use super::exits::HANDED_BACK;
use super::record::{CodeState, NativeFn, Record};
use super::trial::{self, Verdict};
use super::{eager, journal, policy, registry, sampler, sends, stack};
use crate::frontend::Entry;
use crate::reasons::Refusal;

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
            let slot = of_version!(next as *const c_void);
            write(ty, l.tp_iternext, slot);
            sends::start();
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
        if is_foreign::<V>(generator) {
            return former(generator);
        }
        let ts = capi::PyThreadState_Get();
        if let Some(value) = quickly::<V>(ts, generator) {
            return value;
        }
        match look_up(generator::place(generator)) {
            Some(r) if !r.is_null() && (*r).trial.verdict == Verdict::Open => try_out::<V>(ts, generator, r),
            _ => match slowly(ts, generator, false) {
                Ok(value) => value,
                Err(r) => try_out::<V>(ts, generator, r),
            },
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

/// The slot, with a close look. The region that is still to be tried, if there is one, unless that is what is going on.
unsafe fn slowly(ts: *mut PyThreadState, generator: Obj, tried: bool) -> Result<Obj, *mut Record> {
    // SAFETY: as for `next`.
    unsafe {
        match advance(ts, generator, capi::none(), tried) {
            Err(None) => Ok(former(generator)),
            Err(Some(record)) => Err(record),
            Ok(outcome) => Ok(answer(outcome)),
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
        let p = entry(place_of((*record).code, (*record).unit()));
        p.pays.set(true);
        let start = trial::now();
        let value = match compiled {
            true => match quickly::<V>(ts, generator) {
                Some(value) => value,
                None => slowly(ts, generator, true).unwrap_or_else(|_| former(generator)),
            },
            false => former(generator),
        };
        let ticks = trial::now() - start;
        (*record).active -= 1;
        p.pays.set(false);
        // Deciding may free objects, which wants no exception set.
        if !value.is_null()
            && (*record).is_valid()
            && (*record).trial.verdict == Verdict::Open
            && (*record).trial.note(compiled, false, ticks)
        {
            decide(record);
        }
        value
    }
}

/// Does what a region's trial has found out.
///
/// # Safety
/// A live region; no exception is set.
pub(super) unsafe fn decide(record: *mut Record) {
    // SAFETY: as documented.
    unsafe {
        journal::note(&*record, || registry::tried(&*record));
        if (*record).trial.verdict == Verdict::Slower {
            // What it is slow by may be what it guessed.
            if let Some(worst) = policy::often_wrong(&*record) {
                return registry::assume_less(record, worst, std::ptr::null_mut());
            }
            registry::drop_slower(record, Refusal::SlowerResumptions, AGAIN);
        } else {
            publish(record);
        }
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
        p.pays.get().then_some(())?;
        let result = enter::<V>(ts, generator, place, capi::none(), std::ptr::null_mut(), 0)?;
        if result > HANDED_BACK && result & (1 | DELEGATES) == 0 {
            generator::quick_suspend::<V>(ts, generator);
            return Some(result as Obj);
        }
        Some(settle(ts, generator, result))
    }
}

/// Runs the region at a place with a generator that goes on there, and gives it a value, whose reference it takes; so many
/// others wait for it, and are hidden. `None`: nothing has been done.
///
/// # Safety
/// As for [`quickly`].
#[inline(always)]
pub(super) unsafe fn enter<V: Version>(
    ts: *mut PyThreadState,
    generator: Obj,
    place: usize,
    value: Obj,
    outermost: Obj,
    depth: i32,
) -> Option<usize> {
    // SAFETY: as for `advance`; a place with machine code has a live region.
    unsafe {
        let p = entry(place);
        let run = p.native.get()?;
        // Nobody writes it before the frame is entered.
        let quick = &*p.quick.as_ptr();
        let now = Now { quiet: QUIET_VERSION.load(Ordering::Relaxed), stack: stack::last() };
        let r = p.record.load(Ordering::Relaxed);
        if quick.place != place || (*r).valid.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let fr = generator::quick_enter::<V>(ts, generator, quick, &now, value)?;
        (*r).entries += 1;
        (*r).active += 1;
        if depth > 0 {
            HIDDEN.set(outermost, depth);
        }
        let result = run(ts, fr);
        (*r).active -= 1;
        generator::quick_leave_call::<V>(ts);
        Some(result)
    }
}

/// What the slot answers once machine code has done other than yield.
#[cold]
unsafe fn settle(ts: *mut PyThreadState, generator: Obj, result: usize) -> Obj {
    // SAFETY: as for `native`.
    unsafe { answer(chains::settle(ts, generator, result)) }
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

/// Resumes a generator with a value (borrowed), if there is anything to gain; else nothing has been done. Then a region may
/// be named that is to be tried first, unless that is what is going on.
pub(super) unsafe fn advance(
    ts: *mut PyThreadState,
    generator: Obj,
    sent: Obj,
    tried: bool,
) -> Result<Outcome, Option<*mut Record>> {
    // SAFETY: a live generator, the GIL held.
    unsafe {
        if !ON.load(Ordering::Relaxed) || !is_exact(generator) {
            return Err(None);
        }
        let suspended = is_suspended(generator);
        let starts = is_fresh(generator) && sent == capi::none();
        if !suspended && !starts {
            return Err(None);
        }
        let delegates = suspended && chains::hands_on(generator);
        if !delegates && !is_known(generator) || !is_quiet(ts) || stack::is_low(ts) {
            return Err(None);
        }
        chains::run(ts, generator, sent, tried)
    }
}

/// A place where generators go on: the saved instruction pointer, and the region there; NULL where there is to be one.
#[repr(align(64))]
struct Place {
    at: AtomicUsize,
    record: AtomicPtr<Record>,
    /// The region's machine code, if it is there and can be entered without a closer look.
    native: Cell<Option<NativeFn>>,
    /// Whether it is known to pay.
    pays: Cell<bool>,
    /// What it must be like to enter that without a closer look.
    quick: Cell<Quick>,
}
// SAFETY: every access is made with the GIL held.
unsafe impl Sync for Place {}

const NOWHERE: Quick =
    Quick { place: 0, top: 0, locals: 0, names: [std::ptr::null_mut(); 2], events: 0, reserve: stack::C_RECURSION_RESERVE };

/// The places that matter, each at the only index it can have. One that finds another's entry replaces it.
static PLACES: [Place; 1024] = [const {
    Place {
        at: AtomicUsize::new(0),
        record: AtomicPtr::new(std::ptr::null_mut()),
        native: Cell::new(None),
        pays: Cell::new(false),
        quick: Cell::new(NOWHERE),
    }
}; 1024];

fn entry(place: usize) -> &'static Place {
    &PLACES[(place >> 1 ^ place >> 11) % PLACES.len()]
}

#[inline]
pub(super) fn look_up(place: usize) -> Option<*mut Record> {
    let p = entry(place);
    (p.at.load(Ordering::Relaxed) == place).then(|| p.record.load(Ordering::Relaxed))
}

fn note(place: usize, record: *mut Record) {
    let p = entry(place);
    p.at.store(place, Ordering::Relaxed);
    p.record.store(record, Ordering::Relaxed);
    p.native.set(None);
    p.pays.set(false);
}

fn forget(place: usize) {
    let p = entry(place);
    if p.at.load(Ordering::Relaxed) == place {
        p.at.store(0, Ordering::Relaxed);
        p.record.store(std::ptr::null_mut(), Ordering::Relaxed);
        p.native.set(None);
        p.pays.set(false);
    }
}

/// Whether nothing is known of where a generator goes on.
#[inline(always)]
pub(super) unsafe fn is_foreign<V: Version>(generator: Obj) -> bool {
    // SAFETY: a live generator.
    unsafe {
        let place = generator::quick_place::<V>(generator);
        entry(place).at.load(Ordering::Relaxed) != place && !generator::may_delegate::<V>(generator) && !eager::is_on()
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
    // SAFETY: as documented.
    unsafe { open(record) };
    entry(place).pays.set(matches!(r.trial.verdict, Verdict::Pays | Verdict::PaysForCompiled));
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

/// The units at which a code object's generators start and go on. Those that delegate go on behind their END_SEND: what
/// they are sent meanwhile is handed on without them.
fn units(info: &CodeInfo) -> Vec<u32> {
    let begins = |k: usize| match info.instrs[k].op {
        Opcode::ReturnGenerator | Opcode::EndSend => true,
        Opcode::YieldValue => k == 0 || info.instrs[k - 1].op != Opcode::Send,
        _ => false,
    };
    (0..info.instrs.len().saturating_sub(1)).filter(|k| begins(*k)).map(|k| info.instrs[k + 1].unit).collect()
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
        if s.slower.get(&unit).is_some_and(|slower| s.samples >= slower.again_at) {
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
pub(super) unsafe fn missing(generator: Obj, place: usize) -> Option<*mut Record> {
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
