//! The SSA builder: blocks, the abstract stack, frame states.

use std::collections::{BTreeSet, HashMap};

use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::layout;
use stoop_cpython::opcodes::Quirks;
use stoop_ir::{Block, ConstData, FrameState, Function, Imm, Name, Op, StackEntry, State, Target, Type, Value};

use super::blocks::{self, Blocks};
use super::{Environment, Known};

/// Where compiled code is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// At the start of a call, with a fresh frame.
    Function,
    /// At a loop's header, with the operand stack at this depth.
    Loop {
        /// The header's code unit.
        unit: u32,
        /// Operand stack depth there.
        depth: u32,
    },
}

/// What to build.
pub struct Request<'a> {
    /// The decoded code object.
    pub code: &'a CodeInfo,
    /// The entry.
    pub entry: Entry,
    /// Loop headers whose first iteration gets a copy of its own.
    pub peel: &'a BTreeSet<u32>,
}

/// The result.
#[derive(Debug)]
pub struct Built {
    /// The function as built.
    pub func: Function,
    /// The code unit and peeling context of each loop header block.
    pub headers: Vec<(Block, u32)>,
    /// Jumps to a header from inside its loop: (from, header).
    pub back_edges: BTreeSet<(Block, Block)>,
}

/// Why a code object can't be built from an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// Control flow that the decoder does not understand.
    BadFlow,
    /// The first instruction at the entry can't be compiled: nothing would be gained.
    NothingToCompile(String),
    /// More blocks or instructions than the limit.
    TooLarge(usize),
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BuildError::BadFlow => f.write_str("its control flow is not understood"),
            BuildError::NothingToCompile(op) => write!(f, "its first instruction, {op}, is left to the interpreter"),
            BuildError::TooLarge(n) => write!(f, "it is too large ({n} instructions)"),
        }
    }
}

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
struct Key {
    unit: u32,
    /// One bit for each peeled loop that is past its first iteration.
    steady: u32,
}

struct Start {
    block: Block,
    locals: Vec<Value>,
    stack: Vec<Item>,
}

pub(super) struct Builder<'a> {
    pub(super) code: &'a CodeInfo,
    pub(super) env: &'a mut dyn Environment,
    pub(super) f: Function,
    pub(super) entry: Entry,
    pub(super) blocks: Blocks,
    pub(super) cur: Block,
    pub(super) locals: Vec<Value>,
    pub(super) stack: Vec<Item>,
    pub(super) quirks: Quirks,
    /// What the current instruction has done so far.
    pub(super) ran_python: bool,
    pub(super) dropped: bool,
    null: Value,
    peel: Vec<u32>,
    loops: HashMap<u32, u32>,
    steady: u32,
    /// The bytecode block being translated; none before the first.
    here: u32,
    starts: HashMap<Key, Start>,
    work: Vec<Key>,
    headers: Vec<(Block, u32)>,
    back_edges: BTreeSet<(Block, Block)>,
    position: HashMap<u32, usize>,
    preds: HashMap<u32, u32>,
}

const MAX_INSTRUCTIONS: usize = 60_000;

/// Builds SSA for a code object from an entry.
pub fn build(req: &Request<'_>, env: &mut dyn Environment) -> Result<Built, BuildError> {
    let entry_unit = match req.entry {
        Entry::Function => 0,
        Entry::Loop { unit, .. } => unit,
    };
    let is_loop = req.entry != Entry::Function;
    let stops = |i: &Instr| super::instrs::leaves(i, is_loop);
    let blocks = blocks::find(req.code, entry_unit, &stops).ok_or(BuildError::BadFlow)?;
    let kind = if is_loop { format!("loop@{entry_unit}") } else { "function".to_owned() };
    let mut f = Function::new(format!("{} {kind}", req.code.qualname));
    let cur = f.entry();
    let null = f.push(cur, Op::ConstNull, &[], Imm::None, Type::Null, None).expect("null");
    let mut preds: HashMap<u32, u32> = HashMap::new();
    *preds.entry(entry_unit).or_default() += 1;
    for b in blocks.by_unit.values() {
        for s in &b.successors {
            *preds.entry(*s).or_default() += 1;
        }
    }
    let position = blocks.order.iter().enumerate().map(|(k, u)| (*u, k)).collect();
    let peel: Vec<u32> = req.peel.iter().copied().filter(|u| blocks.headers.contains(u)).take(8).collect();
    let loops = loop_membership(&blocks, &peel);
    let mut b = Builder {
        code: req.code,
        env,
        f,
        entry: req.entry,
        blocks,
        cur,
        locals: Vec::new(),
        stack: Vec::new(),
        quirks: layout::get().opcodes.quirks,
        ran_python: false,
        dropped: false,
        null,
        peel,
        loops,
        steady: 0,
        here: u32::MAX,
        starts: HashMap::new(),
        work: Vec::new(),
        headers: Vec::new(),
        back_edges: BTreeSet::new(),
        position,
        preds,
    };
    b.entry_values();
    b.go(entry_unit);
    while let Some(key) = b.work.pop() {
        b.block(key)?;
        if b.f.insts.len() > MAX_INSTRUCTIONS {
            return Err(BuildError::TooLarge(b.f.insts.len()));
        }
    }
    Ok(Built { func: b.f, headers: b.headers, back_edges: b.back_edges })
}

