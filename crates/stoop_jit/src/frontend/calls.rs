//! Calls: the callable's place on the stack, well-known builtins, methods.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Class, Hint, Imm, Op, Type, Value};

use super::builder::{BuildError, Builder, Item};
use super::{Entry, Source};

/// Callable, self or NULL, arguments: as popped from the stack.
#[derive(Clone)]
struct Popped {
    callable: Item,
    receiver: Item,
    args: Vec<Item>,
}

fn pop_call(b: &mut Builder<'_>, n: usize) -> Popped {
    let args = b.pop_n(n);
    let (upper, lower) = (b.pop(), b.pop());
    // 3.12 pushes NULL below a callable, 3.13 above it; a method lies below its self in both.
    let (callable, receiver) = if b.quirks.null_below_callable && b.is_null(lower) { (upper, lower) } else { (lower, upper) };
    Popped { callable, receiver, args }
}

/// What a constant callable is called, when it is a well-known builtin.
pub(super) fn callee_name(b: &Builder<'_>, v: Value) -> Option<String> {
    let d = b.f.inst(b.f.def_inst(v)?);
    match (d.op, d.imm) {
        // A string's text is its own.
        (Op::ConstObj, Imm::Const(c)) => {
            Some(&b.f.consts[c.index()]).filter(|c| c.class != Some(Class::Str)).map(|c| c.text.clone())
        }
        _ => None,
    }
}

pub(super) fn call(b: &mut Builder<'_>, k: usize, i: &Instr) -> Result<(), BuildError> {
    let st = b.state(i.unit);
    let mut p = pop_call(b, i.arg as usize);
    let name = callee_name(b, p.callable.value);
    if name.as_deref() == Some("sys.getrefcount") {
        // It counts the operand stack's references, too. For those of parameters stand their callers', which the
        // interpreter would have handed over.
        let handed_over = if b.lv.entry == Entry::Function { b.lv.code.argcount } else { 0 };
        for a in p.args.iter_mut().filter(|a| a.slot.is_none_or(|k| k >= handed_over)) {
            b.own(*a);
            a.owned = true;
        }
    }
    if i.kwnames.is_none()
        && !p.callable.owned
        && let Some(methods) = b.methods.get(&p.callable.value).cloned()
    {
        return call_one_of(b, i, &p, &methods, st);
    }
    if i.kwnames.is_none() && p.args.is_empty() && super::consumers::call(b, k, i, p.callable, p.receiver)? {
        return Ok(());
    }
    if i.kwnames.is_none() && made_generator(b, &p, st) {
        return Ok(());
    }
    let plain = i.kwnames.is_none() && b.is_null(p.receiver) && !b.env.is_generic(i.unit);
    if plain && super::lists::bound_method(b, p.callable, &p.args, st) {
        return Ok(());
    }
    match name.as_deref() {
        Some("builtins.len") if plain && p.args.len() == 1 => {
            let of = p.args[0].value;
            let derived = b.class_of(of).and_then(|c| b.env.derived_list(c));
            if let Some((version, _)) = derived.filter(|(_, ways)| ways.measured) {
                let list = b.op(Op::GuardVersion, &[of], Imm::None, Type::Heap(version), Some(st));
                b.same_example(of, list);
                let n = b.op(Op::ListLen, &[list], Imm::None, Type::I64, None);
                let v = b.op(Op::BoxInt, &[n], Imm::None, Type::Exact(Class::Int), None);
                finish(b, p, v);
                return Ok(());
            }
            let n = b.op(Op::PyLen, &[of], Imm::None, Type::I64, Some(st));
            if let Some(super::builder::Kind::Exact(c)) = b.kind_of(of) {
                b.set_hint(Hint::Class(c));
            }
            b.ran_python = true;
            let v = b.op(Op::BoxInt, &[n], Imm::None, Type::Exact(Class::Int), None);
            finish(b, p, v);
        }
        Some(name @ ("builtins.getattr" | "builtins.hasattr")) if plain && optional_attribute(b, name, &p, st) => {}
        Some("builtins.isinstance") if plain && instance_of_some(b, &p, st) => {}
        Some("builtins.range")
            if plain
                && (1..=3).contains(&p.args.len())
                && b.lv.code.instrs.get(k + 1).is_some_and(|n| n.op == Opcode::GetIter)
                && !b.lv.blocks.by_unit.contains_key(&i.next) =>
        {
            range_iterator(b, p, st);
        }
        Some(name) if plain && super::walks::call(b, k, i, name, &p.args, st) => {
            let walk = b.pop();
            b.drop_item(p.callable);
            b.lv.stack.push(walk);
        }
        Some(name)
            if i.kwnames.is_none()
                && super::lists::has_form(name, p.args.len())
                && !b.is_null(p.receiver)
                && !b.env.is_generic(i.unit) =>
        {
            let result = super::lists::method(b, name, p.receiver.value, &p.args, st);
            b.drop_item(p.receiver);
            b.lv.stack.push(result);
        }
        _ => {
            let names = i.kwnames.map(|c| b.env.constant(c));
            if known_function(b, i, &p, names.as_ref().map(|n| n.address), st)? {
                return Ok(());
            }
            if plain && super::construct::call(b, i, p.callable, &p.args, st)? {
                return Ok(());
            }
            if plain && let Some((version, method)) = special(b, i, p.callable, "__call__") {
                return call_instance(b, i, p, version, method, st);
            }
            let hint = call_hint(b, i, name.as_deref(), &p.args);
            // What a class makes is most likely an instance of it.
            let made = super::construct::made_class(b, p.callable.value).filter(|_| b.is_null(p.receiver));
            generic_call(b, p, names, st, hint);
            let v = b.peek(0).value;
            b.made.extend(made.map(|class| (v, class)));
        }
    }
    Ok(())
}

