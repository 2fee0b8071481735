//! The SSA builder: blocks, the abstract stack, frame states.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::layout;
use stoop_cpython::opcodes::{Opcode, Quirks};
use stoop_ir::{Block, Class, ConstData, FrameState, Function, Imm, Name, Op, StackEntry, State, Target, Type, Value};

use super::blocks::{self, Blocks};
use super::walks::{self, Walk};
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

impl Entry {
    /// The loop header's unit; `None` for a function.
    pub fn header(self) -> Option<u32> {
        match self {
            Entry::Function => None,
            Entry::Loop { unit, .. } => Some(unit),
        }
    }
}

/// What to build.
pub struct Request<'a> {
    /// The decoded code object.
    pub code: &'a Arc<CodeInfo>,
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
    /// Functions inlined; code number n in frame states is the one at n - 1.
    pub functions: Vec<Inlined>,
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
    handling: u32,
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
    /// How many exceptions raised in this function are being handled.
    pub(super) handling: u32,
    /// The instruction in this block that deletes the name of an exception that is not handled any more.
    pub(super) handled_until: Option<usize>,
    /// The caller's state during the call, when this is inlined.
    parent: Option<State>,
    /// Slots the function writes.
    written: Vec<bool>,
    /// Inlined: slots whose reference compiled code owns.
    owns: Vec<bool>,
    /// Instructions before this one are done already, as part of an earlier one.
    pub(super) done_before: usize,
    /// Where an inlined function goes on, and what its result is there. An `__init__` has none.
    returns: Option<(Block, Option<Value>)>,
    /// What an inlined function stands in place of.
    pub(super) role: Role,
    /// What its caller owns and drops when it returns: an operator's operands.
    drops: Vec<Value>,
    peel: Vec<u32>,
    loops: HashMap<u32, u32>,
    steady: u32,
    /// The bytecode block being translated; none before the first.
    here: u32,
    starts: HashMap<Key, Start>,
    work: Vec<Key>,
    position: HashMap<u32, usize>,
    preds: HashMap<u32, u32>,
}

impl Level {
    fn new(code: Arc<CodeInfo>, number: u32, entry: Entry, blocks: Blocks, peel: &BTreeSet<u32>) -> Level {
        let mut preds: HashMap<u32, u32> = HashMap::new();
        *preds.entry(blocks.entry).or_default() += 1;
        for b in blocks.by_unit.values() {
            for s in &b.successors {
                *preds.entry(*s).or_default() += 1;
            }
        }
        let position = blocks.order.iter().enumerate().map(|(k, u)| (*u, k)).collect();
        let peel: Vec<u32> = peel.iter().copied().filter(|u| blocks.headers.contains(u)).take(8).collect();
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
            handling: 0,
            handled_until: None,
            parent: None,
            owns: written.clone(),
            written,
            done_before: 0,
            drops: Vec::new(),
            returns: None,
            role: Role::Call,
            peel,
            loops,
            steady: 0,
            here: u32::MAX,
            starts: HashMap::new(),
            work: Vec::new(),
            position,
            preds,
        }
    }

    /// Whether this function is inlined into another.
    pub(super) fn is_inlined(&self) -> bool {
        self.parent.is_some()
    }
}

pub(super) struct Builder<'a> {
    pub(super) env: &'a mut dyn Environment,
    pub(super) f: Function,
    pub(super) lv: Level,
    pub(super) cur: Block,
    pub(super) quirks: Quirks,
    /// What the current instruction has done so far.
    pub(super) ran_python: bool,
    pub(super) dropped: bool,
    /// The state of the operation just emitted, if what it raises is caught here.
    pub(super) catching: Option<State>,
    /// Objects that values stood for when the code was looked at: they tell classes, nothing else.
    pub(super) examples: HashMap<Value, u64>,
    /// The same for what iterators yield.
    pub(super) elements: HashMap<Value, u64>,
    /// Classes of instances made here.
    pub(super) made: HashMap<Value, u64>,
    /// Methods that a value is one of, each with the version of the class it comes from, where that is only one.
    pub(super) methods: HashMap<Value, Vec<(Known, Option<u32>)>>,
    /// Loops that count in registers, by what the stack names them.
    pub(super) walks: HashMap<Value, Walk>,
    null: Value,
    headers: Vec<(Block, u32)>,
    back_edges: BTreeSet<(Block, Block)>,
    functions: Vec<Inlined>,
    depth: u32,
    /// The functions being inlined into each other.
    chain: Vec<u64>,
}

