//! All code objects and regions the engine knows, and what happens to them over their lives.
//!
//! Everything here is touched with the GIL held only.

use std::cell::UnsafeCell;
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

use stoop_codegen::memory::Code;
use stoop_codegen::unit::ExitDesc;
use stoop_cpython::capi::{self, Frame, Obj, PyThreadState, VectorcallFn};
use stoop_cpython::opcodes::Opcode;
use stoop_cpython::watch::{CodeEvent, FunctionEvent};
use stoop_cpython::{inspect, monitoring};
use stoop_ir::Op;

use super::addresses::{self, AddressMap};
use super::entry::INTERPRETED;
use super::record::{CodeState, Record, Slower, Started};
use super::trial::Verdict;
use super::{
    budget, choose, eager, generators, guesses, invariants, journal, keepers, links, policy, sampler, totals, trial, turns,
};
use crate::frontend::Entry;
use crate::reasons::{ExitReason, Refusal};
use crate::stats::{self, CodeStats};

/// Samples before calls that did not pay are timed again; four times as many each time. Few at first: what a function
/// calls is often compiled just after it.
const RETRIAL: u32 = 4;
/// Samples before the turns of a loop are timed again; four times as many after each failure.
const TURNS_AGAIN: u32 = 64;
/// How often calls are timed again because something that is called was compiled.
const MOST_NEIGHBOURS: u32 = 6;
/// Compilations of one region before the code object is given up.
pub static MAX_RECOMPILES: AtomicU32 = AtomicU32::new(12);

/// Compilations of a code object for another class at some attribute, beside those.
const MAX_LEARNT: u32 = 24;

#[derive(Default)]
struct Registry {
    states: AddressMap<Box<CodeState>>,
    /// Code objects that have or had regions.
    compiled: BTreeSet<usize>,
    /// Nanoseconds gained by regions that are gone, and by loops that only compute.
    gained: u64,
    /// Regions that are void but may still be running.
    retired: Vec<Box<Record>>,
    /// Code objects that are gone, a module's own code among them: for people.
    past: Vec<CodeStats>,
    enabled: bool,
    /// Whether every function has its own vectorcall for a while, see [`stand_aside`].
    aside: bool,
}

struct Held(UnsafeCell<Option<Registry>>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl Sync for Held {}
static REGISTRY: Held = Held(UnsafeCell::new(None));

fn registry() -> &'static mut Registry {
    // SAFETY: the GIL is held; callers keep no reference over calls that come back here.
    unsafe { (*REGISTRY.0.get()).get_or_insert_default() }
}

/// Whether the engine is on.
#[must_use]
pub fn is_enabled() -> bool {
    registry().enabled
}

/// Turns the engine on or off; off: every region is voided and left at its next safe point.
pub fn set_enabled(on: bool) {
    registry().enabled = on;
    if !on {
        let codes: Vec<usize> = registry().states.keys().copied().collect();
        for c in codes {
            release(c as Obj, None);
        }
    }
}

/// What is known of a code object, if anything.
pub fn find(code: Obj) -> Option<&'static mut CodeState> {
    registry().states.get_mut(&(code as usize)).map(|b| &mut **b)
}

/// What is known of a code object.
pub fn state(code: Obj) -> &'static mut CodeState {
    registry().states.entry(code as usize).or_insert_with(|| Box::new(CodeState::new(code)))
}

/// Every code object with something known.
pub fn all() -> Vec<&'static mut CodeState> {
    registry().states.values_mut().map(|b| &mut **b).collect()
}

/// A code object has got a region.
pub fn has_region(code: Obj) {
    registry().compiled.insert(code as usize);
}

/// A loop that only computes has run for so long: the interpreter would have taken twice that at least.
pub fn computed(ns: u64) {
    registry().gained += ns;
}

/// What compiled code has gained since the start, as far as it is measured.
pub fn gained_ns() -> u64 {
    let reg = registry();
    let states = reg.compiled.iter().filter_map(|code| reg.states.get(code));
    let regions = states.flat_map(|s| s.loops.values().chain(&s.function));
    reg.gained + regions.map(|r| r.gained_ns()).sum::<u64>()
}

/// What a jump to a loop header should do.
pub enum LoopAt {
    /// Enter this region.
    Region(*mut Record),
    /// Nothing is there yet, and the loop is to be compiled.
    New,
    /// Nothing is there, for now or for ever.
    None,
}

