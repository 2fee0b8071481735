//! Whether a function's compiled code pays: its first calls are timed, some compiled, some interpreted.
//!
//! The interpreter runs Python-to-Python calls without leaving its loop. A call of compiled code has to leave
//! it, and small functions may gain less than that costs. Compiled callers have no such choice: for them either
//! way is a call.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use stoop_cpython::capi::{self, Obj, VectorcallFn};

/// Timed calls of each kind.
const CALLS: usize = 48;
/// The same where calls differ so much among themselves that fewer tell nothing.
const MOST_CALLS: usize = 8 * CALLS;
/// What counts of calls of a recursive function, in 1024ths.
const MOST_OF_NESTED: usize = 768;
/// Short calls of each kind that come before those.
const WARMING: u8 = 3;
/// Numbers of calls of each kind after which a clear difference decides.
const EARLY: std::ops::Range<usize> = 4..CALLS;
/// Ticks that a call must take for that: next to them, what entering costs is nothing.
const LONG: u32 = 20_000;
/// Nanoseconds after which a call that runs interpreted for a trial has told enough.
const LASTING_NS: u64 = 50_000_000;
/// Percent that entering from the interpreter must gain: what is timed is one call, what is paid as well is in no call
/// alone (caches, the trial, what inlining into the caller would have gained).
const TIE: u64 = 8;

/// What a trial has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Not known yet.
    Open,
    /// Faster wherever it is called from.
    Pays,
    /// Faster than the interpreter's calls from elsewhere, not than those within its loop.
    PaysForCompiled,
    /// Not faster.
    Slower,
}

/// The timed calls of one region.
#[derive(Debug)]
pub struct Trial {
    ticks: [Vec<u32>; 2],
    /// How many of the calls came from C code, which leaves no loop for them.
    from_c: usize,
    /// Calls of each kind that were not timed.
    warm: [u8; 2],
    /// Whether some of the calls were within others: times of those few that hold many others tell little.
    pub nested: bool,
    /// Calls of each kind to time.
    goal: usize,
    dice: u32,
    /// What was found.
    pub verdict: Verdict,
    /// A usual call, interpreted and compiled, in sixteenths of a tick of the processor's clock.
    pub usual: Option<[u32; 2]>,
    /// How far that may be from the truth.
    doubt: u32,
    /// What entering costs beside that, where the calls come from.
    cost: u32,
    /// What an entry gains, in the same unit, and how many there had been when that was found out.
    saving: (u64, u64),
    /// Ticks gained before calls were timed again.
    banked: u64,
    /// Calls that run interpreted now, and when the outermost of them began.
    interpreting: (u64, u64),
}

impl Default for Trial {
    fn default() -> Trial {
        Trial {
            ticks: [Vec::new(), Vec::new()],
            from_c: 0,
            warm: [0; 2],
            nested: false,
            goal: CALLS,
            dice: 0x9e37_79b9,
            verdict: Verdict::Open,
            usual: None,
            doubt: 0,
            cost: 0,
            saving: (0, 0),
            banked: 0,
            interpreting: (0, 0),
        }
    }
}

