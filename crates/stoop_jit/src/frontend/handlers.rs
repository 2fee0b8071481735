//! Exceptions: raising, handlers, context managers.
//!
//! An operation that may run Python code, in the range of a handler with `except` clauses, is followed by a branch to a
//! *landing*. Its stack and locals are those of the operation's frame state, so it does what the interpreter does:
//! adds the traceback entry, drops the operands above the handler's level, pushes the exception, and goes on at the
//! handler. Handlers that raise again in any case (`finally`, the exit of `with`) are left to the interpreter.

use stoop_cpython::decode::{CodeInfo, Handler, Instr};
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Class, Flags, Hint, Imm, Op, State, Target, Type};

use super::builder::{Builder, Item};
use super::containers::items_of;
use super::operators::generic;

impl Builder<'_> {
    /// Notes that what the operation raises, if a handler here is in charge, is to be caught.
    pub(super) fn catch_later(&mut self, op: Op, st: Option<State>) {
        let raises = op.is(Flags::PY) && !matches!(op, Op::Poll | Op::PopHandled);
        self.catching = st.filter(|st| raises && self.catcher(*st).is_some());
    }

    /// The handler that is compiled for what the instruction of a state raises.
    fn catcher(&self, st: State) -> Option<Handler> {
        if self.lv.is_inlined() || self.lv.blocks.handlers.is_empty() {
            return None;
        }
        let code = &self.lv.code;
        let i = &code.instrs[code.index_of(self.f.states[st.index()].unit)?];
        let handler = *code.handler(i.op_unit)?;
        self.lv.blocks.handlers.contains(&handler.target).then_some(handler)
    }

    /// Puts the branch to the handler behind the operation emitted last, where it may raise. Before anything else is
    /// emitted.
    pub(super) fn catch(&mut self) {
        let Some(st) = self.catching.take() else { return };
        let Some(handler) = self.catcher(st) else { return };
        let raised = self.f.push(self.cur, Op::Caught, &[], Imm::None, Type::I1, None).expect("a truth value");
        let (from, landing, go_on) = (self.cur, self.f.add_block(), self.f.add_block());
        let (i, _) = self.f.make_inst(Op::Branch, &[raised], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = [landing, go_on].map(|block| Target { block, args: Vec::new() }).to_vec();
        self.f.blocks[from.index()].insts.push(i);

        let (locals, stack) = (self.lv.locals.clone(), self.lv.stack.clone());
        let (handling, ran, dropped) = (self.lv.handling, self.ran_python, self.dropped);
        self.cur = landing;
        land(self, st, &handler);
        (self.lv.locals, self.lv.stack, self.lv.handling) = (locals, stack, handling);
        (self.ran_python, self.dropped) = (ran, dropped);
        self.cur = go_on;
    }
}

/// RAISE_VARARGS with an exception, and perhaps a cause.
pub(super) fn raise(b: &mut Builder<'_>, i: &Instr) {
    if i.arg == 0 {
        // The exception that is being handled, without a new traceback entry.
        b.exit(i.unit, "RAISE_VARARGS");
        return;
    }
    let st = b.state(i.unit);
    let cause = if i.arg == 2 { b.pop() } else { b.null() };
    let exception = b.pop();
    b.void(Op::PyRaise, &[exception.value, cause.value], Imm::None, Some(st));
    // Never reached.
    b.lv.stack.push(exception);
    if i.arg == 2 {
        b.lv.stack.push(cause);
    }
    b.exit(i.unit, "RAISE_VARARGS");
}

/// BEFORE_WITH: the exit method stays on the stack below what entering yields.
pub(super) fn enter(b: &mut Builder<'_>, i: &Instr) {
    generic(b, i, Op::PyEnter, 1, Imm::None, Type::Exact(Class::Tuple), Hint::None);
    let pair = b.pop();
    items_of(b, pair, 2, None, false);
}

pub(super) fn assertion_error(b: &mut Builder<'_>) {
    let k = b.env.assertion_error();
    let v = b.known(k);
    b.push_const(v);
}

/// How far into a handler its first `except` clause is looked for.
const CLAUSE_WITHIN: usize = 32;

/// The handler that is compiled for what an instruction raises: one with `except` clauses that has run, or is told to
/// be hot by `is_hot`.
pub(super) fn catcher(code: &CodeInfo, i: &Instr, is_hot: &dyn Fn(u32) -> bool) -> Option<u32> {
    let target = code.handler(i.op_unit)?.target;
    let body = clauses(code, target)?;
    (is_hot(target) || body.iter().all(|i| i.ran)).then_some(target)
}

