//! Functions of the IR: blocks with parameters, instructions, values, frame states, in arenas.

use crate::ops::{BinOp, CmpOp, Op, UnOp};
use crate::types::{Class, Type};

macro_rules! entity {
    ($(#[$m:meta])* $name:ident) => {
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);
        impl $name {
            /// The position in its arena.
            pub fn index(self) -> usize { self.0 as usize }
        }
    };
}

entity! {
    /// A value: an instruction's result or a block's parameter. Printed `v0`.
    Value
}
entity! {
    /// A basic block. Printed `b0`.
    Block
}
entity! {
    /// An instruction.
    Inst
}
entity! {
    /// A frame state. Printed `s0`.
    State
}
entity! {
    /// A constant object in [`Function::consts`]. Printed `@0`.
    Const
}
entity! {
    /// A name in [`Function::names`]. Printed as its text.
    Name
}

/// What a value is the result of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Def {
    /// An instruction.
    Inst(Inst),
    /// A block's parameter.
    Param(Block),
}

/// A value's row.
#[derive(Clone, Copy, Debug)]
pub struct ValueData {
    /// Its type.
    pub ty: Type,
    /// Where it is defined.
    pub def: Def,
}

/// The immediate operand of an instruction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Imm {
    /// None.
    None,
    /// An integer.
    Int(i64),
    /// A double, by its bits (so that equality is exact).
    Float(u64),
    /// A constant object.
    Const(Const),
    /// A slot, field or closure index.
    Index(u32),
    /// A name.
    Name(Name),
    /// A binary operator.
    Bin(BinOp),
    /// A unary operator.
    Un(UnOp),
    /// A comparison.
    Cmp(CmpOp),
}

/// What the interpreter has seen at an instruction: a guess to be guarded, never a fact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Hint {
    /// Nothing known, or not worth speculating on.
    #[default]
    None,
    /// Operands (or the value, for entry values and loads) are exact instances of the class.
    Class(Class),
    /// Operands are exact instances of two different classes.
    Classes(Class, Class),
    /// Operands are exact ints and floats, now these, now those.
    Numbers,
    /// The same, where it has turned out that a guess of ints that fit a register, or of one kind of numbers, fails.
    Mixed,
    /// The object's type has this version; the attribute is the inline value at this index.
    Field(u32, u32),
    /// The object's type has this version; the attribute is the member at this byte offset.
    Slot(u32, u32),
    /// The object's type has this version; the attribute is the method `Const` on the type.
    Method(u32, Const),
    /// Speculation failed here before: stay generic.
    Generic,
    /// Of a drop: where it runs any code, the check right behind it leaves. Of that check: the same.
    Leave,
}

/// A branch target with its arguments.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// The block.
    pub block: Block,
    /// One argument a parameter.
    pub args: Vec<Value>,
}

/// An instruction's row.
#[derive(Clone, Debug)]
pub struct InstData {
    /// The operation.
    pub op: Op,
    /// Its operands.
    pub args: Vec<Value>,
    /// Its immediate operand.
    pub imm: Imm,
    /// What the interpreter saw.
    pub hint: Hint,
    /// Where to resume when it leaves or raises.
    pub state: Option<State>,
    /// Code and unit of the instruction whose guess it is, where that is not the state's. No part of the text form.
    pub asked: Option<(u32, u32)>,
    /// Its result.
    pub result: Option<Value>,
    /// Branch targets (terminators only).
    pub targets: Vec<Target>,
}

/// An operand-stack entry of a frame state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackEntry {
    /// The value.
    pub value: Value,
    /// Whether compiled code owns a reference that the exit hands over; if not, the exit takes one.
    /// Unboxed values are boxed by the exit, whatever this says.
    pub owned: bool,
}

/// Which interpreter state a point of the compiled code stands for.
#[derive(Clone, PartialEq, Debug)]
pub struct FrameState {
    /// The code object: index into the compiled code's list (0 is the outermost function).
    pub code: u32,
    /// The instruction to resume at, in code units.
    pub unit: u32,
    /// One value a local slot (locals, cells and free variables, as in the interpreter's frame).
    ///
    /// `None`: the slot already holds what it should, and compiled code never touches it.
    pub locals: Vec<Option<Value>>,
    /// In an inlined function's state: locals whose reference compiled code owns, which an exit hands over.
    /// Empty in a real frame's, whose slots own.
    pub owned: Vec<u32>,
    /// The operand stack, bottom first.
    pub stack: Vec<StackEntry>,
    /// The caller's state at its call, when this is an inlined function's.
    pub parent: Option<State>,
}

/// A basic block's row.
#[derive(Clone, Debug, Default)]
pub struct BlockData {
    /// Its parameters.
    pub params: Vec<Value>,
    /// Its instructions; the last is a terminator.
    pub insts: Vec<Inst>,
    /// The interpreter's state at the block's start, in terms of its parameters and dominating values.
    pub entry_state: Option<State>,
}

/// A constant object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConstData {
    /// The object's address; 0 in texts that only tests use.
    pub address: u64,
    /// A short description for people.
    pub text: String,
    /// Its exact built-in class, if it is one of the known ones.
    pub class: Option<Class>,
}

/// A function (or a loop entry of one) in SSA form. The entry is block 0 and has no parameters.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Name for people: qualified name and entry kind.
    pub name: String,
    /// Constant objects.
    pub consts: Vec<ConstData>,
    /// Attribute and variable names.
    pub names: Vec<String>,
    /// Values.
    pub values: Vec<ValueData>,
    /// Instructions.
    pub insts: Vec<InstData>,
    /// Blocks.
    pub blocks: Vec<BlockData>,
    /// Frame states.
    pub states: Vec<FrameState>,
}

