//! What the builder knows of a function while translating it: the abstract stack, locals, blocks begun.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use stoop_cpython::decode::CodeInfo;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Block, State, Value};

use super::blocks::Blocks;
use super::builder::{Copies, Entry, Peel};
use super::consumers::Consumed;
use super::inline::Role;

/// An entry of the abstract stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) value: Value,
    /// Whether compiled code holds a reference of its own.
    pub(super) owned: bool,
    /// The local slot it is borrowed from.
    pub(super) slot: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) unit: u32,
    /// One bit for each peeled loop that is past its first iteration.
    pub(super) steady: u32,
}

pub(super) struct Start {
    pub(super) block: Block,
    pub(super) locals: Vec<Value>,
    pub(super) stack: Vec<Item>,
    pub(super) handling: u32,
}

/// A function being translated: the outermost one, or one inlined into it.
pub(super) struct Level {
    pub(super) code: Arc<CodeInfo>,
    /// Its number in frame states: position in [`Built::functions`], plus one; 0 is the outermost function.
    pub(super) number: u32,
    pub(super) entry: Entry,
    pub(super) blocks: Blocks,
    pub(super) locals: Vec<Value>,
    pub(super) stack: Vec<Item>,
    /// The stack before the present instruction.
    pub(super) before: Vec<Item>,
    /// Names that are looked up among the globals only.
    pub(super) names_are_globals: bool,
    /// Names whose variables are locals behind the frame's own, and which.
    pub(super) variables: BTreeMap<u32, u32>,
    /// Names stored here, of a module's own code.
    pub(super) stored_names: BTreeSet<u32>,
    /// Names deleted here, which come and go.
    pub(super) deleted_names: BTreeSet<u32>,
    /// In an inlined function: the values of the region's own variables.
    pub(super) outer: HashMap<String, Value>,
    /// How many exceptions raised in this function are being handled.
    pub(super) handling: u32,
    /// The instruction in this block that deletes the name of an exception that is not handled any more.
    pub(super) handled_until: Option<usize>,
    /// The caller's state during the call, when this is inlined.
    pub(super) parent: Option<State>,
    /// The generator this is, if what it yields is consumed in place.
    pub(super) consumed: Option<Consumed>,
    /// Slots the function writes.
    pub(super) written: Vec<bool>,
    /// Inlined: slots whose reference compiled code owns.
    pub(super) owns: Vec<bool>,
    /// Instructions before this one are done already, as part of an earlier one.
    pub(super) done_before: usize,
    /// Where an inlined function goes on, and what its result is there. An `__init__` has none.
    pub(super) returns: Option<(Block, Option<Value>)>,
    /// What an inlined function stands in place of.
    pub(super) role: Role,
    /// What its caller owns and drops when it returns: an operator's operands.
    pub(super) drops: Vec<Value>,
    pub(super) peel: Vec<u32>,
    /// One bit for each of these that is peeled each time it is entered.
    pub(super) each_time: u32,
    pub(super) loops: HashMap<u32, u32>,
    pub(super) steady: u32,
    /// The bytecode block being translated; none before the first.
    pub(super) here: u32,
    pub(super) starts: HashMap<Key, Start>,
    pub(super) work: Vec<Key>,
    pub(super) position: HashMap<u32, usize>,
    pub(super) preds: HashMap<u32, u32>,
}

