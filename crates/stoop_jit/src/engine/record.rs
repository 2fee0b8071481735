//! What the engine keeps for each code object and each compiled region.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stoop_codegen::memory::Code;
use stoop_codegen::unit::ExitDesc;
use stoop_cpython::capi::{Frame, Obj, PyThreadState};
use stoop_cpython::decode::CodeInfo;

use super::breadth::Sightings;
use super::homes::Home;
use super::trial::Trial;
use super::turns::Turns;
use crate::frontend::Entry;

/// Machine code's signature. See the crate documentation for what the result means.
pub type NativeFn = unsafe extern "C" fn(*mut PyThreadState, *mut Frame) -> usize;

/// One compiled region: a function's entry or a loop's.
///
/// Its address is part of the machine code, so it is boxed, and freed only when no activation is left.
pub struct Record {
    /// 1 while every assumption stands. Compiled code compares it at safe points.
    pub valid: AtomicU64,
    /// Where it is entered.
    pub entry: Entry,
    /// The code object (borrowed: the region does not outlive it).
    pub code: Obj,
    /// The decoded code object.
    pub info: Arc<CodeInfo>,
    /// Source line of the entry.
    pub line: u32,
    /// The machine code.
    pub native: Option<NativeFn>,
    /// Its memory.
    pub memory: Option<Code>,
    /// The thunk that calls of the function enter by.
    pub thunk: Option<Code>,
    /// The same while its calls are timed.
    pub trial_thunk: Option<Code>,
    /// Whether its end has been counted among the recompilations.
    pub counted: bool,
    /// Whether calls of it pay.
    pub trial: Trial,
    /// Whether turns of it pay, for a loop.
    pub turns: Turns,
    /// What calls run through, where it is made for the function; see [`stoop_codegen::cranelift::entry`].
    pub call: Option<Code>,
    /// The exits.
    pub exits: Vec<ExitDesc>,
    /// How often each was taken.
    pub exit_counts: Vec<u64>,
    /// How often the region was entered.
    pub entries: u64,
    /// Time spent inside, in nanoseconds (loops only, sampled).
    pub native_ns: u64,
    /// Calls of functions that the interpreter had to run, meanwhile.
    pub interpreted_calls: u64,
    /// Entries that `native_ns` covers.
    pub timed_entries: u64,
    /// Activations running now.
    pub active: u64,
    /// Where its code objects, its own first, keep which tools listen to them.
    pub local_events: Vec<u64>,
    /// Objects the code names, kept alive.
    pub consts: Vec<Obj>,
    /// Microseconds of compiling.
    pub compile_us: u64,
    /// Machine code bytes.
    pub code_bytes: usize,
    /// Variables of the module that are locals of the region, in the order of their slots.
    pub variables: Vec<Arc<Home>>,
    /// Whether names of the code are taken for globals.
    pub names_are_globals: bool,
    /// Homes of other variables that the code reads.
    pub homes: Vec<Arc<Home>>,
    /// What was assumed, for people.
    pub assumptions: Vec<String>,
    /// Names in the IR (exit reasons among them).
    pub names: Vec<String>,
    /// Text stages, when asked for.
    pub texts: Vec<(String, String)>,
    /// The globals its functions must have (borrowed: they are compared, never read).
    pub globals: Obj,
    /// The builtins its functions must have.
    pub builtins: Obj,
    /// How much was known of its code objects when it was built.
    pub news: usize,
    /// Functions inlined, by code number less one.
    pub inlined: Vec<crate::frontend::Inlined>,
    /// Local slots that guards of entry values are about.
    pub entry_slots: std::collections::HashMap<stoop_ir::Inst, u32>,
    /// The fastest plain call: positional count, when nothing but positional arguments is taken.
    pub plain_args: Option<u32>,
}

