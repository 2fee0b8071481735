//! Attributes and cells.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_ir::{Class, Hint, Imm, Op, State, Type, Value};

use super::builder::{BuildError, Builder, Item};
use super::{MOST_CLASSES, Place};

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

/// A class that is expected of an object whose attribute is wanted: its version, and where its instances have that.
struct Row {
    class: u64,
    version: u32,
    place: Place,
}

impl Row {
    /// What a class may have in common with others without being told apart.
    fn kind(&self) -> u32 {
        match self.place {
            Place::Field(_) | Place::Slot(_) | Place::Entry(_) => 0,
            Place::Value(..) | Place::Unless(_) => 1,
            Place::Property(_) => 2,
        }
    }

    /// The version and keys to guard.
    fn shape(&self) -> (u32, u32) {
        (self.version, if let Place::Value(_, keys) = self.place { keys } else { 0 })
    }
}

/// Finds a class's version, and the place.
type Find<'a> = dyn FnMut(&mut Builder<'_>, u64) -> Option<(u32, Place)> + 'a;

/// The classes to expect of an object whose attribute is wanted. Empty where none is known, `None` where there are
/// several and not all of them have a place for it.
fn expected(b: &mut Builder<'_>, i: &Instr, object: Value, find: &mut Find<'_>) -> Option<Vec<Row>> {
    let mut rows = |b: &mut Builder<'_>, classes: &[u64]| -> Vec<Row> {
        let row = |class: &u64| find(b, *class).map(|(version, place)| Row { class: *class, version, place });
        classes.iter().filter_map(row).collect()
    };
    if b.env.is_generic(i.unit) {
        return Some(Vec::new());
    }
    if let Type::Heap(version) = b.f.ty(object)
        && let Some(class) = b.env.class_of_version(version)
    {
        return Some(rows(b, &[class]));
    }
    // What has just been guarded, or is likely to have been.
    let known = b.shapes.get(&object).cloned();
    if let Some((_, classes)) = known.as_ref().filter(|(block, _)| *block == b.cur) {
        let found = rows(b, classes);
        if found.len() == classes.len() {
            return Some(found);
        }
    }
    let mut classes = b.env.classes(i.unit, i.feedback.instance_version());
    if classes.is_empty() {
        // The interpreter has no cache for methods of objects with dicts of their own.
        let example = b.examples.get(&object).copied();
        classes.extend(example.and_then(|o| b.env.made_class(o)).filter(|_| i.feedback == Feedback::None));
    }
    let mut found = rows(b, &classes);
    if found.is_empty() || found.len() < classes.len() {
        return (classes.len() < 2).then(Vec::new);
    }
    let others = known.map(|(_, classes)| classes).into_iter().flatten().chain(b.env.classes_elsewhere(i.unit));
    let others: Vec<u64> = others.filter(|c| !classes.contains(c)).collect();
    for row in rows(b, &others) {
        let fits = row.kind() == found[0].kind() && (row.kind() < 2 || same_place(&row.place, &found[0].place));
        if fits && found.len() < MOST_CLASSES && !is_list_method(&found[0].place) && found.iter().all(|r| r.class != row.class) {
            found.push(row);
        }
    }
    Some(found)
}

fn is_list_method(place: &Place) -> bool {
    matches!(place, Place::Value(k, _) if k.text.starts_with("list."))
}

/// Leaves unless the object's class is one of these versions, with these keys; the object, better typed where it can be.
pub(super) fn guard_shapes(b: &mut Builder<'_>, object: Value, shapes: &[(u32, u32)], st: State) -> Value {
    if let [(version, keys)] = *shapes {
        let o = b.op(Op::GuardVersion, &[object], Imm::None, Type::Heap(version), Some(st));
        b.same_example(object, o);
        if keys != 0 {
            b.void(Op::GuardKeys, &[o], Imm::Int(keys.into()), Some(st));
        }
        return o;
    }
    let mut args = vec![object];
    for n in shapes.iter().flat_map(|(version, keys)| [*version, *keys]) {
        args.push(b.op(Op::ConstInt, &[], Imm::Int(n.into()), Type::I64, None));
    }
    b.void(Op::GuardShapes, &args, Imm::None, Some(st));
    object
}

/// In the k-th of a few classes' ways: leaves unless the keys are right; the object, better typed.
fn assume_shape(b: &mut Builder<'_>, object: Value, shapes: &[(u32, u32)], k: usize, st: State) -> Value {
    let (version, keys) = shapes[k];
    if k + 1 == shapes.len() {
        return guard_shapes(b, object, &shapes[k..], st);
    }
    let o = b.op(Op::VersionAssume, &[object], Imm::None, Type::Heap(version), None);
    b.same_example(object, o);
    if keys != 0 {
        b.void(Op::GuardKeys, &[o], Imm::Int(keys.into()), Some(st));
    }
    o
}