impl Level {
    /// The state of a function of which nothing is translated yet.
    pub(super) fn new(code: Arc<CodeInfo>, number: u32, entry: Entry, blocks: Blocks, peel: &Peel) -> Level {
        let mut preds: HashMap<u32, u32> = HashMap::new();
        *preds.entry(blocks.entry).or_default() += 1;
        for b in blocks.by_unit.values() {
            for s in &b.successors {
                *preds.entry(*s).or_default() += 1;
            }
        }
        let position = blocks.order.iter().enumerate().map(|(k, u)| (*u, k)).collect();
        let peeled: Vec<(u32, Copies)> =
            peel.iter().map(|(u, c)| (*u, *c)).filter(|(u, _)| blocks.headers.contains(u)).take(8).collect();
        let each_time =
            peeled.iter().enumerate().filter(|(_, p)| p.1 == Copies::EachTime).fold(0, |all, (bit, _)| all | 1 << bit);
        let peel: Vec<u32> = peeled.iter().map(|p| p.0).collect();
        let loops = loop_membership(&blocks, &peel);
        let mut written = vec![false; code.nlocalsplus as usize];
        for i in &code.instrs {
            if matches!(i.op, Opcode::StoreFast | Opcode::DeleteFast | Opcode::LoadFastAndClear) {
                written[i.arg as usize] = true;
            }
        }
        Level {
            code,
            number,
            entry,
            blocks,
            locals: Vec::new(),
            stack: Vec::new(),
            before: Vec::new(),
            names_are_globals: false,
            variables: BTreeMap::new(),
            stored_names: BTreeSet::new(),
            deleted_names: BTreeSet::new(),
            outer: HashMap::new(),
            handling: 0,
            handled_until: None,
            parent: None,
            consumed: None,
            owns: written.clone(),
            written,
            done_before: 0,
            drops: Vec::new(),
            returns: None,
            role: Role::Call,
            peel,
            each_time,
            loops,
            steady: 0,
            here: u32::MAX,
            starts: HashMap::new(),
            work: Vec::new(),
            position,
            preds,
        }
    }

    /// Makes variables of a module locals, whose slots follow the frame's own.
    pub(super) fn keep_variables(&mut self, variables: BTreeMap<u32, u32>) {
        self.written.resize(self.written.len() + variables.len(), true);
        self.owns.clone_from(&self.written);
        self.variables = variables;
    }

    /// Keeps values behind the locals, which change as these do.
    pub(super) fn keep(&mut self, values: Vec<Value>) {
        self.written.resize(self.written.len() + values.len(), true);
        self.owns.resize(self.written.len(), false);
        self.locals.extend(values);
    }

    /// The values of the region's own variables, by name.
    pub(super) fn variables_by_name(&self) -> HashMap<String, Value> {
        if self.is_inlined() {
            return self.outer.clone();
        }
        let name = |n: u32| self.code.names_text[n as usize].clone();
        self.variables.iter().map(|(n, slot)| (name(*n), self.locals[*slot as usize])).collect()
    }

    /// Whether this function is inlined into another.
    pub(super) fn is_inlined(&self) -> bool {
        self.parent.is_some()
    }
}

/// How many slots the caller's arguments fill.
pub(super) fn argument_slots(code: &CodeInfo) -> u32 {
    const VARARGS: u32 = 4;
    const VARKEYWORDS: u32 = 8;
    code.argcount + code.kwonly + u32::from(code.flags & VARARGS != 0) + u32::from(code.flags & VARKEYWORDS != 0)
}

/// For each block, the set of peeled loops (bits) that it belongs to: it reaches the header without leaving blocks
/// that the header reaches.
pub(super) fn loop_membership(blocks: &Blocks, peel: &[u32]) -> HashMap<u32, u32> {
    let mut out: HashMap<u32, u32> = blocks.by_unit.keys().map(|u| (*u, 0)).collect();
    let mut preds: HashMap<u32, Vec<u32>> = HashMap::new();
    let position: HashMap<u32, usize> = blocks.order.iter().enumerate().map(|(k, u)| (*u, k)).collect();
    for (u, b) in &blocks.by_unit {
        for s in &b.successors {
            preds.entry(*s).or_default().push(*u);
        }
    }
    for (bit, h) in peel.iter().enumerate() {
        let mut work: Vec<u32> = preds.get(h).into_iter().flatten().copied().filter(|p| position[p] >= position[h]).collect();
        let mut member: BTreeSet<u32> = BTreeSet::from([*h]);
        while let Some(u) = work.pop() {
            if position[&u] >= position[h] && member.insert(u) {
                work.extend(preds.get(&u).into_iter().flatten());
            }
        }
        for u in member {
            *out.entry(u).or_default() |= 1 << bit;
        }
    }
    out
}