/// What is at a loop header.
pub fn loop_at(code: Obj, unit: u32) -> LoopAt {
    let Some(s) = find(code) else { return LoopAt::None };
    let mut wanted = s.wanted.remove(&unit) || budget::is_unlimited();
    if let Some(r) = s.loops.get_mut(&unit) {
        if r.is_valid() {
            return LoopAt::Region(&raw mut **r);
        }
        let old = s.loops.remove(&unit);
        old.iter().for_each(|r| journal::note(r, || "found void at a jump".to_owned()));
        wanted |= old.as_ref().is_some_and(|r| choose::may_retry(s, r));
        s.recompiles += u32::from(old.as_ref().is_some_and(|r| !r.counted));
        retire(old);
        if s.recompiles > MAX_RECOMPILES.load(Ordering::Relaxed) {
            s.refused.insert(Some(unit), "its assumptions kept failing".to_owned());
        }
    }
    if s.never || s.dropped.is_some() || s.refused.contains_key(&Some(unit)) || !is_enabled() {
        return LoopAt::None;
    }
    if wanted && !s.pending.contains(&Some(unit)) { LoopAt::New } else { LoopAt::None }
}

/// Puts a region aside until no activation is left, then frees it.
pub fn retire(r: Option<Box<Record>>) {
    let reg = registry();
    if let Some(r) = r {
        r.invalidate();
        generators::withdraw(&r);
        reg.retired.push(r);
    }
    let mut k = 0;
    while k < reg.retired.len() {
        if reg.retired[k].active == 0 {
            let mut dead = reg.retired.swap_remove(k);
            reg.gained += dead.gained_ns();
            invariants::forget(&raw mut *dead);
            totals::count(|t| {
                t.code_bytes = t.code_bytes.saturating_sub(dead.code_bytes as u64);
                for (exit, n) in dead.exits.iter().zip(&dead.exit_counts).filter(|(_, n)| **n > 0) {
                    *t.past_exits.entry(ExitReason::of(exit, &dead.names).0.counter()).or_insert(0) += n;
                }
            });
            let consts = std::mem::take(&mut dead.consts);
            drop(dead);
            for o in consts {
                // SAFETY: the region held one reference each.
                unsafe { capi::decref(o) };
            }
        } else {
            k += 1;
        }
    }
}

/// Makes a function enter its code's region by vectorcall, as far as that pays.
pub fn install(f: Obj) {
    // SAFETY: a live function; the GIL is held.
    unsafe {
        let code = inspect::function_code(f);
        let Some(s) = find(code) else { return };
        let Some(r) = s.function.as_ref() else { return };
        let ours = s.functions.contains_key(&(f as usize));
        let plain = inspect::function_vectorcall(f) as u64 == INTERPRETED.load(Ordering::Relaxed);
        if !ours && !plain || inspect::function_globals(f) != r.globals || inspect::function_builtins(f) != r.builtins {
            return;
        }
        if plain {
            addresses::FUNCTIONS.note(f as usize);
            s.functions.insert(f as usize, inspect::function_version(f));
        }
        let thunk = match r.trial.verdict {
            _ if registry().aside => None,
            Verdict::Open => r.trial_thunk.as_ref(),
            Verdict::Pays => r.thunk.as_ref(),
            Verdict::PaysForCompiled | Verdict::Slower => None,
        };
        match thunk {
            Some(thunk) => set_vectorcall(f, thunk.address()),
            None => interpret(f, s.functions.get(&(f as usize)).copied().unwrap_or(0)),
        }
        let linked = matches!(r.trial.verdict, Verdict::Pays | Verdict::PaysForCompiled);
        links::lead(f, r.call.as_ref().filter(|_| linked).map(Code::address));
        mind_version(s);
    }
}

/// Functions made from now on get a version if their calls are the interpreter's, and none if they are to be entered by
/// their vectorcall.
fn mind_version(s: &mut CodeState) {
    let entered = s.function.as_ref().is_some_and(|r| matches!(r.trial.verdict, Verdict::Open | Verdict::Pays));
    let hide = !registry().aside && entered;
    // SAFETY: states live as long as their code objects.
    unsafe {
        match s.hidden_version {
            None if hide => s.hidden_version = Some(inspect::swap_code_version(s.code, 0)),
            Some(version) if !hide => {
                inspect::swap_code_version(s.code, version);
                s.hidden_version = None;
            }
            _ => {}
        }
    }
}

