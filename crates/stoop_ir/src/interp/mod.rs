//! The reference interpreter: what a function of the IR means, without Python and without machine code.
//!
//! It serves tests: a pass must not change what a function does. Objects are models ([`heap`]); operations that run
//! Python code are given to a [`Host`]. References are counted exactly, so that a use after the last drop, a drop too
//! many and a leak are found.

mod arithmetic;
pub mod heap;
mod objects;

use crate::func::{Block, Function, Imm, Inst, InstData, StackEntry, State, Value};
use crate::ops::{Flags, Op};
use crate::types::{Class, Type};
use heap::{Fault, Heap, Kind, Obj, Val};

/// A Python exception was raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised;

/// The Python around the code.
pub trait Host {
    /// Does an operation that may run Python code. References are borrowed; a result is new.
    fn python(&mut self, heap: &mut Heap, func: &Function, inst: &InstData, args: &[Val]) -> Result<Option<Val>, Raised>;
    /// Whether a safe point (`check`, `check.valid`, `poll`) leaves.
    fn leaves(&mut self, _op: Op) -> bool {
        false
    }
}

/// A host whose every Python operation raises.
pub struct NoPython;

impl Host for NoPython {
    fn python(&mut self, _: &mut Heap, _: &Function, _: &InstData, _: &[Val]) -> Result<Option<Val>, Raised> {
        Err(Raised)
    }
}

/// The interpreter's state that a frame state stands for, as text, so that two runs can be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Point {
    /// The code object.
    pub code: u32,
    /// The code unit.
    pub unit: u32,
    /// The locals; `None` where compiled code never touches the slot.
    pub locals: Vec<Option<String>>,
    /// The operand stack.
    pub stack: Vec<String>,
    /// The caller's, when this is an inlined function's.
    pub parent: Option<Box<Point>>,
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// By `return`, with this value.
    Returned(String),
    /// By a side exit.
    Exited(Point),
    /// By an exception.
    Raised(Point),
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// The states it passed, in order, as far as asked for.
    pub passed: Vec<Point>,
    /// Instructions done.
    pub steps: u64,
    /// Mortal objects alive after everything was dropped.
    pub leaked: usize,
}

/// What a run starts with and how far it may go.
pub struct Setup {
    /// The objects.
    pub heap: Heap,
    /// What the local slots own at entry.
    pub locals: Vec<Option<Obj>>,
    /// What the operand stack owns at a loop entry.
    pub stack: Vec<Obj>,
    /// Instructions that may be done.
    pub limit: u64,
    /// Which states passed to note.
    pub trace: Trace,
}

/// Which frame states a run notes as it passes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trace {
    /// None.
    Nothing,
    /// Those of blocks' starts.
    Entries,
    /// Those of blocks' starts and of instructions, each before its instruction.
    All,
}

impl Setup {
    /// A start with these objects in the local slots.
    pub fn new(locals: Vec<Kind>) -> Setup {
        let mut heap = Heap::default();
        let locals = locals.into_iter().map(|k| Some(heap.alloc(k))).collect();
        Setup { heap, locals, stack: Vec::new(), limit: 100_000, trace: Trace::Nothing }
    }
}

/// What an instruction leads to.
enum Step {
    /// On to the next, with this result.
    Value(Option<Val>),
    /// A side exit.
    Leave,
    /// An exception.
    Raise,
}

struct Interp<'a> {
    func: &'a Function,
    host: &'a mut dyn Host,
    heap: Heap,
    locals: Vec<Option<Obj>>,
    stack: Vec<Obj>,
    values: Vec<Option<Val>>,
    consts: Vec<Obj>,
}

/// Runs a function. `Err` is a fault: a bug in the function (or in whatever made it).
pub fn run(func: &Function, setup: Setup, host: &mut dyn Host) -> Result<Run, Fault> {
    let Setup { mut heap, locals, stack, limit, trace } = setup;
    let consts = func.consts.iter().map(|c| heap.alloc_immortal(const_kind(c.class, &c.text))).collect();
    let mut me = Interp { func, host, heap, locals, stack, values: vec![None; func.values.len()], consts };
    let (mut block, mut steps, mut passed) = (func.entry(), 0, Vec::new());
    'blocks: loop {
        if let (Trace::Entries | Trace::All, Some(s)) = (trace, func.blocks[block.index()].entry_state) {
            passed.push(me.point(s)?);
        }
        for &i in &func.blocks[block.index()].insts {
            steps += 1;
            if steps > limit {
                return Err("too many steps".to_owned());
            }
            let data = func.inst(i);
            if let (Trace::All, Some(s)) = (trace, data.state) {
                passed.push(me.point(s)?);
            }
            if data.op.is(Flags::TERM) {
                if let Some(outcome) = me.end(data, &mut block)? {
                    let leaked = me.heap.live();
                    return Ok(Run { outcome, passed, steps, leaked });
                }
                continue 'blocks;
            }
            if let Some(outcome) = me.inst(i)? {
                let leaked = me.heap.live();
                return Ok(Run { outcome, passed, steps, leaked });
            }
        }
        return Err("a block without terminator".to_owned());
    }
}

