//! Whole buffers on several cores: cut between documents, decoded apart, put together in order.

use crate::batch::{self, Index, OnError, Origin, Outcome, decode};
use crate::columns::{Columns, Spec};
use crate::document::document_size;
use crate::error::{DecodeError, Fault};
use crate::plan::Plan;
use crate::rows::{Objects, Rows};
use crate::sink::Output;

/// Less work than this is not worth another thread.
const BYTES_A_THREAD: usize = 512 << 10;

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
        useful.min(if self.threads == 0 { cores() } else { self.threads })
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

/// Runs work on several threads, this one among them; results in order.
fn on_threads<W: Send, R: Send>(work: Vec<W>, threads: usize, run: impl Fn(W) -> R + Sync) -> Vec<R> {
    if threads < 2 || work.len() < 2 {
        return work.into_iter().map(run).collect();
    }
    let mut results = Vec::with_capacity(work.len());
    let mut work = work.into_iter();
    let run = &run;
    while work.len() > 0 {
        let mut round = work.by_ref().take(threads);
        let mine = round.next();
        std::thread::scope(|scope| {
            let others: Vec<_> = round.map(|one| scope.spawn(move || run(one))).collect();
            results.extend(mine.map(run));
            for other in others {
                results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
    }
    results
}

/// How a buffer is going to be decoded.
#[derive(Clone, Debug)]
pub struct Cut<'b> {
    bytes: &'b [u8],
    parts: Vec<Part<'b>>,
    /// Rows to make room for; a guess where one thread decodes and counts.
    pub rows: usize,
    sure: bool,
}

/// Cuts a buffer between documents for several threads. `sure` where an earlier guess was wrong.
pub fn cut<'b>(bytes: &'b [u8], options: Options, sure: bool) -> Cut<'b> {
    let threads = options.threads(bytes.len());
    if threads < 2 {
        let rows = if sure { Index::of(bytes).documents } else { batch::about(bytes) };
        return Cut { bytes, parts: Vec::new(), rows, sure };
    }
    if let Some(parts) = parts_of_one_size(bytes, threads, options.origin).filter(|_| !sure) {
        return Cut { bytes, rows: documents(&parts), parts, sure };
    }
    let index = Index::on_threads(bytes, threads);
    Cut { bytes, parts: parts(bytes, &index, threads, options.origin), rows: index.documents, sure: true }
}

/// Decodes a buffer into rows. The outcome says whether there was no room for all, and how far it came if so; then
/// it is cut anew from there.
pub fn rows_of(plan: &Plan, cut: &Cut, rows: &mut Rows, options: Options) -> Outcome {
    if cut.parts.is_empty() {
        return decode(plan, cut.bytes, rows, options.on_error, options.origin);
    }
    if cut.rows > rows.room() {
        return Outcome { full: true, ..Outcome::default() };
    }
    let done = on_parts(plan, &cut.parts, rows, options);
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
    let outcome = rows_of(plan, &guess, rows, options);
    if outcome.full && !guess.sure { rows_of(plan, &cut(bytes, options, true), rows, options) } else { outcome }
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
fn on_parts(plan: &Plan, parts: &[Part<'_>], rows: &mut Rows, options: Options) -> Vec<(Outcome, Vec<Objects>)> {
    let (size, mask_size, objects) = (rows.size, rows.mask_size, rows.objects.len());
    let (mut out, mut mask) = (&mut *rows.out, &mut *rows.mask);
    let mut work = Vec::with_capacity(parts.len());
    for part in parts {
        let (mine, rest) = out.split_at_mut((part.documents * size).min(out.len()));
        let (my_mask, mask_rest) = mask.split_at_mut((part.documents * mask_size).min(mask.len()));
        (out, mask) = (rest, mask_rest);
        let objects = vec![Objects::default(); objects];
        work.push((*part, Rows { out: mine, mask: my_mask, size, mask_size, objects }));
    }
    on_threads(work, parts.len(), |(part, mut rows)| {
        let outcome = decode(plan, part.bytes, &mut rows, options.on_error, part.origin);
        (outcome, rows.objects)
    })
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
        let stop = options.on_error == OnError::Raise && !outcome.errors.is_empty();
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
    let done = on_threads(parts(bytes, &index, wanted, options.origin), threads, |part| {
        let mut columns = Columns::new(specs, part.documents);
        let mut outcome = decode(plan, part.bytes, &mut columns, options.on_error, part.origin);
        columns.finish(outcome.rows);
        if columns.overflow {
            let fault = Fault::new("", "at most 2 GiB of text, binary or items a column", "more");
            outcome.errors = vec![DecodeError { document: part.origin.document, offset: part.origin.offset, fault: *fault }];
        }
        (columns, outcome)
    });
    let mut total = Outcome::default();
    let mut batches = Vec::new();
    for (columns, outcome) in done {
        let stop = columns.overflow || (options.on_error == OnError::Raise && !outcome.errors.is_empty());
        if outcome.rows > 0 {
            batches.push((columns, outcome.rows));
        }
        total.overflow |= stop && options.on_error != OnError::Raise;
        total.add(outcome);
        if stop {
            break;
        }
    }
    (batches, total)
}