unsafe fn set_vectorcall(f: Obj, address: u64) {
    // SAFETY: a live function, and the address of a vectorcall.
    unsafe {
        let target: VectorcallFn = std::mem::transmute(address as *const c_void);
        capi::PyFunction_SetVectorcall(f, target);
    }
}

/// What a trial has found, for the journal.
pub fn tried(r: &Record) -> String {
    let (verdict, exits) = (r.trial.verdict, journal::exits(r));
    match r.trial.usual {
        Some([interpreted, compiled]) => {
            let [i, c, cost] = [interpreted, compiled, trial::call_cost()].map(|t| f64::from(t) / 16.0);
            format!("tried: {verdict:?}, {i:.0} ticks interpreted, {c:.0} compiled, {cost:.0} to enter; {exits}")
        }
        None => format!("tried: {verdict:?}"),
    }
}

/// A trial is over: its functions are entered accordingly.
pub fn decided(record: *mut Record) {
    // SAFETY: a region that was valid a moment ago.
    let (code, verdict) = unsafe { ((*record).code, (*record).trial.verdict) };
    let Some(s) = find(code) else { return };
    s.trials += 1;
    let score = match verdict {
        Verdict::Pays => 2,
        Verdict::PaysForCompiled => 1,
        Verdict::Open | Verdict::Slower => 0,
    };
    budget::found(score, s.score);
    s.score = s.score.max(Some(score));
    // SAFETY: as above.
    let r = unsafe { &mut *record };
    r.trial.settle(r.entries);
    journal::note(r, || tried(r));
    let wait = RETRIAL << (2 * (s.trials - 1).min(8));
    s.next_trial = s.samples.saturating_add(if verdict == Verdict::Pays { 4 * wait } else { wait });
    let functions: Vec<usize> = s.functions.keys().copied().collect();
    reinstall(code);
    if matches!(verdict, Verdict::Pays | Verdict::PaysForCompiled) {
        tell_callers(&functions);
    }
}

/// Compiled code that did not pay may do so once what it calls is compiled too, and code that paid may no longer.
/// Called with every sample.
pub fn maybe_try_again(code: Obj) {
    let Some(s) = find(code) else { return };
    let Some(r) = s.function.as_mut() else { return };
    let again = match r.trial.verdict {
        Verdict::PaysForCompiled | Verdict::Slower => true,
        // Where much was gained, interpreted calls would cost more than they tell.
        Verdict::Pays => {
            let close = r.trial.usual.is_none_or(|[interpreted, compiled]| compiled / 3 > interpreted / 4);
            close && !s.asked && !budget::is_unlimited()
        }
        Verdict::Open => false,
    };
    if again && s.samples >= s.next_trial {
        journal::note(r, || format!("tried again, was {:?}", r.trial.verdict));
        r.trial.again(r.entries);
        reinstall(code);
    }
}

/// A tool listens: gives every function its own vectorcall back. Its calls are then the interpreter's own, which tell
/// tools less (no `C_RETURN`) and cost less than those that find here that they may not be compiled.
pub fn stand_aside() {
    if !std::mem::replace(&mut registry().aside, true) {
        reinstall_all();
    }
}

/// Stands aside, or no longer does, as the tools there are demand.
///
/// # Safety
/// A live thread state, the GIL held.
pub unsafe fn mind_tools(ts: *mut PyThreadState) {
    // SAFETY: as documented.
    let present = unsafe { monitoring::other_tools_present(ts) };
    if std::mem::replace(&mut registry().aside, present) != present {
        reinstall_all();
    }
}

fn reinstall_all() {
    let codes: Vec<usize> = registry().states.keys().copied().collect();
    for c in codes {
        reinstall(c as Obj);
    }
}

/// Functions are called directly by compiled code from now on: whether what calls them pays is worth another look.
fn tell_callers(functions: &[usize]) {
    let reg = registry();
    let mut again = Vec::new();
    for code in &reg.compiled {
        let Some(s) = reg.states.get_mut(code) else { continue };
        for slower in s.slower.values_mut().filter(|slower| slower.named.iter().any(|o| functions.contains(o))) {
            if s.neighbours < MOST_NEIGHBOURS {
                s.neighbours += 1;
                *slower = Slower::default();
            }
        }
        let Some(r) = s.function.as_mut().filter(|r| r.is_valid()) else { continue };
        let open = matches!(r.trial.verdict, Verdict::Slower | Verdict::PaysForCompiled) && s.neighbours < MOST_NEIGHBOURS;
        if open && r.consts.iter().any(|o| functions.contains(&(*o as usize))) {
            s.neighbours += 1;
            journal::note(r, || format!("tried again, was {:?}: a function that it calls is compiled", r.trial.verdict));
            r.trial.again(r.entries);
            again.push(*code);
        }
    }
    for code in again {
        reinstall(code as Obj);
    }
}

