//! What compiling may cost: a share of the processor time that the program itself uses, as long as that comes back.
//!
//! Allowance comes in with time and is spent by compiling. It does not pile up, so that no moment of a program is
//! spoilt by what was saved before, and it may be overdrawn, so that long functions are compiled too. How fast it comes
//! in depends on what compiled code has gained so far, next to what compiling has cost: a program that gains nothing
//! soon pays next to nothing.
//!
//! Processor time, not time on the wall: on a machine with one core, or a busy one, the background thread takes
//! its time from the program. Clocks are the process's and the thread's own, so the figures hold there too.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// Allowance at the start, in nanoseconds.
const CREDIT: i64 = 600_000;
/// The most that is kept of it.
const MOST: i64 = 4_000_000;
/// With so much of it anything may begin: what costs more is paid for later.
const ENOUGH: i64 = 4_000_000;
/// The same for code that is likely to gain much.
const ENOUGH_FOR_MUCH: i64 = 500_000;
/// What code that is sure to pay may overdraw.
const OVERDRAFT: i64 = 4_000_000;
/// Nanoseconds of running before which half of the share must do: many programs are over soon.
const FIRST: u64 = 60_000_000;
/// Nanoseconds of running after which a quarter of the share must do: what is hot has been found by then.
const EARLY: u64 = 1_500_000_000;
/// What compiling may cost before it counts that nothing has been gained yet.
const PATIENCE: u64 = 30_000_000;
/// How much of the share there is for programs that gain nothing, and for those that gain much, in percent.
const TRUST: std::ops::RangeInclusive<u64> = 12..=200;
/// What is supposed to have been found before any trial is over, half of them in favour.
const HOPED_FOR: u64 = 4;
/// The least part of the trust that what trials found leaves, in percent.
const LEAST_LIKELY: u64 = 25;
/// What an instruction costs to compile, before any has been: nanoseconds.
const FIRST_GUESS: u64 = 24_000;
/// The same for an operation of a region that is built.
const FIRST_GUESS_BUILT: u64 = 9_000;
/// What is believed of that, whatever was measured.
const BELIEVED: std::ops::RangeInclusive<u64> = 8_000..=200_000;
/// The same for operations.
const BELIEVED_BUILT: std::ops::RangeInclusive<u64> = 3_000..=80_000;
/// What compiling costs beside the instructions, or operations, in their number.
const FIXED: u64 = 40;

static SHARE: AtomicU32 = AtomicU32::new(100);
/// The process that counts.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static START: AtomicU64 = AtomicU64::new(0);
/// Processor time for which allowance has come in.
static SEEN: AtomicU64 = AtomicU64::new(0);
static ALLOWANCE: AtomicI64 = AtomicI64::new(0);
static SPENT: AtomicU64 = AtomicU64::new(0);
static GAINED: AtomicU64 = AtomicU64::new(0);
/// Trials that are over, and what they found: twice their number, and one or two for each that pays.
static TRIED: AtomicU64 = AtomicU64::new(0);
static PAID: AtomicU64 = AtomicU64::new(0);
static RATE: AtomicU64 = AtomicU64::new(FIRST_GUESS);
static RATE_BUILT: AtomicU64 = AtomicU64::new(FIRST_GUESS_BUILT);

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
    let now = process_ns();
    SHARE.store(percent, Ordering::Relaxed);
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    START.store(now, Ordering::Relaxed);
    SEEN.store(now, Ordering::Relaxed);
    ALLOWANCE.store(CREDIT, Ordering::Relaxed);
    SPENT.store(0, Ordering::Relaxed);
    GAINED.store(0, Ordering::Relaxed);
    TRIED.store(0, Ordering::Relaxed);
    PAID.store(0, Ordering::Relaxed);
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
    (instructions as u64 + FIXED) * RATE.load(Ordering::Relaxed)
}

/// What compiling a region that begins with so many operations will cost, beside building it.
pub fn estimate_built(operations: usize) -> u64 {
    (operations as u64 + FIXED) * RATE_BUILT.load(Ordering::Relaxed)
}

/// What compiled code has gained since the start.
pub fn gained(ns: u64) {
    GAINED.store(ns, Ordering::Relaxed);
}

/// A trial has found that code pays (2), that it pays for some (1) or not (0); what was found of it before, if it was.
pub fn found(score: u64, before: Option<u64>) {
    TRIED.fetch_add(if before.is_none() { 2 } else { 0 }, Ordering::Relaxed);
    PAID.fetch_add(score.saturating_sub(before.unwrap_or(0)), Ordering::Relaxed);
}

/// How much of what compiling has cost has come back, in percent, within limits. Where it has not yet, what trials found
/// counts as well: it tells sooner.
pub fn trust() -> u64 {
    let (gained, spent) = (GAINED.load(Ordering::Relaxed), SPENT.load(Ordering::Relaxed));
    let trust = (gained + PATIENCE) * 100 / (spent + PATIENCE);
    let (paid, tried) = (PAID.load(Ordering::Relaxed) + HOPED_FOR, TRIED.load(Ordering::Relaxed) + 2 * HOPED_FOR);
    // All of it where half of the trials find that code pays.
    let likely = if trust > 100 { 100 } else { (paid * 200 / tried).clamp(LEAST_LIKELY, 100) };
    (trust * likely / 100).clamp(*TRUST.start(), *TRUST.end())
}

