//! The sampler: a thread that now and then has it looked at what every thread runs, and compiles what is hot.
//!
//! What needs the GIL takes microseconds: looking, preparing regions, and installing what was optimised and lowered
//! without it. Who waits for the GIL makes the thread that has it stop until both have been woken, which costs more than
//! all of that, so the program's own threads are asked to do it, between two instructions. Where they can't be (3.12) the
//! sampler takes the GIL. It sleeps longer while nothing new is found.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stoop_cpython::capi::{self, Frame, Obj, PyThreadState};
use stoop_cpython::thread::{self, Visitor};
use stoop_cpython::{frame, monitoring};

use super::compile::{self, Job, Shared};
use super::{api, budget, choose, eager, journal, registry, stack, totals};
use crate::frontend::Entry;
use crate::heap;

/// How the sampler works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Time between looks while something is found.
    pub interval: Duration,
    /// Looks that must find a code object running before it is compiled.
    pub threshold: u32,
    /// Whether functions are entered by calls.
    pub functions: bool,
    /// Whether running loops are taken over.
    pub osr: bool,
}

static RUNNING: AtomicBool = AtomicBool::new(false);
/// Counts starts; a thread that finds another number than its own ends.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// What the thread is at: it needs the GIL, or will soon.
const LOOKING: u8 = 0;
/// It compiles, which may take long, and touches nothing of the interpreter meanwhile.
const COMPILING: u8 = 1;
/// Nobody waits for it any more: it must not touch the interpreter again.
const ABANDONED: u8 = 2;
static THREAD: Mutex<Option<Running>> = Mutex::new(None);

/// The thread, and what it is at.
struct Running {
    handle: std::thread::JoinHandle<()>,
    doing: Arc<AtomicU8>,
}

/// Jobs that the program's own threads have prepared.
static JOBS: Mutex<Vec<Job>> = Mutex::new(Vec::new());

/// Jobs that are optimised and lowered.
static FINISHED: Mutex<Vec<(Job, compile::Output)>> = Mutex::new(Vec::new());
/// Whether somebody should look, and whether a thread of the program has been asked and has not come to it yet.
static LOOK: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicBool = AtomicBool::new(false);
/// Whether the last look has found something that may become hot.
static FOUND: AtomicBool = AtomicBool::new(false);
/// Processor time at the last look.
static USED: AtomicU64 = AtomicU64::new(0);

/// The longest sleep, while nothing is found.
const LONGEST: Duration = Duration::from_millis(50);
/// Frames among which one that runs a certain code object is looked for.
const LONGEST_CHAIN: usize = 64;