impl Trial {
    /// Whether the next call is to run compiled code: by lot, so that no pattern in the calls favours either.
    pub fn next_is_compiled(&mut self) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        match [self.ticks[0].len() < self.goal, self.ticks[1].len() < self.goal] {
            [true, false] => false,
            [false, true] => true,
            _ => self.dice & 0x100 != 0,
        }
    }

    /// Times calls again, after so many entries.
    pub fn again(&mut self, entries: u64) {
        *self = Trial { banked: self.gained(entries), interpreting: self.interpreting, ..Trial::default() };
    }

    /// Ticks that so many entries have gained.
    pub fn gained(&self, entries: u64) -> u64 {
        let (saving, since) = self.saving;
        self.banked + entries.saturating_sub(since).saturating_mul(saving) / 16
    }

    /// Notes what an entry gains from now on.
    pub fn settle(&mut self, entries: u64) {
        let [interpreted, compiled] = self.usual.unwrap_or_default();
        // What is sure: calls differ.
        let gain = interpreted.saturating_sub(compiled).saturating_sub(self.doubt);
        self.saving = match self.verdict {
            Verdict::Pays => (u64::from(gain.saturating_sub(self.cost)), entries),
            Verdict::PaysForCompiled => (u64::from(gain), entries),
            Verdict::Open | Verdict::Slower => (0, entries),
        };
    }

    /// An interpreted call begins.
    pub fn begin_interpreted(&mut self, now: u64) {
        if self.interpreting.0 == 0 {
            self.interpreting.1 = now;
        }
        self.interpreting.0 += 1;
    }

    /// An interpreted call is over.
    pub fn end_interpreted(&mut self) {
        self.interpreting.0 = self.interpreting.0.saturating_sub(1);
    }

    /// Whether calls were found not to pay that are too short for a loop to be taken over in them.
    pub fn is_short_and_slow(&self) -> bool {
        const SHORT: u32 = 16 * 3_000_000;
        self.verdict == Verdict::Slower && self.usual.is_some_and(|[interpreted, _]| interpreted < SHORT)
    }

    /// Calls that run interpreted now, by lot.
    pub fn interpreting(&self) -> u64 {
        self.interpreting.0
    }

    /// Ends it if a call that runs interpreted has run for long: next to that, what entering costs is nothing, and
    /// what is hot in this one call can be taken over. Whether it has.
    pub fn give_up(&mut self) -> bool {
        let (running, since) = self.interpreting;
        let lasts = running > 0 && nanoseconds(now().saturating_sub(since)) > LASTING_NS;
        if lasts {
            self.verdict = Verdict::Pays;
            self.usual = None;
            self.ticks = [Vec::new(), Vec::new()];
        }
        lasts
    }

    /// Notes a call's time, and whether it came from C code. Whether the verdict is in.
    pub fn note(&mut self, compiled: bool, from_c: bool, ticks: u64) -> bool {
        let list = &mut self.ticks[usize::from(compiled)];
        // The first ones bring the code into the processor's caches.
        let warm = &mut self.warm[usize::from(compiled)];
        if *warm < WARMING && ticks < u64::from(LONG) {
            *warm += 1;
        } else if list.len() < self.goal {
            self.from_c += usize::from(from_c);
            list.push(u32::try_from(ticks).unwrap_or(u32::MAX));
        }
        let [interpreted, compiled] = [&self.ticks[0], &self.ticks[1]];
        let enough = if interpreted.len() == compiled.len() && EARLY.contains(&compiled.len()) {
            are_apart(interpreted, compiled) || are_apart(compiled, interpreted)
        } else {
            self.ticks.iter().all(|l| l.len() >= self.goal)
        };
        if !enough {
            return false;
        }
        calibrate();
        let [interpreted, compiled] = &mut self.ticks;
        // What is left out is the same part of both.
        let part = counted(interpreted).min(counted(compiled)).min(if self.nested { MOST_OF_NESTED } else { usize::MAX });
        let found = [mean(interpreted, part), mean(compiled, part)];
        self.usual = Some(found);
        self.doubt = doubt(interpreted, part) + doubt(compiled, part);
        let timed = self.ticks[0].len() + self.ticks[1].len();
        self.cost = if self.from_c * 4 >= timed * 3 { 0 } else { call_cost() };
        let [interpreted, compiled] = found.map(u64::from);
        let margin = enough_for(interpreted).abs_diff(compiled + u64::from(self.cost));
        if margin < u64::from(self.doubt) / 2 && self.goal < MOST_CALLS && self.ticks.iter().all(|l| l.len() >= self.goal) {
            self.goal *= 2;
            return false;
        }
        self.verdict = judge(interpreted, compiled, u64::from(self.cost));
        self.ticks = [Vec::new(), Vec::new()];
        true
    }
}

/// Whether every one of these calls took longer than any of those, by a good part.
fn are_apart(longer: &[u32], shorter: &[u32]) -> bool {
    let (least, most) = (longer.iter().min(), shorter.iter().max());
    matches!((least, most), (Some(&least), Some(&most)) if least > LONG && u64::from(least) * 3 > u64::from(most) * 4)
}

/// What a compiled call may take at most, with what entering it costs, for one that takes so long interpreted.
fn enough_for(interpreted: u64) -> u64 {
    interpreted - interpreted * TIE / 100
}

fn judge(interpreted: u64, compiled: u64, call_cost: u64) -> Verdict {
    if compiled + call_cost < enough_for(interpreted) {
        Verdict::Pays
    } else if compiled < interpreted - interpreted * TIE / 200 {
        Verdict::PaysForCompiled
    } else {
        Verdict::Slower
    }
}

/// What of a list counts, in 1024ths: not those that took so much longer than others that something else must have got in
/// between. The list is sorted. What merely takes longer now and then counts: compiled code may gain most there.
pub fn counted(list: &mut [u32]) -> usize {
    const LONGER: u32 = 16;
    const DISTURBANCE: u32 = 2_000;
    list.sort_unstable();
    let most = list.get(list.len() / 2).map_or(0, |middle| middle.saturating_mul(LONGER).saturating_add(DISTURBANCE));
    list.partition_point(|t| *t <= most) * 1024 / list.len().max(1)
}

fn first(sorted: &[u32], part: usize) -> &[u32] {
    &sorted[..(sorted.len() * part).div_ceil(1024).min(sorted.len())]
}

/// The mean of such a part of a sorted list, in sixteenths. Not the median: some clocks tick slower than calls take.
pub fn mean(sorted: &[u32], part: usize) -> u32 {
    let part = first(sorted, part);
    let sum: u64 = part.iter().map(|t| u64::from(*t)).sum();
    u32::try_from(sum * 16 / part.len().max(1) as u64).unwrap_or(u32::MAX)
}

