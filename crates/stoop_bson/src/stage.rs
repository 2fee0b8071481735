//! Rows of plain values whose fields come in any order, some of them missing, without branches on which.
//!
//! Where each value lies is noted under its field's number; when the document has ended all values are copied to the
//! row in one fixed order. Both need no guess at what comes next, and wrong guesses are what costs most with such
//! documents. Whatever is not plain is left to the ordinary way, which does the document anew.

use crate::cache::{Cache, Header};
use crate::element::{fixed_size, value_size};
use crate::op::Op;
use crate::order::{Found, LANES, Puts, WIDEST, Walk};
use crate::plan::{Leaf, Plan, Target};
use crate::schema::Absent;
use crate::sink::Output;

/// Rows of more fields than this are not staged.
pub const MOST_FIELDS: usize = 64;

/// The number of values that nobody wants.
const UNWANTED: u32 = MOST_FIELDS as u32;

/// What is known of a field; the ordinary way has found it out.
#[derive(Clone, Copy, Debug)]
struct Known {
    low: u64,
    high: u64,
    /// The bit of its number, if it is wanted.
    bit: u64,
    number: u32,
}

/// No header is equal to it: one of a single word has nothing in the other.
const NONE: Known = Known { low: 1, high: u64::MAX, bit: 0, number: UNWANTED };

/// Fields known, and where their values go.
#[derive(Clone, Debug)]
pub struct Stage {
    known: Box<[Known; 256]>,
    puts: Puts,
    /// Those that must not be missing.
    required: u64,
    fields: usize,
    root: usize,
}

/// Whether a leaf's values can be staged.
pub fn is_plain(leaf: &Leaf) -> bool {
    !leaf.variable && matches!(leaf.width, 1 | 4 | 8 | 12 | 16)
}

/// The bytes that an operation copies, if that is all it does.
pub fn copied(op: Op) -> Option<usize> {
    Some(match op {
        Op::Bool => 1,
        Op::Copy4 => 4,
        Op::Copy8 => 8,
        Op::Copy12 => 12,
        Op::Copy16 => 16,
        _ => return None,
    })
}

impl Stage {
    /// The stage of a plan's rows, if they consist of plain values alone.
    pub fn new(plan: &Plan) -> Option<Stage> {
        let scope = &plan.scopes[plan.row()];
        if !plan.plain_rows {
            return None;
        }
        let mut stage = Stage {
            known: Box::new([NONE; 256]),
            puts: Puts::default(),
            required: 0,
            fields: scope.units.len(),
            root: scope.root,
        };
        for (bit, unit) in scope.units.iter().enumerate() {
            let Target::Leaf(leaf) = unit.target else { return None };
            let leaf = &plan.leaves[leaf];
            stage.puts.add(leaf, bit, 1 << bit)?;
            if leaf.policy.missing == Absent::Error {
                stage.required |= 1 << bit;
            }
        }
        stage.puts.all = stage.required.count_ones() as usize == scope.units.len();
        Some(stage)
    }

    /// Decodes documents that follow each other, up to the first that has something else; how many. What it has
    /// written of that one is to be overwritten.
    #[inline(always)]
    pub fn rows(
        &mut self,
        cache: &Cache,
        walk: &mut Walk,
        bytes: &[u8],
        starts: &[usize; LANES + 1],
        sink: &mut impl Output,
        row: usize,
    ) -> usize {
        let mut at: [usize; LANES] = std::array::from_fn(|lane| starts[lane] + 4);
        let ends: [usize; LANES] = std::array::from_fn(|lane| starts[lane + 1] - 1);
        let mut seen = [0; LANES];
        if !self.puts.all {
            // What is missing lies anywhere, but inside.
            walk.values[..self.fields].fill([0; LANES]);
        }
        // Side by side as long as possible: each field has to wait for the one before, but not for the other document's.
        while (0..LANES).all(|lane| at[lane] < ends[lane]) {
            for lane in 0..LANES {
                let Some((next, bit)) = self.step(cache, walk, lane, bytes, at[lane], ends[lane]) else {
                    walk.seen = seen;
                    return if lane == 0 { 0 } else { self.finish(cache, walk, 1, bytes, at, ends, sink, row) };
                };
                at[lane] = next;
                seen[lane] |= bit;
            }
        }
        walk.seen = seen;
        self.finish(cache, walk, LANES, bytes, at, ends, sink, row)
    }

    /// What is left of some documents, one after the other.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "documents and their surroundings")]
    fn finish(
        &mut self,
        cache: &Cache,
        walk: &mut Walk,
        lanes: usize,
        bytes: &[u8],
        at: [usize; LANES],
        ends: [usize; LANES],
        sink: &mut impl Output,
        row: usize,
    ) -> usize {
        for lane in 0..lanes {
            let mut at = at[lane];
            while at < ends[lane] {
                let Some((next, bit)) = self.step(cache, walk, lane, bytes, at, ends[lane]) else { return lane };
                at = next;
                walk.seen[lane] |= bit;
            }
            if at != ends[lane] || walk.seen[lane] & self.required != self.required {
                return lane;
            }
            if !sink.put(&self.puts, Found { bytes, walk, lane }, sink.place(row + lane)) {
                return lane;
            }
        }
        lanes
    }

    /// Notes where a field lies; where the next one begins, and the field's bit.
    #[inline(always)]
    fn step(&mut self, cache: &Cache, walk: &mut Walk, lane: usize, bytes: &[u8], at: usize, end: usize) -> Option<(usize, u64)> {
        let window = bytes.get(at..at + 2 * WIDEST)?;
        let header = Header::read(window)?;
        // From the type, although it is known: the next field waits for this.
        let value = at + header.size();
        let size = match fixed_size(header.ty()) {
            Some(size) => size,
            None => value_size(header.ty(), bytes.get(value..end)?).ok()?,
        };
        let mut known = self.known[header.hash()];
        if known.low != header.low() || known.high != header.high() {
            known = self.look_up(cache, header)?;
        }
        walk.values[known.number as usize % walk.values.len()][lane] = value as u32;
        Some((value + size, known.bit))
    }

    #[cold]
    #[inline(never)]
    fn look_up(&mut self, cache: &Cache, header: Header) -> Option<Known> {
        let (bit, number) = match cache.copied(header, self.root)? {
            Some(bit) => (1 << bit, bit),
            None => (0, UNWANTED),
        };
        let known = Known { low: header.low(), high: header.high(), bit, number };
        self.known[header.hash()] = known;
        Some(known)
    }
}
