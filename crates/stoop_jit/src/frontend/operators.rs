//! Operators, comparisons and truth, with what is expected of their operands.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{BinOp, Class, CmpOp, Hint, Imm, Op, Type, Value};

use super::builder::{Builder, Item};

/// A binary operator, and whether it is the in-place form.
pub fn binary_op(i: &Instr) -> (BinOp, bool) {
    // The order of CPython's NB_* numbers.
    const OPS: [BinOp; 13] = [
        BinOp::Add,
        BinOp::And,
        BinOp::FloorDiv,
        BinOp::Shl,
        BinOp::MatMul,
        BinOp::Mul,
        BinOp::Mod,
        BinOp::Or,
        BinOp::Pow,
        BinOp::Shr,
        BinOp::Sub,
        BinOp::TrueDiv,
        BinOp::Xor,
    ];
    (OPS[i.arg as usize % 13], i.flag)
}

/// What the interpreter saw of the operands, or else what examples of them are.
pub(super) fn operands_hint(b: &Builder<'_>, i: &Instr, operands: &[Item]) -> Hint {
    let seen = operand_hint(b, i);
    if seen != Hint::None {
        return seen;
    }
    let class = |x: &Item| b.examples.get(&x.value).and_then(|o| b.env.example_class(*o));
    match operands {
        [x] => class(x).map_or(Hint::None, Hint::Class),
        // The interpreter does not specialise operators on ints and floats together. Where the code has no frame, and
        // nothing may run Python, it is worth guessing that they are that.
        [x, y] if b.lv.is_inlined() && arithmetic(i) && [x, y].iter().all(|x| may_be_number(b, x)) => Hint::Numbers,
        [x, y] => match (class(x), class(y)) {
            (Some(a), Some(b)) if a == b => Hint::Class(a),
            (Some(a), Some(b)) => Hint::Classes(a, b),
            // One side alone: the other is known by inference or not at all.
            (Some(a), None) if matches!(i.op, Opcode::BinarySubscr | Opcode::StoreSubscr) => Hint::Classes(a, Class::Int),
            // Of what is looked for nobody asks, but in strs.
            (None, Some(c)) if i.op == Opcode::ContainsOp => Hint::Class(c),
            _ => Hint::None,
        },
        _ => Hint::None,
    }
}

fn arithmetic(i: &Instr) -> bool {
    match i.op {
        Opcode::BinaryOp => matches!(binary_op(i).0, BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::TrueDiv),
        Opcode::CompareOp => !matches!(comparison(i), CmpOp::Eq | CmpOp::Ne),
        _ => false,
    }
}

/// Whether nothing speaks against a value's being an int or a float.
fn may_be_number(b: &Builder<'_>, x: &Item) -> bool {
    match b.kind_of(x.value) {
        None => !matches!(b.f.ty(x.value), Type::Heap(_)),
        Some(super::builder::Kind::Exact(c)) => matches!(c, Class::Int | Class::Float),
        Some(super::builder::Kind::Class(_)) => false,
    }
}

/// What the interpreter saw of the operands.
pub(super) fn operand_hint(b: &Builder<'_>, i: &Instr) -> Hint {
    if b.env.is_generic(i.unit) {
        return Hint::Generic;
    }
    if b.env.is_mixed(i.unit) {
        return Hint::Mixed;
    }
    match i.feedback {
        Feedback::Int => Hint::Class(Class::Int),
        Feedback::Float => Hint::Class(Class::Float),
        Feedback::Str => Hint::Class(Class::Str),
        Feedback::ListInt => Hint::Classes(Class::List, Class::Int),
        Feedback::TupleInt => Hint::Classes(Class::Tuple, Class::Int),
        Feedback::StrInt => Hint::Classes(Class::Str, Class::Int),
        Feedback::ListSetInt => Hint::Classes(Class::List, Class::Int),
        // What the key is does not matter.
        Feedback::DictGet | Feedback::DictSet | Feedback::ContainsDict => Hint::Class(Class::Dict),
        Feedback::ContainsSet => Hint::Class(Class::Set),
        Feedback::ToBoolBool => Hint::Class(Class::Bool),
        Feedback::ToBoolInt => Hint::Class(Class::Int),
        Feedback::ToBoolList => Hint::Class(Class::List),
        Feedback::ToBoolStr => Hint::Class(Class::Str),
        Feedback::IterList => Hint::Class(Class::ListIter),
        Feedback::IterTuple => Hint::Class(Class::TupleIter),
        Feedback::IterRange => Hint::Class(Class::RangeIter),
        Feedback::UnpackTwoTuple | Feedback::UnpackTuple => Hint::Class(Class::Tuple),
        Feedback::UnpackList => Hint::Class(Class::List),
        _ => Hint::None,
    }
}

