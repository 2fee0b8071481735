//! `super`: a method that is called at once is looked up when the code is compiled.
//!
//! The object's class decides, whose version is guarded, and the class that is named: a constant, or what the function's
//! closure holds, which is compared.

use stoop_cpython::decode::Instr;
use stoop_ir::{Imm, Op, Type, Value};

use super::attributes::guard_shapes;
use super::builder::{Builder, Item};
use super::{MOST_CLASSES, SuperMethod};

/// LOAD_SUPER_ATTR: `super().name`, or `super(class, obj).name`.
pub(super) fn load_super(b: &mut Builder<'_>, i: &Instr) {
    if method_above(b, i).is_some() {
        return;
    }
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

/// A method that is to be called, and the object it is called with: pushed without making a `super`. `None` if nothing
/// has been done.
fn method_above(b: &mut Builder<'_>, i: &Instr) -> Option<()> {
    if !i.flag || b.env.is_generic(i.unit) {
        return None;
    }
    let (this, named, of) = (b.peek(0), b.peek(1), b.peek(2));
    if of.owned || !b.env.is_super(constant(b, of.value)?) {
        return None;
    }
    let known = constant(b, named.value);
    let class = known.or_else(|| in_closure(b, named.value))?;
    let (classes, others) = expected(b, i, this.value, class);
    let mut all: Vec<SuperMethod> = classes.iter().filter_map(|own| b.env.super_method(class, *own, i.arg)).collect();
    if all.len() < classes.len() || all.iter().any(|f| f.method.address != all[0].method.address) {
        return None;
    }
    for own in others {
        let found = b.env.super_method(class, own, i.arg).filter(|f| f.method.address == all[0].method.address);
        all.extend(found.filter(|f| all.len() < MOST_CLASSES && all.iter().all(|g| g.version != f.version)));
    }
    let shapes: Vec<(u32, u32)> = all.iter().map(|f| (f.version, 0)).collect();
    let found = all.into_iter().next()?;
    let st = b.state(i.unit);
    if known.is_none() {
        let k = b.known(found.class);
        let same = b.op(Op::ObjIs, &[named.value, k], Imm::None, Type::I1, None);
        b.void(Op::GuardTrue, &[same], Imm::None, Some(st));
    }
    let o = guard_shapes(b, this.value, &shapes, st);
    b.pop_n(3);
    b.drop_item(named);
    b.drop_item(of);
    let m = b.known(found.method);
    b.push_const(m);
    b.lv.stack.push(Item { value: o, ..this });
    Some(())
}

/// The classes to expect of the object: those met, or that of an example, or else the one that is named; and those that
/// may come as well.
fn expected(b: &mut Builder<'_>, i: &Instr, object: Value, named: u64) -> (Vec<u64>, Vec<u64>) {
    if let Type::Heap(version) = b.f.ty(object)
        && let Some(class) = b.env.class_of_version(version)
    {
        return (vec![class], Vec::new());
    }
    let known = b.shapes.get(&object).map(|(_, classes)| classes.clone()).unwrap_or_default();
    let met = b.env.classes(i.unit, None);
    let met = if met.is_empty() { vec![b.class_of(object).unwrap_or(named)] } else { met };
    (met, known.into_iter().chain(b.env.classes_elsewhere(i.unit)).collect())
}

/// The address of a constant.
fn constant(b: &Builder<'_>, v: Value) -> Option<u64> {
    let d = b.f.inst(b.f.def_inst(v)?);
    match (d.op, d.imm) {
        (Op::ConstObj, Imm::Const(c)) => Some(b.f.consts[c.index()].address),
        _ => None,
    }
}

/// The class that a value is, which was loaded from a cell of the function's closure.
fn in_closure(b: &Builder<'_>, v: Value) -> Option<u64> {
    let load = b.f.inst(b.f.def_inst(v)?);
    let mut cell = *load.args.first().filter(|_| load.op == Op::LoadCell)?;
    loop {
        let d = b.f.inst(b.f.def_inst(cell)?);
        match (d.op, d.imm) {
            (Op::ClosureCell, Imm::Index(n)) => return b.env.closure_class(n),
            (Op::RefCast, _) => cell = d.args[0],
            _ => return None,
        }
    }
}
