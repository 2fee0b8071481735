//! What compiling may cost: a share of the processor time that the program itself has used.
//!
//! Processor time, not time on the wall: on a machine with one core, or a busy one, the background thread takes
//! its time from the program. Clocks are the process's and the thread's own, so the figures hold there too.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Nanoseconds that may be spent before the program has run for long.
const CREDIT: u64 = 2_000_000;
/// Nanoseconds of running after which a quarter of the share must do: what is hot has been found by then.
const EARLY: u64 = 1_500_000_000;
/// What an instruction costs to compile, before any has been: nanoseconds.
const FIRST_GUESS: u64 = 40_000;
/// What is believed of that, whatever was measured.
const BELIEVED: std::ops::RangeInclusive<u64> = 15_000..=200_000;

static SHARE: AtomicU32 = AtomicU32::new(100);
/// The process that counts.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static START: AtomicU64 = AtomicU64::new(0);
static SPENT: AtomicU64 = AtomicU64::new(0);
static RESERVED: AtomicU64 = AtomicU64::new(0);
static RATE: AtomicU64 = AtomicU64::new(FIRST_GUESS);

fn clock(id: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure; the clocks exist since Linux 2.6.
    unsafe { libc::clock_gettime(id, &raw mut t) };
    t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs()
}

/// Processor time of all threads so far, in nanoseconds.
pub fn process_ns() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time of the calling thread so far.
fn thread_ns() -> u64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Starts to count. `percent` of the program's time may be spent; 100 and more: as much as it takes.
pub fn start(percent: u32) {
    SHARE.store(percent, Ordering::Relaxed);
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    START.store(process_ns(), Ordering::Relaxed);
    SPENT.store(0, Ordering::Relaxed);
    RESERVED.store(0, Ordering::Relaxed);
}

/// After a fork: a child's clock starts anew.
pub fn after_fork() {
    if PROCESS.load(Ordering::Relaxed) != std::process::id() {
        start(SHARE.load(Ordering::Relaxed));
    }
}

/// Whether compiling is paid for whatever it costs.
pub fn is_unlimited() -> bool {
    SHARE.load(Ordering::Relaxed) >= 100
}

/// What compiling so many instructions will cost, judging from what was compiled so far.
pub fn estimate(instructions: usize) -> u64 {
    instructions as u64 * RATE.load(Ordering::Relaxed)
}

/// Whether so much may be spent now.
pub fn affords(ns: u64) -> bool {
    is_within(ns, allowed())
}

/// The same for code that is sure to pay: it may go as far again over the limit.
pub fn affords_surely(ns: u64) -> bool {
    is_within(ns, 2 * allowed())
}

fn is_within(ns: u64, limit: u64) -> bool {
    is_unlimited() || SPENT.load(Ordering::Relaxed) + RESERVED.load(Ordering::Relaxed) + ns <= limit
}

fn allowed() -> u64 {
    let used = process_ns().saturating_sub(START.load(Ordering::Relaxed));
    let share = u64::from(SHARE.load(Ordering::Relaxed));
    CREDIT + used.min(EARLY) * share / 100 + used.saturating_sub(EARLY) * share / 400
}

/// Keeps so much for a compilation under way; [`settle`] gives it back.
pub fn reserve(ns: u64) {
    RESERVED.fetch_add(ns, Ordering::Relaxed);
}

/// A compilation for which so much was kept is over.
pub fn settle(ns: u64) {
    let _ = RESERVED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |r| Some(r.saturating_sub(ns)));
}

/// So much was spent.
pub fn charge(ns: u64) {
    SPENT.fetch_add(ns, Ordering::Relaxed);
}

/// Measures a part of compiling, on the thread that does it.
#[derive(Debug)]
pub struct Meter(u64);

impl Meter {
    /// Begins.
    pub fn start() -> Meter {
        Meter(thread_ns())
    }

    /// Nanoseconds of processor time since.
    pub fn read(&self) -> u64 {
        thread_ns().saturating_sub(self.0)
    }
}

/// Compiling so many instructions has cost so much: later ones will cost alike.
pub fn learn(instructions: usize, ns: u64) {
    if instructions > 0 {
        let seen = (ns / instructions as u64).clamp(*BELIEVED.start(), *BELIEVED.end());
        let old = RATE.load(Ordering::Relaxed);
        RATE.store((old * 7 + seen) / 8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_spent_counts() {
        // The clock of a test process has run for some milliseconds at most: the credit is what there is.
        start(1);
        assert!(affords(CREDIT / 2));
        assert!(!affords(CREDIT * 500));
        reserve(CREDIT * 500);
        assert!(!affords(CREDIT / 2));
        settle(CREDIT * 500);
        charge(CREDIT / 4);
        assert!(affords(CREDIT / 4));
        charge(CREDIT * 500);
        assert!(!affords(0));
        start(100);
        charge(CREDIT * 500);
        assert!(affords(CREDIT * 500));
    }

    #[test]
    fn guesses_follow_what_was_measured() {
        for _ in 0..100 {
            learn(10, 1_000_000);
        }
        assert!((900_000..=1_000_000).contains(&estimate(10)), "{}", estimate(10));
        learn(10, u64::MAX);
        assert!(estimate(1) <= *BELIEVED.end());
    }
}