/// Turns of a loop were timed. A loop that is slower may be compiled again when what it calls is compiled.
///
/// # Safety
/// A live region, the GIL held.
pub unsafe fn turns_decided(record: *mut Record) {
    // SAFETY: as documented.
    unsafe {
        let r = &mut *record;
        journal::note(r, || {
            let [i, c] = r.turns.usual.map(|t| t / 16);
            let (verdict, turns) = (r.turns.verdict, r.turns.count);
            format!("turns: {verdict:?}, {i} ticks interpreted, {c} compiled, {turns} turns; {}", journal::exits(r))
        });
        let Some(s) = find(r.code) else { return };
        r.turns.again_at = s.samples.saturating_add(TURNS_AGAIN << (2 * s.trials.min(6)));
        if r.turns.trials == 0 {
            budget::found(if r.turns.verdict == turns::Verdict::Pays { 2 } else { 0 }, None);
        }
        if r.turns.verdict == turns::Verdict::Slower {
            // What it is slow by may be what it guessed.
            if let Some(worst) = policy::often_wrong(r) {
                return assume_less(record, worst, std::ptr::null_mut());
            }
            drop_slower(record, Refusal::SlowerTurns, TURNS_AGAIN);
        }
    }
}

/// Drops a loop or resumption that was found to be slower, for so many samples, more each time, or until something that it
/// calls is compiled.
///
/// # Safety
/// A live region that is not running any more on this thread, the GIL held.
pub unsafe fn drop_slower(record: *mut Record, why: Refusal, samples: u32) {
    // SAFETY: as documented.
    unsafe {
        let (code, unit, named) = ((*record).code, (*record).unit(), (*record).consts.iter().map(|o| *o as usize).collect());
        drop_region(record, why.sentence());
        let s = state(code);
        s.trials += 1;
        let again_at = s.samples.saturating_add(samples.saturating_mul(1 << (2 * s.trials.min(8))));
        s.slower.insert(unit, Slower { again_at, named });
    }
}

/// Makes the functions of a code object that enter its region do so as the trial now says.
pub fn reinstall(code: Obj) {
    let functions: Vec<usize> = find(code).map(|s| s.functions.keys().copied().collect()).unwrap_or_default();
    for f in functions {
        install(f as Obj);
    }
    find(code).into_iter().for_each(mind_version);
}

/// How compiled code calls this object, if it is a function.
///
/// # Safety
/// A live object, which whoever uses the link keeps alive.
pub unsafe fn link(o: Obj) -> Option<u64> {
    // SAFETY: asked for functions only, which have code.
    unsafe {
        links::address(o, || {
            let s = find(inspect::function_code(o))?;
            let r = s.function.as_ref().filter(|r| r.is_valid() && s.functions.contains_key(&(o as usize)))?;
            matches!(r.trial.verdict, Verdict::Pays | Verdict::PaysForCompiled).then_some(())?;
            r.call.as_ref().map(Code::address)
        })
    }
}

/// Gives a function its own vectorcall back.
pub fn uninstall(f: Obj, version: u32) {
    links::lead(f, None);
    interpret(f, version);
}

/// Makes the interpreter run a function's calls: with its version, so that they may be specialised again.
fn interpret(f: Obj, version: u32) {
    let plain = INTERPRETED.load(Ordering::Relaxed);
    // SAFETY: a live function. Its version is that of what it still is.
    unsafe {
        if inspect::function_vectorcall(f) as u64 != plain {
            set_vectorcall(f, plain);
            if version != 0 {
                inspect::set_function_version(f, version);
            }
        }
    }
}