/// The instructions of a handler up to its first test, if it has `except` clauses.
fn clauses(code: &CodeInfo, target: u32) -> Option<&[Instr]> {
    use Opcode as O;
    let first = code.index_of(target)?;
    if code.instrs[first].op != O::PushExcInfo {
        return None;
    }
    let rest = code.instrs.get(first + 1..)?;
    for (k, i) in rest.iter().enumerate().take(CLAUSE_WITHIN) {
        match i.op {
            O::CheckExcMatch => return Some(&rest[..=k]),
            O::PopTop if k == 0 => return Some(&rest[..=k]),
            O::Reraise | O::WithExceptStart | O::PushExcInfo | O::CheckEgMatch | O::CleanupThrow => return None,
            _ => {}
        }
    }
    None
}

/// Whether a raise at this unit would be caught by compiled code, were its handler known to be hot: the handler.
pub fn cold_handler(code: &CodeInfo, op_unit: u32) -> Option<u32> {
    let target = code.handler(op_unit)?.target;
    clauses(code, target).map(|_| target)
}

/// Fills a landing: from the state of the operation that raised to the handler.
fn land(b: &mut Builder<'_>, st: State, handler: &Handler) {
    let state = b.f.states[st.index()].clone();
    b.lv.locals = state.locals.iter().map(|v| v.expect("the front end names every local")).collect();
    b.lv.stack = state.stack.iter().map(|e| Item { value: e.value, owned: e.owned, slot: None }).collect();
    let exception = b.op(Op::Land, &[], Imm::Int(b.lv.handling.into()), Type::Obj, None);
    while b.lv.stack.len() > handler.depth as usize {
        let x = b.pop();
        b.drop_item(x);
    }
    if handler.lasti {
        let at = b.lv.code.index_of(state.unit).map_or(state.unit, |k| b.lv.code.instrs[k].op_unit);
        let at = b.op(Op::ConstInt, &[], Imm::Int(at.into()), Type::I64, None);
        let at = b.op(Op::BoxInt, &[at], Imm::None, Type::Exact(Class::Int), None);
        b.push_owned(at);
    }
    b.push_owned(exception);
    b.lv.handling += 1;
    b.ran_python = true;
    b.safe_point(handler.target);
    b.go(handler.target);
}

/// PUSH_EXC_INFO: what was handled before goes below the exception.
pub(super) fn push_handled(b: &mut Builder<'_>) {
    let exception = b.pop();
    let previous = b.op(Op::PushHandled, &[exception.value], Imm::None, Type::Obj, None);
    b.push_owned(previous);
    b.lv.stack.push(exception);
}

/// CHECK_EXC_MATCH: whether the clause is in charge.
pub(super) fn check_match(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let class = b.pop();
    let exception = b.peek(0);
    let c = b.op(Op::ExcMatches, &[exception.value, class.value], Imm::None, Type::I1, Some(st));
    b.drop_item(class);
    super::operators::push_bool(b, c);
}

/// POP_EXCEPT: what was handled before is handled again. Where the exception has a name, that is deleted next, and
/// only then may nobody have the frame any more.
pub(super) fn pop_handled(b: &mut Builder<'_>, k: usize, i: &Instr) {
    let st = b.state(i.unit);
    let previous = b.pop();
    let p = b.own(previous);
    b.void(Op::PopHandled, &[p], Imm::None, Some(st));
    b.ran_python = true;
    match b.lv.code.instrs.get(k + 1..k + 4) {
        Some([none, store, delete])
            if none.op == Opcode::LoadConst
                && matches!(
                    (store.op, delete.op),
                    (Opcode::StoreFast, Opcode::DeleteFast) | (Opcode::StoreName, Opcode::DeleteName)
                )
                && store.arg == delete.arg
                && b.lv.handling > 0 =>
        {
            b.lv.handled_until = Some(k + 3);
        }
        _ => b.lv.handling = b.lv.handling.saturating_sub(1),
    }
}

/// After DELETE_FAST or DELETE_NAME: the name of the exception that was handled is gone, if it was that.
pub(super) fn name_deleted(b: &mut Builder<'_>, k: usize) {
    if b.lv.handled_until.take_if(|until| *until == k).is_some() {
        b.void(Op::ForgetFrame, &[], Imm::None, None);
        b.lv.handling -= 1;
        b.ran_python = true;
    }
}
