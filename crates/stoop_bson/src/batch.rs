//! Many documents: counting them, and decoding them into rows.

use crate::document::{Reader, document_size};
use crate::error::{DecodeError, Fault};
use crate::plan::Plan;
use crate::rows::Rows;

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
}

/// Where a buffer's documents are counted from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// The number of the first.
    pub document: u64,
    /// Where it starts.
    pub offset: u64,
}

/// The number of documents and of their bytes; the last may be incomplete if `partial`.
pub fn count(bytes: &[u8], partial: bool) -> Result<(usize, usize), DecodeError> {
    let (mut documents, mut at) = (0, 0);
    while at < bytes.len() {
        match document_size(&bytes[at..]) {
            Ok(size) => at += size,
            Err(_) if partial && incomplete(&bytes[at..]) => break,
            Err(found) => {
                let fault = *Fault::malformed("", found);
                return Err(DecodeError { document: documents as u64, offset: at as u64, fault });
            }
        }
        documents += 1;
    }
    Ok((documents, at))
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

/// Decodes all documents of a buffer into rows, of which there must be enough.
pub fn rows(plan: &Plan, bytes: &[u8], rows: &mut Rows, on_error: OnError, origin: Origin) -> Outcome {
    let mut reader = Reader::new(plan);
    let mut outcome = Outcome::default();
    let (mut at, mut document) = (0, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let size = document_size(rest);
        let result = match &size {
            Ok(size) => {
                let place = rows.place(outcome.rows);
                reader.row(rest, *size, rows, place)
            }
            Err(found) => Err(Fault::malformed("", found.clone())),
        };
        match result {
            Ok(()) => outcome.rows += 1,
            Err(fault) => {
                rows.forget(outcome.rows);
                outcome.skipped += 1;
                if on_error != OnError::Skip || size.is_err() {
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
