//! Making functions, and imports.

use stoop_cpython::decode::Instr;
use stoop_ir::{Class, Hint, Imm, Op, Type};

use super::builder::{Builder, Item};
use super::operators::generic;

/// What MAKE_FUNCTION (3.12) and SET_FUNCTION_ATTRIBUTE call the parts of a function, from the top of the stack.
const PARTS: [u32; 4] = [8, 4, 2, 1];

pub(super) fn make_function(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let code = b.pop();
    let function = b.op(Op::MakeFunction, &[code.value], Imm::None, Type::Exact(Class::Function), Some(st));
    for part in PARTS {
        if i.arg & part != 0 {
            let value = b.pop();
            set_part(b, function, part, value);
        }
    }
    b.drop_item(code);
    b.push_owned(function);
}

pub(super) fn set_attribute(b: &mut Builder<'_>, i: &Instr) {
    let (function, value) = (b.pop(), b.pop());
    set_part(b, function.value, i.arg, value);
    b.lv.stack.push(function);
}

fn set_part(b: &mut Builder<'_>, function: stoop_ir::Value, part: u32, value: Item) {
    let v = b.own(value);
    b.void(Op::SetFunctionAttr, &[function, v], Imm::Int(part.into()), None);
}

pub(super) fn import_name(b: &mut Builder<'_>, i: &Instr) {
    let n = b.name(i.arg);
    generic(b, i, Op::PyImport, 2, Imm::Name(n), Type::Obj, Hint::None);
}

pub(super) fn import_from(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let module = b.peek(0);
    let n = b.name(i.arg);
    let v = b.op(Op::PyImportFrom, &[module.value], Imm::Name(n), Type::Obj, Some(st));
    b.ran_python = true;
    b.push_owned(v);
}
