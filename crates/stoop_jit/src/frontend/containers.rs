//! Displays, and taking containers apart.

use stoop_cpython::decode::Instr;
use stoop_ir::{Class, Hint, Imm, Op, Type, Value};

use super::builder::{BuildError, Builder, Item};
use super::operators::{generic, operands_hint};

pub(super) fn build(b: &mut Builder<'_>, i: &Instr, op: Op, n: usize, c: Class) {
    generic(b, i, op, n, Imm::None, Type::Exact(c), Hint::None);
}

/// `n` values from the top go into the container below them.
pub(super) fn into_container(b: &mut Builder<'_>, i: &Instr, op: Op, n: usize) {
    let st = b.state(i.unit);
    let items = b.pop_n(n);
    let mut args = vec![b.peek(i.arg as usize - 1).value];
    args.extend(items.iter().map(|x| x.value));
    b.void(op, &args, Imm::None, Some(st));
    b.ran_python = true;
    for x in items {
        b.drop_item(x);
    }
}

pub(super) fn unpack(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let h = operands_hint(b, i, &[b.peek(0)]);
    let seq = b.pop();
    let example = b.examples.get(&seq.value).copied();
    let t = b.op(Op::PyUnpack, &[seq.value], Imm::Int(i.arg.into()), Type::Exact(Class::Tuple), Some(st));
    b.set_hint(h);
    b.ran_python = true;
    let positions: Vec<Value> = (0..i.arg).rev().map(|n| b.op(Op::ConstInt, &[], Imm::Int(n.into()), Type::I64, None)).collect();
    // All loads first: then whatever is found out about an item can still leave before the first count is changed.
    let items: Vec<Value> = positions.into_iter().map(|at| b.op(Op::TupleItem, &[t, at], Imm::None, Type::Obj, None)).collect();
    for (v, n) in items.into_iter().zip((0..i.arg).rev()) {
        let item = example.and_then(|o| b.env.example_item(o, n as usize));
        b.examples.extend(item.map(|o| (v, o)));
        b.void(Op::IncRef, &[v], Imm::None, None);
        b.push_owned(v);
    }
    b.drop_item(Item { value: t, owned: true, slot: None });
    b.drop_item(seq);
}

/// FORMAT_VALUE (3.12): conversion and format in one instruction.
pub(super) fn format_value(b: &mut Builder<'_>, i: &Instr) -> Result<bool, BuildError> {
    let conversion = i64::from(i.arg);
    match (conversion, i.flag) {
        (0, true) => generic(b, i, Op::PyFormat, 2, Imm::None, Type::Obj, Hint::None),
        (0, false) => {
            let st = b.state(i.unit);
            let x = b.pop();
            let null = b.null().value;
            let r = b.op(Op::PyFormat, &[x.value, null], Imm::None, Type::Obj, Some(st));
            b.ran_python = true;
            b.drop_item(x);
            b.push_owned(r);
        }
        // An exact string formats as itself.
        (_, false) => generic(b, i, Op::PyConvert, 1, Imm::Int(conversion), Type::Obj, Hint::None),
        (_, true) => {
            b.exit(i.unit, "conversion with a format specification");
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn const_key_map(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let keys = b.pop();
    let vals = b.pop_n(i.arg as usize);
    let mut args = Vec::new();
    for (n, v) in vals.iter().enumerate() {
        let at = b.op(Op::ConstInt, &[], Imm::Int(n as i64), Type::I64, None);
        args.push(b.op(Op::TupleItem, &[keys.value, at], Imm::None, Type::Obj, None));
        args.push(v.value);
    }
    let v = b.op(Op::BuildMap, &args, Imm::None, Type::Exact(Class::Dict), Some(st));
    b.ran_python = true;
    for x in vals {
        b.drop_item(x);
    }
    b.drop_item(keys);
    b.push_owned(v);
}

pub(super) fn store_slice(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let (stop, start, container, value) = (b.pop(), b.pop(), b.pop(), b.pop());
    let args = [container.value, start.value, stop.value, value.value];
    b.void(Op::PySetSlice, &args, Imm::None, Some(st));
    b.ran_python = true;
    for x in [value, container, start, stop] {
        b.drop_item(x);
    }
}