/// What the arguments of a call most likely are, where that decides how it is made.
fn call_hint(b: &Builder<'_>, i: &Instr, name: Option<&str>, args: &[Item]) -> Hint {
    if b.env.is_generic(i.unit) {
        return Hint::Generic;
    }
    let mut classes = args.iter().filter_map(|x| match b.kind_of(x.value) {
        Some(super::builder::Kind::Exact(c)) => Some(c),
        _ => None,
    });
    match (name, classes.next()) {
        (Some("builtins.min" | "builtins.max"), Some(c)) if classes.all(|other| other == c) => Hint::Class(c),
        _ => Hint::None,
    }
}

/// `getattr(o, name, default)` or `hasattr(o, name)`, where the name is a constant. Whether it was that.
fn optional_attribute(b: &mut Builder<'_>, callee: &str, p: &Popped, st: stoop_ir::State) -> bool {
    let get = callee == "builtins.getattr";
    let [object, name, ..] = p.args[..] else { return false };
    if p.args.len() != if get { 3 } else { 2 } {
        return false;
    }
    let Some(name) = constant_address(b, name.value).and_then(|name| b.env.interned(name)) else { return false };
    let name = b.known(name);
    let v = if get {
        b.op(Op::PyGetAttrOr, &[object.value, name, p.args[2].value], Imm::None, Type::Obj, Some(st))
    } else {
        let has = b.op(Op::PyHasAttr, &[object.value, name], Imm::None, Type::I1, Some(st));
        b.op(Op::BoxBool, &[has], Imm::None, Type::Exact(Class::Bool), None)
    };
    b.ran_python = true;
    finish(b, p.clone(), v);
    true
}

/// `isinstance` with a constant tuple of classes. Whether it was that.
fn instance_of_some(b: &mut Builder<'_>, p: &Popped, st: stoop_ir::State) -> bool {
    let [object, classes] = p.args[..] else { return false };
    let Some(classes) = constant_address(b, classes.value).and_then(|tuple| b.env.classes_in(tuple)) else { return false };
    let operands: Vec<Value> = std::iter::once(object.value).chain(classes.into_iter().map(|k| b.known(k))).collect();
    let is = b.op(Op::IsInstance, &operands, Imm::None, Type::I1, Some(st));
    let v = b.op(Op::BoxBool, &[is], Imm::None, Type::Exact(Class::Bool), None);
    finish(b, p.clone(), v);
    true
}

/// A call of an instance whose class has a Python `__call__`.
fn call_instance(
    b: &mut Builder<'_>,
    i: &Instr,
    p: Popped,
    version: u32,
    method: super::Known,
    st: stoop_ir::State,
) -> Result<(), BuildError> {
    let o = b.op(Op::GuardVersion, &[p.callable.value], Imm::None, Type::Heap(version), Some(st));
    b.same_example(p.callable.value, o);
    let this = Item { value: o, ..p.callable };
    let args: Vec<Item> = std::iter::once(this).chain(p.args.iter().copied()).collect();
    if let Some(v) = b.inline(i, method.address, &args)? {
        b.dropped = true;
        b.push_owned(v);
        return Ok(());
    }
    let function = b.known(method);
    let values: Vec<Value> = std::iter::once(function).chain(args.iter().map(|x| x.value)).collect();
    let v = b.op(Op::PyCall, &values, Imm::None, Type::Obj, Some(st));
    b.ran_python = true;
    finish(b, p, v);
    Ok(())
}

