//! Compiling without waiting for samples (`threshold=1`): functions at their third call, loops at the start of their
//! third iteration, on the thread that runs them. Twice is what the interpreter takes to learn types.
//!
//! New functions get a vectorcall that counts. Code that is no function's (modules, class bodies) has its jumps
//! reported from the start, that of functions from their first call.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use stoop_cpython::capi::{self, Obj, VectorcallFn};
use stoop_cpython::{inspect, monitoring};

use super::entry::{INTERPRETED, is_quiet};
use super::record::CodeState;
use super::{api, choose, compile, registry, sampler};

static FUNCTIONS: AtomicBool = AtomicBool::new(false);
static LOOPS: AtomicBool = AtomicBool::new(false);

/// Runs that the interpreter needs to learn types.
const RUNS: u32 = 2;

/// Turns eager compilation of functions and of loops on or off. Functions whose calls are counted get their own
/// vectorcalls back when called.
pub fn set(functions: bool, loops: bool) {
    FUNCTIONS.store(functions, Ordering::Relaxed);
    LOOPS.store(loops, Ordering::Relaxed);
}

/// Whether nothing waits for samples.
pub fn is_on() -> bool {
    FUNCTIONS.load(Ordering::Relaxed) || LOOPS.load(Ordering::Relaxed)
}

/// Counts the calls of all functions that there are.
///
/// # Safety
/// The GIL is held. Runs Python code.
pub unsafe fn find_functions() {
    // SAFETY: new references are dropped; the list keeps its items while they are looked at.
    unsafe {
        let gc = capi::PyImport_ImportModule(c"gc".as_ptr());
        let get = if gc.is_null() { gc } else { capi::PyObject_GetAttrString(gc, c"get_objects".as_ptr()) };
        let all = if get.is_null() { get } else { capi::PyObject_CallNoArgs(get) };
        if all.is_null() {
            capi::PyErr_Clear();
        } else {
            for o in stoop_cpython::objects::list_slice(all) {
                if capi::type_of(*o) == (&raw mut capi::PyFunction_Type).cast() {
                    on_function(*o);
                }
            }
        }
        for o in [all, get, gc] {
            capi::xdecref(o);
        }
    }
}

/// A function was made.
///
/// # Safety
/// A live function; the GIL is held.
pub unsafe fn on_function(f: Obj) {
    // SAFETY: as documented.
    unsafe {
        if FUNCTIONS.load(Ordering::Relaxed) && inspect::function_vectorcall(f) as u64 == INTERPRETED.load(Ordering::Relaxed) {
            capi::PyFunction_SetVectorcall(f, counted);
        }
    }
}

/// Reports the jumps of code that has loops and is not compiled yet.
///
/// # Safety
/// A live code object; the GIL is held. Rewrites the code's instructions.
unsafe fn arm(s: &mut CodeState) {
    use stoop_cpython::opcodes::Opcode;
    // SAFETY: as documented.
    unsafe {
        if s.never || !LOOPS.load(Ordering::Relaxed) {
            return;
        }
        let loops = compile::info(s).is_ok_and(|i| i.instrs.iter().any(|i| i.op == Opcode::JumpBackward));
        if loops {
            choose::arm(s, monitoring::JUMP);
        }
    }
}

/// The vectorcall of functions that have not been called often enough.
unsafe extern "C" fn counted(f: Obj, args: *const Obj, nargsf: usize, kwnames: Obj) -> Obj {
    // SAFETY: the vectorcall protocol; the interpreter's own function takes whatever this one was given.
    unsafe {
        let plain: VectorcallFn = std::mem::transmute(INTERPRETED.load(Ordering::Relaxed) as *const c_void);
        let ts = capi::PyThreadState_Get();
        let code = inspect::function_code(f);
        let s = registry::state(code);
        let done = !is_on() || !registry::is_enabled() || s.never || s.dropped.is_some() || !is_quiet(ts);
        if done || s.runs >= RUNS {
            capi::PyFunction_SetVectorcall(f, plain);
            if !done && let Err(why) = api::compile(f) {
                registry::state(code).refused.insert(None, why);
            }
        } else {
            if s.runs == 0 {
                arm(s);
            }
            registry::state(code).runs += 1;
            // MAKE_FUNCTION gave it a version after it got this vectorcall: call sites would pass it by.
            capi::PyFunction_SetVectorcall(f, counted);
        }
        let target = inspect::function_vectorcall(f);
        if target as usize == counted as *const () as usize {
            return plain(f, args, nargsf, kwnames);
        }
        let target: VectorcallFn = std::mem::transmute(target as *const c_void);
        target(f, args, nargsf, kwnames)
    }
}

/// A loop without a region went round; whether it should have one by now.
pub fn is_due(s: &mut CodeState, unit: u32) -> bool {
    let n = s.rounds.entry(unit).or_insert(0);
    *n += 1;
    !is_on() || *n >= RUNS
}

/// A code object was made.
///
/// # Safety
/// A live code object; the GIL is held.
pub unsafe fn on_code(code: Obj) {
    const OPTIMIZED: u32 = 1;
    // SAFETY: as documented.
    unsafe {
        if is_on() && (inspect::code_flags(code) & OPTIMIZED == 0 || !FUNCTIONS.load(Ordering::Relaxed)) {
            arm(registry::state(code));
        }
    }
}

/// Compiles a prepared job now.
pub fn finish(mut job: compile::Job) {
    if let Some(shared) = api::shared() {
        let out = compile::finish(&mut job, &shared);
        // SAFETY: jobs are submitted with the GIL held.
        unsafe { sampler::complete(job, out, &shared) };
    }
}
