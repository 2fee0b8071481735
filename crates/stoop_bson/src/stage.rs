//! Rows of plain values whose fields come in any order, some of them missing, without branches on which.
//!
//! Each value is put, with whatever follows it, into a slot of 16 bytes; when the document has ended all slots are
//! copied to the row in one fixed order. Both need no guess at what comes next, and wrong guesses are what costs
//! most with such documents. Whatever is not plain is left to the ordinary way, which does the document anew.

use crate::cache::{Cache, Header};
use crate::element::fixed_size;
use crate::op::Op;
use crate::plan::{Leaf, NO_MASK, Plan, Slot, Target};
use crate::schema::Absent;
use crate::sink::{Place, Sink};

/// The widest value.
const SLOT: usize = 16;
/// The slot of values that nobody wants.
const UNWANTED: usize = 64;

/// A power of two, for cheap indexing.
const SLOTS: usize = 2 * UNWANTED;

#[derive(Clone, Copy, Debug)]
struct Staged {
    bit: u32,
    slot: Slot,
    /// Masked where it is missing.
    masks: bool,
}

/// The slots of a row, and where they go.
#[derive(Clone, Debug)]
pub struct Stage {
    one: Vec<Staged>,
    four: Vec<Staged>,
    eight: Vec<Staged>,
    twelve: Vec<Staged>,
    sixteen: Vec<Staged>,
    slots: Box<[[u8; SLOT]; SLOTS]>,
    /// What stands for missing values.
    fills: Vec<[u8; SLOT]>,
    /// Those that must not be missing.
    required: u64,
    wanted: u64,
    root: usize,
}

/// Whether a leaf's values fit the slots.
pub fn is_plain(leaf: &Leaf) -> bool {
    !leaf.variable && matches!(leaf.width, 1 | 4 | 8 | 12 | 16)
}

/// Rows of more fields than this are not staged.
pub const MOST_FIELDS: usize = UNWANTED;

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
            one: Vec::new(),
            four: Vec::new(),
            eight: Vec::new(),
            twelve: Vec::new(),
            sixteen: Vec::new(),
            slots: Box::new([[0; SLOT]; SLOTS]),
            fills: Vec::new(),
            required: 0,
            wanted: 0,
            root: scope.root,
        };
        for (bit, unit) in scope.units.iter().enumerate() {
            let Target::Leaf(leaf) = unit.target else { return None };
            let leaf = &plan.leaves[leaf];
            let group = match leaf.width {
                1 => &mut stage.one,
                4 => &mut stage.four,
                8 => &mut stage.eight,
                12 => &mut stage.twelve,
                16 => &mut stage.sixteen,
                _ => return None,
            };
            let masks = leaf.policy.missing == Absent::Mask;
            group.push(Staged { bit: bit as u32, slot: leaf.slot, masks });
            let mut fill = [0; SLOT];
            fill[..leaf.policy.fill.len()].copy_from_slice(&leaf.policy.fill);
            stage.fills.push(fill);
            stage.wanted |= 1 << bit;
            if leaf.policy.missing == Absent::Error {
                stage.required |= 1 << bit;
            }
        }
        Some(stage)
    }

    /// Decodes a document; whether it could. What it has written otherwise is to be overwritten.
    pub fn row(&mut self, cache: &Cache, bytes: &[u8], size: usize, sink: &mut impl Sink, place: Place) -> bool {
        if self.required != self.wanted {
            self.slots[..self.fills.len()].copy_from_slice(&self.fills);
        }
        let (mut at, end, mut seen) = (4, size - 1, 0);
        while at < end {
            let Some(header) = bytes.get(at..).and_then(Header::read) else { return false };
            // From the type, although the cache knows it too: the next element waits for this.
            let Some(value_size) = fixed_size(header.ty()) else { return false };
            let Some(known) = cache.copied(header, self.root) else { return false };
            let value = at + header.size();
            let Some(window) = bytes.get(value..value + SLOT) else { return false };
            let slot = &mut self.slots[usize::from(known.stage) % SLOTS];
            slot.copy_from_slice(window);
            seen |= known.bit;
            at = value + value_size;
        }
        if at != end || seen & self.required != self.required {
            return false;
        }
        self.put::<8>(&self.eight, seen, sink, place);
        self.put::<4>(&self.four, seen, sink, place);
        self.put::<12>(&self.twelve, seen, sink, place);
        self.put::<16>(&self.sixteen, seen, sink, place);
        self.put::<1>(&self.one, seen, sink, place);
        // A column of one byte is one of bools: other integers of that size are converted, not copied.
        self.one.iter().all(|staged| self.slots[staged.bit as usize][0] <= 1)
    }

    #[inline(always)]
    fn put<const N: usize>(&self, group: &[Staged], seen: u64, sink: &mut impl Sink, place: Place) {
        for staged in group {
            let value = &self.slots[staged.bit as usize % UNWANTED][..N];
            sink.bytes(staged.slot, place, N).copy_from_slice(value);
            if staged.masks && staged.slot.mask != NO_MASK {
                sink.mask(staged.slot, place, seen >> staged.bit & 1 == 0);
            }
        }
    }
}

/// The slot for a bit of the row; for values that nobody wants, another one.
pub fn slot(bit: Option<usize>) -> u8 {
    bit.map_or(UNWANTED as u8, |bit| (bit % 64) as u8)
}