/// A call of a method that is one of a few: each in a way of its own.
fn call_one_of(
    b: &mut Builder<'_>,
    i: &Instr,
    p: &Popped,
    methods: &[(super::Known, Option<u32>)],
    st: stoop_ir::State,
) -> Result<(), BuildError> {
    let callable = p.callable.value;
    let mut test = |b: &mut Builder<'_>, k: usize| {
        let m = b.known(methods[k].0.clone());
        b.op(Op::ObjIs, &[callable, m], Imm::None, Type::I1, None)
    };
    let mut arm = |b: &mut Builder<'_>, k: usize| {
        let (method, version) = &methods[k];
        let mut receiver = p.receiver;
        if let (Some(v), Some(Class::Function)) = (*version, method.class) {
            receiver.value = b.op(Op::GuardVersion, &[receiver.value], Imm::None, Type::Heap(v), Some(st));
            b.same_example(p.receiver.value, receiver.value);
        }
        let value = b.known(method.clone());
        let known = Popped { callable: Item { value, owned: false, slot: None }, receiver, args: p.args.clone() };
        if !known_function(b, i, &known, None, st)? {
            generic_call(b, known, None, st, Hint::None);
        }
        Ok(b.pop().value)
    };
    let v = b.cases(methods.len(), Type::Obj, &mut test, &mut arm)?;
    b.push_owned(v);
    // Says whose the reference is, too.
    let resumed = b.state(i.next);
    b.f.blocks[b.cur.index()].entry_state = Some(resumed);
    Ok(())
}

/// A call of a constant Python function whose arguments fill its parameters: all of them are then passed by position.
/// Whether it was one.
fn known_function(
    b: &mut Builder<'_>,
    i: &Instr,
    p: &Popped,
    names: Option<u64>,
    st: stoop_ir::State,
) -> Result<bool, BuildError> {
    let Some(function) = constant_function(b, p.callable.value).filter(|_| !p.callable.owned) else { return Ok(false) };
    let receiver = (!b.is_null(p.receiver)).then_some(p.receiver);
    let given: Vec<Item> = receiver.into_iter().chain(p.args.iter().copied()).collect();
    let by_name = names.map_or(0, |t| b.env.tuple_len(t));
    let Some(args) = bind(b, function, &given, given.len() - by_name, names) else { return Ok(false) };
    if b.env.makes_generators(function) {
        new_generator(b, p.callable, args, st);
        return Ok(true);
    }
    if let Some(v) = b.inline(i, function, &args)? {
        b.dropped = true;
        b.push_owned(v);
        return Ok(true);
    }
    let known = Popped { callable: p.callable, receiver: b.null(), args };
    generic_call(b, known, None, st, Hint::None);
    Ok(true)
}

/// The generator or coroutine that a call of its function makes, which runs nothing yet.
pub(super) fn new_generator(b: &mut Builder<'_>, function: Item, args: Vec<Item>, st: stoop_ir::State) {
    let operands: Vec<Value> = std::iter::once(function.value).chain(args.iter().map(|x| x.value)).collect();
    let v = b.op(Op::PyNewGenerator, &operands, Imm::None, Type::Obj, Some(st));
    b.ran_python = true;
    finish(b, Popped { callable: function, receiver: b.null(), args }, v);
}

/// A call of a generator expression's function, which was made here. Whether it was that.
fn made_generator(b: &mut Builder<'_>, p: &Popped, st: stoop_ir::State) -> bool {
    let Some(code) = b.made_functions.get(&p.callable.value).map(|m| m.code) else { return false };
    let args: Vec<Item> = [p.receiver].into_iter().filter(|x| !b.is_null(*x)).chain(p.args.iter().copied()).collect();
    if !b.env.makes_generators_of(code, args.len()) {
        return false;
    }
    new_generator(b, p.callable, args, st);
    true
}

/// The arguments of a call in the order of the function's parameters.
fn bind(b: &mut Builder<'_>, function: u64, given: &[Item], positional: usize, names: Option<u64>) -> Option<Vec<Item>> {
    let sources = b.env.bind(function, positional as u32, names)?;
    let items = sources.into_iter().map(|s| match s {
        Source::Given(k) => given[k],
        Source::Default(k) => Item { value: b.known(k), owned: false, slot: None },
    });
    Some(items.collect())
}

