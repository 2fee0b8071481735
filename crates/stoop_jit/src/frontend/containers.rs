//! Displays, and taking containers apart.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Class, Hint, Imm, Op, State, Type, Value};

use super::builder::{BuildError, Builder, Item};
use super::operators::{generic, operands_hint, push_bool};

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
    let mut h = operands_hint(b, i, &[b.peek(0)]);
    let seq = b.pop();
    let example = b.examples.get(&seq.value).copied();
    // What it is now tells more than what this instruction met last: the same variable is unpacked elsewhere, too.
    let known = b.f.ty(seq.value).class().or_else(|| example.and_then(|o| b.env.example_class(o)));
    if let (Some(c @ (Class::List | Class::Tuple)), false) = (known, h == Hint::Generic) {
        h = Hint::Class(c);
    }
    let built = b.f.def_inst(seq.value).map(|d| b.f.inst(d)).filter(|d| d.op == Op::BuildTuple);
    if let Some(items) = built.map(|d| d.args.clone()).filter(|items| items.len() == i.arg as usize) {
        // A tuple made for this: its items are at hand, and it is never made if nobody else looks at it.
        for v in items.into_iter().rev() {
            b.void(Op::IncRef, &[v], Imm::None, None);
            b.push_owned(v);
        }
        b.drop_item(seq);
        return;
    }
    let may_be_list = b.env.is_mixed(i.unit) || matches!(h, Hint::Class(Class::List));
    if i.arg > 0 && may_be_list && !b.env.is_generic(i.unit) {
        unpack_mixed(b, i.arg, seq, example, st);
        return;
    }
    let t = b.op(Op::PyUnpack, &[seq.value], Imm::Int(i.arg.into()), Type::Exact(Class::Tuple), Some(st));
    b.set_hint(h);
    b.ran_python = true;
    items_of(b, Item { value: t, owned: true, slot: None }, i.arg, example, true);
    b.drop_item(seq);
}

/// Takes apart a list, or what is a list at one time, a tuple at another.
fn unpack_mixed(b: &mut Builder<'_>, count: u32, seq: Item, example: Option<u64>, st: State) {
    let data = b.op(Op::ItemsData, &[seq.value], Imm::Int(count.into()), Type::I64, Some(st));
    let mut items = Vec::new();
    for n in (0..count).rev() {
        let at = b.op(Op::ConstInt, &[], Imm::Int(n.into()), Type::I64, None);
        let mut v = b.op(Op::ListLoad, &[seq.value, at, data], Imm::None, Type::Obj, None);
        let item = example.and_then(|o| b.env.example_item(o, n as usize));
        // Numbers are let go without a finaliser: the sequence is the same afterwards.
        if let Some(c @ (Class::Int | Class::Float)) = item.and_then(|o| b.env.example_class(o)) {
            v = b.op(Op::GuardClass, &[v], Imm::None, Type::Exact(c), Some(st));
        }
        b.examples.extend(item.map(|o| (v, o)));
        items.push(v);
    }
    for v in items {
        b.void(Op::IncRef, &[v], Imm::None, None);
        b.push_owned(v);
    }
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

/// Pushes the items of a fresh tuple, and drops it: the first on top, or the last.
pub(super) fn items_of(b: &mut Builder<'_>, tuple: Item, count: u32, example: Option<u64>, first_on_top: bool) {
    let order: Vec<u32> = if first_on_top { (0..count).rev().collect() } else { (0..count).collect() };
    let positions: Vec<Value> = order.iter().map(|n| b.op(Op::ConstInt, &[], Imm::Int((*n).into()), Type::I64, None)).collect();
    // All loads first: then whatever is found out about an item can still leave before the first count is changed.
    let items: Vec<Value> =
        positions.into_iter().map(|at| b.op(Op::TupleItem, &[tuple.value, at], Imm::None, Type::Obj, None)).collect();
    for (v, n) in items.into_iter().zip(order) {
        let item = example.and_then(|o| b.env.example_item(o, n as usize));
        b.examples.extend(item.map(|o| (v, o)));
        b.void(Op::IncRef, &[v], Imm::None, None);
        b.push_owned(v);
    }
    b.drop_item(tuple);
}

/// UNPACK_EX: `first, *rest, last = sequence`.
pub(super) fn unpack_ex(b: &mut Builder<'_>, i: &Instr) {
    let count = (i.arg & 0xff) + 1 + (i.arg >> 8);
    generic(b, i, Op::PyUnpackEx, 1, Imm::Int(i.arg.into()), Type::Exact(Class::Tuple), Hint::None);
    let items = b.pop();
    items_of(b, items, count, None, true);
}

/// DICT_MERGE: `**mapping` in a call. What is called lies below the positional arguments, which lie below the dict.
pub(super) fn dict_merge(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let mapping = b.pop();
    let at = i.arg as usize;
    let (dict, callable) = (b.peek(at - 1), b.peek(at + if b.quirks.null_below_callable { 1 } else { 2 }));
    b.void(Op::PyDictMerge, &[dict.value, mapping.value, callable.value], Imm::None, Some(st));
    b.ran_python = true;
    b.drop_item(mapping);
}

/// GET_LEN: the length of what is matched, above it.
pub(super) fn get_len(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let x = b.peek(0);
    let n = b.op(Op::PyLen, &[x.value], Imm::None, Type::I64, Some(st));
    b.ran_python = true;
    let v = b.op(Op::BoxInt, &[n], Imm::None, Type::Exact(Class::Int), None);
    b.push_owned(v);
}

/// MATCH_SEQUENCE and MATCH_MAPPING: what the type's flags say of what is matched, above it.
pub(super) fn match_kind(b: &mut Builder<'_>, flag: u64) {
    let x = b.peek(0);
    let c = b.op(Op::MatchKind, &[x.value], Imm::Int(flag as i64), Type::I1, None);
    push_bool(b, c);
}

/// MATCH_KEYS: the values of the keys on top, of the mapping below them, above both.
pub(super) fn match_keys(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let (subject, keys) = (b.peek(1), b.peek(0));
    let v = b.op(Op::PyMatchKeys, &[subject.value, keys.value], Imm::None, Type::Obj, Some(st));
    b.ran_python = true;
    b.push_owned(v);
}

/// `s += more` for a string in a local: in place, where the local is its only owner. Whether it was translated.
pub(super) fn append_to_local(b: &mut Builder<'_>, k: usize, i: &Instr) -> bool {
    let store = b.lv.code.instrs.get(k + 1).filter(|n| n.op == Opcode::StoreFast && !b.lv.blocks.by_unit.contains_key(&n.unit));
    let (text, more) = (b.peek(1), b.peek(0));
    let Some(slot) = text.slot.filter(|s| store.is_some_and(|n| n.arg == *s)) else { return false };
    if i.feedback != Feedback::StrInPlace || b.lv.is_inlined() || text.owned || b.env.is_generic(i.unit) {
        return false;
    }
    let st = b.state(i.unit);
    let s = b.op(Op::GuardClass, &[text.value], Imm::None, Type::Exact(Class::Str), Some(st));
    let m = b.op(Op::GuardClass, &[more.value], Imm::None, Type::Exact(Class::Str), Some(st));
    b.pop_n(2);
    b.keep_borrowers(slot);
    let v = b.op(Op::StrAppend, &[s, m], Imm::Index(slot), Type::Exact(Class::Str), Some(st));
    b.lv.locals[slot as usize] = v;
    if more.owned {
        b.void(Op::DecRef, &[m], Imm::None, None);
    }
    b.lv.done_before = k + 2;
    true
}
