//! Rows of plain values whose fields mostly come in one order, any of them missing or null.
//!
//! The fields are tried one after the other: whether one is there decides how far to go on and what is written, but
//! not what is done next. So nothing is guessed, and the next document begins while this one is on its way. The
//! order is learnt from documents that were decoded in another way; what does not fit it in full is left to that.

use crate::cache::Header;
use crate::document::op_of;
use crate::element::{Type, first, fixed_size};
use crate::keys::first_word;
use crate::plan::{Leaf, NO_MASK, Plan, Target};
use crate::schema::Absent;
use crate::sink::Output;
use crate::stage;
use std::hint::select_unpredictable as select;

/// The longest header, and the widest value.
pub const WIDEST: usize = 16;
/// Fields of an order.
pub const MOST: usize = 64;
/// Documents that an order is learnt from.
const LESSONS: u32 = 256;

/// A field in its place.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// The header's halves, and what counts of them.
    header: [u64; 2],
    mask: [u64; 2],
    /// How the first half differs where the field is null and that is as good as missing.
    null: u64,
    /// Bytes to the value.
    start: u32,
    /// Bytes to the next field.
    whole: u32,
}

/// A value that is stored.
#[derive(Clone, Copy, Debug)]
pub struct Put {
    /// What stands for the value where there is none.
    pub fill: [u8; WIDEST],
    /// The number of its step.
    step: u32,
    /// The bit of its step among those that were seen.
    bit: u64,
    /// The slot.
    pub at: u32,
    /// The slot's mask, if it is masked where it is missing; else [`u32::MAX`].
    pub mask: u32,
}

/// A document of known fields.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What places are counted from.
    pub bytes: &'a [u8],
    /// Where its values lie, and which are there.
    pub walk: &'a Walk,
    /// Which of the walk's documents it is.
    pub lane: usize,
}

impl Found<'_> {
    /// The value, or what stands for it; and whether it is there. With `ALL` it is.
    #[inline(always)]
    pub fn value<const N: usize, const ALL: bool>(&self, put: &Put) -> ([u8; N], bool) {
        let walk = self.walk;
        let at = walk.values[put.step as usize % walk.values.len()][self.lane % LANES] as usize;
        if ALL {
            return (first(&self.bytes[at..at + N]), true);
        }
        // Where it is not there, this is a place all the same.
        let value = &self.bytes[at..at + N];
        let there = walk.seen[self.lane % LANES] & put.bit != 0;
        (first(select(there, value, &put.fill[..N])), there)
    }
}

/// Values that are stored, by their size.
#[derive(Clone, Debug, Default)]
pub struct Puts {
    /// Bools.
    pub one: Vec<Put>,
    /// Of four bytes.
    pub four: Vec<Put>,
    /// Of eight bytes.
    pub eight: Vec<Put>,
    /// Of twelve bytes.
    pub twelve: Vec<Put>,
    /// Of sixteen bytes.
    pub sixteen: Vec<Put>,
    /// None may be missing.
    pub all: bool,
}

impl Puts {
    /// Adds what a step finds, to be stored in a leaf; `None` where that cannot be.
    pub fn add(&mut self, leaf: &Leaf, step: usize, bit: u64) -> Option<()> {
        let policy = &leaf.policy;
        let mut fill = [0; WIDEST];
        fill[..policy.fill.len()].copy_from_slice(&policy.fill);
        let masks = policy.missing == Absent::Mask && leaf.slot.mask != NO_MASK;
        let mask = if masks { u32::try_from(leaf.slot.mask).ok()? } else { u32::MAX };
        let puts = match leaf.width {
            1 => &mut self.one,
            4 => &mut self.four,
            8 => &mut self.eight,
            12 => &mut self.twelve,
            16 => &mut self.sixteen,
            _ => return None,
        };
        puts.push(Put { fill, step: step as u32, bit, at: u32::try_from(leaf.slot.at).ok()?, mask });
        Some(())
    }
}

/// A field that was met.
#[derive(Clone, Copy, Debug)]
struct Met {
    /// The header without the type.
    name: [u64; 2],
    ty: u8,
    start: usize,
    /// The leaf and the bit.
    wanted: Option<(usize, usize)>,
    /// It was null at least once.
    null: bool,
    /// The fields that came after it, by number.
    later: u64,
}

/// What is known of the order.
#[derive(Clone, Debug, Default)]
pub struct Order {
    met: Vec<Met>,
    steps: Vec<Step>,
    puts: Puts,
    /// The steps that must not be missing.
    required: u64,
    /// There are headers of more than eight bytes.
    long: bool,
    /// There are nulls.
    nulls: bool,
    lessons: u32,
    /// Fields of the documents that it was learnt from.
    fields: usize,
    /// There is none, or not one that helps.
    pub hopeless: bool,
    followed: u32,
    strayed: u32,
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(first(bytes))
}