/// Starts the thread. The GIL is held.
pub fn start(settings: Settings, shared: Arc<Shared>) {
    let generation = GENERATION.fetch_add(1, Ordering::SeqCst) + 1;
    RUNNING.store(true, Ordering::SeqCst);
    ASKED.store(false, Ordering::SeqCst);
    USED.store(budget::process_ns(), Ordering::Relaxed);
    choose::start(&settings);
    let doing = Arc::new(AtomicU8::new(LOOKING));
    let its_own = doing.clone();
    let builder = std::thread::Builder::new().name("stoop-sampler".to_owned());
    if let Ok(handle) = builder.spawn(move || run(settings, &shared, generation, &its_own)) {
        *lock(&THREAD) = Some(Running { handle, doing });
    }
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Stops the thread and waits for it. The GIL is held, and given up while waiting.
pub fn stop() {
    RUNNING.store(false, Ordering::SeqCst);
    GENERATION.fetch_add(1, Ordering::SeqCst);
    let t = lock(&THREAD).take();
    if let Some(t) = t {
        t.handle.thread().unpark();
        // SAFETY: the calling thread holds the GIL and takes it again.
        unsafe {
            let saved = capi::PyEval_SaveThread();
            let _ = t.handle.join();
            capi::PyEval_RestoreThread(saved);
        }
    }
    drop_jobs();
}

/// Stops the thread for good, at the interpreter's end: a compilation under way is not waited for.
pub fn abandon() {
    RUNNING.store(false, Ordering::SeqCst);
    GENERATION.fetch_add(1, Ordering::SeqCst);
    let compiles = |t: &mut Running| t.doing.compare_exchange(COMPILING, ABANDONED, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    let left = lock(&THREAD).take_if(compiles);
    if left.is_some() {
        drop_jobs();
    } else {
        stop();
    }
}

/// Whether the thread runs.
pub fn is_running() -> bool {
    RUNNING.load(Ordering::SeqCst)
}

/// In a forked child, where the thread is gone. The GIL is held.
pub fn after_fork() {
    if let Some(t) = lock(&THREAD).take() {
        // Neither joined nor detached: it does not exist here.
        std::mem::forget(t);
    }
    drop_jobs();
}

fn drop_jobs() {
    let finished = std::mem::take(&mut *lock(&FINISHED));
    for j in std::mem::take(&mut *lock(&JOBS)).into_iter().chain(finished.into_iter().map(|f| f.0)) {
        j.abandon();
    }
}

/// Hands over a prepared job. The GIL is held.
pub fn submit(job: Job) {
    if eager::is_on() {
        return eager::finish(job);
    }
    lock(&JOBS).push(job);
    if let Some(t) = lock(&THREAD).as_ref() {
        t.handle.thread().unpark();
    }
}

/// Whether a prepared job is to be finished, now that its size is known.
fn is_worth_it(job: &Job) -> bool {
    let (code, entry) = job.region();
    choose::still_pays(registry::state(code), entry, job.info(), job.size())
}

/// Prepares a function's entry for the background. The GIL is held; the frame, if any, runs its code, and tells
/// classes.
pub fn request(code: Obj, f: Obj, frame: *mut Frame) {
    let s = registry::state(code);
    if s.pending.contains(&None) || s.refused.contains_key(&None) {
        return;
    }
    // SAFETY: a live function of that code.
    unsafe { prepare(code, Entry::Function, frame, f) };
}

/// Prepares a region that begins inside a frame for the background: locals and stack are just what an entry will find.
/// `entry` makes it of the code unit and the stack's depth.
///
/// # Safety
/// A live frame of that code, complete, about to go on at that unit; the GIL is held.
pub unsafe fn request_inside(fr: *mut Frame, code: Obj, unit: u32, entry: impl FnOnce(u32, u32) -> Entry) {
    let Ok(info) = compile::info(registry::state(code)) else { return };
    // SAFETY: as documented.
    unsafe {
        if let Ok(depth) = u32::try_from(frame::stacktop(fr) - info.nlocalsplus as i32) {
            prepare(code, entry(unit, depth), fr, std::ptr::null_mut());
        }
    }
}

/// Prepares a region and submits it, or notes why it can't be.
///
/// # Safety
/// As for [`compile::prepare`].
unsafe fn prepare(code: Obj, entry: Entry, frame: *mut Frame, f: Obj) {
    // SAFETY: as documented.
    match unsafe { compile::prepare(code, entry, frame, f, false) } {
        // Whether resuming pays is found out by timing it.
        Ok(job) if !matches!(entry, Entry::Resume { .. }) && !is_worth_it(&job) => {
            journal::note_at(job.info(), entry, || format!("put off: {} operations are not worth it yet", job.size()));
            job.abandon();
        }
        Ok(job) => {
            journal::note_at(job.info(), entry, || format!("prepared: {} operations, trust {} %", job.size(), budget::trust()));
            registry::state(code).pending.insert(entry.header());
            submit(job);
        }
        Err(e) => {
            registry::state(code).refused.insert(entry.header(), e);
        }
    }
}

/// Has a region built again whose first attempt inlined too much. The GIL is held.
fn again(code: Obj, entry: Entry, function: Obj) {
    let s = registry::state(code);
    // SAFETY: a live code object that somebody keeps; frames are alive while the GIL is held.
    unsafe {
        match entry {
            Entry::Loop { unit, .. } => {
                s.wanted.insert(unit);
                choose::arm_again(s, monitoring::JUMP);
            }
            Entry::Resume { unit, .. } => super::generators::want_at(code, unit),
            Entry::Function => {
                let mut frames = frame::threads().into_iter().flat_map(|ts| frame::frames(ts).take(LONGEST_CHAIN));
                let running = frames.find(|f| frame::code(*f) == code && frame::is_complete(*f));
                match running {
                    None if !eager::is_on() && !s.asked => choose::want(s),
                    running => request(code, function, running.unwrap_or(std::ptr::null_mut())),
                }
            }
        }
    }
}

/// Installs a finished job, or has it built again. The GIL is held.
///
/// # Safety
/// As for [`compile::install`].
pub unsafe fn complete(job: Job, out: compile::Output, shared: &Shared) {
    let ((code, entry), function) = (job.region(), job.function());
    // SAFETY: the references outlive the installation, which gives up those of the job.
    unsafe {
        capi::incref(code);
        capi::xincref(function);
        if let Err(compile::Unfinished::Again(_)) = compile::install(job, out, shared) {
            again(code, entry, function);
        }
        capi::xdecref(function);
        capi::decref(code);
    }
}

/// What a thread of the program has been asked to do.
unsafe extern "C" fn asked(_: *mut std::ffi::c_void) -> std::ffi::c_int {
    // A panic has told its message hook; the program goes on.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: a pending call has the GIL, and no exception set; whatever fails in here is nobody's concern.
        unsafe {
            ASKED.store(false, Ordering::SeqCst);
            if !stack::is_low(thread::current()) {
                serve(thread::current());
            }
            if !capi::PyErr_Occurred().is_null() {
                capi::PyErr_Clear();
            }
        }
    });
    0
}