/// What a place's object is loaded by; borrowed.
fn load_place(b: &mut Builder<'_>, i: &Instr, object: Value, place: &Place, st: State) -> Value {
    match place {
        Place::Field(k) => {
            let v = b.op(Op::LoadField, &[object], Imm::Index(*k), Type::Obj, Some(st));
            if let Type::Heap(version) = b.f.ty(object) {
                b.loaded(object, version, *k, v);
            }
            v
        }
        Place::Slot(offset) => b.op(Op::LoadSlot, &[object], Imm::Int((*offset).into()), Type::Obj, Some(st)),
        Place::Entry(k) => {
            let name = b.env.name(i.arg);
            let name = b.known(name);
            let v = b.op(Op::LoadDictEntry, &[object, name], Imm::Index(*k), Type::Obj, Some(st));
            let found = b.examples.get(&object).copied().and_then(|o| b.env.example_entry(o, i.arg));
            b.examples.extend(found.map(|o| (v, o)));
            v
        }
        Place::Unless(k) => {
            let name = b.env.name(i.arg);
            let name = b.known(name);
            b.void(Op::GuardNotInDict, &[object, name], Imm::None, Some(st));
            of_class(b, k.clone(), st)
        }
        Place::Value(k, _) => of_class(b, k.clone(), st),
        Place::Property(k) => b.known(k.clone()),
    }
}

/// What a class has, which its attribute is as long as it is no descriptor: leaves if its own class has been changed.
fn of_class(b: &mut Builder<'_>, k: super::Known, st: State) -> Value {
    let version = b.env.made_class(k.address).and_then(|class| b.env.class_version(class));
    let v = b.known(k);
    if let Some(version) = version {
        b.op(Op::GuardVersion, &[v], Imm::None, Type::Heap(version), Some(st));
    }
    v
}

fn same_place(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Field(x), Place::Field(y)) | (Place::Slot(x), Place::Slot(y)) | (Place::Entry(x), Place::Entry(y)) => x == y,
        (Place::Value(x, _), Place::Value(y, _))
        | (Place::Property(x), Place::Property(y))
        | (Place::Unless(x), Place::Unless(y)) => x.address == y.address,
        _ => false,
    }
}

/// An attribute of objects of a few classes. `Some` if it is done: `false` when only the general way is left.
fn load_by_class(b: &mut Builder<'_>, i: &Instr) -> Result<Option<bool>, BuildError> {
    let x = b.peek(0);
    let seen = if let Feedback::WithHint { type_version, hint } = i.feedback { Some((type_version, hint)) } else { None };
    let example = b.examples.get(&x.value).copied();
    let mut place = |b: &mut Builder<'_>, c: u64| {
        b.env.dict_place(c, i.arg, i.flag, seen, example).or_else(|| b.env.load_place(c, i.arg, i.flag))
    };
    let Some(rows) = expected(b, i, x.value, &mut place) else { return Ok(Some(false)) };
    if rows.is_empty() {
        return Ok(None);
    }
    let shapes: Vec<(u32, u32)> = rows.iter().map(Row::shape).collect();
    let is_one = rows.iter().all(|r| same_place(&r.place, &rows[0].place));
    let methods = rows.iter().filter(|r| r.kind() == 1).count();
    let list_methods = rows.iter().any(|r| is_list_method(&r.place));
    if list_methods || i.flag && methods != 0 && methods != rows.len() {
        return Ok((rows.len() > 1).then_some(false));
    }
    let st = b.state(i.unit);
    if i.flag && methods == rows.len() {
        b.pop();
        load_one_of(b, i, x, &rows, &shapes, is_one, st)?;
        return Ok(Some(true));
    }
    if let Place::Property(getter) = &rows[0].place
        && !i.flag
        && is_one
    {
        b.pop();
        let o = guard_shapes(b, x.value, &shapes, st);
        remember(b, x.value, &rows);
        super::calls::call_function(b, i, getter.clone(), vec![Item { value: o, ..x }], st)?;
        return Ok(Some(true));
    }
    if rows.iter().any(|r| matches!(r.place, Place::Property(_))) {
        return Ok((rows.len() > 1).then_some(false));
    }
    // Where a method is wanted nobody looks at the hint (but on 3.12).
    if rows.len() == 1 && is_hinted(b, i, rows[0].version) && (!i.flag || b.quirks.null_below_callable) {
        return Ok(None);
    }
    b.pop();
    let v = if is_one {
        let o = guard_shapes(b, x.value, &shapes, st);
        load_place(b, i, o, &rows[0].place, st)
    } else {
        let mut test = |b: &mut Builder<'_>, k: usize| is_version(b, x.value, shapes[k].0);
        let mut arm = |b: &mut Builder<'_>, k: usize| {
            let o = assume_shape(b, x.value, &shapes, k, st);
            Ok(load_place(b, i, o, &rows[k].place, st))
        };
        b.cases(rows.len(), Type::Obj, &mut test, &mut arm)?
    };
    remember(b, x.value, &rows);
    b.void(Op::IncRef, &[v], Imm::None, None);
    b.drop_item(x);
    push_loaded(b, i, v);
    Ok(Some(true))
}

