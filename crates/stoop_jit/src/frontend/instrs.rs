//! One bytecode instruction at a time: its effect on the abstract stack, as IR.
//!
//! An instruction that is not translated leaves: the interpreter runs it and goes on. That is always right.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{BinOp, Class, CmpOp, Hint, Imm, Op, Type, UnOp, Value};

use super::builder::{BuildError, Builder, Entry, Item};

/// Why code that the interpreter has never run is left to it.
pub const NEVER_RAN: &str = "never_ran";

/// Why a loop without an iteration is left to the interpreter.
pub const EMPTY_LOOP: &str = "empty_loop";

/// Whether the front end always leaves at this instruction.
pub(super) fn leaves(i: &Instr, is_loop: bool) -> bool {
    match i.op {
        Opcode::ReturnValue | Opcode::ReturnConst => is_loop,
        // Appending in place needs the variable's own reference: the interpreter does that well.
        Opcode::BinaryOp if i.feedback == Feedback::StrInPlace => true,
        op => !is_translated(op),
    }
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
            | O::LoadDeref
            | O::StoreDeref
            | O::MakeCell
            | O::CopyFreeVars
            | O::Call
            | O::CallKw
            | O::CallFunctionEx
            | O::CallIntrinsic1
            | O::FormatValue
            | O::ConvertValue
            | O::ReturnValue
            | O::ReturnConst
    )
}

