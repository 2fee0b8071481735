//! Policy: what to do about regions that leave too often or do not pay.

use stoop_codegen::unit::{ExitDesc, ExitKind, Recipe};
use stoop_cpython::capi::{self, Frame, Obj};
use stoop_ir::{Class, Imm, Op};

use stoop_cpython::decode::Instr;
use stoop_cpython::frame;
use stoop_cpython::opcodes::Opcode;

use super::record::Record;
use super::trial::Verdict;
use super::{classes, guesses, registry};
use crate::frontend::{EMPTY_LOOP, Entry, NEVER_RAN, Role};

/// Exits at one guard after which the region is compiled anew without that assumption.
const GUARD_PATIENCE: u64 = 64;
/// The same while calls are timed: what is timed should be what is to stay.
const TRIAL_PATIENCE: u64 = 8;
/// Entries that there must have been by then, or exits at one guard: what else fails is to be found out as well, and an
/// exit costs a thousandth of what compiling anew costs.
const TRIAL_ENTRIES_FIRST: u64 = 40;
/// Exits because somebody had an inlined function's frame after which it is called instead.
const KEPT_PATIENCE: u64 = 3;
/// Exits into code that had never run after which the region is compiled anew.
const COLD_PATIENCE: u64 = 16;
/// The same where that is what most entries come to.
const USELESS_PATIENCE: u64 = 3;
/// Loop entries after which a region must have shown that it pays.
const TRIAL_ENTRIES: u64 = 400;
/// Nanoseconds a loop entry must last on average: entering and leaving cost about a fifth of it.
const MIN_LOOP_NS: u64 = 1500;

/// Loop entries shorter than this should at least last to the loop's end.
const SHORT_LOOP_NS: u64 = 10_000;
/// Time in a loop after which its calls are looked at: what it calls may be compiled by then.
const CALLS_TRIAL_NS: u64 = 20_000_000;
/// With calls of interpreted functions more often than this, what they cost counts: the interpreter makes them
/// without leaving its loop.
const MIN_NS_A_CALL: u64 = 3000;
/// This many instructions, compiled, make up for a call's cost.
const MIN_INSTRUCTIONS_A_CALL: usize = 12;

/// Exits at one guard of which it is noted whether a number was met.
const NOTED: u64 = 4;

/// Exits at a drop that ran code, before that is expected of it.
const DROP_PATIENCE: u64 = 4;

/// An exit was taken.
///
/// # Safety
/// The region's own exit, frame, and exit buffer.
pub unsafe fn met(record: *mut Record, index: usize, frame: *mut Frame, values: *const u64) {
    // SAFETY: the region is running, so it is alive; the GIL is held.
    unsafe {
        let r = &*record;
        let e = &r.exits[index];
        let count = r.exit_counts[index];
        let tells = matches!(e.op, Op::GuardVersion | Op::GuardShapes) || e.op == Op::GuardClass && is_consumed(r, e);
        if let (true, Some(Recipe::Borrowed(k) | Recipe::Owned(k))) = (tells, e.met) {
            let met = *values.add(k) as Obj;
            if !met.is_null() {
                registry::note_class(record, e, capi::type_of(met));
            }
        }
        if let (Op::GuardClass, Some(Recipe::Borrowed(k) | Recipe::Owned(k)), 1..NOTED) = (e.op, e.met, count) {
            let met = *values.add(k) as Obj;
            if !met.is_null() && !matches!(classes::class_of(met), Some(Class::Int | Class::Float)) {
                let (code, unit) = guesses::guesser(r, e);
                registry::state(code as Obj).strange.insert(unit);
            }
        }
        let patience = match e.op {
            Op::Check if frame::current(capi::PyThreadState_Get()) != frame => {
                // Somebody keeps getting at frames of what is inlined there.
                if let Some(call) = e.parents.last().filter(|_| count == KEPT_PATIENCE) {
                    registry::assume_less_at(record, call.unit, frame);
                }
                return;
            }
            Op::CheckValid if r.is_valid() && count == DROP_PATIENCE => return registry::drops_run_code(record, e, frame),
            Op::Check | Op::CheckHandling | Op::CheckValid | Op::Poll => return,
            // Where most entries come to it, the code is of no use without.
            Op::Exit if is_never_ran(r, e) && count * 2 > r.entries => USELESS_PATIENCE,
            Op::Exit if is_never_ran(r, e) => COLD_PATIENCE,
            Op::Exit => {
                if r.entry == Entry::Function && count == TRIAL_ENTRIES * 4 && count * 2 > r.entries {
                    registry::drop_region(record, "most calls leave it before they return");
                }
                return;
            }
            _ if r.entry == Entry::Function && r.trial.verdict == Verdict::Open => {
                if r.entries < TRIAL_ENTRIES_FIRST {
                    TRIAL_ENTRIES_FIRST
                } else {
                    TRIAL_PATIENCE
                }
            }
            _ => GUARD_PATIENCE,
        };
        if count < patience || count * 50 < r.entries {
            return;
        }
        // A local's class at the entry is told by the guard that follows the entry value, at the entry's unit.
        registry::assume_less(record, e, frame);
    }
}

