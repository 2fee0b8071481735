//! The journal: a line for each thing that is done to a region, for whoever asks when a program gets fast, and why not
//! sooner.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use stoop_codegen::unit::ExitDesc;
use stoop_cpython::decode::CodeInfo;

use super::record::Record;
use super::{budget, guesses};
use crate::frontend::Entry;
use crate::reasons::ExitReason;

struct Journal {
    file: File,
    /// When it was opened, and the processor time used by then.
    since: (Instant, u64),
}

static ON: AtomicBool = AtomicBool::new(false);
static JOURNAL: Mutex<Option<Journal>> = Mutex::new(None);

/// Opens the file; an empty path closes it. A file that cannot be written is done without.
pub fn open(path: &str) {
    let file = (!path.is_empty()).then(|| File::options().create(true).append(true).open(path).ok()).flatten();
    let journal = file.map(|file| Journal { file, since: (Instant::now(), budget::process_ns()) });
    ON.store(journal.is_some(), Ordering::Relaxed);
    *JOURNAL.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = journal;
}

/// Notes something about a region.
pub fn note(record: &Record, what: impl FnOnce() -> String) {
    note_at(&record.info, record.entry, what);
}

/// The exits that a region has been left by most, and how often, for a line.
pub fn exits(record: &Record) -> String {
    const MOST: usize = 3;
    let mut taken: Vec<_> = record.exits.iter().zip(&record.exit_counts).filter(|(_, n)| **n > 0).collect();
    taken.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let told = taken.iter().take(MOST).map(|(e, n)| format!("{n} × {}", exit(record, e)));
    let told: Vec<String> = told.collect();
    format!("{} entries, left {}", record.entries, if told.is_empty() { "never".to_owned() } else { told.join("; ") })
}

/// Why and where a region was left by an exit.
pub fn exit(record: &Record, e: &ExitDesc) -> String {
    let (code, unit) = guesses::asked(e);
    let info = if code == 0 { &record.info } else { &record.inlined[code as usize - 1].code };
    let line = info.index_of(unit).map_or(0, |k| info.instrs[k].line);
    format!("{} at line {line} of {} ({} at unit {unit})", ExitReason::of(e, &record.names).0, info.qualname, e.op)
}

/// The same for one that is not there.
pub fn note_at(info: &CodeInfo, entry: Entry, what: impl FnOnce() -> String) {
    if ON.load(Ordering::Relaxed) {
        write(info, entry, &what());
    }
}

#[cold]
fn write(info: &CodeInfo, entry: Entry, what: &str) {
    let mut journal = JOURNAL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(j) = journal.as_mut() else { return };
    let kind = match entry {
        Entry::Function => "function",
        Entry::Loop { .. } => "loop",
        Entry::Resume { .. } => "resume",
    };
    let line = entry.header().and_then(|unit| info.index_of(unit)).map_or(info.first_line, |k| info.instrs[k].line);
    let (wall, used) = (j.since.0.elapsed().as_micros() as f64 / 1e3, budget::process_ns().saturating_sub(j.since.1));
    let text = format!("{wall:9.1} {:9.1} {} {kind} {line}: {what}\n", used as f64 / 1e6, info.qualname);
    // One write, so that the lines of processes that share the file stay whole.
    let _ = j.file.write_all(text.as_bytes());
}
