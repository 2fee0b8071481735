//! Control flow: branches, loops, returns, safe points on the way.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Hint, Imm, Op, Type, Value};

use super::builder::{Builder, Item};
use super::instrs::EMPTY_LOOP;
use super::operators::operand_hint;

pub(super) fn poll(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    b.void(Op::Poll, &[], Imm::None, Some(st));
    // Whoever had the GIL meanwhile may have broken an assumption.
    b.void(Op::CheckValid, &[], Imm::None, Some(st));
}

pub(super) fn target(i: &Instr) -> u32 {
    i.target.expect("jumps have a target")
}

pub(super) fn ret(b: &mut Builder<'_>, x: Item) {
    let v = b.own(x);
    if b.lv.is_inlined() {
        b.return_inlined(v);
    } else {
        b.void(Op::Return, &[v], Imm::None, None);
    }
}

/// YIELD_VALUE: the whole operand stack goes into the frame. While an exception is handled, and where an iterator is in
/// registers, it is left to the interpreter.
pub(super) fn suspend(b: &mut Builder<'_>, k: usize, i: &Instr) {
    let resumed = b.lv.code.instrs.get(k + 1).filter(|n| n.op == Opcode::Resume).cloned();
    let in_registers = b.lv.stack.iter().any(|x| b.walks.contains_key(&x.value));
    // What is yielded for others comes from SEND, and does not get here.
    if resumed.is_none_or(|n| n.arg & 2 != 0) || b.lv.handling > 0 || in_registers {
        b.exit(i.unit, i.op.name());
        return;
    }
    hand_over(b, i.next, 0);
}

/// SEND: whoever resumed the generator resumes what is below the value.
pub(super) fn send(b: &mut Builder<'_>, i: &Instr) {
    let in_registers = b.lv.stack.iter().any(|x| b.walks.contains_key(&x.value));
    if b.lv.handling > 0 || in_registers {
        b.exit(i.unit, i.op.name());
        return;
    }
    hand_over(b, i.unit, 1);
}

/// Leaves with the value on top of the stack, and all that is below it in the frame.
fn hand_over(b: &mut Builder<'_>, unit: u32, how: i64) {
    let value = b.pop();
    let rest = std::mem::take(&mut b.lv.stack);
    let all: Vec<Value> = std::iter::once(value).chain(rest).map(|x| b.own(x)).collect();
    let st = b.state(unit);
    b.void(Op::Yield, &all, Imm::Int(how), Some(st));
}

/// GET_YIELD_FROM_ITER and GET_AWAITABLE.
pub(super) fn delegate(b: &mut Builder<'_>, i: &Instr, op: Op) {
    /// A coroutine, or a generator that may be used as one.
    const COROUTINE: u32 = 0x80 | 0x100;
    if op == Op::PyYieldFromIter
        && let Some((version, method)) = super::calls::special(b, i, b.peek(0), "__iter__")
        && b.env.makes_generators(method.address)
    {
        let st = b.state(i.unit);
        let x = b.pop();
        let o = b.op(Op::GuardVersion, &[x.value], Imm::None, Type::Heap(version), Some(st));
        b.same_example(x.value, o);
        let function = Item { value: b.known(method), owned: false, slot: None };
        return super::calls::new_generator(b, function, vec![Item { value: o, ..x }], st);
    }
    let how = match op {
        Op::PyAwaitable => i64::from(i.arg),
        _ => i64::from(b.lv.code.flags & COROUTINE != 0),
    };
    super::operators::generic(b, i, op, 1, Imm::Int(how), Type::Obj, Hint::None);
}

/// A comprehension's variable: what it held goes on the stack, possibly as NULL.
pub(super) fn load_fast_and_clear(b: &mut Builder<'_>, i: &Instr) {
    let v = b.lv.locals[i.arg as usize];
    // The next time round an enclosing loop it may be set: not the constant NULL.
    let aside = b.op(Op::RefCast, &[v], Imm::None, Type::MaybeNull, None);
    if b.f.ty(v) == Type::Null {
        b.push_owned(aside);
        return;
    }
    b.void(Op::IncRef, &[v], Imm::None, None);
    b.push_owned(aside);
    let null = b.null().value;
    b.store_local(i.arg, null);
}

pub(super) fn jump_if(b: &mut Builder<'_>, i: &Instr, c: Value, when: bool) {
    let (to, next) = (target(i), i.next);
    let mut taken = |b: &mut Builder<'_>| {
        b.safe_point(to);
        b.go(to);
    };
    let mut not_taken = |b: &mut Builder<'_>| {
        b.safe_point(next);
        b.go(next);
    };
    if when {
        b.branch(c, [&mut taken, &mut not_taken]);
    } else {
        b.branch(c, [&mut not_taken, &mut taken]);
    }
}

pub(super) fn for_iter(b: &mut Builder<'_>, i: &Instr) {
    let it = b.peek(0);
    if let Some(walk) = b.walks.get(&it.value).cloned() {
        super::walks::next(b, i, &walk);
        return;
    }
    let st = b.state(i.unit);
    let h = operand_hint(b, i);
    // The interpreter has no form of its own for dicts and sets. Where nothing may run Python code it is worth guessing that
    // it is one of these.
    let quiet = b.lv.consumed.is_some() && h == Hint::None && b.f.ty(it.value) == Type::Obj && i.feedback == Feedback::None;
    let op = if quiet { Op::IterNext } else { Op::PyIterNext };
    let v = b.op(op, &[it.value], Imm::None, Type::MaybeNull, Some(st));
    b.set_hint(h);
    b.ran_python |= !quiet;
    b.dropped |= quiet;
    let end = b.op(Op::IsNull, &[v], Imm::None, Type::I1, None);
    let (to, next) = (target(i), i.next);
    let element = b.elements.get(&it.value).copied();
    // A loop's peeled first iteration is there because its variables get their type in it. A loop that does not even
    // have one is left to the interpreter, unless that turns out to be common.
    let hollow = b.in_first_iteration() && !b.env.is_generic(i.unit);
    let mut done = |b: &mut Builder<'_>| {
        if hollow {
            b.exit(i.unit, EMPTY_LOOP);
            return;
        }
        let it = b.pop();
        b.drop_item(it);
        b.safe_point(to);
        b.go(to);
    };
    let mut body = |b: &mut Builder<'_>| {
        let item = b.op(Op::RefCast, &[v], Imm::None, Type::Obj, None);
        b.examples.extend(element.map(|o| (item, o)));
        b.push_owned(item);
        b.safe_point(next);
        b.go(next);
    };
    b.branch(end, [&mut done, &mut body]);
}
