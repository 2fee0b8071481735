//! Documents of one layout in which only texts and values of any size vary, many in a row.
//!
//! What a [`template`](crate::template) knows of such documents, made short: no documents inside whose length varies,
//! nothing missing, nothing converted.

use crate::element::{self, Type, first, int32};
use crate::op::Op;
use crate::plan::Plan;
use crate::sink::{Copies, Output};
use crate::template::Tail;
use crate::text;
use crate::value;

/// More bytes between two values of any size are compared faster in larger pieces.
const LONGEST: usize = 64;

/// What lies before a value of any size, or before the document's end.
#[derive(Clone, Debug)]
struct Part {
    /// Eight bytes each, and what counts of them.
    words: Vec<(u64, u64)>,
    size: usize,
    copies: Copies,
    tail: Tail,
}

/// The layout of documents.
#[derive(Clone, Debug)]
pub struct Layout {
    parts: Vec<Part>,
}

impl Layout {
    /// Of these pieces: a pattern and a mask (the document's length is not in it), how many of their bytes, values that are copied, and what comes behind.
    pub fn new<'p>(pieces: impl Iterator<Item = (Vec<u8>, Vec<u8>, usize, &'p Copies, Tail)>) -> Option<Layout> {
        let mut parts = Vec::new();
        for (pattern, mask, size, copies, tail) in pieces {
            if size > LONGEST || matches!(tail, Tail::Items(_)) {
                return None;
            }
            let word = |bytes: &[u8]| u64::from_le_bytes(first(bytes));
            let words = pattern.chunks_exact(8).zip(mask.chunks_exact(8)).take(size.div_ceil(8));
            let words = words.map(|(pattern, mask)| (word(pattern) & word(mask), word(mask))).collect();
            parts.push(Part { words, size, copies: copies.clone(), tail });
        }
        Some(Layout { parts })
    }

    /// Decodes documents as long as they have the layout, at most so many; how many, and their bytes.
    #[inline(never)]
    pub fn run(&self, plan: &Plan, bytes: &[u8], sink: &mut impl Output, row: usize, most: usize) -> (usize, usize) {
        let mut start = 0;
        for done in 0..most {
            match self.document(plan, &bytes[start..], sink, row + done) {
                Some(size) => start += size,
                None => return (done, start),
            }
        }
        (most, start)
    }

    /// The document's size, if it has the layout.
    #[inline(always)]
    fn document(&self, plan: &Plan, bytes: &[u8], sink: &mut impl Output, row: usize) -> Option<usize> {
        let place = sink.place(row);
        let size = usize::try_from(int32(bytes, 0)?).ok()?;
        let mut at = 0;
        for part in &self.parts {
            let window = bytes.get(at..at + part.words.len() * 8)?;
            let mut differs = 0;
            for (word, (pattern, mask)) in window.as_chunks::<8>().0.iter().zip(&part.words) {
                differs |= (u64::from_le_bytes(*word) & mask) ^ pattern;
            }
            if differs != 0 {
                return None;
            }
            sink.copy(&part.copies, window, place);
            at += part.size;
            match part.tail {
                Tail::SkipText => at = text::end(bytes, at)?,
                Tail::StoreText(op, leaf) => {
                    let end = text::end(bytes, at)?;
                    let leaf = &plan.leaves[leaf as usize];
                    let stored = match op {
                        Op::Text => text::short_ascii(bytes, at, end)
                            .is_some_and(|(text, length)| sink.short_text(leaf.slot, place, text, length)),
                        Op::FixedText | Op::FixedBytes => {
                            text::short(op, bytes, at, end, sink.bytes(leaf.slot, place, leaf.width))
                        }
                        _ => false,
                    };
                    if !stored {
                        value::store(leaf, Type::STRING.0, &bytes[at..end], sink, place).ok()?;
                    }
                    at = end;
                }
                Tail::Skip(ty) | Tail::Store(ty, _) => {
                    let value_size = element::value_size(ty, bytes.get(at..size.checked_sub(1)?)?).ok()?;
                    if let Tail::Store(_, leaf) = part.tail {
                        value::store(&plan.leaves[leaf], ty, &bytes[at..at + value_size], sink, place).ok()?;
                    }
                    at += value_size;
                }
                Tail::Close | Tail::Items(_) => {}
            }
        }
        (at == size).then_some(size)
    }
}
