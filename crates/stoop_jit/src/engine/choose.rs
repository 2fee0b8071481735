//! Choosing what to compile: what runs for long, is not compiled yet, and is worth its price.
//!
//! Each look of the sampler gives the processor time since the last one to the code that is running, and a part
//! of it to its callers. Code is compiled when it has run for as long as compiling it takes (what has run for
//! long usually goes on for long) and the budget allows. A function that is called again and again is entered at
//! its calls; a loop of its own is compiled only for a call that lasts, or where the function cannot be entered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use stoop_cpython::capi::{self, Frame, Obj, PyThreadState};
use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_cpython::{frame, inspect, monitoring};

use super::compile;
use super::record::{CodeState, Record, Started};
use super::sampler::{self, Settings};
use super::trial::Verdict;
use super::{breadth, budget, eager, generators, registry, turns, types};
use crate::frontend::Entry;
use crate::reasons::Refusal;

/// Code that has run for this many times its price is compiled although others have used the budget up.
const SURELY_HOT: u64 = 3;
/// How much of what is spent must come back for more to be spent on guesses.
const FAIR_TRUST: u64 = 50;
/// How many times its price code must have run for that is a small part of a wide program, unless as much comes back.
const CAUTION: u64 = 16;
const WELL_TRUSTED: u64 = 150;
/// Compilations of a code object anew, at once, without that.
const RETRIES: u32 = 2;
/// Looks after which it is counted what has been gained.
const LOOKS: u32 = 8;
/// The import system's files: what they do is soon over.
const IMPORTS: &str = "<frozen importlib";
/// Operations more than four times the instructions of a region, at its beginning, that are nothing to ask about.
const USUAL: usize = 400;
/// Samples for which generators are given time to be resumed from elsewhere than the interpreter's loop.
const WAITS_FOR_RESUMPTIONS: u32 = 12;
/// Frames, from the innermost, of which the interpreter's caches are looked at until they are compiled.
const WATCHED: usize = 2;
/// Instructions above which they are not: it takes too long.
const LONGEST_WATCHED: usize = 600;
/// Frames looked at, from the innermost.
const FRAMES: usize = 4;

/// Calls of a function whose arguments' classes are noted before it is compiled.
const STARTS: u32 = 8;

static LOOKED: AtomicU32 = AtomicU32::new(0);

/// Looks at every thread; whether something that may become hot was running. `ns`: processor time since the last look.
///
/// # Safety
/// The GIL is held, by the thread `me`.
pub unsafe fn look(me: *mut PyThreadState, settings: &Settings, ns: u64) -> bool {
    let mut found = false;
    // SAFETY: the GIL is held; nothing below runs Python code but the arming of events.
    unsafe {
        registry::mind_tools(me);
        if eager::is_on() {
            return false;
        }
        if LOOKED.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOKS) {
            budget::gained(registry::gained_ns());
        }
        for ts in frame::threads() {
            // What is compiled in place is part of what it is in.
            let frames: Vec<*mut Frame> = frame::frames(ts).take(FRAMES).filter(|f| !frame::is_in_place(*f)).collect();
            // What calls interpreted functions gains little: they come first.
            let mut inner_compiled = true;
            for (depth, f) in frames.into_iter().enumerate() {
                let code = frame::code(f);
                if code.is_null() || !frame::is_complete(f) {
                    continue;
                }
                found |= see(f, code, &Sight { depth, ns: ns >> depth, inner_compiled }, settings);
                inner_compiled = registry::find(code).is_some_and(|s| s.function.as_ref().is_some_and(|r| r.is_valid()));
            }
        }
    }
    found
}

/// How a frame was seen.
struct Sight {
    /// Frames within it.
    depth: usize,
    /// The time it is given.
    ns: u64,
    /// Whether the function it calls is compiled (or it calls none).
    inner_compiled: bool,
}