/// An operation over the top `n` entries with one result.
pub(super) fn generic(b: &mut Builder<'_>, i: &Instr, op: Op, n: usize, imm: Imm, ty: Type, hint: Hint) {
    let st = b.state(i.unit);
    let items = b.pop_n(n);
    let args: Vec<Value> = items.iter().map(|x| x.value).collect();
    let v = b.op(op, &args, imm, ty, Some(st));
    b.set_hint(hint);
    b.ran_python = true;
    for x in items {
        b.drop_item(x);
    }
    b.push_owned(v);
}

pub(super) fn generic_void(b: &mut Builder<'_>, i: &Instr, op: Op, n: usize, imm: Imm) {
    let st = b.state(i.unit);
    let items = b.pop_n(n);
    let args: Vec<Value> = items.iter().map(|x| x.value).collect();
    b.void(op, &args, imm, Some(st));
    b.ran_python = true;
    for x in items {
        b.drop_item(x);
    }
}

pub(super) fn push_bool(b: &mut Builder<'_>, c: Value) {
    let v = b.op(Op::BoxBool, &[c], Imm::None, Type::Exact(Class::Bool), None);
    b.push_const(v);
}

/// Pops the top and tests it.
pub(super) fn truth(b: &mut Builder<'_>, i: &Instr) -> Value {
    let x = b.peek(0);
    if let Some(d) = b.f.def_inst(x.value).map(|d| b.f.inst(d))
        && d.op == Op::BoxBool
    {
        let c = d.args[0];
        b.pop();
        return c;
    }
    let st = b.state(i.unit);
    let decides = b.class_of(x.value).is_some_and(|c| ["__bool__", "__len__"].iter().any(|name| b.env.class_has(c, name)));
    let hint = match i.feedback {
        _ if decides => Hint::Generic,
        // What is None now is something else at other times.
        Feedback::ToBoolNone | Feedback::ToBoolAlwaysTrue { .. } => operand_hint(b, i),
        _ => operands_hint(b, i, &[x]),
    };
    b.pop();
    let c = b.op(Op::PyToBool, &[x.value], Imm::None, Type::I1, Some(st));
    b.set_hint(hint);
    b.ran_python = true;
    b.drop_item(x);
    c
}

/// A comparison's operator.
pub fn comparison(i: &Instr) -> CmpOp {
    const OPS: [CmpOp; 6] = [CmpOp::Lt, CmpOp::Le, CmpOp::Eq, CmpOp::Ne, CmpOp::Gt, CmpOp::Ge];
    OPS[i.arg as usize % 6]
}

pub(super) fn compare(b: &mut Builder<'_>, k: usize, i: &Instr) {
    let op = comparison(i);
    let hint = operands_hint(b, i, &[b.peek(1), b.peek(0)]);
    let next = b.lv.code.instrs.get(k + 1).map(|n| n.op);
    let tested =
        i.flag || matches!(next, Some(Opcode::PopJumpIfTrue | Opcode::PopJumpIfFalse | Opcode::ToBool | Opcode::UnaryNot));
    if !tested {
        generic(b, i, Op::PyCompare, 2, Imm::Cmp(op), Type::Obj, hint);
        return;
    }
    let st = b.state(i.unit);
    let (y, x) = (b.pop(), b.pop());
    let c = b.op(Op::PyCompareBool, &[x.value, y.value], Imm::Cmp(op), Type::I1, Some(st));
    b.set_hint(hint);
    b.ran_python = true;
    b.drop_item(x);
    b.drop_item(y);
    push_bool(b, c);
}
