//! Entering compiled code: by a call (vectorcall) and in a running loop (monitoring's JUMP event).

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use stoop_cpython::capi::{self, Frame, Obj, PyThreadState, VectorcallFn};
use stoop_cpython::monitoring::{self, Answer};
use stoop_cpython::{frame, inspect};

use super::exits::HANDED_BACK;
use super::record::Record;
use super::trial::{self, Verdict};
use super::{eager, homes, links, registry, sampler, stack, turns};
use crate::frontend::Entry;

/// The monitoring version at which no tool but ours was active. Compiled code compares it at safe points.
pub static QUIET_VERSION: AtomicU64 = AtomicU64::new(u64::MAX);

/// `_PyFunction_Vectorcall`, read from a fresh function.
pub static INTERPRETED: AtomicU64 = AtomicU64::new(0);

/// Calls a function through the interpreter.
unsafe fn interpreted(f: Obj, args: *const Obj, nargsf: usize, kwnames: Obj) -> Obj {
    // SAFETY: set at start from a real function's field.
    unsafe {
        let target: VectorcallFn = std::mem::transmute(INTERPRETED.load(Ordering::Relaxed) as *const c_void);
        target(f, args, nargsf, kwnames)
    }
}

/// Whether compiled code may run: no tool watches.
#[inline]
pub unsafe fn is_quiet(ts: *mut PyThreadState) -> bool {
    // SAFETY: the GIL is held.
    unsafe {
        let version = monitoring::version(ts);
        version == QUIET_VERSION.load(Ordering::Relaxed) || now_quiet(ts, version)
    }
}

#[cold]
unsafe fn now_quiet(ts: *mut PyThreadState, version: u64) -> bool {
    // SAFETY: as above.
    if unsafe { monitoring::other_tools_active(ts, std::ptr::null_mut()) } {
        return false;
    }
    QUIET_VERSION.store(version, Ordering::Relaxed);
    true
}

/// What a function's vectorcall lands in, through a thunk that adds the record.
///
/// # Safety
/// The vectorcall protocol, and a live record of the function's code.
pub unsafe extern "C" fn call(f: Obj, args: *const Obj, nargsf: usize, kwnames: Obj, record: *mut Record) -> Obj {
    const OFFSET: usize = 1 << (usize::BITS - 1);
    // SAFETY: the protocol gives `count` live arguments; the record lives while it is installed.
    unsafe {
        let r = &*record;
        let count = nargsf & !OFFSET;
        let ts = capi::PyThreadState_Get();
        if r.valid.load(Ordering::Relaxed) == 0
            || !kwnames.is_null()
            || r.plain_args != Some(count as u32)
            || !is_quiet(ts)
            || !r.is_unobserved()
            || stack::is_low(ts)
        {
            return call_slowly(f, args, nargsf, kwnames, record, ts);
        }
        if !frame::enter_call(ts) {
            return interpreted(f, args, nargsf, kwnames);
        }
        let fr = frame::push_frame(ts, f);
        if fr.is_null() {
            frame::leave_call(ts);
            return interpreted(f, args, nargsf, kwnames);
        }
        for k in 0..count {
            let a = *args.add(k);
            capi::incref(a);
            *frame::slot(fr, k) = a;
        }
        run(ts, fr, record)
    }
}

/// What calls land in while it is being found out whether they pay.
///
/// # Safety
/// As for [`call`].
pub unsafe extern "C" fn tried(f: Obj, args: *const Obj, nargsf: usize, kwnames: Obj, record: *mut Record) -> Obj {
    // SAFETY: the record is kept while it is marked active; the rest is as for `call`.
    unsafe {
        if !(*record).is_valid() || (*record).trial.verdict != Verdict::Open {
            return call(f, args, nargsf, kwnames, record);
        }
        (*record).trial.nested |= (*record).active > 0;
        (*record).active += 1;
        let compiled = (*record).trial.next_is_compiled();
        let from_c = frame::is_called_from_c(capi::PyThreadState_Get(), !kwnames.is_null());
        let start = trial::now();
        let result = if !compiled {
            (*record).trial.begin_interpreted(start);
            let result = interpreted(f, args, nargsf, kwnames);
            (*record).trial.end_interpreted();
            result
        } else if let Some(entry) = (*record).call.as_ref() {
            let entry: DirectFn = std::mem::transmute(entry.address() as *const c_void);
            entry(f, args, nargsf, kwnames, std::ptr::null_mut())
        } else {
            call(f, args, nargsf, kwnames, record)
        };
        let ticks = trial::now() - start;
        (*record).active -= 1;
        // Deciding may free objects, which wants no exception set.
        if !result.is_null()
            && (*record).is_valid()
            && (*record).trial.verdict == Verdict::Open
            && (*record).trial.note(compiled, from_c, ticks)
        {
            registry::decided(record);
        }
        result
    }
}

/// A vectorcall that takes the thread state as a fifth argument.
type DirectFn = unsafe extern "C" fn(Obj, *const Obj, usize, Obj, *mut PyThreadState) -> Obj;

/// Ends a frame, for entries that find it not to be plain.
///
/// # Safety
/// As for [`frame::pop_frame`].
pub unsafe extern "C" fn pop(ts: *mut PyThreadState, fr: *mut Frame) {
    // SAFETY: as documented.
    unsafe { frame::pop_frame(ts, fr) }
}

