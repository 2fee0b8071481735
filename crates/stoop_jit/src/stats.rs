//! What the engine did, as records to look at: for one function, and for the process.
//!
//! Built from the registry on demand; nothing here is on a hot path. Every function needs the GIL.

use std::collections::BTreeMap;

use stoop_cpython::capi::Obj;
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::layout::{self, read};
use stoop_cpython::objects::str_text;
use stoop_cpython::opcodes::Opcode;

use crate::engine::record::{CodeState, Record};
use crate::engine::{api, registry, totals};
use crate::frontend::Entry;
use crate::reasons::ExitReason;

/// What a region covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegionKind {
    /// A whole function, entered by calls.
    Function,
    /// A loop, taken over while it runs.
    Loop,
    /// A generator or coroutine, from where it is resumed.
    Resume,
}

impl RegionKind {
    /// The word for users.
    pub fn text(self) -> &'static str {
        match self {
            RegionKind::Function => "function",
            RegionKind::Loop => "loop",
            RegionKind::Resume => "resume",
        }
    }
}

/// How it stands with a code object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing was tried.
    Interpreted,
    /// Some region of it is compiled.
    Compiled,
    /// What was tried could not be compiled.
    Refused,
    /// It was compiled, but did not keep its promises.
    Dropped,
    /// The user said so.
    Never,
}

impl State {
    /// The word for users.
    pub fn text(self) -> &'static str {
        match self {
            State::Interpreted => "interpreted",
            State::Compiled => "compiled",
            State::Refused => "refused",
            State::Dropped => "dropped",
            State::Never => "never",
        }
    }
}

/// A place where compiled code was left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    /// Why.
    pub reason: ExitReason,
    /// The sentence for users.
    pub text: String,
    /// Source line of the instruction to go on at.
    pub line: u32,
    /// How often.
    pub count: u64,
}

/// A piece of a function with machine code of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// What it covers.
    pub kind: RegionKind,
    /// Its first source line.
    pub first_line: u32,
    /// Its last source line.
    pub last_line: u32,
    /// Whether it may be entered.
    pub valid: bool,
    /// Microseconds of compiling.
    pub compile_us: u64,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// How often it was entered.
    pub entries: u64,
    /// Where it was left, the most frequent first; one row a reason and line.
    pub exits: Vec<Exit>,
    /// What it takes for granted, guarded or watched.
    pub assumptions: Vec<String>,
}

/// What was done to one code object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeStats {
    /// Qualified name.
    pub name: String,
    /// File.
    pub filename: String,
    /// First source line.
    pub line: u32,
    /// How it stands.
    pub state: State,
    /// Why it is refused or dropped.
    pub reason: Option<String>,
    /// Its regions: the function's entry first, then loops by position.
    pub regions: Vec<Region>,
}

/// What was done in this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessStats {
    /// Whether the engine is on.
    pub enabled: bool,
    /// Each code object that was looked at more closely, by file and line.
    pub functions: Vec<CodeStats>,
    /// Microseconds of compiling.
    pub compile_us: u64,
    /// Bytes of machine code now.
    pub code_bytes: u64,
    /// Counters by name.
    pub counters: BTreeMap<&'static str, u64>,
}

/// What was done to a code object.
///
/// # Safety
/// A live code object.
pub unsafe fn code(code: Obj) -> CodeStats {
    // SAFETY: the caller's code object.
    let mut stats = unsafe { untouched(code) };
    if let Some(known) = registry::find(code) {
        fill(&mut stats, known);
    }
    stats
}

/// What was done to a code object.
///
/// # Safety
/// Its code object is alive.
pub unsafe fn known(state: &CodeState) -> CodeStats {
    // SAFETY: as documented.
    let mut stats = unsafe { untouched(state.code) };
    fill(&mut stats, state);
    stats
}

