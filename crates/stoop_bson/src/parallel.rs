//! Whole buffers on several cores: cut between documents, decoded apart, put together in order.

use std::sync::{Mutex, PoisonError};

use crate::batch::{self, Index, OnError, Origin, Outcome, Stop, decode, decode_with, never};
use crate::columns::{Columns, Spec};
use crate::document::{Reader, document_size};
use crate::error::{DecodeError, Fault};
use crate::plan::Plan;
use crate::rows::{Objects, Rows};
use crate::sink::Output;

/// Less work than this is not worth another thread.
const BYTES_A_THREAD: usize = 512 << 10;

/// Rows are cut into pieces of about this size, if that gives each thread at least one and at most [`PIECES`].
const BYTES_A_PIECE: usize = 256 << 10;
const PIECES: usize = 16;

/// More threads than this are not made, whoever asks for them.
const MOST_THREADS: usize = 256;

/// Offsets of columns have 32 bits, and no value is longer than its bytes in the document.
const BYTES_A_BATCH: usize = 1 << 30;

/// How to decode.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What happens to bad documents.
    pub on_error: OnError,
    /// At most so many threads; 0 for one a core.
    pub threads: usize,
    /// The numbers of the buffer's first document and byte.
    pub origin: Origin,
}

impl Options {
    fn threads(&self, bytes: usize) -> usize {
        let useful = bytes / BYTES_A_THREAD;
        if useful < 2 || self.threads == 1 {
            return 1;
        }
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
        useful.min(if self.threads == 0 { cores() } else { self.threads }).min(MOST_THREADS)
    }
}

/// A stretch of whole documents.
#[derive(Clone, Copy, Debug)]
struct Part<'b> {
    bytes: &'b [u8],
    documents: usize,
    first: usize,
    origin: Origin,
}

/// Cuts a buffer into about so many parts; what is broken at its end goes with the last.
fn parts<'b>(bytes: &'b [u8], index: &Index, wanted: usize, origin: Origin) -> Vec<Part<'b>> {
    let mut parts = Vec::with_capacity(wanted);
    let (mut document, mut start) = (0, 0);
    for number in 1..=wanted {
        let goal = (bytes.len() as u128 * number as u128 / wanted as u128) as usize;
        let (next, end) = if number == wanted { (index.documents, bytes.len()) } else { index.mark_before(goal) };
        if end > start {
            let origin = Origin { document: origin.document + document as u64, offset: origin.offset + start as u64 };
            parts.push(Part { bytes: &bytes[start..end], documents: next - document, first: document, origin });
            (document, start) = (next, end);
        }
    }
    parts
}

/// Runs work on several threads, this one among them, until one piece is the `last`; results in order, as far as that.
/// Each thread has tools of its own, this one `mine`, and takes the next piece when it is done with one, so that a thread that starts
/// late or is held up costs no more than the piece it has.
fn on_threads<W: Send, T, R: Send>(
    work: Vec<W>,
    threads: usize,
    mine: T,
    tools: impl Fn() -> T + Sync,
    run: impl Fn(&mut T, W) -> R + Sync,
    last: impl Fn(&R) -> bool + Sync,
) -> Vec<R> {
    let mut results: Vec<Option<R>> = work.iter().map(|_| None).collect();
    let helpers = threads.min(work.len()).saturating_sub(1);
    // What comes before a piece has been taken before it: a gap can only be behind the last one.
    let queue = Mutex::new(Some(work.into_iter().enumerate()));
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.next();
    let go = |mut tools: T| {
        let mut done = Vec::new();
        while let Some((number, piece)) = take() {
            let result = run(&mut tools, piece);
            if last(&result) {
                *queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            done.push((number, result));
        }
        done
    };
    std::thread::scope(|scope| {
        // Where there are no more threads to be had, those there are do the work.
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, || go(tools())).ok();
        let others: Vec<_> = (0..helpers).map_while(spawn).collect();
        let mut done = go(mine);
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        for (number, result) in done {
            results[number] = Some(result);
        }
    });
    results.into_iter().map_while(|result| result).collect()
}