/// Of which part of its entries guesses that failed have ended, one in so many, for a loop that is slower to be compiled
/// anew without them.
const OFTEN: u64 = 4;

/// The guess, or code that had not run, that a region was left by most, if that is what made many of its entries short.
pub fn often_wrong(r: &Record) -> Option<&ExitDesc> {
    let mendable = |e: &ExitDesc| is_guess(e) || e.op == Op::Exit && is_never_ran(r, e);
    let wrong = || r.exits.iter().zip(&r.exit_counts).filter(|(e, n)| **n > 1 && mendable(e));
    let often = wrong().map(|(_, n)| n).sum::<u64>() * OFTEN >= r.entries;
    wrong().max_by_key(|(_, n)| **n).filter(|_| often).map(|(e, _)| e)
}

/// Whether an exit is that of a guess about values.
pub fn is_guess(e: &ExitDesc) -> bool {
    let asks = matches!(e.op, Op::Check | Op::CheckHandling | Op::CheckValid | Op::Poll | Op::Exit);
    e.kind == ExitKind::Leave && !asks
}

/// An exception was left to the interpreter. Handlers that had not run are not compiled: this one is hot.
///
/// # Safety
/// As for [`met`]; no exception is set.
pub unsafe fn raised(record: *mut Record, index: usize, frame: *mut Frame) {
    // SAFETY: as documented.
    unsafe {
        let r = &*record;
        let (e, count) = (&r.exits[index], r.exit_counts[index]);
        if count != COLD_PATIENCE || count * 50 < r.entries || !e.parents.is_empty() {
            return;
        }
        let op_unit = r.info.index_of(e.unit).map_or(e.unit, |k| r.info.instrs[k].op_unit);
        if let Some(handler) = crate::frontend::cold_handler(&r.info, op_unit)
            && !registry::state(r.code).generic.contains(&handler)
        {
            registry::assume_less_at(record, handler, frame);
        }
    }
}

/// Whether an exit is where a generator yields to what consumes it in place.
fn is_consumed(r: &Record, e: &ExitDesc) -> bool {
    let (code, unit) = guesses::asked(e);
    let Some(function) = code.checked_sub(1).map(|k| &r.inlined[k as usize]) else { return false };
    let at = function.code.index_of(unit).map(|k| function.code.instrs[k].op);
    matches!(function.role, Role::Consumed(_)) && at == Some(Opcode::YieldValue)
}

fn is_never_ran(r: &Record, e: &ExitDesc) -> bool {
    match e.imm {
        Imm::Name(n) => r.names.get(n.index()).is_some_and(|t| t == NEVER_RAN || t == EMPTY_LOOP),
        _ => false,
    }
}

/// A loop was left.
///
/// # Safety
/// A region that is not running any more on this thread, the GIL held.
pub unsafe fn after_loop(record: *mut Record, decided: bool) {
    // SAFETY: as documented.
    unsafe {
        let r = &*record;
        if decided {
            return registry::turns_decided(record);
        }
        if r.timed_entries == TRIAL_ENTRIES && r.native_ns < TRIAL_ENTRIES * MIN_LOOP_NS {
            registry::drop_region(record, "it is left so soon after each entry that it does not pay");
        } else if r.timed_entries == TRIAL_ENTRIES && r.native_ns < TRIAL_ENTRIES * SHORT_LOOP_NS && mostly_left_inside(r) {
            registry::drop_region(record, "most of its iterations leave it");
        } else if r.native_ns > CALLS_TRIAL_NS
            && r.native_ns < r.interpreted_calls * MIN_NS_A_CALL
            && instructions_a_call(r) < MIN_INSTRUCTIONS_A_CALL
        {
            registry::drop_region(record, "it does little but call functions that are not compiled");
        }
    }
}

/// The instructions of a region's loop.
fn body(r: &Record) -> impl Iterator<Item = &Instr> + Clone {
    let start = r.unit();
    let all = r.info.instrs.iter().filter(move |i| i.unit >= start);
    let last = all.clone().filter(|i| i.op == Opcode::JumpBackward && i.target == Some(start)).map(|i| i.unit).max();
    all.filter(move |i| last.is_some_and(|last| i.unit <= last))
}

/// Whether a loop is mostly left before its end, for something that is not compiled, to be entered again soon.
fn mostly_left_inside(r: &Record) -> bool {
    let inside = |unit: u32| unit != r.unit() && body(r).any(|i| i.unit == unit);
    let exits = r.exits.iter().zip(&r.exit_counts).filter(|(e, _)| e.op == Op::Exit && inside(e.unit));
    exits.map(|(_, n)| n).sum::<u64>() * 2 > r.entries
}

/// How many instructions of a loop there are to each call in it.
fn instructions_a_call(r: &Record) -> usize {
    let (all, calls) = body(r).fold((0, 0), |(all, calls), i| (all + 1, calls + usize::from(i.op == Opcode::Call)));
    all / calls.max(1)
}
