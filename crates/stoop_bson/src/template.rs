//! Documents that look like an earlier one are compared with it as a whole.
//!
//! A template is the bytes of a document that has been decoded, with a mask over its values: where the unmasked
//! bytes (lengths, types, names, terminators) of the next document are the same, every value of fixed size lies
//! where it lay before. Values of other sizes cut a template into segments. A template never decides anything by
//! itself: what does not match in full is decoded field by field, as if there were no templates.

use crate::document::absent_leaf;
use crate::element::{self, Extent, Type, find_nul, first, int32};
use crate::keys::first_word;
use crate::layout::Layout;
use crate::op::Op;
use crate::plan::{Plan, Slot, Target};
use crate::sink::{Copies, Moved, Output, Place, Sink};
use crate::text;
use crate::value;

/// Bytes are compared in pieces of this size.
const PIECE: usize = 32;

/// Longer documents are not worth comparing as a whole: other things take their time.
const LONGEST: usize = 16 << 10;

/// A value of fixed size that is wanted.
#[derive(Clone, Copy, Debug)]
struct Step {
    op: Op,
    ty: u8,
    size: u8,
    /// From the segment's start.
    at: u32,
    leaf: u32,
    slot: Slot,
}

/// What comes behind a segment.
#[derive(Clone, Copy, Debug)]
pub enum Tail {
    /// A value of any size that is not wanted.
    Skip(u8),
    /// A value of any size.
    Store(u8, usize),
    /// Text that is not wanted.
    SkipText,
    /// Text, what is done with it, and the leaf.
    StoreText(Op, u32),
    /// An array.
    Items(Target),
    /// The end of the innermost document that was opened.
    Close,
}

#[derive(Clone, Debug)]
struct Segment {
    pieces: Vec<([u8; PIECE], [u8; PIECE])>,
    size: usize,
    /// Values that are copied as they are, by their size.
    copies: Copies,
    /// The others.
    steps: Vec<Step>,
    /// Documents whose length varies: where it lies.
    opens: Vec<u32>,
    /// Whether there is anything to do but to compare.
    has_work: bool,
    tail: Tail,
}

/// A document's layout.
#[derive(Clone, Debug)]
pub struct Template {
    segments: Vec<Segment>,
    /// The size of the document, if it always is the same.
    fixed: Option<usize>,
    /// The same for documents in a row, where only texts and the like vary.
    layout: Option<Layout>,
    /// The fields it lacks, when all of them are plain; else what it has.
    missing: Result<Vec<usize>, Vec<u64>>,
}

/// How far a document followed a template.
pub enum Followed<'t> {
    /// Not to its end.
    No,
    /// It did, and nothing is left to do.
    Done,
    /// It did; the bits of what it has, for the rest to be seen to.
    Missing(&'t [u64]),
}

/// The bits that differ where they count.
#[inline(always)]
fn compare(bytes: &[u8], (pattern, mask): &([u8; PIECE], [u8; PIECE])) -> [u8; PIECE] {
    let mut differs = first(bytes);
    for place in 0..PIECE {
        differs[place] = (differs[place] ^ pattern[place]) & mask[place];
    }
    differs
}

impl Segment {
    #[inline(always)]
    fn matches(&self, bytes: &[u8]) -> bool {
        let Some(bytes) = bytes.get(..self.pieces.len() * PIECE) else { return false };
        let mut pieces = bytes.chunks_exact(PIECE).zip(&self.pieces);
        loop {
            // Two at a time: finding out costs as much as comparing.
            let Some((one, pattern)) = pieces.next() else { return true };
            let mut differs = compare(one, pattern);
            let more = pieces.next();
            if let Some((two, pattern)) = more {
                let second = compare(two, pattern);
                for place in 0..PIECE {
                    differs[place] |= second[place];
                }
            }
            if differs.iter().fold(0, |all, byte| all | byte) != 0 {
                return false;
            }
        }
    }
}

impl Template {
    /// Whether a document of a size can follow it.
    #[inline(always)]
    pub fn may_be(&self, size: usize) -> bool {
        self.fixed.is_none_or(|fixed| fixed == size)
    }