/// The address of a constant Python function.
fn constant_function(b: &Builder<'_>, v: Value) -> Option<u64> {
    let d = b.f.inst(b.f.def_inst(v)?);
    match (d.op, d.imm) {
        (Op::ConstObj, Imm::Const(c)) => {
            let c = &b.f.consts[c.index()];
            (c.class == Some(Class::Function)).then_some(c.address)
        }
        _ => None,
    }
}

fn constant_address(b: &Builder<'_>, v: Value) -> Option<u64> {
    let d = b.f.inst(b.f.def_inst(v)?);
    match (d.op, d.imm) {
        (Op::ConstObj, Imm::Const(c)) => Some(b.f.consts[c.index()].address),
        _ => None,
    }
}

/// `container[key]` where the example's type has a Python `__getitem__`. Whether it was inlined.
pub(super) fn special_get(b: &mut Builder<'_>, i: &Instr) -> Result<bool, BuildError> {
    let (container, key) = (b.peek(1), b.peek(0));
    let Some((version, method)) = special(b, i, container, "__getitem__") else { return Ok(false) };
    let st = b.state(i.unit);
    b.pop_n(2);
    let o = b.op(Op::GuardVersion, &[container.value], Imm::None, Type::Heap(version), Some(st));
    b.same_example(container.value, o);
    let args = [Item { value: o, ..container }, key];
    match b.inline(i, method.address, &args)? {
        Some(v) => {
            b.dropped = true;
            b.push_owned(v);
            Ok(true)
        }
        None => {
            b.lv.stack.extend([container, key]);
            Ok(false)
        }
    }
}

/// `container[key] = value` likewise.
pub(super) fn special_set(b: &mut Builder<'_>, i: &Instr) -> Result<bool, BuildError> {
    let (value, container, key) = (b.peek(2), b.peek(1), b.peek(0));
    let Some((version, method)) = special(b, i, container, "__setitem__") else { return Ok(false) };
    let st = b.state(i.unit);
    b.pop_n(3);
    let o = b.op(Op::GuardVersion, &[container.value], Imm::None, Type::Heap(version), Some(st));
    b.same_example(container.value, o);
    let args = [Item { value: o, ..container }, key, value];
    let inlined = b.inline_for_effect(i, method.address, &args)?;
    if !inlined {
        b.lv.stack.extend([value, container, key]);
    }
    Ok(inlined)
}

pub(super) fn special(b: &mut Builder<'_>, i: &Instr, container: Item, name: &str) -> Option<(u32, super::Known)> {
    if b.env.is_generic(i.unit) {
        return None;
    }
    let class = b.class_of(container.value)?;
    b.env.special_method(class, name)
}

/// `range(…)` that is iterated at once: the iterator, without the range. GET_ITER then finds an iterator.
fn range_iterator(b: &mut Builder<'_>, p: Popped, st: stoop_ir::State) {
    let ints: Vec<Value> = p
        .args
        .iter()
        .map(|x| {
            let g = b.op(Op::GuardClass, &[x.value], Imm::None, Type::Exact(Class::Int), Some(st));
            b.op(Op::UnboxInt, &[g], Imm::None, Type::I64, Some(st))
        })
        .collect();
    let (start, stop, step) = match ints[..] {
        [stop] => {
            (b.op(Op::ConstInt, &[], Imm::Int(0), Type::I64, None), stop, b.op(Op::ConstInt, &[], Imm::Int(1), Type::I64, None))
        }
        [start, stop] => (start, stop, b.op(Op::ConstInt, &[], Imm::Int(1), Type::I64, None)),
        _ => (ints[0], ints[1], ints[2]),
    };
    let v = b.op(Op::NewRangeIter, &[start, stop, step], Imm::None, Type::Exact(Class::RangeIter), Some(st));
    finish(b, p, v);
}

/// Drops what the call consumed and pushes its result.
fn finish(b: &mut Builder<'_>, p: Popped, result: Value) {
    b.drop_item(p.callable);
    b.drop_item(p.receiver);
    for x in p.args {
        b.drop_item(x);
    }
    b.push_owned(result);
}

/// A call of a Python function with arguments that are all positional: inlined, or a plain call.
pub(super) fn call_function(
    b: &mut Builder<'_>,
    i: &Instr,
    function: super::Known,
    args: Vec<Item>,
    st: stoop_ir::State,
) -> Result<(), BuildError> {
    if let Some(v) = b.inline(i, function.address, &args)? {
        b.dropped = true;
        b.push_owned(v);
        return Ok(());
    }
    let value = b.known(function);
    let p = Popped { callable: Item { value, owned: false, slot: None }, receiver: b.null(), args };
    generic_call(b, p, None, st, Hint::None);
    Ok(())
}

