//! Many documents: counting them, and decoding them into rows.

use crate::document::{Reader, document_size};
use crate::error::{DecodeError, Fault};
use crate::plan::Plan;
use crate::sink::Output;
use crate::validate::validate;

/// What happens to documents that cannot be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    /// The first ends the work.
    Raise,
    /// They are left out.
    Skip,
    /// They are left out, and listed.
    Collect,
}

/// What became of a buffer.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Good rows, at the start of the output.
    pub rows: usize,
    /// Documents left out.
    pub skipped: usize,
    /// Documents that could not be decoded; at most one unless they are collected.
    pub errors: Vec<DecodeError>,
    /// There was no room for more rows.
    pub full: bool,
    /// Where there was none: the documents before, and their bytes.
    pub before: (usize, usize),
    /// The last error ends the work, whatever happens to bad documents.
    pub overflow: bool,
    /// It was asked to stop, and did.
    pub stopped: bool,
}

impl Outcome {
    /// Adds what became of the documents that follow.
    pub fn add(&mut self, next: Outcome) {
        self.rows += next.rows;
        self.skipped += next.skipped;
        self.errors.extend(next.errors);
        self.full |= next.full;
        self.stopped |= next.stopped;
    }
}

/// How many documents a buffer has, and where some of them start.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Whole documents.
    pub documents: usize,
    /// Their bytes.
    pub consumed: usize,
    /// What is wrong behind them, in words; `None` if nothing is there.
    pub broken: Option<String>,
    /// Number and start of a document every so often.
    marks: Vec<(usize, usize)>,
}

/// A mark is made at least this many bytes after the one before.
const MARK_EVERY: usize = 64 << 10;

impl Index {
    /// Walks along the lengths of documents.
    pub fn of(bytes: &[u8]) -> Index {
        let mut index = Index::default();
        let (mut documents, mut at, mut next_mark) = (0, 0, MARK_EVERY);
        let (mut last, mut alike) = (usize::MAX, 0);
        while at < bytes.len() {
            let size = match document_size(&bytes[at..]) {
                Ok(size) => size,
                Err(found) => {
                    index.broken = Some(found);
                    break;
                }
            };
            documents += 1;
            alike = if size == last { alike + 1 } else { 0 };
            last = size;
            at += size;
            if alike >= 16 {
                let (more, bytes_more) = run_of_size(&bytes[at..], size, next_mark.saturating_sub(at));
                (documents, at, alike) = (documents + more, at + bytes_more, 0);
            }
            if at >= next_mark {
                index.marks.push((documents, at));
                next_mark = at + MARK_EVERY;
            }
        }
        (index.documents, index.consumed) = (documents, at);
        index
    }

    /// The same on several threads, each of which begins where documents seem to begin. A thread that was wrong in
    /// that is found out when the one before does not end there; from there on one walks alone.
    pub fn on_threads(bytes: &[u8], threads: usize) -> Index {
        let mut starts = vec![0];
        for thread in 1..threads {
            let goal = bytes.len() / threads * thread;
            starts.extend(seeming_start(bytes, goal).filter(|start| starts.last() < Some(start)));
        }
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        // A stretch that ends behind its last byte has met a document that reaches into the next one's.
        let walk = |(start, end): (usize, usize)| Index::of(&bytes[start..end]);
        let mut stretches = starts.iter().copied().zip(ends);
        let first = stretches.next().unwrap_or((0, bytes.len()));
        let (mut index, others) = std::thread::scope(|scope| {
            // Where there is no thread to be had, this one does the work.
            let spawn = |stretch| std::thread::Builder::new().spawn_scoped(scope, move || walk(stretch)).ok();
            let others: Vec<_> = stretches.map(|stretch| (stretch, spawn(stretch))).collect();
            let join = |(stretch, other): (_, Option<std::thread::ScopedJoinHandle<Index>>)| match other {
                Some(other) => (stretch, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
                None => (stretch, walk(stretch)),
            };
            (walk(first), others.into_iter().map(join).collect::<Vec<_>>())
        });
        for ((start, _), next) in others {
            if index.consumed != start {
                break;
            }
            index.append(next);
        }
        if index.broken.is_some() {
            // Broken, or cut at a place that was no start: only the whole rest tells.
            index.broken = None;
            let rest = Index::of(&bytes[index.consumed..]);
            index.append(rest);
        }
        index
    }

    /// Adds what follows.
    fn append(&mut self, next: Index) {
        let (documents, consumed) = (self.documents, self.consumed);
        self.marks.extend(next.marks.iter().map(|mark| (mark.0 + documents, mark.1 + consumed)));
        self.documents += next.documents;
        self.consumed += next.consumed;
        self.broken = next.broken;
    }

    /// What is wrong behind the whole documents, if a document that is cut off counts as wrong.
    pub fn error(&self, origin: Origin) -> Option<DecodeError> {
        let fault = *Fault::malformed("", self.broken.clone()?);
        let (document, offset) = (origin.document + self.documents as u64, origin.offset + self.consumed as u64);
        Some(DecodeError { document, offset, fault })
    }

    /// The marked document at or before a byte: its number and its start.
    pub fn mark_before(&self, at: usize) -> (usize, usize) {
        let behind = self.marks.partition_point(|mark| mark.1 <= at);
        behind.checked_sub(1).map_or((0, 0), |mark| self.marks[mark])
    }
}

/// Where a buffer's documents are counted from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// The number of the first.
    pub document: u64,
    /// Where it starts.
    pub offset: u64,
}