    /// Decodes a document by the template, if it follows it; `bytes` go on behind the document.
    ///
    /// The callback decodes arrays. A document that does not follow leaves values behind that decoding it in
    /// another way overwrites.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "a document and its surroundings")]
    pub fn follow<S: Sink>(
        &self,
        plan: &Plan,
        bytes: &[u8],
        size: usize,
        sink: &mut S,
        place: Place,
        ends: &mut Vec<usize>,
        mut items: impl FnMut(Target, &[u8], usize, &mut S) -> bool,
    ) -> Followed<'_> {
        if self.fixed.is_some_and(|fixed| fixed != size) {
            return Followed::No;
        }
        ends.clear();
        let mut at = 0;
        for segment in &self.segments {
            let Some(here) = bytes.get(at..) else { return Followed::No };
            if !segment.matches(here) {
                return Followed::No;
            }
            if segment.has_work {
                for &open in &segment.opens {
                    let start = at + open as usize;
                    let Some(length) = int32(bytes, start).and_then(|length| usize::try_from(length).ok()) else {
                        return Followed::No;
                    };
                    ends.push(start + length);
                }
                sink.copy(&segment.copies, here, place);
                for step in &segment.steps {
                    if !step.run(plan, here, sink, place) {
                        return Followed::No;
                    }
                }
            }
            at += segment.size;
            let ty = match segment.tail {
                Tail::SkipText => {
                    let Some(next) = text::end(bytes, at) else { return Followed::No };
                    at = next;
                    continue;
                }
                Tail::StoreText(op, leaf) => {
                    let Some(next) = text::end(bytes, at).filter(|&next| next < size) else { return Followed::No };
                    let leaf = &plan.leaves[leaf as usize];
                    let is_fixed = matches!(op, Op::FixedText | Op::FixedBytes);
                    let stored = is_fixed && text::short(op, bytes, at, next, sink.bytes(leaf.slot, place, leaf.width));
                    if !stored && value::store(leaf, Type::STRING.0, &bytes[at..next], sink, place).is_err() {
                        return Followed::No;
                    }
                    at = next;
                    continue;
                }
                Tail::Close => {
                    // The last segment of a template of one size has nothing open.
                    match ends.pop() {
                        Some(end) if end != at => return Followed::No,
                        _ => continue,
                    }
                }
                Tail::Skip(ty) | Tail::Store(ty, _) => ty,
                Tail::Items(_) => Type::ARRAY.0,
            };
            let Some(Ok(value_size)) = bytes.get(at..size - 1).map(|rest| element::value_size(ty, rest)) else {
                return Followed::No;
            };
            let value = &bytes[at..];
            let stored = match segment.tail {
                Tail::Items(target) => items(target, value, value_size, sink),
                Tail::Store(_, leaf) => value::store(&plan.leaves[leaf], ty, &value[..value_size], sink, place).is_ok(),
                _ => true,
            };
            if !stored {
                return Followed::No;
            }
            at += value_size;
        }
        if at != size {
            return Followed::No;
        }
        match &self.missing {
            Ok(leaves) => {
                for &leaf in leaves {
                    let leaf = &plan.leaves[leaf];
                    if absent_leaf(leaf, leaf.policy.missing, "", sink, place).is_err() {
                        return Followed::No;
                    }
                }
                Followed::Done
            }
            Err(seen) => Followed::Missing(seen),
        }
    }
}

impl Template {
    /// Decodes documents as long as they follow the template, at most so many, where it is one of a single size
    /// and plain copies, or one in which only texts and the like vary; how many, and how many bytes.
    #[inline(always)]
    pub fn run(&self, plan: &Plan, bytes: &[u8], sink: &mut impl Output, row: usize, most: usize) -> (usize, usize) {
        match &self.layout {
            Some(layout) => layout.run(plan, bytes, sink, row, most),
            None => self.run_of_one_size(plan, bytes, sink, row, most),
        }
    }

