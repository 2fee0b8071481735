//! Raising, and context managers.

use stoop_cpython::decode::Instr;
use stoop_ir::{Class, Hint, Imm, Op, Type};

use super::builder::Builder;
use super::containers::items_of;
use super::operators::generic;

/// RAISE_VARARGS with an exception, and perhaps a cause.
pub(super) fn raise(b: &mut Builder<'_>, i: &Instr) {
    if i.arg == 0 {
        // The exception that is being handled, without a new traceback entry.
        b.exit(i.unit, "RAISE_VARARGS");
        return;
    }
    let st = b.state(i.unit);
    let cause = if i.arg == 2 { b.pop() } else { b.null() };
    let exception = b.pop();
    b.void(Op::PyRaise, &[exception.value, cause.value], Imm::None, Some(st));
    // Never reached.
    b.lv.stack.push(exception);
    if i.arg == 2 {
        b.lv.stack.push(cause);
    }
    b.exit(i.unit, "RAISE_VARARGS");
}

/// BEFORE_WITH: the exit method stays on the stack below what entering yields.
pub(super) fn enter(b: &mut Builder<'_>, i: &Instr) {
    generic(b, i, Op::PyEnter, 1, Imm::None, Type::Exact(Class::Tuple), Hint::None);
    let pair = b.pop();
    items_of(b, pair, 2, None, false);
}

pub(super) fn assertion_error(b: &mut Builder<'_>) {
    let k = b.env.assertion_error();
    let v = b.known(k);
    b.push_const(v);
}
