//! Calls of classes: the instance is made here, and `__init__` translated in place or called directly.

use stoop_cpython::decode::Instr;
use stoop_ir::{Class, Imm, Op, Type, Value};

use super::builder::{BuildError, Builder, Item};

/// The address of a constant class.
fn constant_class(b: &Builder<'_>, v: Value) -> Option<u64> {
    let d = b.f.inst(b.f.def_inst(v)?);
    match (d.op, d.imm) {
        (Op::ConstObj, Imm::Const(c)) => {
            let c = &b.f.consts[c.index()];
            (c.class == Some(Class::Type)).then_some(c.address)
        }
        _ => None,
    }
}

/// The class that a constant is, if that is a Python one.
pub(super) fn made_class(b: &Builder<'_>, v: Value) -> Option<u64> {
    constant_class(b, v).filter(|class| b.env.is_made(*class))
}

/// A call of a class, all of which has been popped. Whether it was done; nothing has been emitted otherwise.
///
/// The interpreter's own call makes the instance, then runs `__init__` in a frame of its own, and drops the instance
/// where that raises: here the instance lies on the stack meanwhile, in place of the class.
pub(super) fn call(
    b: &mut Builder<'_>,
    i: &Instr,
    callable: Item,
    args: &[Item],
    st: stoop_ir::State,
) -> Result<bool, BuildError> {
    if callable.owned || b.env.is_generic(i.unit) {
        return Ok(false);
    }
    let Some(class) = constant_class(b, callable.value) else { return Ok(false) };
    let Some(plain) = b.env.constructor(class, args.len() as u32) else { return Ok(false) };
    let version = Imm::Int(plain.version.into());
    b.void(Op::GuardClassVersion, &[callable.value], version, Some(st));
    b.guard_depth(i.unit);
    let object = b.op(Op::NewObject, &[callable.value], version, Type::Heap(plain.version), Some(st));
    b.made.insert(object, class);
    b.push_owned(object);
    let Some(init) = plain.init else { return Ok(true) };
    let this = Item { value: object, owned: false, slot: None };
    let all: Vec<Item> = std::iter::once(this).chain(args.iter().copied()).collect();
    if !plain.finalises && b.inline_init(i, init.address, &all)? {
        b.dropped = true;
        return Ok(true);
    }
    // What raises resumes nowhere: the stack only says what is to be dropped.
    b.lv.stack.extend(args);
    let raised = b.state(i.unit);
    let depth = b.lv.stack.len() - args.len();
    b.lv.stack.truncate(depth);
    let function = b.known(init);
    let values: Vec<Value> = std::iter::once(function).chain(all.iter().map(|x| x.value)).collect();
    let result = b.op(Op::PyCall, &values, Imm::None, Type::Obj, Some(raised));
    b.ran_python = true;
    b.void(Op::InitResult, &[result], Imm::None, Some(raised));
    b.void(Op::DecRef, &[result], Imm::None, None);
    for x in args {
        b.drop_item(*x);
    }
    Ok(true)
}

/// Before a return with the value on top of the stack: an `__init__` must return None.
pub(super) fn check_result(b: &mut Builder<'_>, i: &Instr) {
    let x = b.peek(0);
    if b.in_init() && b.f.ty(x.value) != Type::Exact(Class::NoneType) {
        let st = b.state(i.unit);
        b.op(Op::GuardClass, &[x.value], Imm::None, Type::Exact(Class::NoneType), Some(st));
    }
}