/// Translates one instruction; `true` when it ended the block.
pub(super) fn instruction(b: &mut Builder<'_>, k: usize, i: &Instr) -> Result<bool, BuildError> {
    use Opcode as O;
    let is_loop = b.lv.entry != Entry::Function;
    if leaves(i, is_loop) {
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
        O::BinaryOp => {
            let (op, inplace) = binary_op(i);
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
        O::BinarySlice => generic(b, i, Op::PyGetSlice, 3, Imm::None, Type::Obj, Hint::None),
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
        O::StoreSlice => {
            let st = b.state(i.unit);
            let (stop, start, container, value) = (b.pop(), b.pop(), b.pop(), b.pop());
            let args = [container.value, start.value, stop.value, value.value];
            b.void(Op::PySetSlice, &args, Imm::None, Some(st));
            b.ran_python = true;
            for x in [value, container, start, stop] {
                b.drop_item(x);
            }
        }
        O::DeleteSubscr => generic_void(b, i, Op::PyDelItem, 2, Imm::None),
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
            let (container, item) = (b.pop(), b.pop());
            let mut c = b.op(Op::PyContains, &[item.value, container.value], Imm::None, Type::I1, Some(st));
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
        O::BuildConstKeyMap => {
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
        O::LoadAttr => load_attr(b, i),
        O::StoreAttr => {
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
        O::DeleteAttr => {
            let n = b.name(i.arg);
            generic_void(b, i, Op::PyDelAttr, 1, Imm::Name(n));
        }
        O::LoadGlobal => {
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
        O::StoreGlobal | O::StoreName => {
            let op = if i.op == O::StoreGlobal { Op::PyStoreGlobal } else { Op::PyStoreName };
            let n = b.name(i.arg);
            generic_void(b, i, op, 1, Imm::Name(n));
        }
        O::DeleteGlobal => {
            let n = b.name(i.arg);
            generic_void(b, i, Op::PyDelGlobal, 0, Imm::Name(n));
        }
        O::LoadName => {
            let n = b.name(i.arg);
            generic(b, i, Op::PyLoadName, 0, Imm::Name(n), Type::Obj, Hint::None);
        }
        O::LoadDeref => {
            let st = b.state(i.unit);
            let cell = cell(b, i.arg);
            let v = b.op(Op::LoadCell, &[cell], Imm::None, Type::Obj, Some(st));
            b.void(Op::IncRef, &[v], Imm::None, None);
            b.push_owned(v);
        }
        O::StoreDeref => {
            let x = b.pop();
            let v = b.own(x);
            let cell = cell(b, i.arg);
            let old = b.op(Op::SwapCell, &[cell, v], Imm::None, Type::MaybeNull, None);
            b.void(Op::DecRef, &[old], Imm::None, None);
            b.dropped = true;
        }
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
        O::ReturnValue => {
            let x = b.pop();
            ret(b, x);
            return Ok(true);
        }
        O::ReturnConst => {
            let c = b.env.constant(i.arg);
            let v = b.known(c);
            ret(b, Item { value: v, owned: false, slot: None });
            return Ok(true);
        }
        _ => unreachable!("is_translated lists what is handled here"),
    }
    Ok(false)
}

fn poll(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    b.void(Op::Poll, &[], Imm::None, Some(st));
    // Whoever had the GIL meanwhile may have broken an assumption.
    b.void(Op::CheckValid, &[], Imm::None, Some(st));
}

fn target(i: &Instr) -> u32 {
    i.target.expect("jumps have a target")
}

fn ret(b: &mut Builder<'_>, x: Item) {
    let v = b.own(x);
    if b.lv.is_inlined() {
        b.return_inlined(v);
    } else {
        b.void(Op::Return, &[v], Imm::None, None);
    }
}

/// A comprehension's variable: what it held goes on the stack, possibly as NULL.
fn load_fast_and_clear(b: &mut Builder<'_>, i: &Instr) {
    let v = b.lv.locals[i.arg as usize];
    // The next time round an enclosing loop it may be set: not the constant NULL.
    let aside = b.op(Op::RefCast, &[v], Imm::None, Type::MaybeNull, None);
    if b.f.ty(v) == Type::Null {
        b.push_owned(aside);
        return;
    }
    b.void(Op::IncRef, &[v], Imm::None, None);
    b.push_owned(aside);
    let null = b.null().value;
    b.store_local(i.arg, null);
}

fn binary_op(i: &Instr) -> (BinOp, bool) {
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
fn operands_hint(b: &Builder<'_>, i: &Instr, operands: &[Item]) -> Hint {
    let seen = operand_hint(b, i);
    if seen != Hint::None {
        return seen;
    }
    let class = |x: &Item| b.examples.get(&x.value).and_then(|o| b.env.example_class(*o));
    match operands {
        [x] => class(x).map_or(Hint::None, Hint::Class),
        [x, y] => match (class(x), class(y)) {
            (Some(a), Some(b)) if a == b => Hint::Class(a),
            (Some(a), Some(b)) => Hint::Classes(a, b),
            // One side alone: the other is known by inference or not at all.
            (Some(a), None) if matches!(i.op, Opcode::BinarySubscr | Opcode::StoreSubscr) => Hint::Classes(a, Class::Int),
            _ => Hint::None,
        },
        _ => Hint::None,
    }
}

/// What the interpreter saw of the operands.
fn operand_hint(b: &Builder<'_>, i: &Instr) -> Hint {
    if b.env.is_generic(i.unit) {
        return Hint::Generic;
    }
    match i.feedback {
        Feedback::Int => Hint::Class(Class::Int),
        Feedback::Float => Hint::Class(Class::Float),
        Feedback::Str => Hint::Class(Class::Str),
        Feedback::ListInt => Hint::Classes(Class::List, Class::Int),
        Feedback::TupleInt => Hint::Classes(Class::Tuple, Class::Int),
        Feedback::StrInt => Hint::Classes(Class::Str, Class::Int),
        Feedback::ListSetInt => Hint::Classes(Class::List, Class::Int),
        Feedback::ToBoolBool => Hint::Class(Class::Bool),
        Feedback::ToBoolInt => Hint::Class(Class::Int),
        Feedback::ToBoolList => Hint::Class(Class::List),
        Feedback::ToBoolNone => Hint::Class(Class::NoneType),
        Feedback::ToBoolStr => Hint::Class(Class::Str),
        Feedback::IterList => Hint::Class(Class::ListIter),
        Feedback::IterTuple => Hint::Class(Class::TupleIter),
        Feedback::IterRange => Hint::Class(Class::RangeIter),
        Feedback::UnpackTwoTuple | Feedback::UnpackTuple => Hint::Class(Class::Tuple),
        Feedback::UnpackList => Hint::Class(Class::List),
        _ => Hint::None,
    }
}

fn attr_hint(b: &Builder<'_>, i: &Instr) -> Hint {
    if b.env.is_generic(i.unit) {
        return Hint::Generic;
    }
    match i.feedback {
        Feedback::InstanceValue { type_version, index } => Hint::Field(type_version, index),
        Feedback::Slot { type_version, offset } => Hint::Slot(type_version, offset),
        _ => Hint::None,
    }
}

/// An operation over the top `n` entries with one result.
fn generic(b: &mut Builder<'_>, i: &Instr, op: Op, n: usize, imm: Imm, ty: Type, hint: Hint) {
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

fn generic_void(b: &mut Builder<'_>, i: &Instr, op: Op, n: usize, imm: Imm) {
    let st = b.state(i.unit);
    let items = b.pop_n(n);
    let args: Vec<Value> = items.iter().map(|x| x.value).collect();
    b.void(op, &args, imm, Some(st));
    b.ran_python = true;
    for x in items {
        b.drop_item(x);
    }
}

fn build(b: &mut Builder<'_>, i: &Instr, op: Op, n: usize, c: Class) {
    generic(b, i, op, n, Imm::None, Type::Exact(c), Hint::None);
}

/// `n` values from the top go into the container below them.
fn into_container(b: &mut Builder<'_>, i: &Instr, op: Op, n: usize) {
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

fn push_bool(b: &mut Builder<'_>, c: Value) {
    let v = b.op(Op::BoxBool, &[c], Imm::None, Type::Exact(Class::Bool), None);
    b.push_const(v);
}

/// Pops the top and tests it.
fn truth(b: &mut Builder<'_>, i: &Instr) -> Value {
    let x = b.peek(0);
    if let Some(d) = b.f.def_inst(x.value).map(|d| b.f.inst(d))
        && d.op == Op::BoxBool
    {
        let c = d.args[0];
        b.pop();
        return c;
    }
    let st = b.state(i.unit);
    let hint = operands_hint(b, i, &[x]);
    b.pop();
    let c = b.op(Op::PyToBool, &[x.value], Imm::None, Type::I1, Some(st));
    b.set_hint(hint);
    b.ran_python = true;
    b.drop_item(x);
    c
}

fn jump_if(b: &mut Builder<'_>, i: &Instr, c: Value, when: bool) {
    let (to, next) = (target(i), i.next);
    let mut taken = |b: &mut Builder<'_>| {
        b.safe_point(to);
        b.go(to);
    };
    let mut not_taken = |b: &mut Builder<'_>| {
        b.safe_point(next);
        b.go(next);
    };
    if when {
        b.branch(c, [&mut taken, &mut not_taken]);
    } else {
        b.branch(c, [&mut not_taken, &mut taken]);
    }
}

fn compare(b: &mut Builder<'_>, k: usize, i: &Instr) {
    const OPS: [CmpOp; 6] = [CmpOp::Lt, CmpOp::Le, CmpOp::Eq, CmpOp::Ne, CmpOp::Gt, CmpOp::Ge];
    let op = OPS[i.arg as usize % 6];
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

fn for_iter(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let it = b.peek(0);
    let v = b.op(Op::PyIterNext, &[it.value], Imm::None, Type::MaybeNull, Some(st));
    let h = operand_hint(b, i);
    b.set_hint(h);
    b.ran_python = true;
    let end = b.op(Op::IsNull, &[v], Imm::None, Type::I1, None);
    let (to, next) = (target(i), i.next);
    let element = b.elements.get(&it.value).copied();
    // A loop's peeled first iteration is there because its variables get their type in it. A loop that does not even
    // have one is left to the interpreter, unless that turns out to be common.
    let hollow = b.in_first_iteration() && !b.env.is_generic(i.unit);
    let mut done = |b: &mut Builder<'_>| {
        if hollow {
            b.exit(i.unit, EMPTY_LOOP);
            return;
        }
        let it = b.pop();
        b.drop_item(it);
        b.safe_point(to);
        b.go(to);
    };
    let mut body = |b: &mut Builder<'_>| {
        let item = b.op(Op::RefCast, &[v], Imm::None, Type::Obj, None);
        b.examples.extend(element.map(|o| (item, o)));
        b.push_owned(item);
        b.safe_point(next);
        b.go(next);
    };
    b.branch(end, [&mut done, &mut body]);
}

fn unpack(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let h = operands_hint(b, i, &[b.peek(0)]);
    let seq = b.pop();
    let example = b.examples.get(&seq.value).copied();
    let t = b.op(Op::PyUnpack, &[seq.value], Imm::Int(i.arg.into()), Type::Exact(Class::Tuple), Some(st));
    b.set_hint(h);
    b.ran_python = true;
    let positions: Vec<Value> = (0..i.arg).rev().map(|n| b.op(Op::ConstInt, &[], Imm::Int(n.into()), Type::I64, None)).collect();
    // All loads first: then whatever is found out about an item can still leave before the first count is changed.
    let items: Vec<Value> = positions.into_iter().map(|at| b.op(Op::TupleItem, &[t, at], Imm::None, Type::Obj, None)).collect();
    for (v, n) in items.into_iter().zip((0..i.arg).rev()) {
        let item = example.and_then(|o| b.env.example_item(o, n as usize));
        b.examples.extend(item.map(|o| (v, o)));
        b.void(Op::IncRef, &[v], Imm::None, None);
        b.push_owned(v);
    }
    b.drop_item(Item { value: t, owned: true, slot: None });
    b.drop_item(seq);
}

fn cell(b: &mut Builder<'_>, slot: u32) -> Value {
    let v = b.lv.locals[slot as usize];
    if b.f.ty(v) == Type::Exact(Class::Cell) {
        return v;
    }
    // The compiler guarantees that the slot of a cell variable holds a cell.
    b.op(Op::RefCast, &[v], Imm::None, Type::Exact(Class::Cell), None)
}

fn load_attr(b: &mut Builder<'_>, i: &Instr) {
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

/// FORMAT_VALUE (3.12): conversion and format in one instruction.
fn format_value(b: &mut Builder<'_>, i: &Instr) -> Result<bool, BuildError> {
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

/// An attribute found on the class, not on the instance: a constant while the type's version stands. Whether it was one.
fn class_value(b: &mut Builder<'_>, i: &Instr) -> bool {
    let (version, keys) = match i.feedback {
        Feedback::NonDescriptorWithValues { type_version, keys_version, .. } => (type_version, Some(keys_version)),
        Feedback::NonDescriptorNoDict { type_version, .. } => (type_version, None),
        _ => return false,
    };
    if b.env.is_generic(i.unit) {
        return false;
    }
    let example = b.examples.get(&b.peek(0).value).copied();
    let Some(k) = b.env.type_attribute(example, version, i.arg) else { return false };
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