    fn run_of_one_size(&self, plan: &Plan, bytes: &[u8], sink: &mut impl Output, row: usize, most: usize) -> (usize, usize) {
        let (Some(size), [segment], Ok(missing)) = (self.fixed, &self.segments[..], self.missing.as_deref()) else {
            return (0, 0);
        };
        if !missing.is_empty() {
            return (0, 0);
        }
        // The number of pieces is made a constant, so that patterns and masks stay in registers.
        let done = match segment.pieces.len() {
            1 if segment.steps.is_empty() => run::<1>(segment, size, bytes, sink, row, most),
            2 if segment.steps.is_empty() => run::<2>(segment, size, bytes, sink, row, most),
            3 if segment.steps.is_empty() => run::<3>(segment, size, bytes, sink, row, most),
            4 if segment.steps.is_empty() => run::<4>(segment, size, bytes, sink, row, most),
            _ => run_long(segment, plan, size, bytes, sink, row, most),
        };
        (done, done * size)
    }
}

#[inline(never)]
fn run<const PIECES: usize>(
    segment: &Segment,
    size: usize,
    bytes: &[u8],
    sink: &mut impl Output,
    row: usize,
    most: usize,
) -> usize {
    let Some(pieces) = segment.pieces.first_chunk::<PIECES>() else { return 0 };
    let mut rest = bytes;
    for done in 0..most {
        let Some(window) = rest.get(..PIECES * PIECE) else { return done };
        let mut differs = [0; PIECE];
        for (piece, pattern) in window.chunks_exact(PIECE).zip(pieces) {
            let here = compare(piece, pattern);
            for place in 0..PIECE {
                differs[place] |= here[place];
            }
        }
        if differs.iter().fold(0, |all, byte| all | byte) != 0 {
            return done;
        }
        let place = sink.place(row + done);
        sink.copy(&segment.copies, window, place);
        let Some(next) = rest.get(size..) else { return done + 1 };
        rest = next;
    }
    most
}

#[inline(never)]
fn run_long(segment: &Segment, plan: &Plan, size: usize, bytes: &[u8], sink: &mut impl Output, row: usize, most: usize) -> usize {
    let mut rest = bytes;
    for done in 0..most {
        if !segment.matches(rest) {
            return done;
        }
        let place = sink.place(row + done);
        sink.copy(&segment.copies, rest, place);
        for step in &segment.steps {
            if !step.run(plan, rest, sink, place) {
                return done;
            }
        }
        let Some(next) = rest.get(size..) else { return done + 1 };
        rest = next;
    }
    most
}

impl Step {
    /// Stores the value; whether that went well.
    #[inline(always)]
    fn run(&self, plan: &Plan, segment: &[u8], sink: &mut impl Sink, place: Place) -> bool {
        let value = &segment[self.at as usize..];
        match self.op {
            Op::Int32ToF64 => {
                let double = f64::from(i32::from_le_bytes(first(value)));
                sink.bytes(self.slot, place, 8).copy_from_slice(&double.to_le_bytes());
            }
            op => {
                let value = &value[..usize::from(self.size)];
                return value::apply(op, &plan.leaves[self.leaf as usize], self.ty, value, sink, place).is_ok();
            }
        }
        true
    }
}

/// A template on its way.
struct Recorder<'a> {
    plan: &'a Plan,
    bytes: &'a [u8],
    segments: Vec<Segment>,
    pattern: Vec<u8>,
    mask: Vec<u8>,
    steps: Vec<Step>,
    opens: Vec<u32>,
    seen: Vec<u64>,
}

