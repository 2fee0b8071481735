//! Whether a loop's compiled code pays: turns of the loop are timed, some compiled, some interpreted.
//!
//! Entering a loop in the middle of the interpreter's work costs something each time, and code that mostly calls what
//! the interpreter would have run without leaving its own loop may even be slower. The interpreter's turns are timed
//! between the reports of two jumps; compiled code counts its turns in memory, where it does anything but compute.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use stoop_cpython::capi::{self, Frame, Obj};
use stoop_cpython::{inspect, monitoring};

use super::trial::{counted, doubt, mean, now, usual};

/// Interpreted turns that are timed before the compiled code is entered for the first time.
const FIRST: usize = 8;
/// The same where turns are short: ticks that they may take.
const FIRST_TICKS: u64 = 1_000_000;
/// Interpreted turns that are timed in all.
const TURNS: usize = 40;
/// The same where turns differ so much that fewer tell nothing.
const MOST_TURNS: usize = 8 * TURNS;
/// Entries of compiled code that are timed.
const PASSES: usize = 24;
/// Ticks after which one entry is judged while it lasts.
const LONG: u64 = 50_000_000;
/// Ticks of a turn next to which entering costs nothing.
const LONG_TURN: u64 = 300_000;
/// Ticks that something else may have taken in the middle of an entry: it does not count.
const DISTURBED: u64 = 100_000;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing yet.
    Open,
    /// It is not to be found out, or it is faster.
    Pays,
    /// It is not faster.
    Slower,
}

/// The timed turns of one region.
#[derive(Debug)]
pub struct Turns {
    /// Where compiled code counts its turns.
    pub count: u64,
    /// What was found.
    pub verdict: Verdict,
    /// Samples of the code object at which turns are timed again.
    pub again_at: u32,
    /// How often they were.
    pub trials: u32,
    /// What a turn gains, in sixteenths of a tick, and the count when that was found out.
    saving: Option<(u64, u64)>,
    /// Ticks gained before turns were timed again.
    banked: u64,
    /// A usual turn when that was found out, interpreted and compiled, in sixteenths of a tick.
    pub usual: [u64; 2],
    interpreted: Vec<u32>,
    /// Ticks of these.
    ticks: u64,
    /// How many there are to be.
    goal: usize,
    /// Ticks and turns of each entry.
    compiled: Vec<(u64, u64)>,
    /// The frame whose turn is being timed, and since when.
    mark: Option<(usize, u64)>,
    /// Further turns to time now.
    left: u32,
    /// When the entry under way began, and what had been counted then.
    entered: Option<(u64, u64)>,
    dice: u32,
}

impl Turns {
    /// A region whose turns are to be timed, or not.
    pub fn new(verdict: Verdict) -> Turns {
        Turns {
            count: 0,
            verdict,
            again_at: 0,
            trials: 0,
            saving: None,
            banked: 0,
            usual: [0; 2],
            interpreted: Vec::new(),
            ticks: 0,
            goal: TURNS,
            compiled: Vec::new(),
            mark: None,
            left: 0,
            entered: None,
            dice: 0x9e37_79b9,
        }
    }

    /// Times turns again.
    pub fn again(&mut self) {
        let (count, trials, banked) = (self.count, self.trials + 1, self.gained().unwrap_or(0));
        *self = Turns { count, trials, banked, ..Turns::new(Verdict::Open) };
    }

    /// Ticks that compiled turns have gained so far; `None` where turns are not timed.
    pub fn gained(&self) -> Option<u64> {
        let (saving, since) = match self.saving {
            None if self.verdict == Verdict::Pays => return None,
            None => (0, self.count),
            Some(found) => found,
        };
        Some(self.banked + self.count.saturating_sub(since).saturating_mul(saving) / 16)
    }