/// Notes what an object was guarded to be.
fn remember(b: &mut Builder<'_>, object: Value, rows: &[Row]) {
    b.shapes.insert(object, (b.cur, rows.iter().map(|r| r.class).collect()));
}

/// Whether the interpreter saw this version in a place that the passes take from a hint.
fn is_hinted(b: &Builder<'_>, i: &Instr, version: u32) -> bool {
    matches!(attr_hint(b, i), Hint::Field(v, _) | Hint::Slot(v, _) if v == version)
}

fn is_version(b: &mut Builder<'_>, object: Value, version: u32) -> Value {
    b.op(Op::VersionIs, &[object], Imm::Int(version.into()), Type::I1, None)
}

/// Pushes an attribute, with the NULL that a call wants beside it.
fn push_loaded(b: &mut Builder<'_>, i: &Instr, v: Value) {
    let below = b.quirks.null_below_callable;
    if i.flag && below {
        b.push_null();
    }
    b.push_owned(v);
    if i.flag && !below {
        b.push_null();
    }
}

/// A method that is about to be called: one for all classes, or one of a few.
fn load_one_of(
    b: &mut Builder<'_>,
    i: &Instr,
    x: Item,
    rows: &[Row],
    shapes: &[(u32, u32)],
    is_one: bool,
    st: State,
) -> Result<(), BuildError> {
    let (m, o) = if is_one {
        let o = guard_shapes(b, x.value, shapes, st);
        (load_place(b, i, o, &rows[0].place, st), o)
    } else {
        let mut test = |b: &mut Builder<'_>, k: usize| is_version(b, x.value, shapes[k].0);
        let mut arm = |b: &mut Builder<'_>, k: usize| {
            let o = assume_shape(b, x.value, shapes, k, st);
            Ok(load_place(b, i, o, &rows[k].place, st))
        };
        let m = b.cases(rows.len(), Type::Obj, &mut test, &mut arm)?;
        let mut methods: Vec<(super::Known, Option<u32>)> = Vec::new();
        for row in rows {
            let (Place::Value(k, _) | Place::Unless(k)) = &row.place else { continue };
            match methods.iter_mut().find(|(n, _)| n.address == k.address) {
                Some((_, only)) => *only = None,
                None => methods.push((k.clone(), Some(row.version))),
            }
        }
        b.methods.insert(m, methods);
        (m, x.value)
    };
    remember(b, x.value, rows);
    b.push_const(m);
    b.lv.stack.push(Item { value: o, ..x });
    Ok(())
}

/// Storing into an attribute of objects of a few classes. `Some` if it is done: `false` when only the general way is left.
fn store_by_class(b: &mut Builder<'_>, i: &Instr) -> Result<Option<bool>, BuildError> {
    let (x, value) = (b.peek(0), b.peek(1));
    let mut place = |b: &mut Builder<'_>, c: u64| b.env.store_place(c, i.arg);
    let Some(rows) = expected(b, i, x.value, &mut place) else { return Ok(Some(false)) };
    if rows.is_empty() || rows.len() == 1 && is_hinted(b, i, rows[0].version) {
        return Ok(None);
    }
    let shapes: Vec<(u32, u32)> = rows.iter().map(|r| (r.version, 0)).collect();
    let st = b.state(i.unit);
    b.pop_n(2);
    let old = if rows.iter().all(|r| same_place(&r.place, &rows[0].place)) {
        let o = guard_shapes(b, x.value, &shapes, st);
        swap_place(b, o, value.value, &rows[0].place, st)
    } else {
        let mut test = |b: &mut Builder<'_>, k: usize| is_version(b, x.value, shapes[k].0);
        let mut arm = |b: &mut Builder<'_>, k: usize| {
            let o = assume_shape(b, x.value, &shapes, k, st);
            Ok(swap_place(b, o, value.value, &rows[k].place, st))
        };
        b.cases(rows.len(), Type::MaybeNull, &mut test, &mut arm)?
    };
    remember(b, x.value, &rows);
    b.void(Op::DecRef, &[old], Imm::None, None);
    b.dropped = true;
    b.drop_item(value);
    b.drop_item(x);
    Ok(Some(true))
}

