//! Functions translated in place of their calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Block, Imm, Op, State, Target, Type, Value};

use super::blocks;
use super::builder::{BuildError, Builder, Entry};
use super::consumers::Consumer;
use super::level::{Item, Level};

/// What an inlined function stands in place of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A call, or a subscript.
    Call,
    /// The call of a class. The new instance lies on top of the caller's stack, and is the result.
    Init,
    /// An operator, whose two operands lie on top of the caller's stack.
    Operator,
    /// The call of a builtin that consumes the generator.
    Consumed(Consumer),
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

/// How deep functions are inlined into each other.
const MAX_DEPTH: u32 = 4;

/// How much deeper functions are that call nothing and have hardly any instructions: a call costs more code than they are.
const LEAF_DEPTH: u32 = 4;
/// How many instructions such functions have.
const LEAF_INSTRUCTIONS: usize = 12;

/// Above this many instructions nothing more is inlined.
const INLINE_LIMIT: usize = 4000;

/// How often one function is inlined into another.
const MAX_COPIES: usize = 32;

/// How much further both limits reach for what an inlined function calls: leaving that out would need a frame for the
/// caller, and undo it everywhere.
const NESTED: usize = 4;

/// Whether a function calls nothing and is small.
fn is_leaf(code: &CodeInfo) -> bool {
    let calls = |op| matches!(op, Opcode::Call | Opcode::CallKw | Opcode::CallFunctionEx);
    code.instrs.len() <= LEAF_INSTRUCTIONS && !code.instrs.iter().any(|i| calls(i.op))
}

impl Builder<'_> {
    /// As [`Builder::inline`], for a call whose result is not wanted.
    pub(super) fn inline_for_effect(&mut self, i: &Instr, function: u64, args: &[Item]) -> Result<bool, BuildError> {
        let Some(after) = self.inlined(i, function, args, Role::Call, false)? else { return Ok(false) };
        let resumed = self.state(i.next);
        self.f.blocks[after.index()].entry_state = Some(resumed);
        self.dropped = true;
        Ok(true)
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
        if self.depth >= MAX_DEPTH + LEAF_DEPTH || self.f.insts.len() > reach * INLINE_LIMIT || self.env.is_generic(unit) {
            return Ok(None);
        }
        let recursive = self.chain.contains(&function)
            || self.functions.iter().filter(|f| f.function == function).count() >= reach * MAX_COPIES;
        let Some(code) = (if recursive { None } else { self.env.enter(function, args.len() as u32) }) else {
            return Ok(None);
        };
        let stops = |i: &Instr| super::instrs::ends(i, Entry::Function);
        let blocks = match blocks::find(&code, 0, &stops, &|_| None) {
            Some(b) if b.headers.is_empty() && (self.depth < MAX_DEPTH || is_leaf(&code)) => b,
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
        if role != Role::Init {
            self.guard_depth(unit);
        }
        let parent = self.state(unit);
        self.functions.push(Inlined { function, code: code.clone(), role });
        let number = self.functions.len() as u32;
        let after = self.f.add_block();
        let result = wanted.then(|| self.f.add_param(after, Type::Obj));
        let mut level = Level::new(code, number, Entry::Function, blocks, &BTreeMap::new());
        level.parent = Some(parent);
        level.returns = Some((after, result));
        level.role = role;
        level.outer = self.lv.variables_by_name();
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

    /// Asks for the recursion limit before the next function is inlined. Nothing of the instruction has been done yet, so
    /// that the interpreter can do it, and raise.
    pub(super) fn guard_depth(&mut self, unit: u32) {
        let levels = self.op(Op::ConstInt, &[], Imm::Int(i64::from(self.depth) + 1), Type::I64, None);
        let st = self.before(unit);
        let number = self.functions.len() as i64 + 1;
        self.void(Op::GuardDepth, &[levels], Imm::Int(number), Some(st));
    }

    /// The state before the present instruction.
    pub(super) fn before(&mut self, unit: u32) -> State {
        let stack = std::mem::replace(&mut self.lv.stack, self.lv.before.clone());
        let st = self.state(unit);
        self.lv.stack = stack;
        st
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
}
