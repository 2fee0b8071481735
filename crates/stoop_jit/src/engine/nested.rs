//! Leaving from inside an inlined function: the frames it would have are made, innermost last, and run to their ends.

use stoop_codegen::unit::ExitDesc;
use stoop_cpython::capi::{self, Frame, Obj, PyThreadState};
use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::frame;
use stoop_cpython::opcodes::Opcode;

use super::exits;
use super::record::Record;
use crate::frontend::Role;
use crate::helpers::operators;

/// A frame that is in the middle of a call.
struct Calling<'a> {
    frame: *mut Frame,
    info: &'a CodeInfo,
    /// Index of the calling instruction.
    at: usize,
    /// What the function called stands in place of.
    role: Role,
}

impl Calling<'_> {
    /// Takes what was called back, and tells where the interpreter goes on; `None` when an exception is set.
    unsafe fn receive(&self, result: Obj) -> Option<u32> {
        let i = &self.info.instrs[self.at];
        // SAFETY: the stack has room for the result, where the instruction leaves one.
        unsafe {
            if result.is_null() {
                return None;
            }
            match self.role {
                Role::Init => {
                    if result != capi::none() {
                        crate::helpers::instances::init_result(result);
                        return None;
                    }
                }
                Role::Operator => {
                    let y = frame::pop(self.frame);
                    let x = frame::pop(self.frame);
                    let result = operator_result(i, x, y, result);
                    capi::decref(x);
                    capi::decref(y);
                    if result.is_null() {
                        return None;
                    }
                    frame::push(self.frame, result);
                }
                Role::Call if i.op == Opcode::StoreSubscr => capi::decref(result),
                Role::Call => frame::push(self.frame, result),
            }
        }
        Some(i.next)
    }
}

/// What an operator yields once the method that was asked first has returned.
///
/// # Safety
/// Live operands; the method's result is handed over.
unsafe fn operator_result(i: &Instr, x: Obj, y: Obj, result: Obj) -> Obj {
    // SAFETY: as documented.
    unsafe {
        let mut result = result;
        if result == capi::not_implemented() {
            capi::decref(result);
            result = match i.op {
                Opcode::CompareOp => operators::compare_further(crate::frontend::comparison(i), x, y),
                _ => {
                    let (op, inplace) = crate::frontend::binary_op(i);
                    operators::binary_further(op, inplace, x, y)
                }
            };
        }
        if result.is_null() || i.op != Opcode::CompareOp || !i.flag {
            return result;
        }
        let truth = capi::PyObject_IsTrue(result);
        capi::decref(result);
        match truth {
            0 => capi::py_false(),
            1.. => capi::py_true(),
            _ => std::ptr::null_mut(),
        }
    }
}

/// Rebuilds all frames of an exit and lets the interpreter run them.
///
/// # Safety
/// As for [`exits::side_exit`]; the exit has parents.
pub(super) unsafe fn leave(
    mut maker: exits::Maker<'_>,
    ts: *mut PyThreadState,
    real: *mut Frame,
    record: *mut Record,
    e: &ExitDesc,
) -> usize {
    // SAFETY: frames are made outermost first, each complete before the next is pushed; inlined functions are kept
    // alive by the region, and the region by its activation.
    unsafe {
        let own = (*record).info.clone();
        let inlined: Vec<crate::frontend::Inlined> = (&(*record).inlined).clone();
        let info_of = |code: u32| -> &CodeInfo { if code == 0 { &own } else { &inlined[code as usize - 1].code } };
        let at = |info: &CodeInfo, unit: u32| info.index_of(unit).unwrap_or(0);

        // Everything is taken out of the buffer before anything runs: what is borrowed there is held by this frame.
        let mut calling: Vec<Calling<'_>> = Vec::new();
        let callees = e.parents.iter().map(|p| p.code).rev().skip(1).chain([e.code]);
        for (p, callee) in e.parents.iter().rev().zip(callees) {
            let info = info_of(p.code);
            let f = if p.code == 0 {
                real
            } else {
                let f = frame::push_frame(ts, inlined[p.code as usize - 1].function as Obj);
                frame::force_enter_call(ts);
                f
            };
            let variables = if p.code == 0 { &(&(*record).variables)[..] } else { &[] };
            exits::rebuild(&mut maker, f, &p.locals, &p.stack, info.nlocalsplus, variables);
            let k = at(info, p.unit);
            frame::set_running(f, info.instrs[k].op_unit);
            calling.push(Calling { frame: f, info, at: k, role: inlined[callee as usize - 1].role });
        }
        let inner = frame::push_frame(ts, inlined[e.code as usize - 1].function as Obj);
        exits::rebuild(&mut maker, inner, &e.locals, &e.stack, info_of(e.code).nlocalsplus, &[]);
        let mut next = Some(e.unit);
        if maker.raises() {
            let info = info_of(e.code);
            let op_unit = info.instrs[at(info, e.unit)].op_unit;
            next = frame::unwind(ts, inner, op_unit, false).then(|| info.handler(op_unit).map_or(e.unit, |h| h.target));
        }
        let mut result = std::ptr::null_mut();
        match next {
            Some(unit) => {
                frame::set_next(inner, unit);
                result = frame::resume(ts, inner);
            }
            None => frame::pop_frame(ts, inner),
        }
        while calling.len() > 1 {
            let Some(c) = calling.pop() else { break };
            let op_unit = c.info.instrs[c.at].op_unit;
            match c.receive(result) {
                Some(next) => frame::set_next(c.frame, next),
                None => {
                    if !frame::unwind(ts, c.frame, op_unit, false) {
                        frame::leave_call(ts);
                        frame::pop_frame(ts, c.frame);
                        result = std::ptr::null_mut();
                        continue;
                    }
                }
            }
            frame::leave_call(ts);
            result = frame::resume(ts, c.frame);
        }
        let c = &calling[0];
        let i = &c.info.instrs[c.at];
        match c.receive(result) {
            Some(next) => exits::go_on(ts, c.frame, record, next),
            None => exits::raise(ts, c.frame, record, i.unit, i.op_unit),
        }
    }
}
