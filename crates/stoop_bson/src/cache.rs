//! What was found out about fields seen before, by type and name together.
//!
//! Documents whose fields come in ever new orders follow no template; here one look-up replaces stepping over the
//! name, finding it among the wanted ones, and finding out what is done with its type. Fields that nobody wants
//! are remembered, too.

use crate::element::{self, first, zero_bytes};
use crate::op::Op;
use crate::plan::{Leaf, Plan, Slot};
use crate::sink::{Place, Sink};
use crate::stage;
use crate::value;

/// The type and the name of an element, where both fit 15 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    low: u64,
    high: u64,
    /// Bytes to the value.
    size: usize,
}

impl Header {
    /// The header at the start of these bytes, which may go on after the document.
    #[inline(always)]
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let low = u64::from_le_bytes(*bytes.first_chunk()?);
        // A type of 0 is none: what `zero_bytes` says of the bytes behind it would mean nothing.
        if low & 0xFF == 0 {
            return None;
        }
        let zeros = zero_bytes(low);
        if zeros != 0 {
            let bits = zeros.trailing_zeros();
            // All bits below the zero byte's high one: the byte itself has none to take along.
            return Some(Header { low: low & (zeros ^ (zeros - 1)), high: 0, size: (bits / 8) as usize + 1 });
        }
        let high = u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
        let zeros = zero_bytes(high);
        if zeros == 0 {
            return None;
        }
        let bits = zeros.trailing_zeros();
        Some(Header { low, high: high & (zeros ^ (zeros - 1)), size: (bits / 8) as usize + 9 })
    }

    /// The type byte.
    #[inline(always)]
    pub fn ty(self) -> u8 {
        self.low as u8
    }

    /// All but the type.
    pub fn name(self) -> [u64; 2] {
        [self.low & !0xFF, self.high]
    }

    /// Bytes to the value.
    #[inline(always)]
    pub fn size(self) -> usize {
        self.size
    }

    /// The first eight bytes.
    #[inline(always)]
    pub fn low(self) -> u64 {
        self.low
    }

    /// The others.
    #[inline(always)]
    pub fn high(self) -> u64 {
        self.high
    }

    /// A number below 256.
    #[inline(always)]
    pub fn hash(self) -> usize {
        self.bucket(0) & 0xFF
    }

    #[inline(always)]
    fn bucket(self, node: usize) -> usize {
        let mixed = (self.low ^ self.high.rotate_left(29) ^ node as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> (64 - BITS)) as usize
    }
}

/// What is done with a field.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The header; 0 for none.
    low: u64,
    high: u64,
    /// The bit, in its word.
    bit: u64,
    node: u32,
    /// The word of the bit.
    word: u32,
    /// The leaf it is for.
    leaf: u32,
    op: Op,
    wanted: bool,
    slot: Slot,
}

const UNKNOWN: Known =
    Known { low: 0, high: 0, bit: 0, node: 0, word: 0, leaf: 0, op: Op::Refuse, wanted: false, slot: Slot { at: 0, mask: 0 } };

const BITS: u32 = 8;

/// Fields seen before; a later one takes the place of an earlier one with the same hash.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    known: Vec<Known>,
}

impl Cache {
    /// Makes room: until then nothing is remembered, as few documents are not worth it.
    #[inline(always)]
    pub fn open(&mut self) {
        if self.known.is_empty() {
            self.known.resize(1 << BITS, UNKNOWN);
        }
    }

    /// Whether anything may be remembered.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        !self.known.is_empty()
    }

    /// Remembers what is done with a field of a node: nothing, or storing it in a leaf, whose bit is given.
    pub fn put(&mut self, header: Header, node: usize, leaf: Option<(usize, &Leaf, usize)>) {
        let ty = header.low as u8;
        let mut known = Known { low: header.low, high: header.high, node: node as u32, ..UNKNOWN };
        if let Some((number, leaf, bit)) = leaf {
            let op = crate::document::op_of(leaf, ty);
            (known.leaf, known.op, known.wanted, known.slot) = (number as u32, op, true, leaf.slot);
            (known.word, known.bit) = ((bit / 64) as u32, 1 << (bit % 64));
        }
        if let Some(place) = self.known.get_mut(header.bucket(node)) {
            *place = known;
        }
    }

    /// The bit of a field whose value needs only to be copied, none for one that nobody wants; `None` for others.
    pub fn copied(&self, header: Header, node: usize) -> Option<Option<u32>> {
        let known = self.known.get(header.bucket(node))?;
        let is_it = known.low == header.low && known.high == header.high && known.node as usize == node;
        if !is_it || (known.wanted && stage::copied(known.op).is_none()) {
            return None;
        }
        Some(known.wanted.then(|| known.word * 64 + known.bit.trailing_zeros()))
    }

    /// Decodes elements as long as they are known, from `at` on; where the first is that is not, or not good.
    #[expect(clippy::too_many_arguments, reason = "elements and their surroundings")]
    pub fn run(
        &self,
        plan: &Plan,
        node: usize,
        seen: &mut [u64],
        bytes: &[u8],
        at: usize,
        end: usize,
        sink: &mut impl Sink,
        place: Place,
    ) -> usize {
        let mut at = at;
        while at < end {
            let rest = &bytes[at..];
            let Some(header) = Header::read(rest) else { break };
            let Some(known) = self.known.get(header.bucket(node)) else { break };
            if known.low != header.low || known.high != header.high || known.node as usize != node {
                break;
            }
            // From the type, although it is known: the next element waits for this.
            let size = match element::fixed_size(header.ty()) {
                Some(size) => size,
                None => match looked_up_size(header.ty(), bytes, at + header.size, end) {
                    Some(size) => size,
                    None => break,
                },
            };
            let next = at + header.size + size;
            if next > end {
                break;
            }
            if known.wanted {
                let Some(word) = seen.get_mut(known.word as usize) else { break };
                if *word & known.bit != 0 {
                    break;
                }
                let value = &rest[header.size..header.size + size];
                let stored = match known.op {
                    Op::Copy8 => {
                        sink.bytes(known.slot, place, 8).copy_from_slice(&first::<8>(value));
                        true
                    }
                    Op::Copy4 => {
                        sink.bytes(known.slot, place, 4).copy_from_slice(&first::<4>(value));
                        true
                    }
                    op => apply(op, &plan.leaves[known.leaf as usize], header.low as u8, value, sink, place),
                };
                if !stored {
                    break;
                }
                *word |= known.bit;
            }
            at = next;
        }
        at
    }
}

#[inline(never)]
fn apply(op: Op, leaf: &Leaf, ty: u8, value: &[u8], sink: &mut impl Sink, place: Place) -> bool {
    value::apply(op, leaf, ty, value, sink, place).is_ok()
}

#[inline(never)]
fn looked_up_size(ty: u8, bytes: &[u8], at: usize, end: usize) -> Option<usize> {
    element::value_size(ty, bytes.get(at..end)?).ok()
}