impl Function {
    /// An empty function with an entry block.
    pub fn new(name: impl Into<String>) -> Function {
        Function { name: name.into(), blocks: vec![BlockData::default()], ..Function::default() }
    }
    /// The entry block.
    pub fn entry(&self) -> Block {
        Block(0)
    }
    /// Adds a block.
    pub fn add_block(&mut self) -> Block {
        self.blocks.push(BlockData::default());
        Block(self.blocks.len() as u32 - 1)
    }
    /// Adds a parameter to a block.
    pub fn add_param(&mut self, block: Block, ty: Type) -> Value {
        let v = Value(self.values.len() as u32);
        self.values.push(ValueData { ty, def: Def::Param(block) });
        self.blocks[block.index()].params.push(v);
        v
    }
    /// Adds a frame state.
    pub fn add_state(&mut self, state: FrameState) -> State {
        self.states.push(state);
        State(self.states.len() as u32 - 1)
    }
    /// Adds (or finds) a constant object by address. Address 0 always makes a new row.
    pub fn add_const(&mut self, data: ConstData) -> Const {
        if data.address != 0
            && let Some(i) = self.consts.iter().position(|c| c.address == data.address)
        {
            return Const(i as u32);
        }
        self.consts.push(data);
        Const(self.consts.len() as u32 - 1)
    }
    /// Adds (or finds) a name.
    pub fn add_name(&mut self, name: &str) -> Name {
        if let Some(i) = self.names.iter().position(|n| n == name) {
            return Name(i as u32);
        }
        self.names.push(name.to_owned());
        Name(self.names.len() as u32 - 1)
    }
    /// Makes an instruction without placing it in a block; `ty` is `Void` for no result.
    pub fn make_inst(&mut self, op: Op, args: &[Value], imm: Imm, ty: Type, state: Option<State>) -> (Inst, Option<Value>) {
        let inst = Inst(self.insts.len() as u32);
        let result = (ty != Type::Void).then(|| {
            self.values.push(ValueData { ty, def: Def::Inst(inst) });
            Value(self.values.len() as u32 - 1)
        });
        self.insts.push(InstData {
            op,
            args: args.to_vec(),
            imm,
            hint: Hint::None,
            state,
            asked: None,
            result,
            targets: Vec::new(),
        });
        (inst, result)
    }
    /// Makes an instruction and appends it to a block.
    pub fn push(&mut self, block: Block, op: Op, args: &[Value], imm: Imm, ty: Type, state: Option<State>) -> Option<Value> {
        let (inst, result) = self.make_inst(op, args, imm, ty, state);
        self.blocks[block.index()].insts.push(inst);
        result
    }
    /// A value's type.
    pub fn ty(&self, v: Value) -> Type {
        self.values[v.index()].ty
    }
    /// The instruction that defines a value, if one does.
    pub fn def_inst(&self, v: Value) -> Option<Inst> {
        match self.values[v.index()].def {
            Def::Inst(i) => Some(i),
            Def::Param(_) => None,
        }
    }
    /// Whether dropping the last reference to a value runs no Python code: its type says it, or the operation that makes it.
    pub fn drop_is_silent(&self, mut v: Value) -> bool {
        loop {
            if self.ty(v).drop_is_silent() {
                return true;
            }
            let Some(d) = self.def_inst(v).map(|i| self.inst(i)) else { return false };
            match d.op {
                // An int or a float.
                Op::NumBinary => return true,
                Op::GuardClass | Op::GuardNotNull | Op::RefCast => v = d.args[0],
                _ => return false,
            }
        }
    }
    /// An instruction's row.
    pub fn inst(&self, i: Inst) -> &InstData {
        &self.insts[i.index()]
    }
    /// How many values the instructions' frame states name, each instruction counted for itself: what exits must find
    /// again, and what lives across the instructions before.
    pub fn named_by_states(&self) -> usize {
        let named = |mut state: Option<State>| {
            let mut count = 0;
            while let Some(s) = state.map(|s| &self.states[s.index()]) {
                count += s.locals.iter().flatten().count() + s.stack.len();
                state = s.parent;
            }
            count
        };
        self.blocks.iter().flat_map(|b| &b.insts).map(|i| named(self.inst(*i).state)).sum()
    }
    /// An instruction's row, to change.
    pub fn inst_mut(&mut self, i: Inst) -> &mut InstData {
        &mut self.insts[i.index()]
    }
    /// A block's terminator.
    pub fn terminator(&self, b: Block) -> Option<Inst> {
        self.blocks[b.index()].insts.last().copied().filter(|i| self.inst(*i).op.is(crate::ops::Flags::TERM))
    }
    /// The successors of a block.
    pub fn successors(&self, b: Block) -> impl Iterator<Item = Block> + '_ {
        self.terminator(b).into_iter().flat_map(|t| self.inst(t).targets.iter().map(|t| t.block))
    }
    /// Replaces uses (operands, branch arguments, frame states) by `map`, following chains.
    ///
    /// `map[v]` is `Some(w)` where `v` must be replaced by `w`.
    pub fn replace_uses(&mut self, map: &[Option<Value>]) {
        // Many passes find nothing to do, and states are many.
        if map.iter().all(Option::is_none) {
            return;
        }
        let find = |mut v: Value| {
            while let Some(Some(w)) = map.get(v.index()) {
                v = *w;
            }
            v
        };
        for i in &mut self.insts {
            for a in i.args.iter_mut().chain(i.targets.iter_mut().flat_map(|t| t.args.iter_mut())) {
                *a = find(*a);
            }
        }
        for s in &mut self.states {
            for v in s.locals.iter_mut().flatten() {
                *v = find(*v);
            }
            for e in &mut s.stack {
                e.value = find(e.value);
            }
        }
    }
}