/// What was done in the process.
pub fn process() -> ProcessStats {
    let mut functions = Vec::new();
    let mut counters: BTreeMap<&'static str, u64> = BTreeMap::new();
    for known in registry::all() {
        // SAFETY: the code watcher takes code objects out of the registry before they die.
        let stats = unsafe { self::known(known) };
        for exit in stats.regions.iter().flat_map(|region| &region.exits) {
            *counters.entry(exit.reason.counter()).or_insert(0) += exit.count;
        }
        if stats.state != State::Interpreted {
            functions.push(stats);
        }
    }
    functions.extend(registry::past().iter().filter(|f| f.state != State::Interpreted).cloned());
    functions.sort_by(|a, b| (&a.filename, a.line, &a.name).cmp(&(&b.filename, b.line, &b.name)));
    let t = totals::get();
    for (name, count) in &t.past_exits {
        *counters.entry(*name).or_insert(0) += count;
    }
    for (name, count) in [
        ("samples", t.samples),
        ("sampling_us", t.sampling_us),
        ("regions_compiled", t.compiled),
        ("regions_refused", t.refused),
        ("regions_recompiled", t.recompiled),
        ("regions_dropped", t.dropped),
        ("regions_voided", t.invalidations),
    ] {
        counters.insert(name, count);
    }
    ProcessStats { enabled: api::is_enabled(), functions, compile_us: t.compile_us, code_bytes: t.code_bytes, counters }
}

/// A code object of which nothing more is known.
unsafe fn untouched(code: Obj) -> CodeStats {
    let l = layout::get();
    // SAFETY: the caller's code object; its names are compact strings.
    unsafe {
        CodeStats {
            name: str_text(read(code, l.co_qualname)),
            filename: str_text(read(code, l.co_filename)),
            line: read(code, l.co_firstlineno),
            state: State::Interpreted,
            reason: None,
            regions: Vec::new(),
        }
    }
}

fn fill(stats: &mut CodeStats, known: &CodeState) {
    stats.regions = known.function.iter().chain(known.loops.values()).map(|record| region(record)).collect();
    let refused = || known.refused.values().next().cloned();
    (stats.state, stats.reason) = if known.never {
        (State::Never, None)
    } else if stats.regions.iter().any(|region| region.valid) {
        (State::Compiled, None)
    } else if let Some(reason) = &known.dropped {
        (State::Dropped, Some(reason.clone()))
    } else if let Some(reason) = refused() {
        let tried = known.recompiles > 0 || !stats.regions.is_empty();
        (if tried { State::Dropped } else { State::Refused }, Some(reason))
    } else {
        (State::Interpreted, None)
    };
}

fn region(record: &Record) -> Region {
    let (kind, last_line) = match record.entry {
        Entry::Function => (RegionKind::Function, last_line(&record.info, 0..=u32::MAX)),
        Entry::Resume { .. } => (RegionKind::Resume, last_line(&record.info, 0..=u32::MAX)),
        Entry::Loop { unit, .. } => (RegionKind::Loop, last_line(&record.info, unit..=loop_end(&record.info, unit))),
    };
    Region {
        kind,
        first_line: record.line,
        last_line: last_line.max(record.line),
        valid: record.is_valid(),
        compile_us: record.compile_us,
        code_bytes: record.code_bytes,
        entries: record.entries,
        exits: exits(record),
        assumptions: record.assumptions.clone(),
    }
}

/// The unit of the last jump back to a loop's header.
fn loop_end(info: &CodeInfo, header: u32) -> u32 {
    let back = |op| matches!(op, Opcode::JumpBackward | Opcode::JumpBackwardNoInterrupt);
    let jumps = info.instrs.iter().filter(|i| back(i.op) && i.target == Some(header));
    jumps.map(|i| i.unit).max().unwrap_or(header)
}

/// The last source line of a range of units.
fn last_line(info: &CodeInfo, units: std::ops::RangeInclusive<u32>) -> u32 {
    info.instrs.iter().filter(|i| units.contains(&i.unit)).map(|i| i.line).max().unwrap_or(0)
}

/// Exits that were taken, by reason and line.
fn exits(record: &Record) -> Vec<Exit> {
    let mut counts: BTreeMap<(u32, String), (ExitReason, u64)> = BTreeMap::new();
    for (exit, count) in record.exits.iter().zip(&record.exit_counts).filter(|(_, count)| **count > 0) {
        let (reason, particular) = ExitReason::of(exit, &record.names);
        let text = match particular {
            Some(what) => format!("{reason}: {what}"),
            None => reason.to_string(),
        };
        let line = record.info.index_of(exit.unit).map_or(0, |at| record.info.instrs[at].line);
        counts.entry((line, text)).or_insert((reason, 0)).1 += count;
    }
    let row = |((line, text), (reason, count))| Exit { reason, text, line, count };
    let mut exits: Vec<Exit> = counts.into_iter().map(row).collect();
    exits.sort_by_key(|exit| std::cmp::Reverse(exit.count));
    exits
}
