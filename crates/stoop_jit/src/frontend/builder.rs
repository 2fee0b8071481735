//! The SSA builder: blocks, the abstract stack, frame states.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::layout;
use stoop_cpython::opcodes::Quirks;
use stoop_ir::{Block, Class, ConstData, FrameState, Function, Imm, Name, Op, StackEntry, State, Type, Value};

use super::consumers::Made;
pub use super::inline::{Inlined, Role};
pub(super) use super::level::Item;
use super::level::{Key, Level, argument_slots};
use super::walks::{self, Walk};
use super::{Environment, Known};
use super::{blocks, globals};

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
    /// Where a generator or coroutine is resumed, or started, with what it was sent on top of the stack.
    Resume {
        /// The code unit at which it goes on.
        unit: u32,
        /// Operand stack depth there.
        depth: u32,
    },
}

impl Entry {
    /// The unit of the loop's header, or at which a generator goes on; `None` for a function.
    pub fn header(self) -> Option<u32> {
        match self {
            Entry::Function => None,
            Entry::Loop { unit, .. } | Entry::Resume { unit, .. } => Some(unit),
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
    pub peel: &'a Peel,
}

/// Loop headers whose first iteration gets a copy of its own, and when.
pub type Peel = BTreeMap<u32, Copies>;

/// When a loop's first iteration is one of the copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copies {
    /// Where all loops around that have such copies are in their first iteration, too: later its variables are set.
    Once,
    /// Each time it is entered.
    EachTime,
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
    /// What attributes were seen to be given: of which object, at which index.
    pub(super) given: HashMap<(Value, u32), Value>,
    /// Classes of instances made here.
    pub(super) made: HashMap<Value, u64>,
    /// The classes that an object was found to be one of when an attribute of it was wanted, and the block that went on.
    pub(super) shapes: HashMap<Value, (Block, Vec<u64>)>,
    /// Methods that a value is one of, each with the version of the class it comes from, where that is only one.
    pub(super) methods: HashMap<Value, Vec<(Known, Option<u32>)>>,
    /// Loops that count in registers, by what the stack names them.
    pub(super) walks: HashMap<Value, Walk>,
    /// Functions made here.
    pub(super) made_functions: HashMap<Value, Made>,
    /// Loop headers whose first iteration gets a copy of its own.
    pub(super) peel: &'a Peel,
    pub(super) null: Value,
    pub(super) headers: Vec<(Block, u32)>,
    pub(super) back_edges: BTreeSet<(Block, Block)>,
    pub(super) functions: Vec<Inlined>,
    pub(super) depth: u32,
    /// The functions being inlined into each other.
    pub(super) chain: Vec<u64>,
}

/// What a value is an instance of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Of a built-in class.
    Exact(Class),
    /// Of the class at this address.
    Class(u64),
}

const MAX_INSTRUCTIONS: usize = 60_000;
/// Builds SSA for a code object from an entry.
pub fn build(req: &Request<'_>, env: &mut dyn Environment) -> Result<Built, BuildError> {
    let entry_unit = match req.entry {
        Entry::Function => 0,
        Entry::Loop { unit, .. } | Entry::Resume { unit, .. } => unit,
    };
    let stops = |i: &Instr| super::instrs::ends(i, req.entry);
    let catches = |i: &Instr| super::handlers::catcher(req.code, i, &|unit| env.is_generic(unit));
    let blocks = blocks::find(req.code, entry_unit, &stops, &catches).ok_or(BuildError::BadFlow)?;
    let kind = match req.entry {
        Entry::Function => "function".to_owned(),
        Entry::Loop { unit, .. } => format!("loop@{unit}"),
        Entry::Resume { unit, .. } => format!("resume@{unit}"),
    };
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
        given: HashMap::new(),
        made: HashMap::new(),
        shapes: HashMap::new(),
        methods: HashMap::new(),
        walks: HashMap::new(),
        made_functions: HashMap::new(),
        peel: req.peel,
        null,
        headers: Vec::new(),
        back_edges: BTreeSet::new(),
        functions: Vec::new(),
        depth: 0,
        chain: Vec::new(),
    };
    if matches!(req.entry, Entry::Loop { .. }) && b.env.names_are_globals() {
        let stored = globals::stored(req.code, &b.lv.blocks, b.env);
        let deleted = globals::deleted(req.code, &b.lv.blocks);
        let variables = globals::variables(&stored, &deleted, b.env);
        b.lv.names_are_globals = true;
        b.lv.keep_variables(variables);
        b.lv.stored_names = stored;
        b.lv.deleted_names = deleted;
    }
    b.entry_values();
    b.go(entry_unit);
    b.translate()?;
    Ok(Built { func: b.f, headers: b.headers, back_edges: b.back_edges, functions: b.functions })
}