fn const_kind(class: Option<Class>, text: &str) -> Kind {
    let number = match class {
        Some(Class::Int) => Some(text.parse().map_or(Kind::BigInt, Kind::Int)),
        Some(Class::Float) => text.parse().ok().map(Kind::Float),
        Some(Class::Bool) => Some(Kind::Bool(text == "True")),
        Some(Class::NoneType) => Some(Kind::None),
        Some(Class::Str) => Some(Kind::Str(text.to_owned())),
        _ => None,
    };
    number.unwrap_or_else(|| Kind::Other(class, text.to_owned()))
}

impl Interp<'_> {
    fn val(&self, v: Value) -> Result<Val, Fault> {
        self.values[v.index()].ok_or_else(|| format!("v{} has no value", v.0))
    }

    /// Does a terminator: the outcome, or the next block.
    fn end(&mut self, data: &InstData, block: &mut Block) -> Result<Option<Outcome>, Fault> {
        let target = match data.op {
            Op::Jump => &data.targets[0],
            Op::Branch => match self.val(data.args[0])? {
                Val::I1(b) => &data.targets[usize::from(!b)],
                v => return Err(format!("a branch on {v:?}")),
            },
            Op::Return => {
                let v = self.val(data.args[0])?;
                let text = self.heap.show(v)?;
                self.heap.drop_val(v)?;
                self.drop_frame()?;
                return Ok(Some(Outcome::Returned(text)));
            }
            Op::Yield => {
                let v = self.val(data.args[0])?;
                let text = self.heap.show(v)?;
                for a in &data.args {
                    let v = self.val(*a)?;
                    self.heap.drop_val(v)?;
                }
                self.drop_frame()?;
                return Ok(Some(Outcome::Returned(text)));
            }
            _ => return self.leave(data).map(|p| Some(Outcome::Exited(p))),
        };
        let args = target.args.iter().map(|a| self.val(*a)).collect::<Result<Vec<_>, _>>()?;
        for (p, a) in self.func.blocks[target.block.index()].params.iter().zip(args) {
            self.values[p.index()] = Some(a);
        }
        *block = target.block;
        Ok(None)
    }

    fn inst(&mut self, i: Inst) -> Result<Option<Outcome>, Fault> {
        let data = self.func.inst(i);
        let args = data.args.iter().map(|a| self.val(*a)).collect::<Result<Vec<_>, _>>()?;
        let step = self.step(data, &args).map_err(|e| format!("{}: {e}", crate::print::inst_text(self.func, i)))?;
        match step {
            Step::Value(v) => {
                if let Some(r) = data.result {
                    let v = v.ok_or_else(|| format!("{} yields nothing", data.op))?;
                    self.check_type(r, v)?;
                    self.values[r.index()] = Some(v);
                }
                Ok(None)
            }
            Step::Leave => self.leave(data).map(|p| Some(Outcome::Exited(p))),
            Step::Raise => self.leave(data).map(|p| Some(Outcome::Raised(p))),
        }
    }

    /// Static types must hold at run time.
    fn check_type(&mut self, r: Value, v: Val) -> Result<(), Fault> {
        let actual = match v {
            Val::I64(_) => Type::I64,
            Val::F64(_) => Type::F64,
            Val::I1(_) => Type::I1,
            Val::Null => Type::Null,
            Val::Ref(o) => self.heap.get(o)?.ty(),
        };
        let ty = self.func.ty(r);
        if actual.is_subtype_of(ty) { Ok(()) } else { Err(format!("v{} is {actual}, not {ty}", r.0)) }
    }

    fn step(&mut self, data: &InstData, args: &[Val]) -> Result<Step, Fault> {
        if data.op.is(Flags::PY) && data.op != Op::Poll {
            return Ok(match self.host.python(&mut self.heap, self.func, data, args) {
                Ok(v) => Step::Value(v),
                Err(Raised) => Step::Raise,
            });
        }
        if let Some(step) = arithmetic::step(data, args)? {
            return Ok(step);
        }
        match data.op {
            Op::ConstObj => match data.imm {
                Imm::Const(c) => Ok(Step::Value(Some(Val::Ref(self.consts[c.index()])))),
                _ => Err("no constant".to_owned()),
            },
            Op::ConstNull => Ok(Step::Value(Some(Val::Null))),
            Op::Check | Op::CheckHandling | Op::CheckValid | Op::Poll => {
                Ok(if self.host.leaves(data.op) { Step::Leave } else { Step::Value(None) })
            }
            // What raises ends the run here: see `run`.
            Op::Caught => Ok(Step::Value(Some(Val::I1(false)))),
            Op::PollDue => Ok(Step::Value(Some(Val::I1(self.host.leaves(Op::PollDue))))),
            Op::EntryLocal => {
                let slot = self.locals.get(index(data)?).copied().flatten();
                Ok(Step::Value(Some(slot.map_or(Val::Null, Val::Ref))))
            }
            Op::EntryStack => {
                let o = self.stack.get(index(data)?).copied().ok_or("no such stack entry")?;
                Ok(Step::Value(Some(Val::Ref(o))))
            }
            Op::StoreLocal => {
                let slot = self.locals.get_mut(index(data)?).ok_or("no such slot")?;
                let new = if let Val::Ref(o) = args[0] { Some(o) } else { None };
                let old = std::mem::replace(slot, new);
                old.map_or(Ok(()), |o| self.heap.decref(o))?;
                Ok(Step::Value(None))
            }
            _ => self.object_step(data, args),
        }
    }

    /// A value of a state: an iterator that is only described is what its operands are now, before its block has begun.
    fn described(&mut self, v: Value) -> Result<Val, Fault> {
        let func = self.func;
        match func.def_inst(v).map(|i| func.inst(i)) {
            Some(d) if matches!(d.op, Op::VirtualRange | Op::VirtualIter) => {
                let args = d.args.iter().map(|a| self.val(*a)).collect::<Result<Vec<_>, _>>()?;
                match self.object_step(d, &args)? {
                    Step::Value(Some(v)) => Ok(v),
                    _ => Err("no iterator".to_owned()),
                }
            }
            _ => self.val(v),
        }
    }

    /// A state as the interpreter would find it.
    fn point(&mut self, s: State) -> Result<Point, Fault> {
        let state = &self.func.states[s.index()];
        let mut locals = Vec::new();
        for v in &state.locals {
            locals.push(match v {
                Some(v) => {
                    let v = self.val(*v)?;
                    Some(self.heap.show(v)?)
                }
                None => None,
            });
        }
        let mut stack = Vec::new();
        for e in &state.stack {
            let v = self.described(e.value)?;
            stack.push(self.heap.show(v)?);
        }
        let parent = match state.parent {
            Some(p) => Some(Box::new(self.point(p)?)),
            None => None,
        };
        Ok(Point { code: state.code, unit: state.unit, locals, stack, parent })
    }

    /// Leaves to a state: what the interpreter finds there. Everything is dropped afterwards.
    fn leave(&mut self, data: &InstData) -> Result<Point, Fault> {
        let s = data.state.ok_or("no state to leave to")?;
        let point = self.point(s)?;
        let mut at = Some(s);
        let mut taken = Vec::new();
        while let Some(s) = at {
            let state = &self.func.states[s.index()];
            // References are taken before slots change: the former content may be what is borrowed.
            for StackEntry { value, owned } in &state.stack {
                self.hand_over(*value, *owned, &mut taken)?;
            }
            for (k, v) in state.locals.iter().enumerate() {
                if let Some(v) = v {
                    self.hand_over(*v, state.owned.contains(&(k as u32)), &mut taken)?;
                }
            }
            at = state.parent;
        }
        for v in taken {
            self.heap.drop_val(v)?;
        }
        self.drop_frame()?;
        Ok(point)
    }

    /// Takes over a value's reference, or one of its own; a virtual tuple's or iterator's are its operands'.
    fn hand_over(&mut self, v: Value, owned: bool, taken: &mut Vec<Val>) -> Result<(), Fault> {
        let func = self.func;
        if let Some(i) = func.def_inst(v).filter(|i| matches!(func.inst(*i).op, Op::VirtualTuple | Op::VirtualIter)) {
            return func.inst(i).args.iter().try_for_each(|item| self.hand_over(*item, owned, taken));
        }
        let v = self.val(v)?;
        match v {
            Val::Ref(o) if !owned => self.heap.incref(o)?,
            _ => {}
        }
        taken.push(self.heap.boxed(v));
        Ok(())
    }

    fn drop_frame(&mut self) -> Result<(), Fault> {
        for o in std::mem::take(&mut self.locals).into_iter().flatten() {
            self.heap.decref(o)?;
        }
        Ok(())
    }
}

fn index(data: &InstData) -> Result<usize, Fault> {
    match data.imm {
        Imm::Index(i) => Ok(i as usize),
        _ => Err("no index".to_owned()),
    }
}
