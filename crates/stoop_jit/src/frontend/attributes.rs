//! Attributes and cells.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_ir::{Class, Hint, Imm, Op, Type, Value};

use super::builder::{Builder, Item};

pub(super) fn attr_hint(b: &Builder<'_>, i: &Instr) -> Hint {
    if b.env.is_generic(i.unit) {
        return Hint::Generic;
    }
    match i.feedback {
        Feedback::InstanceValue { type_version, index } => Hint::Field(type_version, index),
        Feedback::Slot { type_version, offset } => Hint::Slot(type_version, offset),
        _ => Hint::None,
    }
}

pub(super) fn cell(b: &mut Builder<'_>, slot: u32) -> Value {
    let v = b.lv.locals[slot as usize];
    if b.f.ty(v) == Type::Exact(Class::Cell) {
        return v;
    }
    // The compiler guarantees that the slot of a cell variable holds a cell.
    b.op(Op::RefCast, &[v], Imm::None, Type::Exact(Class::Cell), None)
}

pub(super) fn load_attr(b: &mut Builder<'_>, i: &Instr) {
    let obj = b.peek(0);
    let below = b.quirks.null_below_callable;
    let constant = b.f.def_inst(obj.value).and_then(|d| match (b.f.inst(d).op, b.f.inst(d).imm) {
        (Op::ConstObj, Imm::Const(c)) => Some(b.f.consts[c.index()].clone()),
        _ => None,
    });
    if let Some(c) = constant
        && c.class == Some(Class::Module)
        && !b.env.is_generic(i.unit)
        && let Some(k) = b.env.module_attribute(c.address, i.arg)
    {
        let x = b.pop();
        b.drop_item(x);
        if i.flag && below {
            b.push_null();
        }
        let v = b.known(k);
        b.push_const(v);
        if i.flag && !below {
            b.push_null();
        }
        return;
    }
    if i.flag && super::calls::load_method(b, i) {
        return;
    }
    if !i.flag && class_value(b, i) {
        return;
    }
    let st = b.state(i.unit);
    let x = b.pop();
    let n = b.name(i.arg);
    if i.flag && !below {
        // Unbound where it can be. (3.12 would have the two in another order where it cannot.)
        let method = b.op(Op::PyLoadMethod, &[x.value], Imm::Name(n), Type::Obj, Some(st));
        let receiver = b.op(Op::PyMethodSelf, &[method, x.value], Imm::None, Type::MaybeNull, None);
        b.void(Op::IncRef, &[receiver], Imm::None, None);
        b.ran_python = true;
        b.drop_item(x);
        b.push_owned(method);
        b.push_owned(receiver);
        return;
    }
    let v = b.op(Op::PyLoadAttr, &[x.value], Imm::Name(n), Type::Obj, Some(st));
    let h = attr_hint(b, i);
    b.set_hint(h);
    if let (Hint::Field(version, index), Some(o)) = (h, b.examples.get(&x.value)) {
        let field = b.env.example_field(*o, version, index);
        b.examples.extend(field.map(|o| (v, o)));
    }
    b.ran_python = true;
    b.drop_item(x);
    if i.flag && below {
        b.push_null();
    }
    b.push_owned(v);
    if i.flag && !below {
        b.push_null();
    }
}

/// An attribute found on the class, not on the instance: a constant while the type's version stands. Whether it was one.
pub(super) fn class_value(b: &mut Builder<'_>, i: &Instr) -> bool {
    let (version, keys) = match i.feedback {
        Feedback::NonDescriptorWithValues { type_version, keys_version, .. } => (type_version, Some(keys_version)),
        Feedback::NonDescriptorNoDict { type_version, .. } => (type_version, None),
        _ => return false,
    };
    if b.env.is_generic(i.unit) {
        return false;
    }
    let class = b.class_of(b.peek(0).value);
    let Some(k) = b.env.type_attribute(class, version, i.arg) else { return false };
    let st = b.state(i.unit);
    let x = b.pop();
    let o = b.op(Op::GuardVersion, &[x.value], Imm::None, Type::Heap(version), Some(st));
    if let Some(keys) = keys {
        b.void(Op::GuardKeys, &[o], Imm::Int(keys.into()), Some(st));
    }
    let v = b.known(k);
    b.drop_item(x);
    b.push_const(v);
    true
}

pub(super) fn load_global(b: &mut Builder<'_>, i: &Instr) {
    if i.flag && b.quirks.null_below_callable {
        b.push_null();
    }
    let (v, owned) = match b.env.global(i.arg) {
        Some(g) if !b.env.is_generic(i.unit) => (b.known(g), false),
        _ => {
            // The NULL below is not there yet when the instruction raises.
            let below = i.flag && b.quirks.null_below_callable;
            let kept = below.then(|| b.pop());
            let st = b.state(i.unit);
            b.lv.stack.extend(kept);
            let n = b.name(i.arg);
            b.ran_python = true;
            (b.op(Op::PyLoadGlobal, &[], Imm::Name(n), Type::Obj, Some(st)), true)
        }
    };
    b.lv.stack.push(Item { value: v, owned, slot: None });
    if i.flag && !b.quirks.null_below_callable {
        b.push_null();
    }
}

pub(super) fn load_deref(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let cell = cell(b, i.arg);
    let v = b.op(Op::LoadCell, &[cell], Imm::None, Type::Obj, Some(st));
    b.void(Op::IncRef, &[v], Imm::None, None);
    b.push_owned(v);
}

pub(super) fn store_deref(b: &mut Builder<'_>, i: &Instr) {
    let x = b.pop();
    let v = b.own(x);
    let cell = cell(b, i.arg);
    let old = b.op(Op::SwapCell, &[cell, v], Imm::None, Type::MaybeNull, None);
    b.void(Op::DecRef, &[old], Imm::None, None);
    b.dropped = true;
}

pub(super) fn store_attr(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let (obj, value) = (b.pop(), b.pop());
    let n = b.name(i.arg);
    b.void(Op::PyStoreAttr, &[obj.value, value.value], Imm::Name(n), Some(st));
    let h = attr_hint(b, i);
    b.set_hint(h);
    b.ran_python = true;
    b.drop_item(value);
    b.drop_item(obj);
}

/// LOAD_SUPER_ATTR: `super().name`, or `super(class, obj).name`.
pub(super) fn load_super(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let items = b.pop_n(3);
    let args: Vec<Value> = items.iter().map(|x| x.value).collect();
    let n = b.name(i.arg);
    let v = b.op(Op::PySuperAttr, &args, Imm::Name(n), Type::Obj, Some(st));
    b.ran_python = true;
    for x in items {
        b.drop_item(x);
    }
    if i.flag && b.quirks.null_below_callable {
        b.push_null();
    }
    b.push_owned(v);
    if i.flag && !b.quirks.null_below_callable {
        b.push_null();
    }
}