impl Record {
    /// Its code object, and those of inlined functions.
    pub fn codes(&self) -> impl Iterator<Item = Obj> + '_ {
        std::iter::once(self.code).chain(self.inlined.iter().map(|f| f.code.code))
    }

    /// Whether every assumption still stands.
    pub fn is_valid(&self) -> bool {
        self.valid.load(Ordering::Relaxed) != 0 && self.native.is_some()
    }

    /// Voids the region: running activations leave at their next safe point.
    pub fn invalidate(&self) {
        self.valid.store(0, Ordering::Relaxed);
    }

    /// Whether no tool listens to its code objects alone.
    ///
    /// # Safety
    /// A live region; the GIL is held.
    pub unsafe fn is_unobserved(&self) -> bool {
        use stoop_cpython::monitoring::{LOCAL_MASK, LOCAL_WORDS};
        self.local_events.iter().all(|events| {
            // SAFETY: the region keeps its code objects.
            LOCAL_WORDS.iter().all(|w| unsafe { ((events + w) as *const u64).read_unaligned() } & LOCAL_MASK == 0)
        })
    }

    /// Nanoseconds gained by entering it so far, as far as they are measured.
    pub fn gained_ns(&self) -> u64 {
        let turns = self.turns.gained().unwrap_or(0);
        super::trial::nanoseconds(turns + self.trial.gained(self.entries))
    }

    /// Whether it is a loop of which neither turns nor calls are timed: one that only computes.
    pub fn only_computes(&self) -> bool {
        matches!(self.entry, Entry::Loop { .. }) && self.turns.gained().is_none()
    }

    /// The header's unit; 0 for a function.
    pub fn unit(&self) -> u32 {
        self.entry.header().unwrap_or(0)
    }
}

/// Why a code object, or a region of it, is not compiled (any more).
pub type Reason = String;

/// Whether a code object's calls are heard of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    /// Nobody asked.
    Unknown,
    /// The next call will tell.
    Asked,
    /// The next call is to have the function compiled.
    Wanted,
    /// It was called since.
    Yes,
}

/// A region that was found to be slower than the interpreter.
#[derive(Clone, Default, Debug)]
pub struct Slower {
    /// The samples of its code object at which it may be compiled again.
    pub again_at: u32,
    /// Addresses of what it named: when one of these is a function that gets compiled, that may be sooner.
    pub named: Vec<usize>,
}