fn generic_call(b: &mut Builder<'_>, p: Popped, names: Option<super::Known>, st: stoop_ir::State, hint: Hint) {
    let mut args = vec![p.callable.value, p.receiver.value];
    args.extend(p.args.iter().map(|x| x.value));
    let imm = match names {
        Some(n) => Imm::Const(b.f.add_const(stoop_ir::ConstData { address: n.address, text: n.text, class: n.class })),
        None => Imm::None,
    };
    let v = b.op(Op::PyCall, &args, imm, Type::Obj, Some(st));
    if hint != Hint::None {
        b.set_hint(hint);
    }
    b.ran_python = true;
    finish(b, p, v);
}

/// CALL_KW (3.13): the keyword names are a constant tuple on top of the stack.
pub(super) fn call_with_names(b: &mut Builder<'_>, i: &Instr, names: Item) -> Result<(), BuildError> {
    b.lv.stack.push(names);
    let st = b.state(i.unit);
    b.pop();
    let p = pop_call(b, i.arg as usize);
    if !names.owned
        && let Some(address) = constant_address(b, names.value)
        && known_function(b, i, &p, Some(address), st)?
    {
        return Ok(());
    }
    let constant = b.f.def_inst(names.value).and_then(|d| match (b.f.inst(d).op, b.f.inst(d).imm) {
        (Op::ConstObj, Imm::Const(c)) => Some(c),
        _ => None,
    });
    let Some(c) = constant else { return Err(BuildError::BadFlow) };
    let mut args = vec![p.callable.value, p.receiver.value];
    args.extend(p.args.iter().map(|x| x.value));
    let v = b.op(Op::PyCall, &args, Imm::Const(c), Type::Obj, Some(st));
    b.ran_python = true;
    finish(b, p, v);
    Ok(())
}

pub(super) fn call_ex(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let kwargs = if i.flag { b.pop() } else { b.null() };
    let args = b.pop();
    let (upper, lower) = (b.pop(), b.pop());
    let (callable, null) = if b.quirks.null_below_callable { (upper, lower) } else { (lower, upper) };
    let v = b.op(Op::PyCallEx, &[callable.value, args.value, kwargs.value], Imm::None, Type::Obj, Some(st));
    b.ran_python = true;
    for x in [callable, null, args, kwargs] {
        b.drop_item(x);
    }
    b.push_owned(v);
}

/// A method found on the type by the interpreter: pushed without making a bound method. Whether it was done.
pub(super) fn load_method(b: &mut Builder<'_>, i: &Instr) -> bool {
    if b.env.is_generic(i.unit) {
        return false;
    }
    let obj = b.peek(0);
    let (version, keys) = match i.feedback {
        Feedback::MethodNoDict { type_version, .. } => (type_version, None),
        Feedback::MethodWithValues { type_version, keys_version, .. } => (type_version, Some(keys_version)),
        Feedback::MethodLazyDict { type_version, .. } => (type_version, None),
        _ => return false,
    };
    let class = b.class_of(obj.value);
    let Some(k) = b.env.type_attribute(class, version, i.arg) else { return false };
    let dict = match i.feedback {
        Feedback::MethodLazyDict { .. } => match b.env.class_of_version(version).and_then(|c| b.env.dict_offset(c)) {
            Some(offset) => Some(offset),
            None => return false,
        },
        _ => None,
    };
    let st = b.state(i.unit);
    // A method of a built-in class, whose instances are told by the class itself.
    let built_in = k.text.split_once('.').filter(|_| k.class.is_none()).and_then(|(class, _)| Class::from_text(class));
    let g = match built_in {
        Some(c) if b.env.is_version_of(c, version) => b.op(Op::GuardClass, &[obj.value], Imm::None, Type::Exact(c), Some(st)),
        _ => b.op(Op::GuardVersion, &[obj.value], Imm::None, Type::Heap(version), Some(st)),
    };
    if let Some(keys) = keys {
        b.void(Op::GuardKeys, &[g], Imm::Int(keys.into()), Some(st));
    }
    if let Some(offset) = dict {
        b.void(Op::GuardNoDict, &[g], Imm::Int(offset.into()), Some(st));
    }
    b.same_example(obj.value, g);
    let x = b.pop();
    let m = b.known(k);
    b.push_const(m);
    b.lv.stack.push(Item { value: g, ..x });
    true
}