/// A frame was seen running. Whether it is still to be found out what to do about it.
unsafe fn see(f: *mut Frame, code: Obj, sight: &Sight, settings: &Settings) -> bool {
    // SAFETY: a live frame and its code; the GIL is held.
    unsafe {
        let s = registry::state(code);
        if s.never || s.dropped.is_some() {
            return false;
        }
        s.samples = s.samples.saturating_add(1);
        if sight.depth == 0 {
            breadth::saw(&mut s.seen);
            s.own_ns = s.own_ns.saturating_add(sight.ns);
        }
        s.heat_ns = s.heat_ns.saturating_add(sight.ns);
        let has_function = s.function.as_ref().is_some_and(|r| r.is_valid());
        if has_function {
            registry::maybe_try_again(code);
        }
        mind_turns(registry::state(code));
        let eager = budget::is_unlimited();
        let s = registry::state(code);
        if sight.depth == 0 && s.loops.values().any(|r| r.active > 0 && r.only_computes()) {
            registry::computed(sight.ns);
        }
        if s.samples < settings.threshold {
            if !eager && s.samples + 1 >= settings.threshold {
                ask(s);
            }
            return !has_function;
        }
        let Some(info) = decoded(s) else { return false };
        if !eager && !has_function && sight.depth < WATCHED && info.instrs.len() < LONGEST_WATCHED {
            types::note_seen(s, &info);
        }
        if eager {
            return see_eagerly(f, code, &info, sight, settings);
        }
        ask(s);
        if compile::resumes(&info) && settings.functions {
            let open = pays(s, None, &info.instrs) && generators::want(s, &info);
            let resumed = s.loops.values().any(|r| matches!(r.entry, Entry::Resume { .. }) && r.is_valid() && r.entries > 0);
            if resumed || s.samples < WAITS_FOR_RESUMPTIONS {
                return open || !resumed;
            }
        }
        // Where what it calls is not compiled yet, that comes first.
        let open = settings.functions && function_is_open(s, &info);
        let enters = open && (sight.depth == 0 || sight.inner_compiled);
        if enters && s.started == Started::Yes {
            if pays(s, None, &info.instrs) {
                sampler::request(code, frame::function(f), f);
            }
            return true;
        }
        // Nor do the loops of a function whose short calls were found not to pay.
        let tried = s.function.as_ref().filter(|r| r.is_valid()).is_some_and(|r| r.trial.is_short_and_slow());
        let lasts = s.started != Started::Yes || !open && !tried;
        if settings.osr && lasts && sight.inner_compiled {
            return see_loops(f, s, &info) || enters;
        }
        enters
    }
}

/// Decides on loops that have been running for long, and has others timed again.
///
/// # Safety
/// The GIL is held.
unsafe fn mind_turns(s: &mut CodeState) {
    let mut decided = Vec::new();
    for r in s.loops.values_mut().filter(|r| r.is_valid()) {
        if r.turns.verdict == turns::Verdict::Pays && r.turns.again_at > 0 && s.samples >= r.turns.again_at {
            r.turns.again();
        } else if r.active > 0 && r.turns.look() {
            decided.push(&raw mut **r);
        }
    }
    for record in decided {
        // SAFETY: a live region.
        unsafe { registry::turns_decided(record) };
    }
}

/// A code object's instructions, decoded once; a code object that cannot be decoded is dropped.
///
/// Before events are armed: instrumentation hides what the interpreter has learnt about jumps.
fn decoded(s: &mut CodeState) -> Option<Arc<CodeInfo>> {
    if s.info.is_none()
        && let Err(e) = compile::info(s)
    {
        s.dropped = Some(e);
    }
    if s.dropped.is_none() && s.info.as_ref().is_some_and(|i| i.filename.starts_with(IMPORTS)) {
        s.dropped = Some(Refusal::Imports.into());
    }
    s.info.clone().filter(|_| s.dropped.is_none())
}

/// Compiles whatever is hot as soon as it is seen often enough.
unsafe fn see_eagerly(f: *mut Frame, code: Obj, info: &CodeInfo, sight: &Sight, settings: &Settings) -> bool {
    // SAFETY: as for `see`.
    unsafe {
        let s = registry::state(code);
        if settings.functions && compile::resumes(info) {
            generators::want(s, info);
        }
        if settings.osr && info.instrs.iter().any(|i| i.op == Opcode::JumpBackward) {
            arm(s, monitoring::JUMP);
        }
        if settings.functions && sight.depth == 0 && function_is_open(s, info) {
            sampler::request(code, frame::function(f), f);
        }
        true
    }
}

