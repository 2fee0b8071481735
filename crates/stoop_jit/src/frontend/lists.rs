//! Lists and sets: methods that work on the items directly, and reversing a list's start in place.

use stoop_cpython::decode::Instr;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Class, Imm, Op, State, Type, Value};

use super::builder::{Builder, Item};

/// Whether there is an operation for a method of exact lists or sets with so many arguments.
pub(super) fn has_form(name: &str, args: usize) -> bool {
    matches!((name, args), ("set.add" | "list.append", 1) | ("list.pop", 0 | 1) | ("list.insert", 2))
}

fn int(b: &mut Builder<'_>, v: Value, st: State) -> Value {
    let g = b.op(Op::GuardClass, &[v], Imm::None, Type::Exact(Class::Int), Some(st));
    b.op(Op::UnboxInt, &[g], Imm::None, Type::I64, Some(st))
}

/// A method of an exact list or set, for which there is a form: yields the result and whether compiled code owns it. The
/// arguments are consumed.
pub(super) fn method(b: &mut Builder<'_>, name: &str, list: Value, args: &[Item], st: State) -> Item {
    if name == "list.pop" {
        let at = match args {
            [] => b.op(Op::ConstInt, &[], Imm::Int(-1), Type::I64, None),
            _ => int(b, args[0].value, st),
        };
        let len = b.op(Op::ListLen, &[list], Imm::None, Type::I64, None);
        let at = b.op(Op::Index, &[at, len], Imm::None, Type::I64, Some(st));
        let value = b.op(Op::ListPop, &[list, at], Imm::None, Type::Obj, Some(st));
        args.iter().for_each(|x| b.drop_item(*x));
        return Item { value, owned: true, slot: None };
    }
    if name == "set.add" {
        b.void(Op::SetAdd, &[list, args[0].value], Imm::None, Some(st));
        b.drop_item(args[0]);
    } else if let [place, new] = args {
        let at = int(b, place.value, st);
        let v = b.own(*new);
        b.void(Op::ListInsert, &[list, at, v], Imm::None, Some(st));
        b.drop_item(*place);
    } else {
        let v = b.own(args[0]);
        b.void(Op::ListAppend, &[list, v], Imm::None, Some(st));
    }
    let none = b.env.none();
    Item { value: b.known(none), owned: false, slot: None }
}

/// A call of a built-in method that a local holds, bound, such as `push` after `push = stack.append`. Whether it was
/// translated.
pub(super) fn bound_method(b: &mut Builder<'_>, callable: Item, args: &[Item], st: State) -> bool {
    let Some(slot) = callable.slot.filter(|_| !b.lv.is_inlined()) else { return false };
    let Some((name, definition)) = b.env.entry_method(slot) else { return false };
    if !has_form(name, args.len()) {
        return false;
    }
    let builtin = b.op(Op::GuardClass, &[callable.value], Imm::None, Type::Exact(Class::Builtin), Some(st));
    b.void(Op::GuardBuiltin, &[builtin], Imm::Int(definition as i64), Some(st));
    let of = b.op(Op::BuiltinSelf, &[builtin], Imm::None, Type::Obj, None);
    let class = if name.starts_with("set.") { Class::Set } else { Class::List };
    let list = b.op(Op::GuardClass, &[of], Imm::None, Type::Exact(class), Some(st));
    let result = method(b, name, list, args, st);
    b.drop_item(callable);
    b.lv.stack.push(result);
    true
}

/// `a[:k + 1] = a[k::-1]`, from the slice on, for locals `a` and `k`. Nothing of it can be seen before the end, so it
/// is one step, which leaves at the slice where the list is none or `k` no position in it. Whether it was translated.
pub(super) fn reverse_prefix(b: &mut Builder<'_>, k: usize, i: &Instr) -> bool {
    use Opcode as O;
    const REST: [Opcode; 7] = [O::BinarySubscr, O::LoadFast, O::LoadConst, O::LoadFast, O::LoadConst, O::BinaryOp, O::StoreSlice];
    let code = b.lv.code.clone();
    let Some(rest) = code.instrs.get(k + 1..=k + REST.len()) else { return false };
    if i.arg != 3 || b.lv.stack.len() < 4 || b.env.is_generic(i.unit) {
        return false;
    }
    let (list, last) = (b.peek(3), b.peek(2));
    let (Some(list_slot), Some(last_slot)) = (list.slot, last.slot) else { return false };
    let straight = rest.iter().zip(REST).all(|(r, op)| r.op == op && !b.lv.blocks.by_unit.contains_key(&r.unit));
    let same = straight && rest[1].arg == list_slot && rest[3].arg == last_slot && rest[5].arg == 0 && !rest[5].flag;
    let (stop, step) = (b.peek(1).value, b.peek(0).value);
    if !same || !is_const(b, stop, Class::NoneType, "") || !is_const(b, step, Class::Int, "-1") {
        return false;
    }
    let (none, one) = (b.env.constant(rest[2].arg), b.env.constant(rest[4].arg));
    if none.class != Some(Class::NoneType) || one.class != Some(Class::Int) || one.text != "1" {
        return false;
    }
    let st = b.state(i.unit);
    b.pop_n(4);
    let list = b.op(Op::GuardClass, &[list.value], Imm::None, Type::Exact(Class::List), Some(st));
    let last = int(b, last.value, st);
    b.void(Op::ListReversePrefix, &[list, last], Imm::None, Some(st));
    b.lv.done_before = k + 1 + REST.len();
    true
}

/// Whether a value is a constant of the class, with this text if one is given.
fn is_const(b: &Builder<'_>, v: Value, class: Class, text: &str) -> bool {
    let Some(d) = b.f.def_inst(v) else { return false };
    match (b.f.inst(d).op, b.f.inst(d).imm) {
        (Op::ConstObj, Imm::Const(c)) => {
            let c = &b.f.consts[c.index()];
            c.class == Some(class) && (text.is_empty() || c.text == text)
        }
        _ => false,
    }
}
