//! One bytecode instruction at a time: its effect on the abstract stack, as IR.
//!
//! An instruction that is not translated leaves: the interpreter runs it and goes on. That is always right.

use stoop_cpython::decode::Instr;
use stoop_cpython::layout::flags;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Class, Hint, Imm, Op, Type, UnOp, Value};

use super::attributes::{load_attr, load_deref, store_attr, store_deref};
use super::builder::{BuildError, Builder, Entry, Item};
use super::containers::{
    append_to_local, build, const_key_map, dict_merge, format_value, get_len, into_container, match_keys, match_kind,
    store_slice, unpack, unpack_ex,
};
use super::flow::{delegate, for_iter, jump_if, load_fast_and_clear, poll, ret, send, suspend, target};
use super::functions::{import_from, import_name, make_function, set_attribute};
use super::handlers::{assertion_error, check_match, enter, name_deleted, pop_handled, push_handled, raise};
use super::operators::{binary_op, compare, generic, generic_void, operands_hint, push_bool, truth};

/// Why code that the interpreter has never run is left to it.
pub const NEVER_RAN: &str = "never_ran";

/// Why a loop without an iteration is left to the interpreter.
pub const EMPTY_LOOP: &str = "empty_loop";

/// Whether the front end always leaves at this instruction.
fn leaves(i: &Instr, entry: Entry) -> bool {
    match i.op {
        Opcode::ReturnValue | Opcode::ReturnConst => matches!(entry, Entry::Loop { .. }),
        Opcode::YieldValue | Opcode::Send => !matches!(entry, Entry::Resume { .. }),
        op => !is_translated(op),
    }
}

/// Whether nothing of a region follows an instruction but its targets.
pub(super) fn ends(i: &Instr, entry: Entry) -> bool {
    matches!(i.op, Opcode::YieldValue | Opcode::Send) || leaves(i, entry)
}

/// Whether [`instruction`] translates the opcode.
pub(super) fn is_translated(op: Opcode) -> bool {
    use Opcode as O;
    matches!(
        op,
        O::Nop
            | O::Resume
            | O::LoadFast
            | O::LoadFastCheck
            | O::LoadFastAndClear
            | O::StoreFast
            | O::DeleteFast
            | O::LoadConst
            | O::PopTop
            | O::Copy
            | O::Swap
            | O::PushNull
            | O::UnaryNegative
            | O::UnaryNot
            | O::UnaryInvert
            | O::BinaryOp
            | O::BinarySubscr
            | O::StoreSubscr
            | O::DeleteSubscr
            | O::BinarySlice
            | O::StoreSlice
            | O::CompareOp
            | O::IsOp
            | O::ContainsOp
            | O::ToBool
            | O::PopJumpIfTrue
            | O::PopJumpIfFalse
            | O::PopJumpIfNone
            | O::PopJumpIfNotNone
            | O::JumpForward
            | O::JumpBackward
            | O::JumpBackwardNoInterrupt
            | O::GetIter
            | O::GetYieldFromIter
            | O::GetAwaitable
            | O::ForIter
            | O::EndFor
            | O::UnpackSequence
            | O::BuildTuple
            | O::BuildList
            | O::BuildMap
            | O::BuildSet
            | O::BuildString
            | O::BuildSlice
            | O::BuildConstKeyMap
            | O::ListAppend
            | O::SetAdd
            | O::MapAdd
            | O::ListExtend
            | O::SetUpdate
            | O::DictUpdate
            | O::LoadAttr
            | O::StoreAttr
            | O::DeleteAttr
            | O::LoadGlobal
            | O::StoreGlobal
            | O::DeleteGlobal
            | O::LoadName
            | O::StoreName
            | O::DeleteName
            | O::LoadDeref
            | O::StoreDeref
            | O::DeleteDeref
            | O::MakeCell
            | O::CopyFreeVars
            | O::Call
            | O::CallKw
            | O::CallFunctionEx
            | O::CallIntrinsic1
            | O::FormatValue
            | O::ConvertValue
            | O::MakeFunction
            | O::SetFunctionAttribute
            | O::ImportName
            | O::ImportFrom
            | O::UnpackEx
            | O::DictMerge
            | O::GetLen
            | O::MatchSequence
            | O::MatchMapping
            | O::MatchClass
            | O::MatchKeys
            | O::LoadBuildClass
            | O::LoadSuperAttr
            | O::LoadAssertionError
            | O::RaiseVarargs
            | O::BeforeWith
            | O::PushExcInfo
            | O::CheckExcMatch
            | O::PopExcept
            | O::ReturnValue
            | O::ReturnConst
    )
}