/// Whether a function's entry may be worth compiling: it is not there, on its way or refused.
fn function_is_open(s: &mut CodeState, info: &CodeInfo) -> bool {
    if s.function.as_ref().is_some_and(|r| r.is_valid()) || s.pending.contains(&None) || s.refused.contains_key(&None) {
        return false;
    }
    let refusal = compile::cannot_be_called(info);
    if let Some(why) = refusal {
        s.refused.insert(None, why.into());
    }
    refusal.is_none()
}

/// Asks to be told when a call of the code starts, once.
fn ask(s: &mut CodeState) {
    if s.started == Started::Unknown {
        s.started = Started::Asked;
        // SAFETY: a live code object, the GIL held.
        unsafe { arm(s, monitoring::START) };
    }
}

/// Has events of a code object reported, besides those that are.
///
/// # Safety
/// The GIL is held.
pub unsafe fn arm(s: &mut CodeState, events: u8) {
    // SAFETY: the state of a live code object.
    unsafe {
        if s.events & events != events {
            s.events |= events;
            monitoring::arm(s.code, s.events);
        }
    }
}

/// Has events of a code object reported, also those that were answered with "no more".
///
/// # Safety
/// The GIL is held.
pub unsafe fn arm_again(s: &mut CodeState, events: u8) {
    // SAFETY: the state of a live code object.
    unsafe {
        // Whatever is noted: what has been reported once may still be armed, and silent.
        monitoring::arm(s.code, s.events & !events);
        s.events |= events;
        monitoring::arm(s.code, s.events);
    }
}

/// A call of an armed code object starts. Whether to tell of the next one as well.
///
/// # Safety
/// The GIL is held.
pub unsafe fn started(ts: *mut PyThreadState, code: Obj) -> bool {
    let Some(s) = registry::find(code) else { return false };
    let was = s.started;
    if matches!(was, Started::Asked | Started::Wanted) {
        s.started = Started::Yes;
    }
    // SAFETY: the current frame is the one that starts, checked.
    unsafe {
        let fr = frame::current(ts);
        let is_its_own = !fr.is_null() && frame::code(fr) == code && frame::is_complete(fr);
        if is_its_own {
            note_arguments(s, fr);
        }
        s.starts = s.starts.saturating_add(1);
        let again = was != Started::Wanted && s.starts < STARTS && s.function.is_none() && is_its_own;
        if !again {
            s.events &= !monitoring::START;
        }
        if was == Started::Wanted && is_its_own {
            sampler::request(code, frame::function(fr), fr);
        }
        again
    }
}

/// Notes which classes the arguments of a call are of: where they differ, none is expected.
///
/// # Safety
/// The frame of a call that starts.
unsafe fn note_arguments(s: &mut CodeState, fr: *mut Frame) {
    let Some(info) = s.info.clone() else { return };
    let count = (info.argcount + info.kwonly) as usize;
    s.arguments.resize(count, 0);
    for k in 0..count {
        // SAFETY: slots of a live frame are references or NULL.
        let class = unsafe {
            let o = *frame::slot(fr, k);
            if o.is_null() { 0 } else { capi::type_of(o) as usize }
        };
        match s.arguments[k] {
            0 => s.arguments[k] = class,
            known if known != class => _ = s.generic_locals.insert(k as u32),
            _ => {}
        }
    }
}

/// How often it must be told of a function before it is compiled; `u32::MAX` where functions are not entered by calls.
static LEAST_TOLD: AtomicU32 = AtomicU32::new(u32::MAX);

/// Takes what [`called`] needs of the settings.
pub fn start(settings: &Settings) {
    breadth::start();
    LEAST_TOLD.store(if settings.functions { settings.threshold } else { u32::MAX }, Ordering::Relaxed);
}