/// A place at or behind `goal` from which some documents follow each other, if there is one nearby.
fn seeming_start(bytes: &[u8], goal: usize) -> Option<usize> {
    let follows = |start: usize| {
        let mut at = start;
        (0..8).all(|_| document_size(&bytes[at..]).map(|size| at += size).is_ok())
    };
    (goal..(goal + (64 << 10)).min(bytes.len())).find(|&start| follows(start))
}

/// Looked at to guess how many documents there are.
const SAMPLE: usize = 32 << 10;
/// Places where that is done.
const SAMPLES: usize = 8;

/// About how many documents there are, seldom too few: counted where that is cheap, else guessed from the sizes of some.
pub fn about(bytes: &[u8]) -> usize {
    if bytes.len() <= 4 * SAMPLE * SAMPLES {
        return Index::of(bytes).documents;
    }
    let (mut documents, mut size) = (0, 0);
    for number in 0..SAMPLES {
        let goal = bytes.len() / SAMPLES * number;
        let Some(start) = (if number == 0 { Some(0) } else { seeming_start(bytes, goal) }) else { continue };
        let sample = Index::of(&bytes[start..(start + SAMPLE).min(bytes.len())]);
        documents += sample.documents;
        size += sample.consumed;
    }
    // Documents longer than a sample: few in any case.
    let many = (bytes.len() as u128 * documents as u128).checked_div(size as u128).unwrap_or(0) as usize;
    many + many / 64 + 64
}

/// How many documents of one size follow each other, until so many bytes are reached; and their bytes. Adding what
/// one knows spares waiting for what is read.
fn run_of_size(bytes: &[u8], size: usize, most: usize) -> (usize, usize) {
    let (mut documents, mut at) = (0, 0);
    while at < most && document_size(&bytes[at..]).is_ok_and(|next| next == size) {
        documents += 1;
        at += size;
    }
    (documents, at)
}

/// The number of documents and of their bytes; the last may be incomplete if `partial`.
pub fn count(bytes: &[u8], partial: bool) -> Result<(usize, usize), DecodeError> {
    let index = Index::of(bytes);
    match index.error(Origin::default()) {
        Some(error) if !(partial && incomplete(&bytes[index.consumed..])) => Err(error),
        _ => Ok((index.documents, index.consumed)),
    }
}

/// Whether a document that is not good may become good when there are more bytes.
fn incomplete(bytes: &[u8]) -> bool {
    crate::element::int32(bytes, 0).is_none_or(|size| size >= 5 && size as usize > bytes.len())
}

/// Where each document starts, and where the last ends.
pub fn split(bytes: &[u8]) -> Result<Vec<usize>, DecodeError> {
    let mut starts = vec![0];
    let mut at = 0;
    while at < bytes.len() {
        at += document_size(&bytes[at..]).map_err(|found| DecodeError {
            document: starts.len() as u64 - 1,
            offset: at as u64,
            fault: *Fault::malformed("", found),
        })?;
        starts.push(at);
    }
    Ok(starts)
}

/// Decodes all documents of a buffer into a sink that has room for them.
pub fn decode(plan: &Plan, bytes: &[u8], sink: &mut impl Output, on_error: OnError, origin: Origin) -> Outcome {
    decode_with(&mut Reader::new(plan), bytes, sink, on_error, origin, never)
}

/// Whether to stop; asked every [`STRETCH`] bytes or so.
pub type Stop = fn() -> bool;

/// Nobody stops it.
pub fn never() -> bool {
    false
}

/// How many bytes are decoded between two questions whether to stop.
pub const STRETCH: usize = 16 << 20;

/// The same with a reader that has decoded other documents before, and knows what they look like.
pub fn decode_with(
    reader: &mut Reader,
    bytes: &[u8],
    sink: &mut impl Output,
    on_error: OnError,
    origin: Origin,
    stop: Stop,
) -> Outcome {
    let plan = reader.plan();
    let mut outcome = Outcome::default();
    let (mut at, mut document) = (0, 0);
    let room = sink.room();
    let mut stretch = STRETCH.min(bytes.len());
    while at < bytes.len() {
        if at >= stretch {
            if at < bytes.len() && stop() {
                outcome.stopped = true;
                break;
            }
            stretch = (at + STRETCH).min(bytes.len());
        }
        if !plan.validate {
            let (rows, size) = reader.run(&bytes[at..stretch], sink, outcome.rows, room - outcome.rows);
            outcome.rows += rows;
            document += rows as u64;
            at += size;
            if at >= bytes.len() {
                break;
            }
        }
        let rest = &bytes[at..];
        let size = document_size(rest);
        if outcome.rows == room && size.is_ok() {
            (outcome.full, outcome.before) = (true, (document as usize, at));
            break;
        }
        let result = match &size {
            Ok(size) => {
                let place = sink.place(outcome.rows);
                let valid = if plan.validate { validate(&rest[..*size]) } else { Ok(()) };
                valid.and_then(|()| reader.row(rest, *size, sink, place))
            }
            Err(found) => Err(Fault::malformed("", found.clone())),
        };
        match result {
            Ok(()) => outcome.rows += 1,
            Err(fault) => {
                // Behind what has no length there may be no row.
                if size.is_ok() {
                    sink.forget(outcome.rows);
                }
                outcome.skipped += 1;
                if on_error != OnError::Skip {
                    let (document, offset) = (origin.document + document, origin.offset + at as u64);
                    outcome.errors.push(DecodeError { document, offset, fault: *fault });
                }
                if on_error == OnError::Raise {
                    break;
                }
            }
        }
        // Without a length there is no next document.
        let Ok(size) = size else { break };
        at += size;
        document += 1;
    }
    outcome
}