/// How many slots the caller's arguments fill.
fn argument_slots(code: &CodeInfo) -> u32 {
    const VARARGS: u32 = 4;
    const VARKEYWORDS: u32 = 8;
    code.argcount + code.kwonly + u32::from(code.flags & VARARGS != 0) + u32::from(code.flags & VARKEYWORDS != 0)
}

/// For each block, the set of peeled loops (bits) that it belongs to: it reaches the header without leaving blocks
/// that the header reaches.
fn loop_membership(blocks: &Blocks, peel: &[u32]) -> HashMap<u32, u32> {
    let mut out: HashMap<u32, u32> = blocks.by_unit.keys().map(|u| (*u, 0)).collect();
    let mut preds: HashMap<u32, Vec<u32>> = HashMap::new();
    let position: HashMap<u32, usize> = blocks.order.iter().enumerate().map(|(k, u)| (*u, k)).collect();
    for (u, b) in &blocks.by_unit {
        for s in &b.successors {
            preds.entry(*s).or_default().push(*u);
        }
    }
    for (bit, h) in peel.iter().enumerate() {
        let mut work: Vec<u32> =
            preds.get(h).into_iter().flatten().copied().filter(|p| position[p] >= position[h]).collect();
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

impl Builder<'_> {
    fn entry_values(&mut self) {
        let entry_unit = self.blocks.entry;
        let args = argument_slots(self.code);
        let live = self.blocks.live_in.get(&entry_unit).cloned().unwrap_or_default();
        let mut guards = Vec::new();
        for k in 0..self.code.nlocalsplus {
            let v = if self.entry == Entry::Function && k >= args {
                self.null
            } else {
                let hint = self.env.entry_local(k);
                let ty = if self.entry == Entry::Function { Type::Obj } else { Type::MaybeNull };
                let v = self.op(Op::EntryLocal, &[], Imm::Index(k), ty, None);
                if let Some(Some(c)) = hint
                    && (Type::unboxed(c).is_some() || live.get(k as usize) == Some(&true))
                {
                    guards.push((k, c));
                }
                v
            };
            self.locals.push(v);
        }
        if let Entry::Loop { depth, .. } = self.entry {
            for k in 0..depth {
                let value = self.op(Op::EntryStack, &[], Imm::Index(k), Type::MaybeNull, None);
                self.stack.push(Item { value, owned: true, slot: None });
            }
        }
        // One state for all entry guards: nothing has happened yet.
        let st = self.state(entry_unit);
        for (k, c) in guards {
            let v = self.locals[k as usize];
            let n = if self.f.ty(v) == Type::MaybeNull { self.op(Op::GuardNotNull, &[v], Imm::None, Type::Obj, Some(st)) } else { v };
            self.locals[k as usize] = self.op(Op::GuardClass, &[n], Imm::None, Type::Exact(c), Some(st));
        }
        for k in 0..self.stack.len() {
            let v = self.stack[k].value;
            let held = self.env.entry_stack(k as u32);
            if held == Some(None) {
                let is_null = self.op(Op::IsNull, &[v], Imm::None, Type::I1, None);
                self.void(Op::GuardTrue, &[is_null], Imm::None, Some(st));
                self.stack[k] = self.null();
                continue;
            }
            let n = self.op(Op::GuardNotNull, &[v], Imm::None, Type::Obj, Some(st));
            self.stack[k].value = match held.flatten() {
                Some(c) => self.op(Op::GuardClass, &[n], Imm::None, Type::Exact(c), Some(st)),
                None => n,
            };
        }
    }

    // --- emitting --------------------------------------------------------------------------------

    pub(super) fn op(&mut self, op: Op, args: &[Value], imm: Imm, ty: Type, st: Option<State>) -> Value {
        self.f.push(self.cur, op, args, imm, ty, st).expect("the operation has a result")
    }

    pub(super) fn void(&mut self, op: Op, args: &[Value], imm: Imm, st: Option<State>) {
        self.f.push(self.cur, op, args, imm, Type::Void, st);
    }

    pub(super) fn set_hint(&mut self, hint: stoop_ir::Hint) {
        let i = *self.f.blocks[self.cur.index()].insts.last().expect("an instruction was just emitted");
        self.f.inst_mut(i).hint = hint;
    }

    pub(super) fn known(&mut self, k: Known) -> Value {
        let ty = k.class.map_or(Type::Obj, Type::Exact);
        let c = self.f.add_const(ConstData { address: k.address, text: k.text, class: k.class });
        self.op(Op::ConstObj, &[], Imm::Const(c), ty, None)
    }

    pub(super) fn name(&mut self, index: u32) -> Name {
        let text = self.code.names_text[index as usize].clone();
        self.f.add_name(&text)
    }

    pub(super) fn null(&self) -> Item {
        Item { value: self.null, owned: false, slot: None }
    }

    pub(super) fn is_null(&self, i: Item) -> bool {
        i.value == self.null
    }

    // --- the abstract stack ---------------------------------------------------------------------

    pub(super) fn push_owned(&mut self, value: Value) {
        self.stack.push(Item { value, owned: true, slot: None });
    }

    pub(super) fn push_const(&mut self, value: Value) {
        self.stack.push(Item { value, owned: false, slot: None });
    }

    pub(super) fn push_null(&mut self) {
        let n = self.null();
        self.stack.push(n);
    }

    pub(super) fn pop(&mut self) -> Item {
        self.stack.pop().expect("bytecode keeps its stack balanced")
    }

    pub(super) fn pop_n(&mut self, n: usize) -> Vec<Item> {
        self.stack.split_off(self.stack.len() - n)
    }

    pub(super) fn peek(&self, from_top: usize) -> Item {
        self.stack[self.stack.len() - 1 - from_top]
    }

    /// Drops the compiled code's reference, if it has one.
    pub(super) fn drop_item(&mut self, i: Item) {
        if i.owned {
            self.void(Op::DecRef, &[i.value], Imm::None, None);
            self.dropped = true;
        }
    }

    /// The value with a reference to give away.
    pub(super) fn own(&mut self, i: Item) -> Value {
        if !i.owned && !self.is_null(i) {
            self.void(Op::IncRef, &[i.value], Imm::None, None);
        }
        i.value
    }

    /// Takes references for stack entries that borrow from a slot which is about to change.
    fn keep_borrowers(&mut self, slot: u32) {
        for k in 0..self.stack.len() {
            if self.stack[k].slot == Some(slot) && !self.stack[k].owned {
                self.void(Op::IncRef, &[self.stack[k].value], Imm::None, None);
                self.stack[k] = Item { owned: true, slot: None, ..self.stack[k] };
            }
        }
    }

    pub(super) fn store_local(&mut self, slot: u32, new: Value) {
        self.keep_borrowers(slot);
        let old = self.locals[slot as usize];
        self.void(Op::StoreLocal, &[new, old], Imm::Index(slot), None);
        self.locals[slot as usize] = new;
        self.dropped |= self.f.ty(old) != Type::Null;
    }

    // --- frame states and safe points -----------------------------------------------------------

    /// The present state, resuming at a code unit.
    pub(super) fn state(&mut self, unit: u32) -> State {
        let s = FrameState {
            code: 0,
            unit,
            locals: self.locals.iter().map(|v| Some(*v)).collect(),
            stack: self.stack.iter().map(|i| StackEntry { value: i.value, owned: i.owned }).collect(),
            parent: None,
        };
        self.f.add_state(s)
    }

    /// The safe point after an instruction, resuming at `unit`.
    pub(super) fn safe_point(&mut self, unit: u32) {
        if self.ran_python || self.dropped {
            let st = self.state(unit);
            let op = if self.ran_python { Op::Check } else { Op::CheckValid };
            self.void(op, &[], Imm::None, Some(st));
        }
        self.ran_python = false;
        self.dropped = false;
    }

    pub(super) fn exit(&mut self, unit: u32, reason: &str) {
        let st = self.state(unit);
        let n = self.f.add_name(reason);
        self.void(Op::Exit, &[], Imm::Name(n), Some(st));
    }

    // --- blocks ---------------------------------------------------------------------------------

    fn block(&mut self, key: Key) -> Result<(), BuildError> {
        let start = &self.starts[&key];
        self.cur = start.block;
        self.locals = start.locals.clone();
        self.stack = start.stack.clone();
        self.steady = key.steady;
        self.here = key.unit;
        let bb = self.blocks.by_unit[&key.unit].clone();
        for k in bb.first..bb.end {
            let code = self.code;
            let i = &code.instrs[k];
            let first_half = code.instrs.get(k + 1).is_some_and(|n| n.half == 1);
            if super::instrs::instruction(self, k, i)? {
                return Ok(());
            }
            if first_half {
                continue;
            }
            self.safe_point(i.next);
        }
        let next = self.code.instrs.get(bb.end).map_or(0, |i| i.unit);
        self.go(next);
        Ok(())
    }

    /// Ends the current block with a jump to the block at `unit`.
    pub(super) fn go(&mut self, unit: u32) {
        let (block, args) = self.edge(unit);
        let (i, _) = self.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = vec![Target { block, args }];
        self.f.blocks[self.cur.index()].insts.push(i);
    }

    /// Ends the current block with a two-way branch; `edges` run with the new block current and must end it.
    pub(super) fn branch(&mut self, cond: Value, edges: [&mut dyn FnMut(&mut Self); 2]) {
        let from = self.cur;
        let (locals, stack) = (self.locals.clone(), self.stack.clone());
        let (ran, dropped) = (self.ran_python, self.dropped);
        let mut targets = Vec::new();
        for edge in edges {
            let block = self.f.add_block();
            targets.push(Target { block, args: Vec::new() });
            self.cur = block;
            self.locals = locals.clone();
            self.stack = stack.clone();
            self.ran_python = ran;
            self.dropped = dropped;
            edge(self);
        }
        let (i, _) = self.f.make_inst(Op::Branch, &[cond], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = targets;
        self.f.blocks[from.index()].insts.push(i);
        self.ran_python = false;
        self.dropped = false;
    }

    /// The block for `unit` as reached from here, and the arguments for its parameters.
    fn edge(&mut self, unit: u32) -> (Block, Vec<Value>) {
        let inside = self.loops.get(&unit).copied().unwrap_or(0);
        let mut steady = self.steady & inside;
        if let Some(bit) = self.peel.iter().position(|h| *h == unit) {
            // A back edge comes from a block that is in the loop already.
            if self.arrived_by_back_edge(unit) {
                steady |= 1 << bit;
            } else {
                steady &= !(1 << bit);
            }
        }
        let key = Key { unit, steady };
        let merges = self.preds.get(&unit).copied().unwrap_or(0) > 1
            || self.blocks.headers.contains(&unit)
            || !self.peel.is_empty() && self.crosses(unit);
        if !self.starts.contains_key(&key) {
            self.begin(key, merges);
        }
        let block = self.starts[&key].block;
        if !merges {
            return (block, Vec::new());
        }
        if self.position.get(&self.here).is_some_and(|h| *h >= self.position[&unit]) {
            self.back_edges.insert((self.cur, block));
        }
        let mut args = self.locals.clone();
        for k in 0..self.stack.len() {
            let i = self.stack[k];
            if !self.is_null(i) {
                args.push(self.own(i));
            }
        }
        (block, args)
    }

    /// Whether the block being translated is the header of a peeled loop, in the copy for the first iteration.
    pub(super) fn in_first_iteration(&self) -> bool {
        self.peel.iter().position(|h| *h == self.here).is_some_and(|bit| self.steady & (1 << bit) == 0)
    }

    fn current_unit_loops(&self) -> u32 {
        self.loops.get(&self.here).copied().unwrap_or(0)
    }

    fn arrived_by_back_edge(&self, header: u32) -> bool {
        let bit = self.peel.iter().position(|h| *h == header).map_or(0, |b| 1 << b);
        self.current_unit_loops() & bit != 0
    }

    fn crosses(&self, unit: u32) -> bool {
        self.current_unit_loops() != self.loops.get(&unit).copied().unwrap_or(0)
    }

    fn begin(&mut self, key: Key, merges: bool) {
        let block = self.f.add_block();
        let (mut locals, mut stack) = (self.locals.clone(), self.stack.clone());
        if merges {
            for v in &mut locals {
                *v = self.f.add_param(block, Type::MaybeNull);
            }
            for i in &mut stack {
                if i.value != self.null {
                    // Only what a comprehension has put aside may be NULL without being the constant.
                    let ty = if self.f.ty(i.value) == Type::MaybeNull { Type::MaybeNull } else { Type::Obj };
                    *i = Item { value: self.f.add_param(block, ty), owned: true, slot: None };
                }
            }
        }
        let entry = FrameState {
            code: 0,
            unit: key.unit,
            locals: locals.iter().map(|v| Some(*v)).collect(),
            stack: stack.iter().map(|i| StackEntry { value: i.value, owned: i.owned }).collect(),
            parent: None,
        };
        let st = self.f.add_state(entry);
        self.f.blocks[block.index()].entry_state = Some(st);
        if self.blocks.headers.contains(&key.unit) {
            self.headers.push((block, key.unit));
        }
        self.starts.insert(key, Start { block, locals, stack });
        self.work.push(key);
    }
}
