//! Operators and comparisons whose meaning a Python class defines: its method is translated in place.
//!
//! Which method that is depends on both operands' classes, which are guarded. That the method returns `NotImplemented`
//! is left to the interpreter; what happens then is in the engine's `nested`.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_ir::{BinOp, Class, CmpOp, Imm, Op, State, Type, Value};

use super::builder::{BuildError, Builder, Kind, Role};
use super::operators::push_bool;

/// The names of an operator's methods: plain, reflected, in place.
pub fn method_names(op: BinOp) -> [&'static str; 3] {
    match op {
        BinOp::Add => ["__add__", "__radd__", "__iadd__"],
        BinOp::Sub => ["__sub__", "__rsub__", "__isub__"],
        BinOp::Mul => ["__mul__", "__rmul__", "__imul__"],
        BinOp::TrueDiv => ["__truediv__", "__rtruediv__", "__itruediv__"],
        BinOp::FloorDiv => ["__floordiv__", "__rfloordiv__", "__ifloordiv__"],
        BinOp::Mod => ["__mod__", "__rmod__", "__imod__"],
        BinOp::Pow => ["__pow__", "__rpow__", "__ipow__"],
        BinOp::And => ["__and__", "__rand__", "__iand__"],
        BinOp::Or => ["__or__", "__ror__", "__ior__"],
        BinOp::Xor => ["__xor__", "__rxor__", "__ixor__"],
        BinOp::Shl => ["__lshift__", "__rlshift__", "__ilshift__"],
        BinOp::Shr => ["__rshift__", "__rrshift__", "__irshift__"],
        BinOp::MatMul => ["__matmul__", "__rmatmul__", "__imatmul__"],
    }
}

fn comparison_name(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Lt => "__lt__",
        CmpOp::Le => "__le__",
        CmpOp::Eq => "__eq__",
        CmpOp::Ne => "__ne__",
        CmpOp::Gt => "__gt__",
        CmpOp::Ge => "__ge__",
    }
}

fn is_number(c: Class) -> bool {
    matches!(c, Class::Int | Class::Float | Class::Bool)
}

/// The operand, guarded to be what it is expected to be.
fn guarded(b: &mut Builder<'_>, v: Value, kind: Kind, st: State) -> Option<Value> {
    let (op, ty) = match kind {
        Kind::Exact(c) if b.f.ty(v) == Type::Exact(c) => return Some(v),
        Kind::Exact(c) => (Op::GuardClass, Type::Exact(c)),
        Kind::Class(c) => (Op::GuardVersion, Type::Heap(b.env.class_version(c)?)),
    };
    let g = b.op(op, &[v], Imm::None, ty, Some(st));
    b.same_example(v, g);
    Some(g)
}

fn operands(b: &Builder<'_>, i: &Instr) -> Option<[(Value, Kind); 2]> {
    if i.feedback != Feedback::None || b.env.is_generic(i.unit) {
        return None;
    }
    let (x, y) = (b.peek(1).value, b.peek(0).value);
    Some([(x, b.kind_of(x)?), (y, b.kind_of(y)?)])
}

/// `x OP y`. Whether it was done.
pub(super) fn binary(b: &mut Builder<'_>, i: &Instr, op: BinOp, inplace: bool) -> Result<bool, BuildError> {
    let Some([(x, left), (y, right)]) = operands(b, i) else { return Ok(false) };
    let [plain, reflected, in_place] = method_names(op);
    let (class, name) = match (left, right) {
        (Kind::Class(l), Kind::Exact(c)) if is_number(c) => (l, plain),
        (Kind::Class(l), Kind::Class(r)) if b.env.goes_first(l, r) => (l, plain),
        (Kind::Exact(c), Kind::Class(r)) if is_number(c) && b.env.goes_first(r, r) => (r, reflected),
        _ => return Ok(false),
    };
    if inplace && name == plain && b.env.class_has(class, in_place) {
        return Ok(false);
    }
    let Some((_, method)) = b.env.special_method(class, name) else { return Ok(false) };
    let st = b.state(i.unit);
    let (Some(gx), Some(gy)) = (guarded(b, x, left, st), guarded(b, y, right, st)) else { return Ok(false) };
    let args = if name == plain { [gx, gy] } else { [gy, gx] };
    let Some(v) = b.inline_operator(i, method.address, args)? else { return Ok(false) };
    b.push_owned(v);
    Ok(true)
}

/// `x OP y`, a comparison. Whether it was done.
pub(super) fn compare(b: &mut Builder<'_>, i: &Instr, op: CmpOp) -> Result<bool, BuildError> {
    let Some([(x, left), (y, right)]) = operands(b, i) else { return Ok(false) };
    let Kind::Class(class) = left else { return Ok(false) };
    if let (Kind::Class(r), CmpOp::Eq | CmpOp::Ne) = (right, op)
        && b.env.compares_by_identity(class)
        && b.env.compares_by_identity(r)
    {
        let st = b.state(i.unit);
        let (Some(gx), Some(gy)) = (guarded(b, x, left, st), guarded(b, y, right, st)) else { return Ok(false) };
        let mut same = b.op(Op::ObjIs, &[gx, gy], Imm::None, Type::I1, None);
        if op == CmpOp::Ne {
            same = b.op(Op::BoolNot, &[same], Imm::None, Type::I1, None);
        }
        for item in b.pop_n(2) {
            b.drop_item(item);
        }
        push_bool(b, same);
        return Ok(true);
    }
    let first = match right {
        Kind::Exact(_) => b.env.goes_first(class, class),
        Kind::Class(r) => b.env.goes_first(class, r),
    };
    if !first {
        return Ok(false);
    }
    let Some((_, method)) = b.env.special_method(class, comparison_name(op)) else { return Ok(false) };
    let st = b.state(i.unit);
    let (Some(gx), Some(gy)) = (guarded(b, x, left, st), guarded(b, y, right, st)) else { return Ok(false) };
    let Some(v) = b.inline_operator(i, method.address, [gx, gy])? else { return Ok(false) };
    if !i.flag {
        b.push_owned(v);
        return Ok(true);
    }
    // The instruction asks for the truth as well. What it asks must not be asked again: no guard, but for what is known.
    b.push_owned(v);
    let after = b.state(i.unit);
    b.pop();
    let c = b.op(Op::PyToBool, &[v], Imm::None, Type::I1, Some(after));
    b.set_hint(stoop_ir::Hint::Generic);
    b.ran_python = true;
    b.void(Op::DecRef, &[v], Imm::None, None);
    push_bool(b, c);
    Ok(true)
}

/// Before a return with the value on top of the stack: that an operator's method does not know what to do is the
/// interpreter's business.
pub(super) fn check_result(b: &mut Builder<'_>, i: &Instr) {
    let x = b.peek(0).value;
    if b.lv.role != Role::Operator || matches!(b.f.ty(x), Type::Exact(_) | Type::Heap(_)) {
        return;
    }
    let st = b.state(i.unit);
    let k = b.env.not_implemented();
    let k = b.known(k);
    let same = b.op(Op::ObjIs, &[x, k], Imm::None, Type::I1, None);
    b.void(Op::GuardFalse, &[same], Imm::None, Some(st));
}