/// Runs a function's region. A pointer, no reference: other threads enter and leave it meanwhile, so the count of
/// activations must be read anew.
#[inline]
unsafe fn run(ts: *mut PyThreadState, fr: *mut Frame, record: *mut Record) -> Obj {
    // SAFETY: a valid record has code, and lives while it is marked active; the frame is complete.
    unsafe {
        (*record).entries += 1;
        (*record).active += 1;
        let native = (*record).native.expect("a valid region has code");
        let result = native(ts, fr);
        (*record).active -= 1;
        if result & 1 == 0 {
            return result as Obj;
        }
        frame::leave_call(ts);
        frame::pop_frame(ts, fr);
        (result & !1) as Obj
    }
}

/// Calls that are not plain: other argument forms, regions that have fallen, a watching tool, a deep stack.
#[cold]
unsafe fn call_slowly(f: Obj, args: *const Obj, nargsf: usize, kwnames: Obj, record: *mut Record, ts: *mut PyThreadState) -> Obj {
    // SAFETY: as for `call`.
    unsafe {
        if !(*record).is_valid() {
            registry::function_fell(f, record);
            return interpreted(f, args, nargsf, kwnames);
        }
        if stack::is_low(ts) {
            // Native frames take machine stack, the interpreter's own calls do not: let it run this depth alone.
            registry::step_aside(f, record);
            let taken = stack::limit_c_recursion(ts);
            let r = interpreted(f, args, nargsf, kwnames);
            inspect::give_c_recursion(ts, taken);
            registry::step_back(f, record);
            return r;
        }
        if !is_quiet(ts) || !(*record).is_unobserved() {
            registry::stand_aside();
            return interpreted(f, args, nargsf, kwnames);
        }
        if !frame::enter_call(ts) {
            return interpreted(f, args, nargsf, kwnames);
        }
        match super::bind::bind(ts, f, args, nargsf, kwnames, &(*record).info) {
            Some(fr) => run(ts, fr, record),
            // Wrong arguments: the interpreter knows what to say.
            None => {
                frame::leave_call(ts);
                interpreted(f, args, nargsf, kwnames)
            }
        }
    }
}

/// The JUMP callback: the current frame's code jumps between code units.
///
/// # Safety
/// Called by the interpreter with the GIL held.
pub unsafe fn jumped(ts: *mut PyThreadState, code: Obj, from: u32, to: u32) -> Answer {
    // SAFETY: the current frame's code is `code`, checked; a region in the table is live.
    unsafe {
        let arrived = trial::now();
        if turns::is_timed(code, arrived) {
            return Answer::Go;
        }
        if to > from {
            return Answer::Disable;
        }
        let fr = frame::current(ts);
        if fr.is_null() || frame::code(fr) != code {
            return Answer::Go;
        }
        match registry::loop_at(code, to) {
            registry::LoopAt::Region(r) => enter_loop(ts, fr, code, r, arrived),
            registry::LoopAt::New => {
                if !eager::is_due(registry::state(code), to) {
                    return Answer::Go;
                }
                sampler::request_inside(fr, code, to, |unit, depth| Entry::Loop { unit, depth });
                match registry::loop_at(code, to) {
                    registry::LoopAt::Region(r) => enter_loop(ts, fr, code, r, arrived),
                    _ if eager::is_on() => Answer::Go,
                    // Reported again when the region is there.
                    _ => Answer::Disable,
                }
            }
            registry::LoopAt::None => Answer::Disable,
        }
    }
}

unsafe fn enter_loop(ts: *mut PyThreadState, fr: *mut Frame, code: Obj, record: *mut Record, arrived: u64) -> Answer {
    // SAFETY: as for `jumped`; the region is of this code.
    unsafe {
        let r = &*record;
        let observed = monitoring::other_tools_active(ts, code) || !r.is_unobserved();
        if r.valid.load(Ordering::Relaxed) == 0 || observed || stack::is_low(ts) || !is_quiet(ts) {
            return Answer::Go;
        }
        if frame::globals(fr) != r.globals || frame::builtins(fr) != r.builtins {
            return Answer::Go;
        }
        if r.names_are_globals && frame::locals_mapping(fr) != r.globals {
            return Answer::Go;
        }
        let Entry::Loop { depth, .. } = r.entry else { return Answer::Go };
        let base = r.info.nlocalsplus as i32;
        if frame::stacktop(fr) != base + depth as i32 {
            return Answer::Go;
        }
        if !(*record).turns.enters(fr, arrived) {
            return Answer::Go;
        }
        // The dict's entries are one activation's at a time.
        if !homes::begin(&r.variables) {
            return Answer::Go;
        }
        frame::forget_object(fr);
        frame::set_stacktop(fr, base);
        let saved = frame::native_begin(ts);
        // By the pointer from here on: other threads enter and leave the region while it runs.
        (*record).entries += 1;
        (*record).active += 1;
        let start = std::time::Instant::now();
        let calls = links::interpreted_calls();
        let native = (*record).native.expect("a valid region has code");
        if r.active == 1 {
            (*record).turns.begin();
        }
        let result = native(ts, fr);
        (*record).active -= 1;
        homes::end(&(*record).variables);
        let decided = (*record).active == 0 && (*record).turns.end();
        (*record).interpreted_calls += links::interpreted_calls() - calls;
        (*record).native_ns += start.elapsed().as_nanos() as u64;
        (*record).timed_entries += 1;
        frame::native_end(ts, saved);
        if result != HANDED_BACK {
            return Answer::Raise;
        }
        super::policy::after_loop(record, decided);
        Answer::Go
    }
}