/// Calls of an interpreted function by compiled code have taken so long. Once they have taken as long as compiling it
/// takes, its next call has that done.
///
/// # Safety
/// A live function, the GIL held.
pub unsafe fn called(f: Obj, ns: u64) {
    // SAFETY: as documented.
    unsafe {
        if !registry::is_enabled() {
            return;
        }
        let code = inspect::function_code(f);
        let s = registry::state(code);
        s.told = s.told.saturating_add(1);
        if s.never || s.dropped.is_some() || s.started == Started::Wanted || s.told < LEAST_TOLD.load(Ordering::Relaxed) {
            return;
        }
        s.heat_ns = s.heat_ns.saturating_add(ns);
        s.own_ns = s.own_ns.saturating_add(ns);
        let Some(info) = decoded(s) else { return };
        if function_is_open(s, &info) && pays(s, None, &info.instrs) {
            want(s);
        }
    }
}

/// Has a function prepared when its next call starts: its arguments tell classes.
///
/// # Safety
/// The GIL is held.
pub unsafe fn want(s: &mut CodeState) {
    s.started = Started::Wanted;
    // SAFETY: as documented.
    unsafe { arm_again(s, monitoring::START) };
}

/// A frame that lasts: its outermost loop first; an inner one if that did not come round since the last look.
/// Whether there is any that may be worth compiling.
unsafe fn see_loops(f: *mut Frame, s: &mut CodeState, info: &Arc<CodeInfo>) -> bool {
    // SAFETY: a live frame.
    let at = unsafe { frame::saved_unit(f) };
    let native = |r: &super::record::Record| r.active > r.trial.interpreting();
    if let Some(r) = s.function.as_mut() {
        let open = r.is_valid() && r.trial.verdict == Verdict::Open;
        if native(r) || open && !r.trial.give_up() {
            return false;
        }
        if open {
            let record = &raw mut **r;
            registry::decided(record);
            return true;
        }
    }
    let Ok(at) = u32::try_from(at) else { return true };
    for (header, end) in loops_around(info, at) {
        if s.slower.get(&header).is_some_and(|slower| s.samples >= slower.again_at) {
            s.slower.remove(&header);
            s.refused.remove(&Some(header));
        }
        if s.refused.contains_key(&Some(header)) {
            continue;
        }
        if s.pending.contains(&Some(header)) {
            return true;
        }
        if let Some(r) = s.loops.get(&header)
            && r.is_valid()
        {
            if native(r) {
                return false;
            }
            continue;
        }
        if yields_each_turn(between(info, header, end)) {
            s.refused.insert(Some(header), Refusal::Yields.into());
            continue;
        }
        if !pays(s, Some(header), between(info, header, end)) {
            return true;
        }
        if s.wanted.insert(header) {
            // SAFETY: the GIL is held.
            unsafe { arm_again(s, monitoring::JUMP) };
            return true;
        }
    }
    false
}

/// The loops around a unit, outermost first: header and last jump back.
fn loops_around(info: &CodeInfo, at: u32) -> Vec<(u32, u32)> {
    let mut loops: Vec<(u32, u32)> = Vec::new();
    for i in info.instrs.iter().filter(|i| i.op == Opcode::JumpBackward) {
        let Some(header) = i.target else { continue };
        match loops.iter_mut().find(|l| l.0 == header) {
            Some(l) => l.1 = l.1.max(i.unit),
            None => loops.push((header, i.unit)),
        }
    }
    loops.retain(|(header, end)| *header <= at && at <= *end + 1);
    loops.sort_unstable();
    loops
}

/// Whether each turn of a loop hands a value to whoever runs the generator, and with it the control.
fn yields_each_turn(instrs: &[Instr]) -> bool {
    let branches = |op| {
        use Opcode::{PopJumpIfFalse, PopJumpIfNone, PopJumpIfNotNone, PopJumpIfTrue, Send};
        matches!(op, PopJumpIfFalse | PopJumpIfNone | PopJumpIfNotNone | PopJumpIfTrue | Send)
    };
    // Past the header's own FOR_ITER.
    let body = instrs.iter().skip(1).take_while(|i| !branches(i.op) && i.op != Opcode::ForIter);
    body.clone().any(|i| i.op == Opcode::YieldValue && i.ran)
}

/// The instructions from one unit to another.
fn between(info: &CodeInfo, first: u32, last: u32) -> &[Instr] {
    let at = |unit| info.instrs.partition_point(|i| i.unit < unit);
    &info.instrs[at(first)..at(last + 1)]
}