/// Takes every region of a code object away. `why` keeps new ones from being made.
pub fn release(code: Obj, why: Option<&str>) {
    let Some(s) = find(code) else { return };
    for (f, version) in std::mem::take(&mut s.functions) {
        uninstall(f as Obj, version);
    }
    let regions: Vec<Box<Record>> = s.function.take().into_iter().chain(std::mem::take(&mut s.loops).into_values()).collect();
    mind_version(s);
    if let Some(why) = why {
        s.dropped = Some(why.to_owned());
        regions.iter().for_each(|r| journal::note(r, || format!("dropped: {why}")));
        totals::count(|t| t.dropped += 1);
    }
    s.samples = 0;
    s.cool();
    s.wanted.clear();
    s.started = Started::Unknown;
    if std::mem::take(&mut s.events) != 0 {
        // SAFETY: a live code object, the GIL held.
        unsafe { monitoring::arm(code, 0) };
    }
    for r in regions {
        retire(Some(r));
    }
}

/// A call found its region void.
pub fn function_fell(f: Obj, record: *mut Record) {
    // SAFETY: the record is alive while a thunk leads to it.
    let code = unsafe { (*record).code };
    let Some(s) = find(code) else { return uninstall(f, 0) };
    uninstall(f, s.functions.remove(&(f as usize)).unwrap_or(0));
    if s.function.as_ref().is_some_and(|r| std::ptr::eq(&raw const **r, record)) {
        for (g, version) in std::mem::take(&mut s.functions) {
            uninstall(g as Obj, version);
        }
        let old = s.function.take();
        old.iter().for_each(|r| journal::note(r, || "found void at a call".to_owned()));
        mind_version(s);
        s.recompiles += u32::from(old.as_ref().is_some_and(|r| !r.counted));
        retire(old);
        s.samples = 0;
        s.cool();
        if s.recompiles > MAX_RECOMPILES.load(Ordering::Relaxed) {
            s.refused.insert(None, "its assumptions kept failing".to_owned());
        }
    }
}

/// The machine stack is low: calls of this function go the interpreter's way for a while.
pub fn step_aside(f: Obj, record: *mut Record) {
    // SAFETY: the record is alive while a thunk leads to it.
    let code = unsafe { (*record).code };
    let version = find(code).and_then(|s| s.functions.get(&(f as usize)).copied());
    uninstall(f, version.unwrap_or(0));
}

/// The machine stack is free again.
pub fn step_back(f: Obj, _record: *mut Record) {
    install(f);
}

/// Drops one region for good.
///
/// # Safety
/// A live region.
pub unsafe fn drop_region(record: *mut Record, why: &str) {
    // SAFETY: as documented; the record stays alive among the retired while it runs.
    unsafe {
        let code = (*record).code;
        let unit = (*record).entry.header();
        (*record).invalidate();
        journal::note(&*record, || format!("dropped: {why}"));
        let Some(s) = find(code) else { return };
        s.refused.insert(unit, why.to_owned());
        totals::count(|t| t.dropped += 1);
        match unit {
            None => {
                for (f, version) in std::mem::take(&mut s.functions) {
                    uninstall(f as Obj, version);
                }
                retire(s.function.take());
                mind_version(s);
            }
            Some(u) => retire(s.loops.remove(&u)),
        }
    }
}

/// Exits at another guard after which it is not relied on either, when a region is compiled anew.
const OTHERS: u64 = 8;
/// Entries of which one leaves there: the same.
const ONE_IN: u64 = 10;

/// Whether an exit is about the class of an object whose attribute is wanted.
fn is_attribute(record: &Record, e: &ExitDesc) -> bool {
    let (code, unit) = guesses::asked(e);
    let info = if code == 0 { &record.info } else { &record.inlined[code as usize - 1].code };
    let op = info.index_of(unit).map(|k| info.instrs[k].op);
    matches!(e.op, Op::GuardVersion | Op::GuardShapes)
        && matches!(op, Some(Opcode::LoadAttr | Opcode::StoreAttr | Opcode::LoadSuperAttr))
}

/// A guard has met an object of this class.
///
/// # Safety
/// A live region and one of its exits; a live class.
pub unsafe fn note_class(record: *mut Record, e: &ExitDesc, class: Obj) {
    // SAFETY: as documented.
    let record = unsafe { &*record };
    if is_attribute(record, e) || e.op == Op::GuardClass {
        let (code, unit) = guesses::guesser(record, e);
        state(code as Obj).sites.entry(unit).or_default().note(class);
    }
}