/// The template of a document that has been decoded; `None` where there can be none.
pub fn record(plan: &Plan, document: &[u8]) -> Option<Template> {
    if document.len() > LONGEST {
        return None;
    }
    let scope = &plan.scopes[plan.row()];
    let mut recorder = Recorder {
        plan,
        bytes: document,
        segments: Vec::new(),
        pattern: Vec::new(),
        mask: Vec::new(),
        steps: Vec::new(),
        opens: Vec::new(),
        seen: vec![0; scope.wanted.len()],
    };
    recorder.document(Some(scope.root), 0, document.len())?;
    let fixed = recorder.segments.is_empty();
    if !recorder.pattern.is_empty() {
        recorder.cut(Tail::Close);
    }
    let mut missing = Vec::new();
    let mut plain = true;
    for (bit, unit) in scope.units.iter().enumerate() {
        let is_wanted = scope.wanted[bit / 64] >> (bit % 64) & 1 != 0;
        if is_wanted && recorder.seen[bit / 64] >> (bit % 64) & 1 == 0 {
            match unit.target {
                Target::Leaf(leaf) => missing.push(leaf),
                _ => plain = false,
            }
        }
    }
    let segments = recorder.segments;
    // Its own length is the only one that varies.
    let is_flat =
        segments.iter().enumerate().all(|(n, segment)| segment.steps.is_empty() && segment.opens == [0][..(n == 0).into()]);
    let pieces = segments.iter().map(|segment| {
        let (pattern, mask): (Vec<_>, Vec<_>) = segment.pieces.iter().copied().unzip();
        (pattern.concat(), mask.concat(), segment.size, &segment.copies, segment.tail)
    });
    let layout = if is_flat && plain && missing.is_empty() { Layout::new(pieces) } else { None };
    Some(Template {
        layout,
        segments,
        fixed: fixed.then_some(document.len()),
        missing: if plain { Ok(missing) } else { Err(recorder.seen) },
    })
}

impl Recorder<'_> {
    fn exact(&mut self, from: usize, to: usize) {
        self.pattern.extend_from_slice(&self.bytes[from..to]);
        self.mask.resize(self.pattern.len(), 0xFF);
    }

    fn masked(&mut self, size: usize) {
        self.pattern.resize(self.pattern.len() + size, 0);
        self.mask.resize(self.pattern.len(), 0);
    }

    fn cut(&mut self, tail: Tail) {
        let size = self.pattern.len();
        let padded = size.next_multiple_of(PIECE);
        self.pattern.resize(padded, 0);
        self.mask.resize(padded, 0);
        let pieces = self.pattern.chunks_exact(PIECE).zip(self.mask.chunks_exact(PIECE));
        let pieces = pieces.map(|(pattern, mask)| (first(pattern), first(mask))).collect();
        let mut copies = Copies::default();
        let mut steps = std::mem::take(&mut self.steps);
        steps.retain(|step| {
            let moved = Moved { from: step.at, to: step.slot.at as u32 };
            match step.op {
                _ if u32::try_from(step.slot.at).is_err() => return true,
                Op::Copy4 => copies.four.push(moved),
                Op::Copy8 => copies.eight.push(moved),
                Op::Copy12 => copies.twelve.push(moved),
                _ => return true,
            }
            false
        });
        let opens = std::mem::take(&mut self.opens);
        let copied = copies.four.len() + copies.eight.len() + copies.twelve.len();
        let has_work = copied + steps.len() + opens.len() > 0;
        self.segments.push(Segment { pieces, size, copies, steps, opens, has_work, tail });
        self.pattern.clear();
        self.mask.clear();
    }

    /// A document, its length and terminator included; `None` for the node of one that is not wanted.
    fn document(&mut self, node: Option<usize>, start: usize, size: usize) -> Option<()> {
        let (segment, open) = (self.segments.len(), self.pattern.len());
        self.exact(start, start + 4);
        let end = start + size - 1;
        let mut at = start + 4;
        while at < end {
            at = self.element(node, at, end)?;
        }
        self.exact(end, end + 1);
        if self.segments.len() > segment {
            // Something in it varies, so its length does.
            self.free_length(segment, open);
            self.cut(Tail::Close);
        }
        Some(())
    }

    /// Masks the length of a document, which is looked up instead.
    fn free_length(&mut self, segment: usize, open: usize) {
        let segment = &mut self.segments[segment];
        for place in open..open + 4 {
            segment.pieces[place / PIECE].1[place % PIECE] = 0;
        }
        // Outer documents come last, and are opened first.
        segment.opens.insert(0, open as u32);
        segment.has_work = true;
    }

    fn element(&mut self, node: Option<usize>, at: usize, end: usize) -> Option<usize> {
        let plan = self.plan;
        let ty = self.bytes[at];
        let name_end = find_nul(&self.bytes[..end], at + 1)?;
        let value = name_end + 1;
        let size = element::value_size(ty, &self.bytes[value..end]).ok()?;
        self.exact(at, value);
        let name = &self.bytes[at + 1..name_end];
        let entry = node.and_then(|node| plan.nodes[node].keys.find(first_word(name), name).map(|n| plan.nodes[node].entries[n]));
        let fixed = matches!(Type(ty).extent(), Extent::Fixed(_));
        let Some(entry) = entry else {
            if fixed {
                self.masked(size);
            } else {
                self.cut(if Type(ty) == Type::STRING { Tail::SkipText } else { Tail::Skip(ty) });
            }
            return Some(value + size);
        };
        // A name that comes twice is a rare thing that templates do not know.
        let seen = &mut self.seen[entry.bit / 64];
        if *seen >> (entry.bit % 64) & 1 != 0 {
            return None;
        }
        *seen |= 1 << (entry.bit % 64);
        match entry.target {
            Target::Leaf(number) => {
                let leaf = &plan.leaves[number];
                let op = crate::document::op_of(leaf, ty);
                if fixed {
                    let at = self.pattern.len() as u32;
                    self.steps.push(Step { op, ty, size: size as u8, at, leaf: number as u32, slot: leaf.slot });
                    self.masked(size);
                } else {
                    let is_text = Type(ty) == Type::STRING;
                    self.cut(if is_text { Tail::StoreText(op, number as u32) } else { Tail::Store(ty, number) });
                }
            }
            Target::Node(node) if Type(ty) == Type::DOCUMENT => self.document(Some(node), value, size)?,
            Target::Items(_) if Type(ty) == Type::ARRAY => self.cut(Tail::Items(entry.target)),
            _ => return None,
        }
        Some(value + size)
    }
}