/// Whether so much may be spent now. `much`: on code that is likely to gain much.
pub fn affords(ns: u64, much: bool) -> bool {
    is_unlimited() || allowance() >= needed(ns, much)
}

/// The same for code that is sure to pay.
pub fn affords_surely(ns: u64) -> bool {
    // Only where that was seen to come back.
    is_unlimited() || allowance() + if trust() > 100 { OVERDRAFT } else { 0 } >= needed(ns, false)
}

/// The allowance that there must be to spend so much.
fn needed(ns: u64, much: bool) -> i64 {
    i64::try_from(ns).unwrap_or(ENOUGH).min(if much { ENOUGH_FOR_MUCH } else { ENOUGH })
}

/// What has come in for `used` nanoseconds, when the program has run for so long.
fn income(used: u64, running: u64) -> i64 {
    let part = match running {
        0..FIRST => used / 2,
        FIRST..=EARLY => used,
        _ => used / 4,
    };
    let share = part * u64::from(SHARE.load(Ordering::Relaxed)) / 100;
    i64::try_from(share * trust() / 100).unwrap_or(MOST)
}

fn allowance() -> i64 {
    let now = process_ns();
    let used = now.saturating_sub(SEEN.swap(now, Ordering::Relaxed));
    let new = income(used, now.saturating_sub(START.load(Ordering::Relaxed)));
    let add = |a: i64| Some(a.saturating_add(new).min(MOST.max(a)));
    let _ = ALLOWANCE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    ALLOWANCE.load(Ordering::Relaxed)
}

/// How many times as long as in the beginning may pass between two looks at what is hot: little is done about it where
/// little is trusted, and later on.
pub fn ease() -> u32 {
    let late = process_ns().saturating_sub(START.load(Ordering::Relaxed)) > EARLY;
    (if late { 3 } else { 1 }) * (if trust() < 50 { 2 } else { 1 })
}

/// Keeps so much for a compilation under way; [`settle`] gives it back.
pub fn reserve(ns: u64) {
    ALLOWANCE.fetch_sub(i64::try_from(ns).unwrap_or(0), Ordering::Relaxed);
}

/// A compilation for which so much was kept is over.
pub fn settle(ns: u64) {
    ALLOWANCE.fetch_add(i64::try_from(ns).unwrap_or(0), Ordering::Relaxed);
}

/// So much was spent.
pub fn charge(ns: u64) {
    SPENT.fetch_add(ns, Ordering::Relaxed);
    ALLOWANCE.fetch_sub(i64::try_from(ns).unwrap_or(0), Ordering::Relaxed);
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

/// Compiling so many instructions, or the operations they became, has cost so much: later ones will cost alike.
pub fn learn(instructions: usize, operations: usize, ns: u64) {
    for (rate, number, believed) in [(&RATE, instructions, BELIEVED), (&RATE_BUILT, operations, BELIEVED_BUILT)] {
        if number > 0 {
            let seen = (ns / (number as u64 + FIXED)).clamp(*believed.start(), *believed.end());
            rate.store((rate.load(Ordering::Relaxed) * 7 + seen) / 8, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_spent_counts() {
        // The clock of a test process has run for some milliseconds at most: the credit is what there is.
        start(1);
        let credit = CREDIT as u64;
        assert!(affords(credit / 2, false));
        // What costs more than there is may begin where it is likely to gain much, and is paid for later.
        assert!(!affords(credit * 500, false));
        assert!(affords(credit * 500, true));
        reserve(credit * 2);
        assert!(!affords(credit / 2, true));
        assert!(!affords_surely(credit / 2));
        gained(PATIENCE);
        assert!(affords_surely(credit / 2));
        gained(0);
        reserve(credit * 500);
        assert!(!affords_surely(credit / 2));
        settle(credit * 502);
        assert!(affords(credit / 2, false));
        // A program that gains nothing gets less and less, one that gains much more than it has spent.
        assert_eq!(income(1_000_000, 0), 5_000);
        assert_eq!(income(1_000_000, EARLY), 10_000);
        charge(PATIENCE);
        assert_eq!(income(1_000_000, EARLY), 5_000);
        assert_eq!(income(1_000_000, 2 * EARLY), 1_250);
        gained(2 * PATIENCE);
        assert_eq!(income(1_000_000, EARLY), 15_000);
        gained(9 * PATIENCE);
        assert_eq!(income(1_000_000, EARLY), 20_000);
        // Trials tell sooner than gains.
        start(1);
        for _ in 0..4 {
            found(0, None);
        }
        assert_eq!(trust(), 50);
        found(1, Some(0));
        found(2, Some(1));
        assert_eq!(trust(), 75);
        gained(PATIENCE);
        assert_eq!(trust(), 200);
        reserve(credit * 500);
        assert!(!affords(0, true));
        start(100);
        charge(credit * 500);
        assert!(affords(credit * 500, false));
    }

    #[test]
    fn guesses_follow_what_was_measured() {
        for _ in 0..100 {
            learn(10, 100, 1_000_000);
        }
        assert!((900_000..=1_000_000).contains(&estimate(10)), "{}", estimate(10));
        learn(10, 0, u64::MAX);
        assert!(estimate(1) <= *BELIEVED.end() * (FIXED + 1));
    }
}