/// What the engine knows of a code object.
pub struct CodeState {
    /// The code object (borrowed; the code watcher tells its end).
    pub code: Obj,
    /// Decoded before any instrumentation took the feedback away.
    pub info: Option<Arc<CodeInfo>>,
    /// Times the sampler saw it running.
    pub samples: u32,
    /// Times it was the innermost code, lately.
    pub seen: Sightings,
    /// Nanoseconds of processor time it has run since then or since something of it was last compiled, as far as
    /// samples tell.
    pub heat_ns: u64,
    /// How much of that was its own: it was the innermost code.
    pub own_ns: u64,
    /// Whether its function fell and is to be compiled anew whatever it has run since.
    pub owed: bool,
    /// How often compiled code has told of calls of it, interpreted.
    pub told: u32,
    /// Whether it has been called since it was first seen.
    pub started: Started,
    /// Calls whose arguments' classes were noted, and these classes' addresses, to be compared only.
    pub starts: u32,
    /// See `starts`.
    pub arguments: Vec<usize>,
    /// Headers of loops that are to be compiled when they next come round.
    pub wanted: BTreeSet<u32>,
    /// Regions that turned out to be larger than their bytecode: the operations they begin with.
    pub sizes: BTreeMap<Option<u32>, usize>,
    /// Nanoseconds that compiling regions took before they fell.
    pub prices: BTreeMap<Option<u32>, u64>,
    /// Functions that should not be inlined, by region.
    pub no_inline: BTreeMap<Option<u32>, BTreeSet<u64>>,
    /// Never compile (`@stoop.never`).
    pub never: bool,
    /// Compiled because the program said so (`stoop.compile`): entered without a trial.
    pub asked: bool,
    /// Code units where speculation failed.
    pub generic: BTreeSet<u32>,
    /// Code units of operators where ints and floats met otherwise than expected.
    pub mixed: BTreeSet<u32>,
    /// Code units of operators that met something other than numbers.
    pub strange: BTreeSet<u32>,
    /// Code units before which drops keep running code.
    pub noisy: BTreeSet<u32>,
    /// The classes that guards of attributes met, by code unit.
    pub sites: BTreeMap<u32, super::types::Site>,
    /// Local slots whose class at an entry is not worth assuming.
    pub generic_locals: BTreeSet<u32>,
    /// The function entry.
    pub function: Option<Box<Record>>,
    /// Loop entries by header unit.
    pub loops: BTreeMap<u32, Box<Record>>,
    /// Regions that may not be tried again, by header unit (`None`: the function entry).
    pub refused: BTreeMap<Option<u32>, Reason>,
    /// Regions asked for and not there yet.
    pub pending: BTreeSet<Option<u32>>,
    /// Functions whose vectorcall is ours (borrowed; the function watcher tells their end), and the versions they
    /// had: 0 once they have changed.
    pub functions: BTreeMap<usize, u32>,
    /// The function that stands for the regions before the garbage collector, or 0.
    pub keeper: usize,
    /// The version that functions made of it would get, while they get none.
    pub hidden_version: Option<u32>,
    /// How often regions were compiled anew.
    pub recompiles: u32,
    /// Whether a region was compiled anew with nothing new known.
    pub in_vain: bool,
    /// How often of these because another class had been met.
    pub classes_learnt: u32,
    /// The events that are armed.
    pub events: u8,
    /// Calls before it was compiled, and rounds of its loops by header unit, where these are counted.
    pub runs: u32,
    /// See `runs`.
    pub rounds: BTreeMap<u32, u32>,
    /// Why it was dropped, if it was.
    pub dropped: Option<Reason>,
    /// Loops and resumptions that were found to be slower.
    pub slower: BTreeMap<u32, Slower>,
    /// How often calls were found not to pay, and the samples at which they are timed again.
    pub trials: u32,
    /// The best that trials have found of its function, for the budget.
    pub score: Option<u64>,
    /// See `trials`.
    pub next_trial: u32,
    /// How often calls were timed again because a function that it calls had been compiled.
    pub neighbours: u32,
}

impl CodeState {
    /// A fresh state.
    pub fn new(code: Obj) -> CodeState {
        CodeState {
            code,
            info: None,
            samples: 0,
            seen: Sightings::default(),
            heat_ns: 0,
            own_ns: 0,
            owed: false,
            told: 0,
            started: Started::Unknown,
            starts: 0,
            arguments: Vec::new(),
            wanted: BTreeSet::new(),
            sizes: BTreeMap::new(),
            prices: BTreeMap::new(),
            no_inline: BTreeMap::new(),
            never: false,
            asked: false,
            generic: BTreeSet::new(),
            mixed: BTreeSet::new(),
            strange: BTreeSet::new(),
            noisy: BTreeSet::new(),
            sites: BTreeMap::new(),
            generic_locals: BTreeSet::new(),
            function: None,
            loops: BTreeMap::new(),
            refused: BTreeMap::new(),
            pending: BTreeSet::new(),
            functions: BTreeMap::new(),
            keeper: 0,
            hidden_version: None,
            recompiles: 0,
            in_vain: false,
            classes_learnt: 0,
            events: 0,
            runs: 0,
            rounds: BTreeMap::new(),
            dropped: None,
            slower: BTreeMap::new(),
            trials: 0,
            score: None,
            next_trial: 0,
            neighbours: 0,
        }
    }

    /// Counts what it runs from now on.
    pub fn cool(&mut self) {
        self.heat_ns = 0;
        self.own_ns = 0;
    }

    /// Nanoseconds that count for compiling it. What merely waits for what it calls gains nothing.
    pub fn heat(&self) -> u64 {
        const MOST_OF_OTHERS: u64 = 8;
        self.heat_ns.min(self.own_ns.saturating_mul(MOST_OF_OTHERS))
    }

    /// The region of an entry.
    pub fn region(&mut self, unit: Option<u32>) -> Option<&mut Box<Record>> {
        match unit {
            None => self.function.as_mut(),
            Some(u) => self.loops.get_mut(&u),
        }
    }
}