    /// A jump of this frame arrives at the loop: whether to enter compiled code, or to let the interpreter go on.
    pub fn enters(&mut self, frame: *mut Frame, arrived: u64) -> bool {
        if self.verdict != Verdict::Open {
            return true;
        }
        if let Some((marked, since)) = self.mark.take() {
            if marked == frame as usize {
                let ticks = u32::try_from(arrived.saturating_sub(since)).unwrap_or(u32::MAX);
                self.interpreted.push(ticks);
                self.ticks += u64::from(ticks);
            }
            if self.left == 0 {
                return true;
            }
            self.left -= 1;
        } else if self.interpreted.len() < FIRST || self.interpreted.len() < self.goal && self.ticks < FIRST_TICKS {
            self.left = FIRST as u32 / 2;
        } else {
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 17;
            self.dice ^= self.dice << 5;
            if self.interpreted.len() >= self.goal || self.dice & 0x100 == 0 {
                return true;
            }
            self.left = 1;
        }
        self.mark = Some((frame as usize, now()));
        false
    }

    /// Compiled code is entered.
    pub fn begin(&mut self) {
        if self.verdict == Verdict::Open && self.entered.is_none() {
            self.entered = Some((now(), self.count));
        }
    }

    /// It was left. Whether the verdict is in.
    pub fn end(&mut self) -> bool {
        let Some((since, counted)) = self.entered.take() else { return false };
        self.compiled.push((now() - since, self.count - counted));
        let ticks: u64 = self.compiled.iter().map(|(ticks, _)| ticks).sum();
        let lasts = ticks > LONG && self.interpreted.len() >= FIRST;
        if lasts || self.compiled.len() >= PASSES && self.interpreted.len() >= self.goal {
            let compiled = std::mem::take(&mut self.compiled);
            let found = judge(&mut self.interpreted, &compiled, u64::from(report_cost()));
            if found.is_sure || lasts || self.goal >= MOST_TURNS {
                self.settle(&found);
            } else {
                self.goal *= 2;
                self.compiled = compiled;
            }
        }
        self.verdict != Verdict::Open
    }

    /// The same for an entry that lasts. Whether the verdict is in.
    pub fn look(&mut self) -> bool {
        let Some((since, counted)) = self.entered else { return false };
        let ticks = now().saturating_sub(since);
        if self.verdict != Verdict::Open || ticks < LONG || self.interpreted.len() < FIRST {
            return false;
        }
        let found = judge(&mut self.interpreted, &[(ticks, self.count - counted)], u64::from(report_cost()));
        self.settle(&found);
        true
    }

    fn settle(&mut self, found: &Found) {
        self.verdict = found.verdict;
        self.usual = found.usual;
        self.saving = Some((found.saving, self.count));
    }
}

/// What timed turns have told.
struct Found {
    verdict: Verdict,
    /// What a turn gains, in sixteenths of a tick: what is sure of it.
    saving: u64,
    /// A turn, interpreted and compiled, in sixteenths of a tick.
    usual: [u64; 2],
    /// Whether the difference cannot be chance.
    is_sure: bool,
}

/// Interpreted turns with their reports, and compiled entries with their turns; `report` in sixteenths of a tick.
fn judge(interpreted: &mut [u32], compiled: &[(u64, u64)], report: u64) -> Found {
    let turns: u64 = compiled.iter().map(|(_, turns)| turns).sum();
    let part = counted(interpreted);
    // Where a pass takes few turns, many of the times are those from one pass to the next.
    let part = if turns < 4 * compiled.len() as u64 { 342 } else { part };
    let turn = u64::from(mean(interpreted, part)).saturating_sub(report).max(1);
    let doubt = u64::from(doubt(interpreted, part));
    let (mut spent, mut saved, mut all, mut disturbed) = (0, 0, 0, 0);
    for (ticks, turns) in compiled {
        let interpreted = turn * turns / 16;
        if *ticks > 4 * interpreted + DISTURBED {
            disturbed += 1;
        } else {
            spent += ticks + report / 16;
            saved += interpreted;
            all += turns;
        }
    }
    // Where not one turn was seen to its end, long ones are still all the same to what entering costs.
    let unseen = turns == 0 && turn > 16 * LONG_TURN;
    let pays = unseen || spent < saved && disturbed * 2 <= compiled.len();
    let difference = saved.abs_diff(spent) * 16 / all.max(1);
    Found {
        verdict: if pays { Verdict::Pays } else { Verdict::Slower },
        saving: if pays { difference.saturating_sub(doubt) } else { 0 },
        usual: [turn, spent * 16 / all.max(1)],
        is_sure: difference > doubt / 2,
    }
}

