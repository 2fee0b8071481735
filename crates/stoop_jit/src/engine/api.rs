//! What the extension module calls. Every function needs the GIL.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use stoop_codegen::memory::Arena;
use stoop_cpython::capi::{self, Obj};
use stoop_cpython::{frame, inspect, monitoring, watch};

use super::compile::{self, Shared};
use super::sampler::{self, Settings};
use super::{abi, budget, choose, eager, entry, generators, invariants, journal, keepers, registry, trial, turns, well_known};
use crate::frontend::Entry;

/// How to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sampler.
    pub settings: Settings,
    /// The share of the program's processor time that compiling may take, in percent; 100: no limit.
    pub compile_share: u32,
    /// Executable memory, in bytes.
    pub budget: usize,
    /// Passes that are switched off.
    pub passes_off: Vec<String>,
    /// Verify the IR after each pass.
    pub verify: bool,
    /// How often one function's code may be compiled anew.
    pub max_recompiles: u32,
    /// Whether perf is told the names of compiled code.
    pub perf_map: bool,
    /// Directory for the jitdump file; empty: none is written.
    pub jitdump: String,
    /// File for the journal; empty: none is kept.
    pub journal: String,
    /// The guard (counted from 1 in each region) that always leaves: for tests.
    pub force_exit: Option<u32>,
}

struct On {
    shared: Arc<Shared>,
    settings: Settings,
}

static ON: Mutex<Option<On>> = Mutex::new(None);

fn on() -> std::sync::MutexGuard<'static, Option<On>> {
    ON.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Turns the engine on (anew, with these settings, if it is on).
///
/// # Errors
/// A sentence: the monitoring tool id is taken, no watcher is free, another evaluator is installed.
///
/// # Safety
/// The GIL of the main interpreter; the layout has been checked.
pub unsafe fn enable(config: Config) -> Result<(), String> {
    disable();
    // SAFETY: as documented.
    unsafe {
        remember_interpreted()?;
        well_known::start();
        crate::helpers::reserve::fill();
        stoop_cpython::handled::watch_views();
        generators::start();
        crate::helpers::consumers::start();
        crate::helpers::heaps::restart();
        keepers::start();
        watch::install(watch::Handlers {
            function: registry::on_function,
            dict: invariants::on_dict,
            ty: |_| {},
            code: registry::on_code,
        })?;
        monitoring::install(entry::jumped, choose::started)?;
        journal::open(&config.journal);
        // Who wants everything compiled at first sight does not count its cost.
        budget::start(if config.settings.threshold == 1 { 100 } else { config.compile_share });
        registry::MAX_RECOMPILES.store(config.max_recompiles, Ordering::Relaxed);
        let ts = capi::PyThreadState_Get();
        let shared = Arc::new(Shared {
            abi: Arc::new(abi::describe(ts)),
            entry_abi: abi::describe_entry(),
            watches: abi::watches(ts),
            arena: Arena::new(config.budget),
            passes_off: config.passes_off,
            verify: config.verify,
            force_exit: config.force_exit,
            perf_map: config.perf_map,
            jitdump: config.jitdump,
        });
        *on() = Some(On { shared: shared.clone(), settings: config.settings });
        turns::calibrate();
        registry::set_enabled(true);
        let at_once = config.settings.threshold == 1;
        eager::set(at_once && config.settings.functions, at_once && config.settings.osr);
        if eager::is_on() {
            eager::find_functions();
        }
        sampler::start(config.settings, shared);
    }
    Ok(())
}

/// Reads `_PyFunction_Vectorcall` from a fresh function.
unsafe fn remember_interpreted() -> Result<(), String> {
    if entry::INTERPRETED.load(Ordering::Relaxed) != 0 {
        return Ok(());
    }
    // SAFETY: runs a constant expression.
    unsafe {
        const EVAL: i32 = 258;
        let globals = capi::PyDict_New();
        let f = capi::PyRun_String(c"lambda: None".as_ptr(), EVAL, globals, globals);
        capi::decref(globals);
        if f.is_null() {
            capi::PyErr_Clear();
            return Err("Stoop could not make a function to look at".to_owned());
        }
        let vectorcall = inspect::function_vectorcall(f);
        entry::INTERPRETED.store(vectorcall as u64, Ordering::Relaxed);
        trial::start(f, std::mem::transmute::<usize, capi::VectorcallFn>(vectorcall));
        capi::decref(f);
    }
    Ok(())
}

/// Turns the engine off: compiled code is left at its next safe point and not entered again.
pub fn disable() {
    let was = on().take();
    if was.is_some() {
        eager::set(false, false);
        sampler::stop();
        generators::stop();
        registry::set_enabled(false);
        // SAFETY: the GIL is held.
        unsafe {
            crate::helpers::consumers::stop();
            crate::helpers::heaps::stop();
            monitoring::uninstall();
        }
    }
}

/// Before the interpreter finalises: the sampler must be gone.
pub fn shutdown() {
    sampler::abandon();
}

/// Before a fork: the child must not inherit a lock that the sampler holds.
pub fn before_fork() {
    sampler::stop();
}