/// Does what waits for the GIL: looks, and installs what is finished.
///
/// # Safety
/// The GIL is held, by the thread `me`.
unsafe fn serve(me: *mut PyThreadState) {
    let Some((settings, shared)) = api::at_work().filter(|_| is_running()) else { return };
    if LOOK.swap(false, Ordering::SeqCst) {
        let begin = Instant::now();
        let now = budget::process_ns();
        let ns = now.saturating_sub(USED.swap(now, Ordering::Relaxed));
        // SAFETY: as documented.
        FOUND.store(unsafe { choose::look(me, &settings, ns) }, Ordering::Relaxed);
        totals::count(|t| {
            t.samples += 1;
            t.sampling_us += begin.elapsed().as_micros() as u64;
        });
    }
    // Installing may run Python code, which may stop all this; who stops it drops what is left.
    while is_running() {
        let Some((job, out)) = lock(&FINISHED).pop() else { break };
        // SAFETY: as documented.
        unsafe { complete(job, out, &shared) };
    }
}

/// Has done what waits for the GIL. False while the interpreter shuts down.
fn have_served(visitor: &mut Option<Visitor>) -> bool {
    if let Some(v) = visitor {
        // SAFETY: the visit holds the GIL.
        return v.visit(|me| unsafe { serve(me) }).is_some();
    }
    // Who has been asked comes to it when Python code runs; before that there is nothing to look at.
    if !ASKED.swap(true, Ordering::SeqCst) && !thread::ask(asked) {
        ASKED.store(false, Ordering::SeqCst);
    }
    !thread::is_finalizing()
}

fn run(settings: Settings, shared: &Shared, generation: u64, doing: &AtomicU8) {
    // Given back last: what is dropped before goes there.
    let _heap = heap::claim();
    let mut visitor = if thread::can_ask() { None } else { Visitor::new() };
    if visitor.is_none() && !thread::can_ask() {
        return;
    }
    let mut pause = settings.interval;
    let alive = || RUNNING.load(Ordering::SeqCst) && GENERATION.load(Ordering::SeqCst) == generation;
    while alive() {
        std::thread::park_timeout(pause);
        if !alive() {
            break;
        }
        LOOK.store(true, Ordering::SeqCst);
        if !have_served(&mut visitor) {
            return;
        }
        let jobs = std::mem::take(&mut *lock(&JOBS));
        let usual = (settings.interval * budget::ease()).min(LONGEST.max(settings.interval));
        // What has not been looked at yet did not run.
        let found = FOUND.load(Ordering::Relaxed) && !ASKED.load(Ordering::SeqCst);
        pause = if found || !jobs.is_empty() { usual } else { (pause * 5 / 4).clamp(usual, LONGEST.max(settings.interval)) };
        let mut jobs = jobs.into_iter();
        while let Some(mut job) = jobs.next() {
            doing.store(COMPILING, Ordering::SeqCst);
            let out = compile::finish(&mut job, shared);
            if doing.compare_exchange(COMPILING, LOOKING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                // The interpreter is going or gone: all that names its objects stays as it is.
                std::mem::forget((job, out, jobs, visitor));
                return;
            }
            // What is left is abandoned by who stops this thread, with the GIL; what the interpreter's end took by
            // surprise is never freed, because its invariants may still name it.
            lock(&FINISHED).push((job, out));
            if !have_served(&mut visitor) || !alive() {
                lock(&JOBS).extend(jobs);
                return;
            }
        }
    }
}