/// Translates one instruction; `true` when it ended the block.
pub(super) fn instruction(b: &mut Builder<'_>, k: usize, i: &Instr) -> Result<bool, BuildError> {
    use Opcode as O;
    if leaves(i, b.lv.entry) {
        b.exit(i.unit, i.op.name());
        return Ok(true);
    }
    if !i.ran && i.half == 0 && !b.env.is_generic(i.unit) {
        // Cold so far: no feedback to go by. If it gets hot, leaving here often makes the engine compile anew.
        b.exit(i.unit, NEVER_RAN);
        return Ok(true);
    }
    match i.op {
        // Where the interpreter serves the eval breaker at a call's start, so does compiled code.
        O::Resume if b.lv.entry == Entry::Function && !b.lv.is_inlined() && i.arg & 3 == 0 => poll(b, i),
        O::Resume if matches!(b.lv.entry, Entry::Resume { .. }) && !b.lv.is_inlined() && i.arg & 3 < 2 => poll(b, i),
        O::YieldValue if b.lv.consumed.is_some() => super::consumers::item(b, i),
        O::YieldValue => {
            suspend(b, k, i);
            return Ok(true);
        }
        O::Send => {
            send(b, i);
            return Ok(true);
        }
        O::GetYieldFromIter => delegate(b, i, Op::PyYieldFromIter),
        O::GetAwaitable => delegate(b, i, Op::PyAwaitable),
        O::Nop | O::Resume | O::EndFor => {}
        O::LoadFast | O::LoadFastCheck => {
            let mut v = b.lv.locals[i.arg as usize];
            if matches!(b.f.ty(v), Type::MaybeNull | Type::Null) {
                if i.op == O::LoadFastCheck || b.f.ty(v) == Type::Null {
                    let st = b.state(i.unit);
                    v = b.op(Op::GuardNotNull, &[v], Imm::None, Type::Obj, Some(st));
                } else {
                    let known = v;
                    v = b.op(Op::RefCast, &[v], Imm::None, Type::Obj, None);
                    b.same_example(known, v);
                }
            }
            b.lv.stack.push(Item { value: v, owned: false, slot: Some(i.arg) });
        }
        O::LoadFastAndClear => load_fast_and_clear(b, i),
        O::StoreFast => {
            let x = b.pop();
            let v = b.own(x);
            b.store_local(i.arg, v);
        }
        O::DeleteFast => {
            let v = b.lv.locals[i.arg as usize];
            if matches!(b.f.ty(v), Type::MaybeNull | Type::Null) {
                let st = b.state(i.unit);
                b.op(Op::GuardNotNull, &[v], Imm::None, Type::Obj, Some(st));
            }
            let null = b.null().value;
            b.store_local(i.arg, null);
            name_deleted(b, k);
        }
        O::LoadConst => {
            let k = b.env.constant(i.arg);
            let v = b.known(k);
            b.push_const(v);
        }
        O::PopTop => {
            let x = b.pop();
            b.drop_item(x);
        }
        O::Copy => {
            let x = b.peek(i.arg as usize - 1);
            if b.walks.contains_key(&x.value) {
                b.exit(i.unit, i.op.name());
                return Ok(true);
            }
            if x.owned {
                b.void(Op::IncRef, &[x.value], Imm::None, None);
            }
            b.lv.stack.push(x);
        }
        O::Swap => {
            let n = b.lv.stack.len();
            b.lv.stack.swap(n - 1, n - i.arg as usize);
        }
        O::PushNull => b.push_null(),
        O::UnaryNegative | O::UnaryInvert => {
            let un = if i.op == O::UnaryNegative { UnOp::Neg } else { UnOp::Invert };
            generic(b, i, Op::PyUnary, 1, Imm::Un(un), Type::Obj, Hint::None);
        }
        O::UnaryNot => {
            let c = truth(b, i);
            let n = b.op(Op::BoolNot, &[c], Imm::None, Type::I1, None);
            push_bool(b, n);
        }
        O::ToBool => {
            let c = truth(b, i);
            push_bool(b, c);
        }
        O::BinaryOp if append_to_local(b, k, i) => {}
        O::BinaryOp => {
            let (op, inplace) = binary_op(i);
            if super::special::binary(b, i, op, inplace)? {
                return Ok(false);
            }
            let code = if inplace { Op::PyInplace } else { Op::PyBinary };
            let hint = operands_hint(b, i, &[b.peek(1), b.peek(0)]);
            generic(b, i, code, 2, Imm::Bin(op), Type::Obj, hint);
        }
        O::BinarySubscr => {
            if super::calls::special_get(b, i)? {
                return Ok(false);
            }
            let (container, key) = (b.peek(1), b.peek(0));
            let hint = operands_hint(b, i, &[container, key]);
            generic(b, i, Op::PyGetItem, 2, Imm::None, Type::Obj, hint);
            let item = b.examples.get(&container.value).and_then(|o| b.env.example_item(*o, 0));
            let v = b.peek(0).value;
            b.examples.extend(item.map(|o| (v, o)));
        }
        O::BinarySlice => {
            let class = b.examples.get(&b.peek(2).value).and_then(|o| b.env.example_class(*o));
            let hint = match class {
                _ if b.env.is_generic(i.unit) => Hint::Generic,
                Some(c @ (Class::Str | Class::Bytes | Class::Tuple)) => Hint::Classes(c, Class::Int),
                _ => Hint::None,
            };
            generic(b, i, Op::PyGetSlice, 3, Imm::None, Type::Obj, hint);
        }
        O::StoreSubscr => {
            if super::calls::special_set(b, i)? {
                return Ok(false);
            }
            // (value, container, key) on the stack; the operation takes (container, key, value).
            let st = b.state(i.unit);
            let h = operands_hint(b, i, &[b.peek(1), b.peek(0)]);
            let (key, container, value) = (b.pop(), b.pop(), b.pop());
            b.void(Op::PySetItem, &[container.value, key.value, value.value], Imm::None, Some(st));
            b.set_hint(h);
            b.ran_python = true;
            for x in [value, container, key] {
                b.drop_item(x);
            }
        }
        O::StoreSlice => store_slice(b, i),
        O::DeleteSubscr => generic_void(b, i, Op::PyDelItem, 2, Imm::None),
        O::CompareOp if super::special::compare(b, i, super::operators::comparison(i))? => {}
        O::CompareOp => compare(b, k, i),
        O::IsOp => {
            let (y, x) = (b.pop(), b.pop());
            let mut c = b.op(Op::ObjIs, &[x.value, y.value], Imm::None, Type::I1, None);
            if i.flag {
                c = b.op(Op::BoolNot, &[c], Imm::None, Type::I1, None);
            }
            b.drop_item(x);
            b.drop_item(y);
            push_bool(b, c);
        }
        O::ContainsOp => {
            let st = b.state(i.unit);
            let hint = operands_hint(b, i, &[b.peek(1), b.peek(0)]);
            let (container, item) = (b.pop(), b.pop());
            let mut c = b.op(Op::PyContains, &[item.value, container.value], Imm::None, Type::I1, Some(st));
            b.set_hint(hint);
            b.ran_python = true;
            if i.flag {
                c = b.op(Op::BoolNot, &[c], Imm::None, Type::I1, None);
            }
            b.drop_item(item);
            b.drop_item(container);
            push_bool(b, c);
        }
        O::PopJumpIfTrue | O::PopJumpIfFalse => {
            let c = truth(b, i);
            jump_if(b, i, c, i.op == O::PopJumpIfTrue);
            return Ok(true);
        }
        O::PopJumpIfNone | O::PopJumpIfNotNone => {
            let x = b.pop();
            let none = b.env.none();
            let none = b.known(none);
            let c = b.op(Op::ObjIs, &[x.value, none], Imm::None, Type::I1, None);
            b.drop_item(x);
            jump_if(b, i, c, i.op == O::PopJumpIfNone);
            return Ok(true);
        }
        O::JumpForward | O::JumpBackwardNoInterrupt => {
            b.go(target(i));
            return Ok(true);
        }
        O::JumpBackward => {
            poll(b, i);
            b.go(target(i));
            return Ok(true);
        }
        O::GetIter if super::walks::get_iter(b, k, i) => {}
        O::GetIter => {
            let element = b.examples.get(&b.peek(0).value).and_then(|o| b.env.example_item(*o, 0));
            generic(b, i, Op::PyGetIter, 1, Imm::None, Type::Obj, Hint::None);
            let it = b.peek(0).value;
            b.elements.extend(element.map(|o| (it, o)));
        }
        O::ForIter => {
            for_iter(b, i);
            return Ok(true);
        }
        O::UnpackSequence => unpack(b, i),
        O::BuildTuple | O::BuildList => {
            let st = b.state(i.unit);
            let items = b.pop_n(i.arg as usize);
            let vals: Vec<Value> = items.into_iter().map(|x| b.own(x)).collect();
            let (op, c) = if i.op == O::BuildTuple { (Op::BuildTuple, Class::Tuple) } else { (Op::BuildList, Class::List) };
            let v = b.op(op, &vals, Imm::None, Type::Exact(c), Some(st));
            b.push_owned(v);
        }
        O::BuildMap => build(b, i, Op::BuildMap, 2 * i.arg as usize, Class::Dict),
        O::BuildSet => build(b, i, Op::BuildSet, i.arg as usize, Class::Set),
        O::BuildString => build(b, i, Op::BuildString, i.arg as usize, Class::Str),
        O::BuildSlice if super::lists::reverse_prefix(b, k, i) => {}
        O::BuildSlice => build(b, i, Op::BuildSlice, i.arg as usize, Class::Slice),
        O::BuildConstKeyMap => const_key_map(b, i),
        O::ListAppend => {
            let st = b.state(i.unit);
            let x = b.pop();
            let list = b.peek(i.arg as usize - 1);
            let v = b.own(x);
            b.void(Op::ListAppend, &[list.value, v], Imm::None, Some(st));
        }
        O::SetAdd => into_container(b, i, Op::PySetAdd, 1),
        O::MapAdd => into_container(b, i, Op::PyMapAdd, 2),
        O::ListExtend => into_container(b, i, Op::PyListExtend, 1),
        O::SetUpdate => into_container(b, i, Op::PySetUpdate, 1),
        O::DictUpdate => into_container(b, i, Op::PyDictUpdate, 1),
        O::LoadAttr => load_attr(b, i)?,
        O::StoreAttr => store_attr(b, i)?,
        O::DeleteAttr => {
            let n = b.name(i.arg);
            generic_void(b, i, Op::PyDelAttr, 1, Imm::Name(n));
        }
        O::LoadGlobal => super::globals::load_global(b, i),
        O::StoreGlobal | O::StoreName => super::globals::store(b, i),
        O::DeleteGlobal => {
            let n = b.name(i.arg);
            generic_void(b, i, Op::PyDelGlobal, 0, Imm::Name(n));
        }
        O::DeleteName if b.lv.names_are_globals => {
            let n = b.name(i.arg);
            generic_void(b, i, Op::PyDelGlobal, 0, Imm::Name(n));
            name_deleted(b, k);
        }
        O::DeleteName => {
            b.exit(i.unit, i.op.name());
            return Ok(true);
        }
        O::LoadName => super::globals::load_name(b, i),
        O::LoadDeref => load_deref(b, i),
        O::StoreDeref => store_deref(b, i),
        O::DeleteDeref => super::attributes::delete_deref(b, i),
        O::MakeCell => {
            let st = b.state(i.unit);
            let v = b.lv.locals[i.arg as usize];
            let c = b.op(Op::MakeCell, &[v], Imm::None, Type::Exact(Class::Cell), Some(st));
            b.store_local(i.arg, c);
        }
        O::CopyFreeVars => {
            let first = b.lv.code.nlocalsplus - i.arg;
            for n in 0..i.arg {
                let c = b.op(Op::ClosureCell, &[], Imm::Index(n), Type::Exact(Class::Cell), None);
                b.void(Op::IncRef, &[c], Imm::None, None);
                b.store_local(first + n, c);
            }
        }
        O::Call => return super::calls::call(b, k, i).map(|()| false),
        O::CallKw => {
            let names = b.pop();
            super::calls::call_with_names(b, i, names)?;
        }
        O::CallFunctionEx => super::calls::call_ex(b, i),
        O::CallIntrinsic1 => return intrinsic(b, i),
        O::FormatValue => return format_value(b, i),
        O::ConvertValue => generic(b, i, Op::PyConvert, 1, Imm::Int(i.arg.into()), Type::Obj, Hint::None),
        O::MakeFunction => make_function(b, i),
        O::SetFunctionAttribute => set_attribute(b, i),
        O::ImportName => import_name(b, i),
        O::ImportFrom => import_from(b, i),
        O::UnpackEx => unpack_ex(b, i),
        O::DictMerge => dict_merge(b, i),
        O::GetLen => get_len(b, i),
        O::MatchSequence => match_kind(b, flags::SEQUENCE),
        O::MatchMapping => match_kind(b, flags::MAPPING),
        O::MatchClass => generic(b, i, Op::PyMatchClass, 3, Imm::Int(i.arg.into()), Type::Obj, Hint::None),
        O::MatchKeys => match_keys(b, i),
        O::LoadBuildClass => generic(b, i, Op::PyBuildClass, 0, Imm::None, Type::Obj, Hint::None),
        O::LoadSuperAttr => super::supers::load_super(b, i),
        O::LoadAssertionError => assertion_error(b),
        O::BeforeWith => enter(b, i),
        O::PushExcInfo => push_handled(b),
        O::CheckExcMatch => check_match(b, i),
        O::PopExcept => pop_handled(b, k, i),
        O::RaiseVarargs => {
            raise(b, i);
            return Ok(true);
        }
        O::ReturnValue | O::ReturnConst if b.lv.consumed.is_some() => {
            super::consumers::end(b, i);
            return Ok(true);
        }
        O::ReturnValue => {
            super::construct::check_result(b, i);
            super::special::check_result(b, i);
            let x = b.pop();
            ret(b, x);
            return Ok(true);
        }
        O::ReturnConst => {
            let c = b.env.constant(i.arg);
            let v = b.known(c);
            if b.in_init() && b.f.ty(v) != Type::Exact(Class::NoneType) {
                b.exit(i.unit, i.op.name());
                return Ok(true);
            }
            ret(b, Item { value: v, owned: false, slot: None });
            return Ok(true);
        }
        _ => unreachable!("is_translated lists what is handled here"),
    }
    Ok(false)
}

fn intrinsic(b: &mut Builder<'_>, i: &Instr) -> Result<bool, BuildError> {
    const UNARY_POSITIVE: u32 = 5;
    const LIST_TO_TUPLE: u32 = 6;
    match i.arg {
        UNARY_POSITIVE => generic(b, i, Op::PyUnary, 1, Imm::Un(UnOp::Pos), Type::Obj, Hint::None),
        LIST_TO_TUPLE => {
            let st = b.state(i.unit);
            let x = b.pop();
            let v = b.op(Op::PyListToTuple, &[x.value], Imm::None, Type::Exact(Class::Tuple), Some(st));
            b.drop_item(x);
            b.push_owned(v);
        }
        _ => {
            b.exit(i.unit, "CallIntrinsic1");
            return Ok(true);
        }
    }
    Ok(false)
}