/// Puts a value into a place, with a reference of its own; yields what was there.
fn swap_place(b: &mut Builder<'_>, object: Value, value: Value, place: &Place, st: State) -> Value {
    match place {
        Place::Slot(offset) => {
            b.void(Op::IncRef, &[value], Imm::None, None);
            b.op(Op::SwapSlot, &[object, value], Imm::Int((*offset).into()), Type::MaybeNull, None)
        }
        Place::Field(k) => {
            b.gives(object, *k, value);
            let old = b.op(Op::SwapField, &[object, value], Imm::Index(*k), Type::MaybeNull, Some(st));
            // After the swap, which may leave: an exit must not find a reference too many.
            b.void(Op::IncRef, &[value], Imm::None, None);
            old
        }
        Place::Entry(_) | Place::Unless(_) | Place::Value(..) | Place::Property(_) => unreachable!("nothing is stored there"),
    }
}

pub(super) fn load_attr(b: &mut Builder<'_>, i: &Instr) -> Result<(), BuildError> {
    let obj = b.peek(0);
    let below = b.quirks.null_below_callable;
    let constant = b.f.def_inst(obj.value).and_then(|d| match (b.f.inst(d).op, b.f.inst(d).imm) {
        (Op::ConstObj, Imm::Const(c)) => Some(b.f.consts[c.index()].clone()),
        _ => None,
    });
    if let Some(c) = &constant
        && c.class == Some(Class::Type)
        && class_attribute(b, i, c.address)
    {
        return Ok(());
    }
    if let Some(c) = constant
        && c.class == Some(Class::Module)
        && !b.env.is_generic(i.unit)
        && let Some(item) = super::globals::of_module(b, i, c.address)
    {
        let x = b.pop();
        b.drop_item(x);
        if i.flag && below {
            b.push_null();
        }
        b.lv.stack.push(item);
        if i.flag && !below {
            b.push_null();
        }
        return Ok(());
    }
    let by_class = load_by_class(b, i)?;
    if by_class == Some(true) {
        return Ok(());
    }
    let open = by_class.is_none();
    if open && i.flag && super::calls::load_method(b, i) {
        return Ok(());
    }
    if open && !i.flag && class_value(b, i) {
        return Ok(());
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
        return Ok(());
    }
    let v = b.op(Op::PyLoadAttr, &[x.value], Imm::Name(n), Type::Obj, Some(st));
    let h = if open { attr_hint(b, i) } else { Hint::Generic };
    b.set_hint(h);
    if let Hint::Field(version, index) = h {
        b.loaded(x.value, version, index, v);
    }
    b.ran_python = true;
    b.drop_item(x);
    push_loaded(b, i, v);
    Ok(())
}

/// An attribute of a class that is a constant: a constant while the class's version stands. Whether it was one.
fn class_attribute(b: &mut Builder<'_>, i: &Instr, class: u64) -> bool {
    if b.env.is_generic(i.unit) {
        return false;
    }
    let Some((version, value, bound)) = b.env.class_attribute(class, i.arg) else { return false };
    if bound && !i.flag {
        return false;
    }
    let st = b.state(i.unit);
    let x = b.pop();
    b.void(Op::GuardClassVersion, &[x.value], Imm::Int(version.into()), Some(st));
    let v = of_class(b, value, st);
    if bound {
        b.push_const(v);
        b.lv.stack.push(x);
        return true;
    }
    b.drop_item(x);
    let below = b.quirks.null_below_callable;
    if i.flag && below {
        b.push_null();
    }
    b.push_const(v);
    if i.flag && !below {
        b.push_null();
    }
    true
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

pub(super) fn delete_deref(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let cell = cell(b, i.arg);
    let null = b.null().value;
    let old = b.op(Op::LoadCell, &[cell], Imm::None, Type::Obj, Some(st));
    b.op(Op::GuardNotNull, &[old], Imm::None, Type::Obj, Some(st));
    let old = b.op(Op::SwapCell, &[cell, null], Imm::None, Type::MaybeNull, None);
    b.void(Op::DecRef, &[old], Imm::None, None);
    b.dropped = true;
}

pub(super) fn store_attr(b: &mut Builder<'_>, i: &Instr) -> Result<(), BuildError> {
    let by_class = store_by_class(b, i)?;
    if by_class == Some(true) {
        return Ok(());
    }
    let st = b.state(i.unit);
    let (obj, value) = (b.pop(), b.pop());
    let n = b.name(i.arg);
    b.void(Op::PyStoreAttr, &[obj.value, value.value], Imm::Name(n), Some(st));
    let h = if by_class.is_none() { attr_hint(b, i) } else { Hint::Generic };
    b.set_hint(h);
    if let Hint::Field(_, index) = h {
        b.gives(obj.value, index, value.value);
    }
    b.ran_python = true;
    b.drop_item(value);
    b.drop_item(obj);
    Ok(())
}