/// How a buffer is going to be decoded.
#[derive(Clone, Debug)]
pub struct Cut<'b> {
    bytes: &'b [u8],
    parts: Vec<Part<'b>>,
    threads: usize,
    /// Rows to make room for; a guess where one thread decodes and counts.
    pub rows: usize,
    sure: bool,
}

/// Cuts a buffer between documents for several threads. `sure` where an earlier guess was wrong.
pub fn cut<'b>(bytes: &'b [u8], options: Options, sure: bool) -> Cut<'b> {
    let threads = options.threads(bytes.len());
    if threads < 2 {
        let rows = if sure { Index::of(bytes).documents } else { batch::about(bytes) };
        return Cut { bytes, parts: Vec::new(), threads, rows, sure };
    }
    let pieces = (bytes.len() / BYTES_A_PIECE).clamp(threads, threads * PIECES);
    if let Some(parts) = parts_of_one_size(bytes, pieces, options.origin).filter(|_| !sure) {
        return Cut { bytes, rows: documents(&parts), threads, parts, sure };
    }
    let index = Index::on_threads(bytes, threads);
    Cut { bytes, parts: parts(bytes, &index, pieces, options.origin), threads, rows: index.documents, sure: true }
}

/// Decodes a buffer into rows. The outcome says whether there was no room for all, and how far it came if so; then
/// it is cut anew from there.
pub fn rows_of(plan: &Plan, cut: &Cut, rows: &mut Rows, options: Options, stop: Stop) -> Outcome {
    if cut.parts.is_empty() {
        return decode_with(&mut Reader::new(plan), cut.bytes, rows, options.on_error, options.origin, stop);
    }
    if cut.rows > rows.room() {
        return Outcome { full: true, ..Outcome::default() };
    }
    let done = on_parts(plan, cut, rows, options, stop);
    if done.iter().any(|(outcome, _)| outcome.stopped) {
        return Outcome { stopped: true, ..Outcome::default() };
    }
    let good = |(part, (outcome, _)): (&Part<'_>, &(Outcome, Vec<Objects>))| {
        outcome.rows == part.documents && outcome.skipped == 0 && outcome.errors.is_empty() && !outcome.full
    };
    // Where each part was read to its end without a fault, it does end where the next one starts.
    if !cut.sure && !cut.parts.iter().zip(&done).all(good) {
        return Outcome { full: true, ..Outcome::default() };
    }
    join(&cut.parts, done, rows, options)
}

/// Decodes a buffer into rows there is room for; the outcome says whether there was not.
pub fn rows(plan: &Plan, bytes: &[u8], rows: &mut Rows, options: Options) -> Outcome {
    if options.threads(bytes.len()) < 2 {
        return decode(plan, bytes, rows, options.on_error, options.origin);
    }
    let guess = cut(bytes, options, false);
    let outcome = rows_of(plan, &guess, rows, options, never);
    if outcome.full && !guess.sure { rows_of(plan, &cut(bytes, options, true), rows, options, never) } else { outcome }
}

/// Parts of a buffer whose documents seem to have one size, which spares walking along them first.
fn parts_of_one_size(bytes: &[u8], wanted: usize, origin: Origin) -> Option<Vec<Part<'_>>> {
    let size = document_size(bytes).ok()?;
    let all = bytes.len() / size;
    if all * size != bytes.len() {
        return None;
    }
    let cuts: Vec<usize> = (0..=wanted).map(|n| all / wanted * n + all % wanted * n / wanted).collect();
    let one_size = |cut: &usize| document_size(&bytes[cut * size..]).is_ok_and(|next| next == size);
    if !cuts[..wanted].iter().all(one_size) {
        return None;
    }
    let part = |cut: &[usize]| Part {
        bytes: &bytes[cut[0] * size..cut[1] * size],
        documents: cut[1] - cut[0],
        first: cut[0],
        origin: Origin { document: origin.document + cut[0] as u64, offset: origin.offset + (cut[0] * size) as u64 },
    };
    Some(cuts.windows(2).map(part).collect())
}