/// The instructions that a region has of its own.
pub fn own(info: &CodeInfo, entry: Entry) -> &[Instr] {
    let Entry::Loop { unit, .. } = entry else { return &info.instrs };
    let back = info.instrs.iter().filter(|i| i.op == Opcode::JumpBackward && i.target == Some(unit));
    between(info, unit, back.map(|i| i.unit).max().unwrap_or(unit))
}

/// Whether code of these instructions has run for long enough to be compiled, and the budget allows it.
fn pays(s: &CodeState, region: Option<u32>, instrs: &[Instr]) -> bool {
    let price = price(s, region, instrs);
    let least = if s.owed { 0 } else { least(s, price) };
    let heat = s.heat();
    heat >= least && (budget::affords(price, bargain(instrs) > 1) || heat >= least * SURELY_HOT && budget::affords_surely(price))
}

/// How long code of such a price must have run: for longer where little comes back of what is spent, and where it is but a
/// small part of what the program does.
fn least(s: &CodeState, price: u64) -> u64 {
    let trust = budget::trust();
    // Of what compiled code calls its calls tell, better than looks do.
    let small = trust < WELL_TRUSTED && s.told == 0 && !breadth::is_narrow() && !breadth::is_large(&s.seen);
    price * if small { CAUTION } else { 1 } * (1 + u64::from(s.recompiles)) * 100 / trust.min(100)
}

/// Whether a region that turns out to be so large (functions are inlined into it) is still worth its price.
pub fn still_pays(s: &mut CodeState, entry: Entry, info: &CodeInfo, size: usize) -> bool {
    let (region, instrs) = (entry.header(), own(info, entry));
    if budget::is_unlimited() || size <= 4 * instrs.len() + USUAL {
        return true;
    }
    s.sizes.insert(region, size);
    s.prices.remove(&region);
    // The budget has been asked before, and has paid for the preparation since.
    s.heat() >= least(s, price(s, region, instrs))
}

/// Nanoseconds that compiling a region may take: no more than it took the last time, if that is known.
fn price(s: &CodeState, region: Option<u32>, instrs: &[Instr]) -> u64 {
    let guess = s.sizes.get(&region).map_or_else(|| budget::estimate(instrs.len()), |size| budget::estimate_built(*size));
    s.prices.get(&region).map_or(guess, |last| guess.min(*last)) / bargain(instrs)
}

/// How many times as much as other code these instructions gain.
pub fn bargain(instrs: &[Instr]) -> u64 {
    if budget::trust() >= FAIR_TRUST && is_arithmetic(instrs) { 4 } else { 1 }
}

/// Whether most of what has run of these instructions is known to compute with ints and floats, or gets at them.
fn is_arithmetic(instrs: &[Instr]) -> bool {
    let (mut numbers, mut others) = (0, 0);
    for i in instrs.iter().filter(|i| i.ran) {
        let count = match (i.op, i.feedback) {
            (_, Feedback::Int | Feedback::Float | Feedback::ListInt | Feedback::TupleInt) => &mut numbers,
            (_, Feedback::ListSetInt | Feedback::IterRange) => &mut numbers,
            (Opcode::BinaryOp | Opcode::BinarySubscr | Opcode::StoreSubscr | Opcode::CompareOp, _) => &mut others,
            (Opcode::ContainsOp | Opcode::ForIter | Opcode::LoadAttr | Opcode::StoreAttr | Opcode::LoadSuperAttr, _) => {
                &mut others
            }
            (Opcode::Call | Opcode::CallKw | Opcode::CallFunctionEx | Opcode::MakeFunction | Opcode::YieldValue, _) => {
                &mut others
            }
            _ => continue,
        };
        *count += 1;
    }
    numbers > others
}

/// Whether a region that was void may be compiled anew at once. Where only the budget is against it, it is as soon as there
/// is one.
pub fn may_retry(s: &mut CodeState, record: &Record) -> bool {
    let (region, instrs) = (record.entry.header(), own(&record.info, record.entry));
    s.prices.insert(region, 1000 * record.compile_us);
    let worth_it = s.recompiles <= RETRIES || budget::trust() >= FAIR_TRUST;
    let now = worth_it && budget::affords(price(s, region, instrs), true);
    s.owed = worth_it && !now;
    now
}