/// What a value is an instance of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Of a built-in class.
    Exact(Class),
    /// Of the class at this address.
    Class(u64),
}

/// What an inlined function stands in place of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A call, or a subscript.
    Call,
    /// The call of a class. The new instance lies on top of the caller's stack, and is the result.
    Init,
    /// An operator, whose two operands lie on top of the caller's stack.
    Operator,
}

/// A function inlined into another.
#[derive(Clone, Debug)]
pub struct Inlined {
    /// The function object.
    pub function: u64,
    /// Its decoded code.
    pub code: Arc<CodeInfo>,
    /// What it stands in place of.
    pub role: Role,
}

const MAX_INSTRUCTIONS: usize = 60_000;
/// How deep functions are inlined into each other.
const MAX_DEPTH: u32 = 4;
/// Above this many instructions nothing more is inlined.
const INLINE_LIMIT: usize = 4000;
/// How often one function is inlined into another.
const MAX_COPIES: usize = 32;
/// How much further both limits reach for what an inlined function calls: leaving that out would need a frame for the
/// caller, and undo it everywhere.
const NESTED: usize = 4;

/// Builds SSA for a code object from an entry.
pub fn build(req: &Request<'_>, env: &mut dyn Environment) -> Result<Built, BuildError> {
    let entry_unit = match req.entry {
        Entry::Function => 0,
        Entry::Loop { unit, .. } => unit,
    };
    let is_loop = req.entry != Entry::Function;
    let stops = |i: &Instr| super::instrs::leaves(i, is_loop);
    let catches = |i: &Instr| super::handlers::catcher(req.code, i, &|unit| env.is_generic(unit));
    let blocks = blocks::find(req.code, entry_unit, &stops, &catches).ok_or(BuildError::BadFlow)?;
    let kind = if is_loop { format!("loop@{entry_unit}") } else { "function".to_owned() };
    let mut f = Function::new(format!("{} {kind}", req.code.qualname));
    let cur = f.entry();
    let null = f.push(cur, Op::ConstNull, &[], Imm::None, Type::Null, None).expect("null");
    let mut b = Builder {
        env,
        f,
        lv: Level::new(req.code.clone(), 0, req.entry, blocks, req.peel),
        cur,
        quirks: layout::get().opcodes.quirks,
        ran_python: false,
        dropped: false,
        catching: None,
        examples: HashMap::new(),
        elements: HashMap::new(),
        made: HashMap::new(),
        methods: HashMap::new(),
        walks: HashMap::new(),
        null,
        headers: Vec::new(),
        back_edges: BTreeSet::new(),
        functions: Vec::new(),
        depth: 0,
        chain: Vec::new(),
    };
    b.entry_values();
    b.go(entry_unit);
    b.translate()?;
    Ok(Built { func: b.f, headers: b.headers, back_edges: b.back_edges, functions: b.functions })
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

impl Builder<'_> {
    fn entry_values(&mut self) {
        let entry_unit = self.lv.blocks.entry;
        let args = argument_slots(&self.lv.code);
        let live = self.lv.blocks.live_in.get(&entry_unit).cloned().unwrap_or_default();
        let mut guards = Vec::new();
        for k in 0..self.lv.code.nlocalsplus {
            let v = if self.lv.entry == Entry::Function && k >= args {
                self.null
            } else {
                let hint = self.env.entry_local(k);
                let ty = if self.lv.entry == Entry::Function { Type::Obj } else { Type::MaybeNull };
                let v = self.op(Op::EntryLocal, &[], Imm::Index(k), ty, None);
                let example = self.env.example_local(k);
                self.examples.extend(example.map(|o| (v, o)));
                if let Some(Some(c)) = hint
                    && (Type::unboxed(c).is_some() || live.get(k as usize) == Some(&true))
                {
                    guards.push((k, c));
                }
                v
            };
            self.lv.locals.push(v);
        }
        if let Entry::Loop { depth, .. } = self.lv.entry {
            for k in 0..depth {
                let value = self.op(Op::EntryStack, &[], Imm::Index(k), Type::MaybeNull, None);
                self.lv.stack.push(Item { value, owned: true, slot: None });
            }
        }
        let mut taken = Vec::new();
        // One state for all entry guards: nothing has happened yet.
        let st = self.state(entry_unit);
        if self.lv.entry != Entry::Function && !self.lv.blocks.handlers.is_empty() {
            // Landings rely on nobody having the frame before.
            self.void(Op::ForgetFrame, &[], Imm::None, None);
            self.void(Op::Check, &[], Imm::None, Some(st));
        }
        for (k, c) in guards {
            let v = self.lv.locals[k as usize];
            let n =
                if self.f.ty(v) == Type::MaybeNull { self.op(Op::GuardNotNull, &[v], Imm::None, Type::Obj, Some(st)) } else { v };
            let g = self.op(Op::GuardClass, &[n], Imm::None, Type::Exact(c), Some(st));
            self.same_example(v, g);
            self.lv.locals[k as usize] = g;
        }
        for k in 0..self.lv.stack.len() {
            let v = self.lv.stack[k].value;
            let held = self.env.entry_stack(k as u32);
            if held == Some(None) {
                let is_null = self.op(Op::IsNull, &[v], Imm::None, Type::I1, None);
                self.void(Op::GuardTrue, &[is_null], Imm::None, Some(st));
                self.lv.stack[k] = self.null();
                continue;
            }
            let n = self.op(Op::GuardNotNull, &[v], Imm::None, Type::Obj, Some(st));
            let element = self.env.example_stack_element(k as u32);
            self.lv.stack[k].value = match held.flatten() {
                Some(c) => self.op(Op::GuardClass, &[n], Imm::None, Type::Exact(c), Some(st)),
                None => n,
            };
            let it = self.lv.stack[k].value;
            if !self.env.is_generic(entry_unit) && self.env.owns_entry_stack(k as u32) {
                match self.f.ty(it) {
                    Type::Exact(Class::RangeIter) => self.void(Op::GuardUnique, &[it], Imm::None, Some(st)),
                    Type::Exact(c @ (Class::ListIter | Class::TupleIter)) => {
                        let walk = walks::found(self, it, element, c, st);
                        taken.push((k, walk));
                    }
                    _ => {}
                }
            }
            self.elements.extend(element.map(|o| (it, o)));
        }
        for (k, walk) in taken {
            let it = self.lv.stack[k].value;
            self.lv.stack[k].value = walks::take_over(self, it, walk);
        }
    }

    /// `to` is the same object as `from` under another name.
    pub(super) fn same_example(&mut self, from: Value, to: Value) {
        let example = self.examples.get(&from).copied();
        self.examples.extend(example.map(|o| (to, o)));
        let made = self.made.get(&from).copied();
        self.made.extend(made.map(|c| (to, c)));
    }

    /// What a value most likely is an instance of: a guess, unless the value's type says it.
    pub(super) fn kind_of(&self, v: Value) -> Option<Kind> {
        if let Type::Exact(c) = self.f.ty(v) {
            return Some(Kind::Exact(c));
        }
        if let Some(c) = self.made.get(&v) {
            return Some(Kind::Class(*c));
        }
        let o = *self.examples.get(&v)?;
        Some(self.env.example_class(o).map_or_else(|| Kind::Class(self.env.type_of(o)), Kind::Exact))
    }

    /// The class of [`Builder::kind_of`], if that is no well-known built-in one.
    pub(super) fn class_of(&self, v: Value) -> Option<u64> {
        match self.kind_of(v) {
            Some(Kind::Class(c)) => Some(c),
            _ => None,
        }
    }

    // --- emitting --------------------------------------------------------------------------------

    pub(super) fn op(&mut self, op: Op, args: &[Value], imm: Imm, ty: Type, st: Option<State>) -> Value {
        self.catch();
        let v = self.f.push(self.cur, op, args, imm, ty, st).expect("the operation has a result");
        self.catch_later(op, st);
        v
    }

    pub(super) fn void(&mut self, op: Op, args: &[Value], imm: Imm, st: Option<State>) {
        self.catch();
        self.f.push(self.cur, op, args, imm, Type::Void, st);
        self.catch_later(op, st);
    }

    pub(super) fn set_hint(&mut self, hint: stoop_ir::Hint) {
        let i = *self.f.blocks[self.cur.index()].insts.last().expect("an instruction was just emitted");
        self.f.inst_mut(i).hint = hint;
    }

    pub(super) fn known(&mut self, k: Known) -> Value {
        let ty = k.class.map_or(Type::Obj, Type::Exact);
        let address = k.address;
        let c = self.f.add_const(ConstData { address, text: k.text, class: k.class });
        let v = self.op(Op::ConstObj, &[], Imm::Const(c), ty, None);
        self.examples.insert(v, address);
        v
    }

    pub(super) fn name(&mut self, index: u32) -> Name {
        let text = self.lv.code.names_text[index as usize].clone();
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
        self.lv.stack.push(Item { value, owned: true, slot: None });
    }

    pub(super) fn push_const(&mut self, value: Value) {
        self.lv.stack.push(Item { value, owned: false, slot: None });
    }

    pub(super) fn push_null(&mut self) {
        let n = self.null();
        self.lv.stack.push(n);
    }

    pub(super) fn pop(&mut self) -> Item {
        self.lv.stack.pop().expect("bytecode keeps its stack balanced")
    }

    pub(super) fn pop_n(&mut self, n: usize) -> Vec<Item> {
        self.lv.stack.split_off(self.lv.stack.len() - n)
    }

    pub(super) fn peek(&self, from_top: usize) -> Item {
        self.lv.stack[self.lv.stack.len() - 1 - from_top]
    }

    /// Drops the compiled code's reference, if it has one.
    pub(super) fn drop_item(&mut self, i: Item) {
        if let Some(walk) = self.walks.get(&i.value) {
            for of in walk.of.clone() {
                self.void(Op::DecRef, &[of], Imm::None, None);
            }
            self.dropped = true;
        } else if i.owned {
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
    pub(super) fn keep_borrowers(&mut self, slot: u32) {
        for k in 0..self.lv.stack.len() {
            if self.lv.stack[k].slot == Some(slot) && !self.lv.stack[k].owned {
                self.void(Op::IncRef, &[self.lv.stack[k].value], Imm::None, None);
                self.lv.stack[k] = Item { owned: true, slot: None, ..self.lv.stack[k] };
            }
        }
    }

    pub(super) fn store_local(&mut self, slot: u32, new: Value) {
        self.keep_borrowers(slot);
        let old = self.lv.locals[slot as usize];
        if self.lv.is_inlined() {
            // No slot: the reference is compiled code's own.
            if old != self.null {
                self.void(Op::DecRef, &[old], Imm::None, None);
            }
        } else {
            self.void(Op::StoreLocal, &[new, old], Imm::Index(slot), None);
        }
        if !self.examples.contains_key(&new) && !self.made.contains_key(&new) {
            // Nothing is known of the value: most often a variable holds what it held when the code was looked at.
            let example = self.env.example_local(slot);
            self.examples.extend(example.map(|o| (new, o)));
        }
        self.lv.locals[slot as usize] = new;
        self.dropped |= self.f.ty(old) != Type::Null;
    }

    // --- frame states and safe points -----------------------------------------------------------

    fn frame_state(&self, unit: u32, locals: &[Value], stack: &[Item]) -> FrameState {
        let owns = |k: &usize| self.lv.is_inlined() && self.lv.owns[*k] && locals[*k] != self.null;
        FrameState {
            code: self.lv.number,
            unit,
            locals: locals.iter().map(|v| Some(*v)).collect(),
            owned: (0..locals.len()).filter(owns).map(|k| k as u32).collect(),
            stack: stack.iter().map(|i| StackEntry { value: i.value, owned: i.owned }).collect(),
            parent: self.lv.parent,
        }
    }

    /// The present state, resuming at a code unit.
    pub(super) fn state(&mut self, unit: u32) -> State {
        let s = self.frame_state(unit, &self.lv.locals, &self.lv.stack);
        self.f.add_state(s)
    }

    /// The safe point after an instruction, resuming at `unit`.
    pub(super) fn safe_point(&mut self, unit: u32) {
        if self.ran_python || self.dropped {
            let st = self.state(unit);
            let op = match (self.ran_python, self.lv.handling) {
                (true, 0) => Op::Check,
                (true, _) => Op::CheckHandling,
                (false, _) => Op::CheckValid,
            };
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

    /// As [`Builder::inline`], for a call whose result is not wanted.
    pub(super) fn inline_for_effect(&mut self, i: &Instr, function: u64, args: &[Item]) -> Result<bool, BuildError> {
        let Some(after) = self.inlined(i, function, args, Role::Call, false)? else { return Ok(false) };
        let resumed = self.state(i.next);
        self.f.blocks[after.index()].entry_state = Some(resumed);
        self.dropped = true;
        Ok(true)
    }

    // --- blocks ---------------------------------------------------------------------------------

    fn translate(&mut self) -> Result<(), BuildError> {
        while let Some(key) = self.lv.work.pop() {
            self.block(key)?;
            if self.f.insts.len() > MAX_INSTRUCTIONS {
                return Err(BuildError::TooLarge(self.f.insts.len()));
            }
        }
        Ok(())
    }

    /// Translates a function in place of its call; its result is then the value returned, owned.
    ///
    /// The caller has popped callable and arguments off its stack; references that come with `args` are taken over.
    /// `None` if it is not inlined: nothing has been emitted then.
    pub(super) fn inline(&mut self, i: &Instr, function: u64, args: &[Item]) -> Result<Option<Value>, BuildError> {
        let Some(after) = self.inlined(i, function, args, Role::Call, true)? else { return Ok(None) };
        let result = self.f.blocks[after.index()].params[0];
        // Exits on the way in resume the caller after its call.
        self.push_owned(result);
        let resumed = self.state(i.next);
        self.f.blocks[after.index()].entry_state = Some(resumed);
        self.pop();
        Ok(Some(result))
    }

    /// Translates the `__init__` of a class in place of the class's call. The new instance lies on top of the stack,
    /// owned, and stays there; `args` begin with it. Whether it was done.
    pub(super) fn inline_init(&mut self, i: &Instr, function: u64, args: &[Item]) -> Result<bool, BuildError> {
        let Some(after) = self.inlined(i, function, args, Role::Init, false)? else { return Ok(false) };
        let resumed = self.state(i.next);
        self.f.blocks[after.index()].entry_state = Some(resumed);
        Ok(true)
    }

    /// Translates an operator's method in place of the operator. The two operands stay on the stack meanwhile, and are
    /// dropped after; `args` name them. Whether it was done.
    pub(super) fn inline_operator(&mut self, i: &Instr, function: u64, args: [Value; 2]) -> Result<Option<Value>, BuildError> {
        let args = args.map(|value| Item { value, owned: false, slot: None });
        let Some(after) = self.inlined(i, function, &args, Role::Operator, true)? else { return Ok(None) };
        let result = self.f.blocks[after.index()].params[0];
        self.pop_n(2);
        self.push_owned(result);
        let resumed = self.state(i.next);
        self.f.blocks[after.index()].entry_state = Some(resumed);
        self.pop();
        self.dropped = true;
        Ok(Some(result))
    }

    /// The block that an inlined function returns to, which is then the current one; its parameter is the result, where
    /// one is wanted. Its entry state is the caller's to set: it says, too, who owns the result.
    fn inlined(
        &mut self,
        i: &Instr,
        function: u64,
        args: &[Item],
        role: Role,
        wanted: bool,
    ) -> Result<Option<Block>, BuildError> {
        self.catch();
        let unit = i.unit;
        let reach = if self.depth == 0 { 1 } else { NESTED };
        if self.depth >= MAX_DEPTH || self.f.insts.len() > reach * INLINE_LIMIT || self.env.is_generic(unit) {
            return Ok(None);
        }
        let recursive = self.chain.contains(&function)
            || self.functions.iter().filter(|f| f.function == function).count() >= reach * MAX_COPIES;
        let Some(code) = (if recursive { None } else { self.env.enter(function, args.len() as u32) }) else {
            return Ok(None);
        };
        let stops = |i: &Instr| super::instrs::leaves(i, false);
        let blocks = match blocks::find(&code, 0, &stops, &|_| None) {
            Some(b) if b.headers.is_empty() => b,
            _ => {
                self.env.leave();
                return Ok(None);
            }
        };
        let mut args = args.to_vec();
        for slot in args.len() as u32..code.argcount {
            let k = self.env.default(slot);
            let value = self.known(k);
            args.push(Item { value, owned: false, slot: None });
        }
        let parent = self.state(unit);
        self.functions.push(Inlined { function, code: code.clone(), role });
        let number = self.functions.len() as u32;
        let after = self.f.add_block();
        let result = wanted.then(|| self.f.add_param(after, Type::Obj));
        let mut level = Level::new(code, number, Entry::Function, blocks, &BTreeSet::new());
        level.parent = Some(parent);
        level.returns = Some((after, result));
        level.role = role;
        if role == Role::Operator {
            let operands = &self.lv.stack[self.lv.stack.len() - 2..];
            level.drops = operands.iter().filter(|x| x.owned).map(|x| x.value).collect();
        }
        let null = self.null;
        level.locals = (0..level.written.len()).map(|k| args.get(k).map_or(null, |a| a.value)).collect();
        for (k, a) in args.iter().enumerate() {
            level.owns[k] |= a.owned;
            if level.written[k] {
                self.own(*a);
            }
        }
        let (ran, dropped) = (self.ran_python, self.dropped);
        let caller = std::mem::replace(&mut self.lv, level);
        self.depth += 1;
        self.chain.push(function);
        self.go(0);
        let done = self.translate();
        self.chain.pop();
        self.depth -= 1;
        self.lv = caller;
        self.env.leave();
        done?;
        self.cur = after;
        (self.ran_python, self.dropped) = (ran, dropped);
        Ok(Some(after))
    }

    /// Ends the block with an inlined function's return; `value` is owned. In an `__init__` it is known to be None.
    pub(super) fn return_inlined(&mut self, value: Value) {
        let (block, result) = self.lv.returns.expect("an inlined function has a place to return to");
        match result {
            Some(result) => self.same_example(value, result),
            None if self.in_init() => {}
            None => self.void(Op::DecRef, &[value], Imm::None, None),
        }
        for k in 0..self.lv.locals.len() {
            let v = self.lv.locals[k];
            if self.lv.owns[k] && v != self.null {
                self.void(Op::DecRef, &[v], Imm::None, None);
            }
        }
        for v in self.lv.drops.clone() {
            self.void(Op::DecRef, &[v], Imm::None, None);
        }
        let (i, _) = self.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = vec![Target { block, args: result.map(|_| value).into_iter().collect() }];
        self.f.blocks[self.cur.index()].insts.push(i);
    }

    /// Whether the function being translated is an inlined `__init__`.
    pub(super) fn in_init(&self) -> bool {
        self.lv.role == Role::Init
    }

    fn block(&mut self, key: Key) -> Result<(), BuildError> {
        let start = &self.lv.starts[&key];
        self.cur = start.block;
        self.lv.locals = start.locals.clone();
        self.lv.stack = start.stack.clone();
        self.lv.handling = start.handling;
        self.lv.steady = key.steady;
        self.lv.here = key.unit;
        self.lv.done_before = 0;
        self.lv.handled_until = None;
        let bb = self.lv.blocks.by_unit[&key.unit].clone();
        let code = self.lv.code.clone();
        for k in bb.first..bb.end {
            if k < self.lv.done_before {
                continue;
            }
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
        let next = self.lv.code.instrs.get(bb.end).map_or(0, |i| i.unit);
        self.go(next);
        Ok(())
    }

    /// Ends the current block with a jump to the block at `unit`.
    pub(super) fn go(&mut self, unit: u32) {
        self.catch();
        let (block, args) = self.edge(unit);
        let (i, _) = self.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = vec![Target { block, args }];
        self.f.blocks[self.cur.index()].insts.push(i);
    }

    /// Ends the current block with a two-way branch; `edges` run with the new block current and must end it.
    pub(super) fn branch(&mut self, cond: Value, edges: [&mut dyn FnMut(&mut Self); 2]) {
        self.catch();
        let from = self.cur;
        let (locals, stack) = (self.lv.locals.clone(), self.lv.stack.clone());
        let (ran, dropped) = (self.ran_python, self.dropped);
        let mut targets = Vec::new();
        for edge in edges {
            let block = self.f.add_block();
            targets.push(Target { block, args: Vec::new() });
            self.cur = block;
            self.lv.locals = locals.clone();
            self.lv.stack = stack.clone();
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

    /// One way for each of `count` cases, which come together again: `test` says whether it is that case (never asked
    /// for the last one), `arm` does what is to be done and yields a value of type `ty`. Arms leave the stack alike.
    pub(super) fn cases(
        &mut self,
        count: usize,
        ty: Type,
        test: &mut dyn FnMut(&mut Self, usize) -> Value,
        arm: &mut dyn FnMut(&mut Self, usize) -> Result<Value, BuildError>,
    ) -> Result<Value, BuildError> {
        self.catch();
        let merge = self.f.add_block();
        let result = self.f.add_param(merge, ty);
        let stack = self.lv.stack.clone();
        let before = (self.ran_python, self.dropped);
        let mut after = before;
        for k in 0..count {
            let mut other = None;
            if k + 1 < count {
                let cond = test(self, k);
                let (yes, no) = (self.f.add_block(), self.f.add_block());
                let (i, _) = self.f.make_inst(Op::Branch, &[cond], Imm::None, Type::Void, None);
                self.f.inst_mut(i).targets = [yes, no].map(|block| Target { block, args: Vec::new() }).to_vec();
                self.f.blocks[self.cur.index()].insts.push(i);
                self.cur = yes;
                other = Some(no);
            }
            self.lv.stack.clone_from(&stack);
            (self.ran_python, self.dropped) = before;
            let v = arm(self, k)?;
            self.catch();
            after = (after.0 | self.ran_python, after.1 | self.dropped);
            let (i, _) = self.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
            self.f.inst_mut(i).targets = vec![Target { block: merge, args: vec![v] }];
            self.f.blocks[self.cur.index()].insts.push(i);
            self.cur = other.unwrap_or(merge);
        }
        (self.ran_python, self.dropped) = after;
        Ok(result)
    }

    /// The block for `unit` as reached from here, and the arguments for its parameters.
    fn edge(&mut self, unit: u32) -> (Block, Vec<Value>) {
        let inside = self.lv.loops.get(&unit).copied().unwrap_or(0);
        let mut steady = self.lv.steady & inside;
        if let Some(bit) = self.lv.peel.iter().position(|h| *h == unit) {
            // A back edge comes from a block that is in the loop already.
            if self.arrived_by_back_edge(unit) {
                steady |= 1 << bit;
            } else {
                steady &= !(1 << bit);
            }
        }
        let key = Key { unit, steady };
        let merges = self.lv.preds.get(&unit).copied().unwrap_or(0) > 1
            || self.lv.blocks.headers.contains(&unit)
            || self.lv.blocks.handlers.contains(&unit)
            || !self.lv.peel.is_empty() && self.crosses(unit);
        if !self.lv.starts.contains_key(&key) {
            self.begin(key, merges);
        }
        let block = self.lv.starts[&key].block;
        if !merges {
            return (block, Vec::new());
        }
        if !self.fits(&key) {
            let from = self.cur;
            self.cur = self.f.add_block();
            self.exit(unit, "stack");
            return (std::mem::replace(&mut self.cur, from), Vec::new());
        }
        if self.lv.position.get(&self.lv.here).is_some_and(|h| *h >= self.lv.position[&unit]) {
            self.back_edges.insert((self.cur, block));
        }
        let mut args: Vec<Value> = (0..self.lv.locals.len()).filter(|k| self.varies(*k)).map(|k| self.lv.locals[k]).collect();
        for k in 0..self.lv.stack.len() {
            let i = self.lv.stack[k];
            if let Some(walk) = self.walks.get(&i.value) {
                args.push(walk.index);
                args.extend_from_slice(&walk.of);
            } else if !self.is_null(i) {
                args.push(self.own(i));
            }
        }
        (block, args)
    }

    /// Whether a block's parameters can take the present stack: where the one has NULL, so has the other.
    fn fits(&self, key: &Key) -> bool {
        let there = &self.lv.starts[key].stack;
        let one = |(a, b): (&Item, &Item)| {
            let may_be_null = self.f.ty(a.value) == Type::MaybeNull;
            let walk =
                |i: &Item| self.walks.get(&i.value).map(|w| (w.kind, w.of.iter().map(|v| self.f.ty(*v)).collect::<Vec<_>>()));
            if walk(a) != walk(b) {
                return false;
            }
            self.is_null(*a) == self.is_null(*b) && (may_be_null || self.is_null(*a) || self.f.ty(b.value) != Type::MaybeNull)
        };
        there.len() == self.lv.stack.len() && there.iter().zip(&self.lv.stack).all(one)
    }

    /// Whether the block being translated is the header of a peeled loop, in the copy for the first iteration.
    pub(super) fn in_first_iteration(&self) -> bool {
        self.lv.peel.iter().position(|h| *h == self.lv.here).is_some_and(|bit| self.lv.steady & (1 << bit) == 0)
    }

    fn current_unit_loops(&self) -> u32 {
        self.lv.loops.get(&self.lv.here).copied().unwrap_or(0)
    }

    fn arrived_by_back_edge(&self, header: u32) -> bool {
        let bit = self.lv.peel.iter().position(|h| *h == header).map_or(0, |b| 1 << b);
        self.current_unit_loops() & bit != 0
    }

    fn crosses(&self, unit: u32) -> bool {
        self.current_unit_loops() != self.lv.loops.get(&unit).copied().unwrap_or(0)
    }

    /// Whether a local may differ between the ways a block is reached: an inlined function's argument that it never
    /// writes does not.
    fn varies(&self, slot: usize) -> bool {
        !self.lv.is_inlined() || self.lv.written[slot]
    }

    fn begin(&mut self, key: Key, merges: bool) {
        let block = self.f.add_block();
        let (mut locals, mut stack) = (self.lv.locals.clone(), self.lv.stack.clone());
        if merges {
            for (k, v) in locals.iter_mut().enumerate() {
                if self.varies(k) {
                    let from = std::mem::replace(v, self.f.add_param(block, Type::MaybeNull));
                    self.same_example(from, *v);
                }
            }
            for i in &mut stack {
                if let Some(walk) = walks::meet(self, block, i.value) {
                    let value = walks::show(self, block, walk);
                    *i = Item { value, owned: true, slot: None };
                } else if i.value != self.null {
                    // Only what a comprehension has put aside may be NULL without being the constant.
                    let ty = if self.f.ty(i.value) == Type::MaybeNull { Type::MaybeNull } else { Type::Obj };
                    let element = self.elements.get(&i.value).copied();
                    let methods = self.methods.get(&i.value).cloned();
                    let from = std::mem::replace(i, Item { value: self.f.add_param(block, ty), owned: true, slot: None });
                    self.same_example(from.value, i.value);
                    self.elements.extend(element.map(|o| (i.value, o)));
                    self.methods.extend(methods.map(|m| (i.value, m)));
                }
            }
        }
        let entry = self.frame_state(key.unit, &locals, &stack);
        let st = self.f.add_state(entry);
        self.f.blocks[block.index()].entry_state = Some(st);
        if self.lv.blocks.headers.contains(&key.unit) && !self.lv.is_inlined() {
            self.headers.push((block, key.unit));
        }
        self.lv.starts.insert(key, Start { block, locals, stack, handling: self.lv.handling });
        self.lv.work.push(key);
    }
}
