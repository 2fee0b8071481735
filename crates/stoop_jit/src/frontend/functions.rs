//! Making functions, and imports.

use stoop_cpython::decode::Instr;
use stoop_ir::{Class, Hint, Imm, Op, Type};

use super::builder::{Builder, Item};
use super::consumers::Made;
use super::operators::generic;

/// What MAKE_FUNCTION (3.12) and SET_FUNCTION_ATTRIBUTE call the parts of a function, from the top of the stack.
const PARTS: [u32; 4] = [8, 4, 2, 1];

/// The one that is the tuple of its cells.
const CLOSURE: u32 = 8;

pub(super) fn make_function(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let code = b.pop();
    let function = b.op(Op::MakeFunction, &[code.value], Imm::None, Type::Exact(Class::Function), Some(st));
    let address = b.f.def_inst(code.value).and_then(|d| match b.f.inst(d).imm {
        Imm::Const(c) => Some(b.f.consts[c.index()].address),
        _ => None,
    });
    b.made_functions.extend(address.map(|code| (function, Made { code, closure: None })));
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
    if let (CLOSURE, Some(made)) = (part, b.made_functions.get_mut(&function)) {
        made.closure = Some(v);
    }
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
