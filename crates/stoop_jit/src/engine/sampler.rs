//! The sampler: a thread that now and then takes the GIL, looks at what every thread runs, and compiles what is hot.
//!
//! It holds the GIL for microseconds: regions are prepared under it, optimised and lowered without it, and
//! installed under it again. It sleeps longer while nothing new is found.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stoop_cpython::capi::{self, Frame, Obj};
use stoop_cpython::frame;
use stoop_cpython::thread::Visitor;

use super::compile::{self, Job, Shared};
use super::{budget, choose, registry, totals};
use crate::frontend::Entry;

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
static THREAD: Mutex<Option<std::thread::JoinHandle<()>>> = Mutex::new(None);
/// Jobs that the program's own threads have prepared.
static JOBS: Mutex<Vec<Job>> = Mutex::new(Vec::new());

/// The longest sleep, while nothing is found.
const LONGEST: Duration = Duration::from_millis(50);
/// Frames among which one that runs a certain code object is looked for.
const LONGEST_CHAIN: usize = 64;

/// Starts the thread. The GIL is held.
pub fn start(settings: Settings, shared: std::sync::Arc<Shared>) {
    let generation = GENERATION.fetch_add(1, Ordering::SeqCst) + 1;
    RUNNING.store(true, Ordering::SeqCst);
    choose::start(&settings);
    let t = std::thread::Builder::new().name("stoop-sampler".to_owned()).spawn(move || run(settings, &shared, generation));
    if let Ok(t) = t {
        *lock(&THREAD) = Some(t);
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
        t.thread().unpark();
        // SAFETY: the calling thread holds the GIL and takes it again.
        unsafe {
            let saved = capi::PyEval_SaveThread();
            let _ = t.join();
            capi::PyEval_RestoreThread(saved);
        }
    }
    drop_jobs();
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
    for j in std::mem::take(&mut *lock(&JOBS)) {
        j.abandon();
    }
}

/// Hands over a prepared job.
pub fn submit(job: Job) {
    lock(&JOBS).push(job);
    if let Some(t) = lock(&THREAD).as_ref() {
        t.thread().unpark();
    }
}

/// Prepares a function's entry for the background. The GIL is held; the frame, if any, runs its code, and tells
/// classes.
pub fn request(code: Obj, f: Obj, frame: *mut Frame) {
    let s = registry::state(code);
    if s.pending.contains(&None) || s.refused.contains_key(&None) {
        return;
    }
    // SAFETY: a live function of that code.
    match unsafe { compile::prepare(code, Entry::Function, frame, f, false) } {
        Ok(job) => {
            registry::state(code).pending.insert(None);
            submit(job);
        }
        Err(e) => {
            registry::state(code).refused.insert(None, e);
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
                choose::arm_jumps_again(s);
            }
            Entry::Function => {
                let mut frames = frame::threads().into_iter().flat_map(|ts| frame::frames(ts).take(LONGEST_CHAIN));
                let running = frames.find(|f| frame::code(*f) == code && frame::is_complete(*f));
                request(code, function, running.unwrap_or(std::ptr::null_mut()));
            }
        }
    }
}

/// Installs a finished job, or has it built again. The GIL is held.
///
/// # Safety
/// As for [`compile::install`].
unsafe fn complete(job: Job, out: compile::Output, shared: &Shared) {
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

fn run(settings: Settings, shared: &Shared, generation: u64) {
    let Some(mut visitor) = Visitor::new() else { return };
    let mut pause = settings.interval;
    let mut used = budget::process_ns();
    let alive = || RUNNING.load(Ordering::SeqCst) && GENERATION.load(Ordering::SeqCst) == generation;
    while alive() {
        std::thread::park_timeout(pause);
        if !alive() {
            break;
        }
        let begin = Instant::now();
        let found = visitor.visit(|me| {
            let now = budget::process_ns();
            let ns = now - std::mem::replace(&mut used, now);
            // SAFETY: the visit holds the GIL.
            unsafe { choose::look(me, &settings, ns) }
        });
        let Some(found) = found else { return };
        totals::count(|t| {
            t.samples += 1;
            t.sampling_us += begin.elapsed().as_micros() as u64;
        });
        let jobs = std::mem::take(&mut *lock(&JOBS));
        pause = if found || !jobs.is_empty() { settings.interval } else { (pause * 5 / 4).min(LONGEST.max(settings.interval)) };
        let mut jobs = jobs.into_iter();
        while let Some(mut job) = jobs.next() {
            let out = compile::finish(&mut job, shared);
            let mut finished = Some((job, out));
            // SAFETY: the visit holds the GIL.
            let done = visitor.visit(|_| finished.take().map(|(job, out)| unsafe { complete(job, out, shared) }));
            if done.is_none() || !alive() {
                // What is left is abandoned by who stops this thread, with the GIL; what the interpreter's end took by
                // surprise is never freed, because its invariants may still name it.
                std::mem::forget(finished);
                lock(&JOBS).extend(jobs);
                return;
            }
        }
    }
}