/// A guard kept failing: void the region and do not assume that again.
///
/// # Safety
/// A live region, one of its exits, and the frame it runs in.
pub unsafe fn assume_less(record: *mut Record, e: &ExitDesc, frame: *mut Frame) {
    // SAFETY: as documented.
    unsafe {
        let code = (*record).code;
        let slot = (*record).entry_slots.get(&e.inst).copied();
        let news = slot.filter(|slot| state(code).generic_locals.insert(*slot));
        if let Some(slot) = news {
            guesses::expect_lists_and_tuples(state(code), &(*record).info, slot);
        }
        compile_anew(record, Some(e), news, frame);
    }
}

/// Has a region made anew, with the unit marked: as generic, or as that of a handler that is hot.
///
/// # Safety
/// A live region and the frame it runs in.
pub unsafe fn assume_less_at(record: *mut Record, unit: u32, frame: *mut Frame) {
    // SAFETY: as documented.
    unsafe {
        state((*record).code).generic.insert(unit);
        compile_anew(record, None, None, frame);
    }
}

/// Whether an exit was taken because a drop ran code, as far as that can be told.
fn is_about_drops((e, count): (&ExitDesc, &u64)) -> bool {
    e.op == Op::CheckValid && *count > 0
}

/// Drops keep running code: a region that expects it is made.
///
/// # Safety
/// A live region, the exit that such a drop leaves by, and the frame it runs in.
pub unsafe fn drops_run_code(record: *mut Record, e: &ExitDesc, frame: *mut Frame) {
    // SAFETY: as documented.
    unsafe {
        let r = &*record;
        let others = r.exits.iter().zip(&r.exit_counts).filter(|(o, n)| **n > 0 && o.op == Op::CheckValid);
        let mut news = false;
        for o in others.map(|(o, _)| o).chain([e]) {
            let (code, unit) = guesses::guesser(r, o);
            news |= state(code as Obj).noisy.insert(unit);
        }
        if news {
            compile_anew(record, None, None, frame);
        }
    }
}

/// `worst` is the exit that is to blame, unless something else is. What `news` held at the entry is not guessed any more.
unsafe fn compile_anew(record: *mut Record, worst: Option<&ExitDesc>, news: Option<u32>, frame: *mut Frame) {
    // SAFETY: the callers' region and frame.
    unsafe {
        let code = (*record).code;
        (*record).invalidate();
        (*record).counted = true;
        journal::note(&*record, || {
            let because = worst.map_or("code that ran after all".to_owned(), |e| journal::exit(&*record, e));
            format!("void after {} entries: {because}", (*record).entries)
        });
        let entries = (*record).entries;
        // Others that are on their way there need no compilation of their own.
        let others = (&(*record).exits).iter().zip(&(*record).exit_counts);
        let failing = others
            .filter(|(o, n)| (**n >= OTHERS || **n * ONE_IN > entries) && super::policy::is_guess(o))
            .map(|(o, _)| o)
            .chain(worst);
        // Where a variable's value at the entry is not guessed, it is an operator that asks for its class there.
        let entry_slots = &(*record).entry_slots;
        let asked = |slot: &u32| Some(*slot) != news && state(code).generic_locals.contains(slot);
        let failing: Vec<_> = failing.filter(|o| entry_slots.get(&o.inst).is_none_or(asked)).collect();
        let places: Vec<_> = failing.iter().map(|o| guesses::guesser(&*record, o)).collect();
        let (classes, others): (Vec<_>, Vec<_>) = failing.into_iter().partition(|o| is_attribute(&*record, o));
        // One instruction may have several guards.
        let sites: BTreeSet<(usize, u32)> = classes.into_iter().map(|o| guesses::guesser(&*record, o)).collect();
        let mut failed: BTreeSet<(usize, u32)> = others.into_iter().map(|o| guesses::guesser(&*record, o)).collect();
        let mut learnt = false;
        for (code, unit) in sites {
            if state(code as Obj).sites.entry(unit).or_default().fail() {
                learnt = true;
            } else {
                failed.insert((code, unit));
            }
        }
        for (code, unit) in failed {
            guesses::forget(code as Obj, unit);
        }
        if let Some(e) = worst.filter(|e| matches!(e.op, Op::UnboxInt | Op::IntAdd | Op::IntSub | Op::IntMul | Op::IntShl)) {
            let (code, unit) = guesses::guesser(&*record, e);
            guesses::expect_wide(code as Obj, unit, e.op == Op::UnboxInt);
        }
        // Where nothing new is known, the next one would be the same.
        let is_same = || guesses::news((*record).codes()) == (*record).news;
        if worst.is_some_and(super::policy::is_guess) && is_same() {
            for (code, unit) in places {
                state(code as Obj).generic.insert(unit);
            }
            if is_same() && std::mem::replace(&mut state(code).in_vain, true) {
                return drop_region(record, Refusal::KeepsFailing.sentence());
            }
        }
        let about_drops = worst.is_none() && (&(*record).exits).iter().zip(&(*record).exit_counts).any(is_about_drops);
        let Some(s) = find(code) else { return };
        if (learnt || about_drops) && s.classes_learnt < MAX_LEARNT {
            s.classes_learnt += 1;
        } else {
            s.recompiles += 1;
        }
        totals::count(|t| t.recompiled += 1);
        if s.recompiles > MAX_RECOMPILES.load(Ordering::Relaxed) {
            release(code, Some("its assumptions kept failing"));
            return;
        }
        // What could not be inlined for want of feedback may be by now.
        if s.recompiles + s.classes_learnt <= 1 {
            s.no_inline.remove(&(*record).entry.header());
        }
        let entry = (*record).entry;
        if entry == Entry::Function && choose::may_retry(s, &*record) {
            let f = s.functions.keys().next().copied();
            if let Some(f) = f {
                sampler::request(code, f as Obj, frame);
            }
        }
    }
}