/// The frame that forks, and the code unit of its call.
static FORKING: Mutex<Option<(usize, i32)>> = Mutex::new(None);

/// Whether that call has not returned: other hooks, in Python perhaps, run after ours.
unsafe fn is_forking(me: *mut capi::PyThreadState) -> bool {
    let Some((frame, unit)) = *FORKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner) else { return false };
    // SAFETY: the GIL is held; frames in a thread's chain are alive.
    unsafe {
        frame::threads().into_iter().any(|ts| {
            let own = ts == me && frame::current(me) as usize == frame;
            !own && frame::frames(ts).any(|f| f as usize == frame && frame::saved_unit(f) == unit)
        })
    }
}

/// In the parent, after a fork. The thread is back once the call has returned: CPython counts threads at its end.
pub fn after_fork_in_parent() {
    unsafe extern "C" fn again(_: *mut std::ffi::c_void) -> i32 {
        // SAFETY: a pending call has the GIL.
        unsafe {
            let wait = is_forking(capi::PyThreadState_Get());
            if !wait || capi::Py_AddPendingCall(again, std::ptr::null_mut()) != 0 {
                after_fork();
            }
        }
        0
    }
    // SAFETY: the callback needs no data, and the GIL it is called with; a frame called the hook.
    unsafe {
        let caller = frame::current(capi::PyThreadState_Get());
        let forking = (!caller.is_null() && !frame::code(caller).is_null()).then(|| (caller as usize, frame::saved_unit(caller)));
        *FORKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = forking;
        if capi::Py_AddPendingCall(again, std::ptr::null_mut()) != 0 {
            after_fork();
        }
    }
}

/// In a forked child, where the thread is gone, and wherever it was stopped for a while.
pub fn after_fork() {
    if sampler::is_running() {
        return;
    }
    sampler::after_fork();
    registry::after_fork();
    budget::after_fork();
    if let Some((settings, shared)) = at_work() {
        sampler::start(settings, shared);
    }
}

/// What compilations need, while the engine is on.
pub fn shared() -> Option<Arc<Shared>> {
    on().as_ref().map(|o| o.shared.clone())
}

/// How the sampler works and what compilations need, while the engine is on.
pub fn at_work() -> Option<(Settings, Arc<Shared>)> {
    on().as_ref().map(|o| (o.settings, o.shared.clone()))
}

/// Whether the engine is on.
pub fn is_enabled() -> bool {
    on().is_some()
}

/// Compiles a function's entry now.
///
/// # Errors
/// Why it can't be compiled.
///
/// # Safety
/// A live Python function, the GIL held.
pub unsafe fn compile(f: Obj) -> Result<(), String> {
    let Some(shared) = shared() else {
        return Err("the engine is off: call stoop.enable() first".to_owned());
    };
    // SAFETY: as documented.
    unsafe {
        registry::mind_tools(capi::PyThreadState_Get());
        let code = inspect::function_code(f);
        let s = registry::state(code);
        if s.never {
            return Err("it is marked with @stoop.never".to_owned());
        }
        s.asked = true;
        if let Some(r) = s.function.as_mut().filter(|r| r.is_valid()) {
            // The code's other functions have been told already where the verdict was this one.
            if r.trial.verdict != trial::Verdict::Pays {
                r.trial.verdict = trial::Verdict::Pays;
                registry::reinstall(code);
            }
            registry::install(f);
            return Ok(());
        }
        s.refused.remove(&None);
        loop {
            let mut job = compile::prepare(code, Entry::Function, std::ptr::null_mut(), f, false)?;
            let out = compile::finish(&mut job, &shared);
            match compile::install(job, out, &shared) {
                Err(compile::Unfinished::Again(_)) => {}
                Err(compile::Unfinished::Refused(why)) => return Err(why),
                Ok(()) => return Ok(()),
            }
        }
    }
}

/// Marks a function's code as never to be compiled.
///
/// # Safety
/// A live Python function, the GIL held.
pub unsafe fn never(f: Obj) {
    // SAFETY: as documented.
    let code = unsafe { inspect::function_code(f) };
    registry::release(code, None);
    registry::state(code).never = true;
}

/// The texts of every stage of compiling a function's entry, in order: (stage, text).
///
/// # Errors
/// Why it can't be compiled.
///
/// # Safety
/// A live Python function, the GIL held.
pub unsafe fn stages(f: Obj) -> Result<Vec<(String, String)>, String> {
    let Some(shared) = shared() else {
        return Err("the engine is off: call stoop.enable() first".to_owned());
    };
    // SAFETY: as documented.
    unsafe {
        let code = inspect::function_code(f);
        loop {
            let mut job = compile::prepare(code, Entry::Function, std::ptr::null_mut(), f, true)?;
            let out = compile::finish(&mut job, &shared);
            let result = out.into_texts();
            job.abandon();
            match result {
                Err(compile::Unfinished::Again(banned)) => {
                    registry::state(code).no_inline.entry(None).or_default().extend(banned)
                }
                Err(compile::Unfinished::Refused(why)) => return Err(why),
                Ok(texts) => return Ok(texts),
            }
        }
    }
}