/// What the report of a jump costs, in sixteenths of a tick.
static REPORT_COST: AtomicU32 = AtomicU32::new(0);

fn report_cost() -> u32 {
    REPORT_COST.load(Ordering::Relaxed)
}

/// The code object whose jumps are being timed.
static TIMED: AtomicUsize = AtomicUsize::new(0);
static TIMES: std::sync::Mutex<(u64, Vec<u32>)> = std::sync::Mutex::new((0, Vec::new()));

/// Whether a jump is one of those that [`calibrate`] makes; it is noted then.
#[inline]
pub fn is_timed(code: Obj, arrived: u64) -> bool {
    TIMED.load(Ordering::Relaxed) == code as usize && note(arrived)
}

#[cold]
fn note(arrived: u64) -> bool {
    let mut times = TIMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let last = times.0;
    times.1.push(u32::try_from(arrived - last).unwrap_or(u32::MAX));
    times.0 = now();
    true
}

/// Measures what the report of a jump costs.
///
/// # Safety
/// The GIL is held; the jump handler is installed.
pub unsafe fn calibrate() {
    const FILE: i32 = 257;
    // SAFETY: a function of our own is made and run; all references are dropped.
    unsafe {
        let names = capi::PyDict_New();
        let text = c"def turn(items):\n    for i in items: pass\n";
        capi::xdecref(capi::PyRun_String(text.as_ptr(), FILE, names, names));
        let f = capi::PyDict_GetItemString(names, c"turn".as_ptr());
        if !f.is_null() {
            let code = inspect::function_code(f);
            if monitoring::arm(code, monitoring::JUMP) {
                TIMED.store(code as usize, Ordering::Relaxed);
                let items = capi::PyTuple_New(48);
                for k in 0..48 {
                    capi::PyTuple_SetItem(items, k, capi::none());
                }
                capi::xdecref(capi::PyObject_CallOneArg(f, items));
                capi::xdecref(items);
                TIMED.store(0, Ordering::Relaxed);
                monitoring::arm(code, 0);
            }
        }
        capi::PyErr_Clear();
        capi::decref(names);
    }
    let mut times = std::mem::take(&mut TIMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1);
    if times.len() > FIRST {
        // Not the first, and not those that something else got in between of.
        REPORT_COST.store(usual(&mut times[1..]), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a trial of passes of so many turns; ticks of a turn interpreted and compiled, and of entering.
    fn decide(turns: u64, interpreted: u32, compiled: u64, entering: u64) -> Verdict {
        const REPORT: u32 = 300;
        let frame = std::ptr::dangling_mut();
        let mut t = Turns::new(Verdict::Open);
        for _ in 0..1000 {
            // The first jump of a pass comes long after the last one of the pass before.
            let mut arrived = u64::from(interpreted + REPORT) + 5000;
            for left in (1..=turns).rev() {
                if t.enters(frame, arrived) {
                    t.compiled.push((entering + compiled * left, left));
                    break;
                }
                t.mark = Some((frame as usize, 0));
                arrived = u64::from(interpreted + REPORT);
            }
            if t.compiled.len() >= PASSES && t.interpreted.len() >= TURNS {
                return judge(&mut t.interpreted, &t.compiled, u64::from(REPORT) * 16).verdict;
            }
        }
        Verdict::Open
    }

    #[test]
    fn turns_decide() {
        assert_eq!(decide(1000, 100, 50, 500), Verdict::Pays);
        assert_eq!(decide(1000, 100, 120, 500), Verdict::Slower);
        // Short passes do not pay for entering.
        assert_eq!(decide(6, 100, 50, 500), Verdict::Slower);
        assert_eq!(decide(60, 100, 50, 500), Verdict::Pays);
    }

    #[test]
    fn disturbances_do_not_count() {
        let mut compiled = vec![(5_000, 100); 30];
        compiled[7].0 = 10_000_000;
        // A turn takes 100 ticks, or 50 and a part of what entering costs.
        let found = judge(&mut [400; 40], &compiled, 300 * 16);
        assert_eq!(found.verdict, Verdict::Pays);
        assert_eq!(found.saving, 47 * 16);
        assert_eq!(judge(&mut [400; 40], &[(10_000_000, 100); 30], 300 * 16).verdict, Verdict::Slower);
    }
}