impl Builder<'_> {
    fn entry_values(&mut self) {
        let entry_unit = self.lv.blocks.entry;
        let args = argument_slots(&self.lv.code);
        let live = self.lv.blocks.live_in.get(&entry_unit).cloned().unwrap_or_default();
        let mut guards = Vec::new();
        for k in 0..self.lv.code.nlocalsplus + self.lv.variables.len() as u32 {
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
        if let Entry::Loop { depth, .. } | Entry::Resume { depth, .. } = self.lv.entry {
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
            let through = self.env.example_stack_sequence(k as u32);
            let element = through.and_then(|s| self.env.example_item(s, 0));
            self.lv.stack[k].value = match held.flatten() {
                Some(c) => self.op(Op::GuardClass, &[n], Imm::None, Type::Exact(c), Some(st)),
                None => n,
            };
            let it = self.lv.stack[k].value;
            // A generator's iterators are needed when it yields.
            let stays = matches!(self.lv.entry, Entry::Loop { .. });
            if stays && !self.env.is_generic(entry_unit) && self.env.owns_entry_stack(k as u32) {
                match self.f.ty(it) {
                    Type::Exact(Class::RangeIter) => self.void(Op::GuardUnique, &[it], Imm::None, Some(st)),
                    Type::Exact(c @ (Class::ListIter | Class::TupleIter)) => {
                        let is_exact = through.is_none_or(|s| self.env.example_class(s).is_some());
                        let walk = walks::found(self, it, element, c, is_exact, st);
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

    /// An attribute of `object` is given `value` here.
    pub(super) fn gives(&mut self, object: Value, index: u32, value: Value) {
        let object = stoop_passes::util::root(&self.f, object);
        self.given.insert((object, index), value);
    }

    /// `v` was loaded from an attribute of `object`, an instance of a class of this version.
    pub(super) fn loaded(&mut self, object: Value, version: u32, index: u32, v: Value) {
        let example = self.examples.get(&object).copied().and_then(|o| self.env.example_field(o, version, index));
        if let Some(example) = example {
            self.examples.insert(v, example);
        } else if let Some(given) = self.given.get(&(stoop_passes::util::root(&self.f, object), index)).copied() {
            match self.kind_of(given) {
                Some(Kind::Class(class)) if !self.examples.contains_key(&given) => {
                    self.made.insert(v, class);
                }
                _ => self.same_example(given, v),
            }
        }
    }

    /// What a value most likely is an instance of: a guess, unless the value's type says it.
    pub(super) fn kind_of(&self, v: Value) -> Option<Kind> {
        if let Type::Exact(c) = self.f.ty(v) {
            return Some(Kind::Exact(c));
        }
        if let Some(c) = self.made.get(&v) {
            return Some(Kind::Class(*c));
        }
        if let Type::Heap(version) = self.f.ty(v)
            && let Some(class) = self.env.class_of_version(version)
        {
            return Some(Kind::Class(class));
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

    pub(super) fn frame_state(&mut self, unit: u32, locals: &[Value], stack: &[Item]) -> FrameState {
        let parent = if self.lv.consumed.is_some() { Some(self.caller_state(locals)) } else { self.lv.parent };
        // Behind a generator's locals is what its consumer keeps.
        let locals = if self.lv.consumed.is_some() { &locals[..self.lv.code.nlocalsplus as usize] } else { locals };
        let owns = |k: &usize| self.lv.is_inlined() && self.lv.owns[*k] && locals[*k] != self.null;
        FrameState {
            code: self.lv.number,
            unit,
            locals: locals.iter().map(|v| Some(*v)).collect(),
            owned: (0..locals.len()).filter(owns).map(|k| k as u32).collect(),
            stack: stack.iter().map(|i| StackEntry { value: i.value, owned: i.owned }).collect(),
            parent,
        }
    }

    /// The present state, resuming at a code unit.
    pub(super) fn state(&mut self, unit: u32) -> State {
        let (locals, stack) = (self.lv.locals.clone(), self.lv.stack.clone());
        let s = self.frame_state(unit, &locals, &stack);
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
            if self.env.drops_run_code(unit) {
                self.set_hint(stoop_ir::Hint::Generic);
            }
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

    pub(super) fn translate(&mut self) -> Result<(), BuildError> {
        while let Some(key) = self.lv.work.pop() {
            self.block(key)?;
            if self.f.insts.len() > MAX_INSTRUCTIONS {
                return Err(BuildError::TooLarge(self.f.insts.len()));
            }
        }
        Ok(())
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
            self.lv.before.clone_from(&self.lv.stack);
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
}