/// Code objects that are gone and still told of.
const MOST_PAST: usize = 100;

/// What was done to code objects that are gone.
pub fn past() -> &'static [CodeStats] {
    &registry().past
}

/// A code object is about to be freed.
pub fn forget_code(code: Obj) {
    if let Some(mut s) = registry().states.remove(&(code as usize)) {
        keepers::leave(&mut s);
        registry().compiled.remove(&(code as usize));
        let regions = s.function.iter().chain(s.loops.values());
        if registry().past.len() < MOST_PAST && regions.into_iter().any(|r| r.entries > 0) {
            // SAFETY: the code object is about to be freed, but is still there.
            let past = unsafe { stats::known(&s) };
            registry().past.push(past);
        }
        retire(s.function.take());
        for (_, r) in std::mem::take(&mut s.loops) {
            retire(Some(r));
        }
    }
}

/// A function was created, changed or is about to be freed.
pub fn on_function(event: FunctionEvent, f: Obj, _new: Obj) {
    // SAFETY: a live function, with its old code where that changes.
    let code = unsafe { inspect::function_code(f) };
    match event {
        FunctionEvent::Create => {
            if addresses::CODES.may_have(code as usize) {
                // SAFETY: a live function.
                unsafe { keepers::made(f) };
            }
            if addresses::CODES.may_have(code as usize) && find(code).is_some_and(|s| s.function.is_some()) {
                install(f);
            } else if is_enabled() {
                // SAFETY: a live function.
                unsafe { eager::on_function(f) };
            }
        }
        FunctionEvent::Destroy if !addresses::FUNCTIONS.may_have(f as usize) => links::forget_recent(f),
        FunctionEvent::Destroy => {
            invariants::break_function(f);
            if let Some(s) = find(code) {
                s.functions.remove(&(f as usize));
            }
            keepers::end(f);
            links::forget(f);
        }
        FunctionEvent::Code => {
            invariants::break_function(f);
            keepers::end(f);
            if find(code).is_some_and(|s| s.functions.remove(&(f as usize)).is_some()) {
                uninstall(f, 0);
            }
        }
        FunctionEvent::Defaults | FunctionEvent::KwDefaults => {
            invariants::break_function(f);
            // It is about to be another function, of another version.
            if let Some(version) = find(code).and_then(|s| s.functions.get_mut(&(f as usize))) {
                *version = 0;
            }
        }
    }
}

/// A code object was created or is about to be freed.
pub fn on_code(event: CodeEvent, code: Obj) {
    if event == CodeEvent::Create && is_enabled() {
        // SAFETY: a live code object.
        unsafe { eager::on_code(code) };
    }
    if event == CodeEvent::Destroy && registry().states.contains_key(&(code as usize)) {
        forget_code(code);
    }
}

/// In a forked child: what was being compiled is lost.
pub fn after_fork() {
    for s in all() {
        s.pending.clear();
    }
}