/// Documents at once: each field has to wait for the one before, but not for those of other documents.
pub const LANES: usize = 2;

/// Documents on their way.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Where each value lies, by the number of its step or field; those behind [`MOST`] are nobody's.
    pub values: [[u32; LANES]; 2 * MOST],
    /// Bits of the values that are there.
    pub seen: [u64; LANES],
}

impl Default for Walk {
    fn default() -> Walk {
        Walk { values: [[0; LANES]; 2 * MOST], seen: [0; LANES] }
    }
}

impl Order {
    /// Decodes documents that follow each other, up to the first that does not follow the order; how many.
    #[inline(always)]
    pub fn rows(&self, walk: &mut Walk, bytes: &[u8], starts: &[usize; LANES + 1], sink: &mut impl Output, row: usize) -> usize {
        let good = match (self.long, self.nulls) {
            (false, false) => self.walk::<false, false>(walk, bytes, starts),
            (false, true) => self.walk::<false, true>(walk, bytes, starts),
            (true, false) => self.walk::<true, false>(walk, bytes, starts),
            (true, true) => self.walk::<true, true>(walk, bytes, starts),
        };
        let Some(good) = good else { return 0 };
        for lane in 0..good {
            if !sink.put(&self.puts, Found { bytes, walk, lane }, sink.place(row + lane)) {
                return lane;
            }
        }
        good
    }

    /// Where the values of documents lie; how many documents follow the order before the first that does not.
    #[inline(always)]
    fn walk<const LONG: bool, const NULLS: bool>(
        &self,
        walk: &mut Walk,
        bytes: &[u8],
        starts: &[usize; LANES + 1],
    ) -> Option<usize> {
        let mut at: [usize; LANES] = std::array::from_fn(|lane| starts[lane] + 4);
        let mut seen = [0; LANES];
        for (step, values) in self.steps.iter().zip(&mut walk.values) {
            for lane in 0..LANES {
                let window = bytes.get(at[lane]..at[lane] + 2 * WIDEST)?;
                let low = (word(window) & step.mask[0]) ^ step.header[0];
                let high = if LONG { (word(&window[8..]) & step.mask[1]) ^ step.header[1] } else { 0 };
                let there = low | high == 0;
                values[lane] = at[lane] as u32 + step.start;
                seen[lane] = seen[lane] * 2 + u64::from(there);
                let mut go = select(there, step.whole, 0);
                if NULLS {
                    go = select((low == step.null) & (high == 0), step.start, go);
                }
                at[lane] += go as usize;
            }
        }
        walk.seen = seen;
        let good = |lane: usize| at[lane] == starts[lane + 1] - 1 && seen[lane] & self.required == self.required;
        Some((0..LANES).take_while(|&lane| good(lane)).count())
    }

    /// Whether there is an order to try.
    #[inline(always)]
    pub fn is_known(&self) -> bool {
        !self.steps.is_empty()
    }

    /// So many documents followed it.
    #[inline(always)]
    pub fn hits(&mut self, documents: usize) {
        self.followed = self.followed.saturating_add(documents as u32);
    }

    /// A document did not follow the order, and was decoded in another way.
    #[inline(never)]
    pub fn miss(&mut self, plan: &Plan, bytes: &[u8], size: usize) {
        self.strayed += 1;
        if self.lessons < LESSONS {
            self.lessons += 1;
            self.learn(plan, bytes, size);
        } else if self.strayed >= 64 {
            // Trying in vain costs about half of what following saves.
            if self.strayed > self.followed / 2 {
                self.give_up();
            }
            (self.followed, self.strayed) = (0, 0);
        }
    }

    fn give_up(&mut self) {
        self.hopeless = true;
        self.steps.clear();
    }

    fn learn(&mut self, plan: &Plan, bytes: &[u8], size: usize) {
        let mut numbers = Vec::new();
        let (mut at, end) = (4, size - 1);
        while at < end {
            let Some(header) = Header::read(&bytes[at..]) else { return self.give_up() };
            let Some(size) = fixed_size(header.ty()) else { return self.give_up() };
            let Some(number) = self.number(plan, header) else { return };
            numbers.push(number);
            at += header.size() + size;
        }
        self.fields += numbers.len();
        // Trying a field costs less than looking one up, but not that much less.
        if self.lessons > 16 && self.met.len() * self.lessons as usize > 3 * self.fields {
            return self.give_up();
        }
        for (place, &number) in numbers.iter().enumerate() {
            self.met[number].later |= numbers[place + 1..].iter().fold(0, |bits, later| bits | 1 << later);
        }
        self.sort(plan);
    }