/// Twice the standard error of that.
pub fn doubt(sorted: &[u32], part: usize) -> u32 {
    let part = first(sorted, part);
    let n = part.len().max(1) as f64;
    let mean = part.iter().map(|t| f64::from(*t)).sum::<f64>() / n;
    let variance = part.iter().map(|t| (f64::from(*t) - mean).powi(2)).sum::<f64>() / n;
    (2.0 * 16.0 * (variance / n).sqrt()) as u32
}

/// The mean of what is not much longer than others, in sixteenths.
pub fn usual(list: &mut [u32]) -> u32 {
    list.sort_unstable();
    mean(list, 768)
}

/// The processor's clock.
#[inline]
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed().as_nanos() as u64
    }
}

/// How long so many ticks of [`now`] are, in nanoseconds.
pub fn nanoseconds(ticks: u64) -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;
    static BEGIN: LazyLock<(Instant, u64)> = LazyLock::new(|| (Instant::now(), now()));
    let (begin, first) = *BEGIN;
    let (ns, all) = (begin.elapsed().as_nanos(), u128::from(now().saturating_sub(first)));
    // Too short to tell: processors tick about three times a nanosecond.
    if ns < 100_000 || all == 0 { ticks / 3 } else { (u128::from(ticks) * ns / all) as u64 }
}

/// What a call through a function's vectorcall costs more than one within the interpreter's loop.
static CALL_COST: AtomicU32 = AtomicU32::new(0);

/// The function that [`calibrate`] calls, and its vectorcall.
static EMPTY: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Says how to measure what calls cost. The function is kept.
///
/// # Safety
/// A function without parameters that does nothing, with the vectorcall that functions have; the GIL is held.
pub unsafe fn start(f: Obj, vectorcall: VectorcallFn) {
    // SAFETY: a live function.
    unsafe { capi::incref(f) };
    EMPTY[0].store(f as usize, Ordering::Relaxed);
    EMPTY[1].store(vectorcall as usize, Ordering::Relaxed);
}

/// Measures what calls cost: now, because a busy machine is slower than an idle one. Takes microseconds.
fn calibrate() {
    const BATCHES: usize = 3;
    const ROUNDS: usize = 24;
    let (f, vectorcall) = (EMPTY[0].load(Ordering::Relaxed), EMPTY[1].load(Ordering::Relaxed));
    if f == 0 {
        return;
    }
    // The best batch: others may have been disturbed.
    let mut best = u32::MAX;
    for _ in 0..BATCHES {
        let mut list = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let start = now();
            // SAFETY: `start` was given this pair: a call without arguments, which returns None.
            unsafe {
                let vectorcall: VectorcallFn = std::mem::transmute(vectorcall);
                capi::xdecref(vectorcall(f as Obj, std::ptr::null(), 0, std::ptr::null_mut()));
            }
            list.push(u32::try_from(now() - start).unwrap_or(u32::MAX));
        }
        best = best.min(usual(&mut list));
    }
    // The interpreter's own call costs a third of that, and leaving its loop two thirds; measured on both versions.
    CALL_COST.store(best / 3 * 4, Ordering::Relaxed);
}

/// What calls cost when a trial last ended, in sixteenths of a tick.
pub fn call_cost() -> u32 {
    CALL_COST.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(interpreted: u64, compiled: u64) -> Verdict {
        decide_from(false, interpreted, compiled)
    }

    fn decide_from(c: bool, interpreted: u64, compiled: u64) -> Verdict {
        CALL_COST.store(16 * 50, Ordering::Relaxed);
        let mut t = Trial::default();
        for k in 0..10_000 {
            let is_compiled = t.next_is_compiled();
            // Now and then another thread gets in between.
            let noise = if k % 7 == 0 { 100_000 } else { 0 };
            if t.note(is_compiled, c, noise + if is_compiled { compiled } else { interpreted }) {
                return t.verdict;
            }
        }
        Verdict::Open
    }

    #[test]
    fn usual_calls_decide() {
        assert_eq!(decide(200, 100), Verdict::Pays);
        assert_eq!(decide(120, 100), Verdict::PaysForCompiled);
        assert_eq!(decide(100, 100), Verdict::Slower);
        assert_eq!(decide(100, 300), Verdict::Slower);
        assert_eq!(decide_from(true, 120, 100), Verdict::Pays);
        assert_eq!(decide_from(true, 100, 100), Verdict::Slower);
    }

    #[test]
    fn long_calls_decide_soon() {
        let mut t = Trial::default();
        let calls = (0..1000).position(|_| {
            let c = t.next_is_compiled();
            t.note(c, false, if c { 1_000_000 } else { 3_000_000 })
        });
        assert!(calls.is_some_and(|n| n < 40), "{calls:?}");
        assert_eq!(t.verdict, Verdict::Pays);
        // Calls that differ among themselves are not told apart so soon.
        let mut t = Trial::default();
        let calls = (0..1000u64).position(|k| {
            let c = t.next_is_compiled();
            t.note(c, false, 1_000_000 * (1 + k % 5))
        });
        assert!(calls.is_some_and(|n| n >= CALLS), "{calls:?}");
    }
}