fn documents(parts: &[Part<'_>]) -> usize {
    parts.iter().map(|part| part.documents).sum()
}

/// Decodes parts into their rows.
fn on_parts(plan: &Plan, cut: &Cut<'_>, rows: &mut Rows, options: Options, stop: Stop) -> Vec<(Outcome, Vec<Objects>)> {
    let (size, mask_size, objects) = (rows.size, rows.mask_size, rows.objects.len());
    let (mut out, mut mask) = (&mut *rows.out, &mut *rows.mask);
    let mut work = Vec::with_capacity(cut.parts.len());
    for part in &cut.parts {
        let (mine, rest) = out.split_at_mut((part.documents * size).min(out.len()));
        let (my_mask, mask_rest) = mask.split_at_mut((part.documents * mask_size).min(mask.len()));
        (out, mask) = (rest, mask_rest);
        let objects = vec![Objects::default(); objects];
        work.push((*part, Rows { out: mine, mask: my_mask, size, mask_size, objects }));
    }
    let run = |(reader, stop): &mut (Reader<'_>, Stop), (part, mut rows): (Part<'_>, Rows<'_>)| {
        let mut outcome = decode_with(reader, part.bytes, &mut rows, options.on_error, part.origin, *stop);
        outcome.stopped |= stop();
        (outcome, rows.objects)
    };
    // Only the caller's thread asks.
    let tools = || (Reader::new(plan), never as Stop);
    on_threads(work, cut.threads, (Reader::new(plan), stop), tools, run, |(outcome, _)| ends(outcome, options))
}

/// Whether nothing behind this part is wanted.
fn ends(outcome: &Outcome, options: Options) -> bool {
    outcome.full || outcome.overflow || outcome.stopped || (options.on_error == OnError::Raise && !outcome.errors.is_empty())
}

/// Puts the rows of parts together.
fn join(parts: &[Part<'_>], done: Vec<(Outcome, Vec<Objects>)>, rows: &mut Rows, options: Options) -> Outcome {
    let (size, mask_size) = (rows.size, rows.mask_size);
    let mut total = Outcome::default();
    for (part, (outcome, objects)) in parts.iter().zip(done) {
        if part.first != total.rows {
            move_rows(rows.out, size, part.first, total.rows, outcome.rows);
            if !rows.mask.is_empty() {
                move_rows(rows.mask, mask_size, part.first, total.rows, outcome.rows);
            }
        }
        for (all, some) in rows.objects.iter_mut().zip(&objects) {
            all.append(some, total.rows);
        }
        let stop = ends(&outcome, options);
        total.add(outcome);
        if stop {
            break;
        }
    }
    total
}

fn move_rows(bytes: &mut [u8], size: usize, from: usize, to: usize, rows: usize) {
    bytes.copy_within(from * size..(from + rows) * size, to * size);
}

/// Decodes a buffer into batches of columns, in order.
pub fn columns<'s>(plan: &Plan, specs: &'s [Spec], bytes: &[u8], options: Options) -> (Vec<(Columns<'s>, usize)>, Outcome) {
    let threads = options.threads(bytes.len());
    let wanted = threads.max(bytes.len().div_ceil(BYTES_A_BATCH));
    let index = if threads < 2 { Index::of(bytes) } else { Index::on_threads(bytes, threads) };
    let run = |(): &mut (), part: Part<'_>| {
        let mut columns = Columns::new(specs, part.documents);
        let mut outcome = decode(plan, part.bytes, &mut columns, options.on_error, part.origin);
        columns.finish(outcome.rows);
        if columns.overflow {
            let fault = Fault::new("", "at most 2 GiB of text, binary or items a column", "more");
            outcome.errors = vec![DecodeError { document: part.origin.document, offset: part.origin.offset, fault: *fault }];
            outcome.overflow = true;
        }
        (columns, outcome)
    };
    let parts = parts(bytes, &index, wanted, options.origin);
    let done = on_threads(parts, threads, (), || (), run, |(_, outcome)| ends(outcome, options));
    let mut total = Outcome::default();
    let mut batches = Vec::new();
    for (columns, outcome) in done {
        let stop = ends(&outcome, options);
        if outcome.rows > 0 {
            batches.push((columns, outcome.rows));
        }
        total.overflow |= outcome.overflow && options.on_error != OnError::Raise;
        total.add(outcome);
        if stop {
            break;
        }
    }
    (batches, total)
}