    /// The number of a field; none where it cannot have one.
    fn number(&mut self, plan: &Plan, header: Header) -> Option<usize> {
        let (name, ty) = (header.name(), header.ty());
        let plain = |wanted: Option<(usize, usize)>| wanted.is_none_or(|(leaf, _)| is_plain(&plan.leaves[leaf], ty));
        if let Some(number) = self.met.iter().position(|met| met.name == name) {
            let met = &mut self.met[number];
            met.null |= ty == Type::NULL.0;
            if met.ty == Type::NULL.0 {
                if !plain(met.wanted) {
                    self.give_up();
                    return None;
                }
                met.ty = ty;
            }
            return (ty == met.ty || ty == Type::NULL.0).then_some(number);
        }
        let wanted = find(plan, header);
        if self.met.len() == MOST || !plain(wanted) {
            self.give_up();
            return None;
        }
        self.met.push(Met { name, ty, start: header.size(), wanted, null: ty == Type::NULL.0, later: 0 });
        Some(self.met.len() - 1)
    }

    /// Puts the fields in an order that agrees with all documents, if there is one.
    fn sort(&mut self, plan: &Plan) {
        self.steps.clear();
        (self.puts, self.required, self.long, self.nulls) = (Puts::default(), 0, false, false);
        let mut left = (0..self.met.len()).fold(0, |bits, number| bits | 1u64 << number);
        while left != 0 {
            let behind = (0..self.met.len()).filter(|n| left >> n & 1 != 0).fold(0, |bits, n| bits | self.met[n].later);
            let free = left & !behind;
            if free == 0 {
                return self.give_up();
            }
            let next = free.trailing_zeros() as usize;
            left &= !(1 << next);
            if self.step(plan, next).is_none() {
                return self.give_up();
            }
        }
        for (bit, unit) in plan.scopes[plan.row()].units.iter().enumerate() {
            let Target::Leaf(leaf) = unit.target else { return self.give_up() };
            let leaf = &plan.leaves[leaf];
            let is_met = self.met.iter().any(|met| met.wanted.is_some_and(|(_, met_bit)| met_bit == bit));
            // A field that no document has had yet is missing from all.
            if !is_met && (self.steps.len() == MOST || self.store(leaf).is_none()) {
                return self.give_up();
            }
            if !is_met {
                self.steps.push(NONE);
            }
        }
        // The first step's bit ends up highest.
        let steps = self.steps.len();
        self.required = self.required.reverse_bits().checked_shr(64 - steps as u32).unwrap_or(0);
        let puts = &mut self.puts;
        for group in [&mut puts.one, &mut puts.four, &mut puts.eight, &mut puts.twelve, &mut puts.sixteen] {
            group.iter_mut().for_each(|put| put.bit = 1 << (steps as u32 - 1 - put.step));
        }
    }

    fn step(&mut self, plan: &Plan, number: usize) -> Option<()> {
        let met = self.met[number];
        let leaf = met.wanted.map(|(leaf, _)| &plan.leaves[leaf]);
        let absent_alike = leaf.is_none_or(|leaf| leaf.policy.null == leaf.policy.missing && leaf.policy.null != Absent::Error);
        if met.null && !absent_alike {
            return None;
        }
        if let Some(leaf) = leaf {
            self.store(leaf)?;
        }
        // Of a field that was null whenever it was there no value is known: there is no type 0.
        let ty = if met.ty == Type::NULL.0 { 0 } else { met.ty };
        let mask = |from: usize| {
            let bytes = met.start.saturating_sub(from).min(8) as u32;
            u64::MAX.checked_shr(64 - bytes * 8).unwrap_or(0)
        };
        self.long |= met.start > 8;
        self.nulls |= met.null;
        self.steps.push(Step {
            header: [met.name[0] | u64::from(ty), met.name[1]],
            mask: [mask(0), mask(8)],
            null: if met.null { u64::from(ty ^ Type::NULL.0) } else { u64::MAX },
            start: met.start as u32,
            whole: (met.start + fixed_size(met.ty)?) as u32,
        });
        Some(())
    }

    /// Stores what the next step finds in a leaf.
    fn store(&mut self, leaf: &Leaf) -> Option<()> {
        let step = self.steps.len();
        if leaf.policy.missing == Absent::Error {
            self.required |= 1 << step;
        }
        self.puts.add(leaf, step, 0)
    }
}

/// No field matches it.
const NONE: Step = Step { header: [1, 0], mask: [0; 2], null: u64::MAX, start: 0, whole: 0 };

/// Whether a value is copied as it is; nulls are where the leaf is that plain.
fn is_plain(leaf: &Leaf, ty: u8) -> bool {
    ty == Type::NULL.0 || stage::copied(op_of(leaf, ty)) == Some(leaf.width)
}

/// The leaf and the bit of a field of the row.
fn find(plan: &Plan, header: Header) -> Option<(usize, usize)> {
    let [low, high] = header.name();
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
    let name = &bytes[1..header.size() - 1];
    let node = &plan.nodes[plan.scopes[plan.row()].root];
    let entry = node.entries[node.keys.find(first_word(name), name)?];
    match entry.target {
        Target::Leaf(leaf) => Some((leaf, entry.bit)),
        _ => None,
    }
}