/// The templates of the documents seen last.
#[derive(Clone, Debug)]
pub struct Templates {
    /// The ones there are.
    pub list: Vec<Template>,
    /// The one that was followed last.
    pub last: usize,
    /// The one that a document of a size followed last, by the size's lowest bits.
    pub by_size: [u8; SIZES],
    most: usize,
    /// Worth trying where no more than one in so many documents follows none.
    worth: u32,
    hits: u32,
    misses: u32,
    /// Documents to be decoded before templates are tried again.
    pub asleep: u32,
    nap: u32,
}

/// Sizes of documents are told apart up to this.
pub const SIZES: usize = 64;

impl Templates {
    /// None yet; only a few where staging rows is nearly as fast.
    pub fn new(plain_rows: bool) -> Templates {
        let (most, worth) = if plain_rows { (8, 16) } else { (MOST, 2) };
        Templates { list: Vec::new(), last: 0, by_size: [0; SIZES], most, worth, hits: 0, misses: 0, asleep: 0, nap: 0 }
    }
}

/// More kinds of documents than this are decoded field by field.
const MOST: usize = 32;

impl Templates {
    /// Whether templates are worth trying at present.
    #[inline(always)]
    pub fn awake(&mut self) -> bool {
        if self.asleep == 0 {
            return true;
        }
        self.asleep -= 1;
        false
    }

    /// A document followed a template.
    #[inline(always)]
    pub fn hit(&mut self, number: usize, size: usize) {
        self.last = number;
        self.by_size[size % SIZES] = number as u8;
        self.hits = self.hits.saturating_add(1);
    }

    /// So many documents followed the same as the one before.
    #[inline(always)]
    pub fn hits(&mut self, count: usize) {
        self.hits = self.hits.saturating_add(count as u32);
    }

    /// A document followed none; whether it should become one.
    #[cold]
    pub fn miss(&mut self) -> bool {
        self.misses += 1;
        if self.list.len() < self.most {
            return true;
        }
        if self.misses >= 64 {
            // Trying costs about as much as half a document decoded field by field, and more than one of plain values.
            if self.misses > self.hits / self.worth {
                self.nap = (self.nap * 2).clamp(1024, 1 << 16);
                self.asleep = self.nap;
                self.list.clear();
            } else {
                self.nap = 0;
            }
            (self.hits, self.misses, self.last) = (0, 0, 0);
        }
        false
    }
}
