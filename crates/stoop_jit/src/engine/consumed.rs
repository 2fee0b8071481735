//! Generator expressions that compiled code runs in place of what consumes them: which ones, and going on as the builtin
//! would where compiled code is left in the middle of one.

use std::sync::Arc;

use stoop_cpython::capi::{self, Frame, Obj, PyThreadState};
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::opcodes::Opcode;
use stoop_cpython::{frame, fresh_generator, generator, objects};

use super::environment::{Caller, Live};
use crate::frontend::Consumer;
use crate::helpers::consumers;

/// Above this many instructions an expression is called.
const MOST_INSTRUCTIONS: usize = 100;

impl Live<'_> {
    /// Goes into the code of a generator expression of which only parameters and cells have to be known.
    pub(super) fn enter_made(&mut self, code: Obj) -> Option<Arc<CodeInfo>> {
        /// Optimised, with locals of its own, and a generator; of the other kinds it must not be.
        const FORM: u32 = 0x3 | 0x20;
        const OTHER_FORMS: u32 = 0x4 | 0x8 | 0x80 | 0x100 | 0x200;
        if self.no_inline.contains(&(code as u64)) {
            return None;
        }
        let s = super::registry::state(code);
        if s.never {
            return None;
        }
        let info = super::compile::info(s).ok()?;
        let plain = info.flags & (FORM | OTHER_FORMS) == FORM
            && (info.argcount, info.kwonly, info.ncells) == (1, 0, 0)
            && info.instrs.len() <= MOST_INSTRUCTIONS;
        let ran = info.instrs.iter().any(|i| i.op == Opcode::YieldValue && i.ran);
        let other = |op| matches!(op, Opcode::MakeFunction | Opcode::Send | Opcode::BeforeWith | Opcode::PushExcInfo);
        let handles = info.instrs.iter().any(|i| other(i.op));
        if !plain || !ran || handles {
            return None;
        }
        self.known(code);
        let (globals, builtins) = (self.globals, self.builtins);
        self.descend(info.clone(), globals, builtins, std::ptr::null_mut());
        Some(info)
    }

    /// Later questions are about this code.
    pub(super) fn descend(&mut self, info: Arc<CodeInfo>, globals: Obj, builtins: Obj, function: Obj) {
        let caller = Caller {
            info: std::mem::replace(&mut self.info, info.clone()),
            state: std::mem::replace(&mut self.state, super::registry::state(info.code)),
            globals: std::mem::replace(&mut self.globals, globals),
            builtins: std::mem::replace(&mut self.builtins, builtins),
            function: std::mem::replace(&mut self.function, function),
        };
        self.callers.push(caller);
    }
}

/// A generator that is running, with a frame whose locals and operands are still to be written: that of the function that
/// lies below so many operands of the caller's. NULL, with an exception set, without memory.
///
/// # Safety
/// The caller's frame is complete, and the current one.
pub(super) unsafe fn begin(ts: *mut PyThreadState, caller: *mut Frame, consumer: Consumer) -> Obj {
    // SAFETY: the function's only parameter is the iterator, which is written later.
    unsafe {
        let at = frame::stacktop(caller) as usize - consumer.kept() - 1;
        let function = frame::slot(caller, at).read();
        let none = capi::none();
        let made = fresh_generator::call(ts, function, &[none]);
        let g = made.unwrap_or_else(|| capi::PyObject_CallOneArg(function, none));
        if !g.is_null() {
            generator::enter(ts, g);
        }
        g
    }
}

/// Lets a generator expression's first local hold what its outermost loop iterates over, as it does: compiled code has that
/// on the stack alone.
///
/// # Safety
/// A generator's frame that is complete.
pub(super) unsafe fn share_iterator(fr: *mut Frame, nlocalsplus: u32) {
    // SAFETY: slots of the frame; operands are above the locals.
    unsafe {
        if frame::stacktop(fr) > nlocalsplus as i32 && (*frame::slot(fr, 0)).is_null() {
            let iterator = frame::slot(fr, nlocalsplus as usize).read();
            capi::xincref(iterator);
            frame::slot(fr, 0).write(iterator);
        }
    }
}

/// What the builtin yields for a generator that has been resumed and has done this: `item` is what it yielded or returned, or
/// NULL with an exception set. What the builtin has kept is taken off the caller's stack, and the generator goes.
///
/// # Safety
/// The caller's frame is the current one, at the call, with the operands that [`begin`] found.
pub(super) unsafe fn finish(ts: *mut PyThreadState, caller: *mut Frame, consumer: Consumer, generator: Obj, item: Obj) -> Obj {
    // SAFETY: the operands are owned.
    unsafe {
        let mut kept: Vec<Obj> = (0..consumer.kept()).map(|_| frame::pop(caller)).collect();
        kept.reverse();
        let function = frame::pop(caller);
        let yielded = !item.is_null() && generator::is_suspended(generator);
        let callee = consumer.calls().then(|| {
            let upper = frame::pop(caller);
            [frame::pop(caller), upper]
        });
        let result = if item.is_null() {
            item
        } else {
            if !yielded {
                capi::decref(item);
            }
            let first = yielded.then_some(item);
            match consumer {
                Consumer::Any => consumers::go_on_searching(ts, generator, first, true),
                Consumer::All => consumers::go_on_searching(ts, generator, first, false),
                Consumer::Ints => consumers::go_on_adding(generator, capi::new_ref(kept[0]), first),
                Consumer::Floats => {
                    let (sum, lost) = (objects::float_value(kept[0]), objects::float_value(kept[1]));
                    let any = kept[2] == capi::py_true();
                    consumers::go_on_adding_floats(generator, any.then_some((sum, lost)), first)
                }
                Consumer::Extreme { greatest, of } => {
                    let any = of.is_none() || kept[1] == capi::py_true();
                    let best = if any { kept[0] } else { std::ptr::null_mut() };
                    consumers::go_on_choosing(generator, best, greatest, first)
                }
                Consumer::Tuple => match consumers::go_on_extending(generator, kept[0], first) {
                    true => capi::PyList_AsTuple(kept[0]),
                    false => std::ptr::null_mut(),
                },
                Consumer::List { sorts } => {
                    let done =
                        consumers::go_on_extending(generator, kept[0], first) && (!sorts || capi::PyList_Sort(kept[0]) == 0);
                    if done { consumers::trimmed(kept[0]) } else { std::ptr::null_mut() }
                }
                Consumer::Dict => match consumers::go_on_putting(generator, kept[0], first) {
                    true => capi::new_ref(kept[0]),
                    false => std::ptr::null_mut(),
                },
                Consumer::Set => match consumers::go_on_updating(generator, kept[0], first) {
                    true => capi::new_ref(kept[0]),
                    false => std::ptr::null_mut(),
                },
                Consumer::Join => match callee {
                    Some([method, this]) if consumers::go_on_extending(generator, kept[0], first) => {
                        capi::PyObject_Vectorcall(method, [this, kept[0]].as_ptr(), 2, std::ptr::null_mut())
                    }
                    _ => std::ptr::null_mut(),
                },
            }
        };
        let exception = if result.is_null() { capi::PyErr_GetRaisedException() } else { std::ptr::null_mut() };
        for o in kept.into_iter().chain([generator, function]).chain(callee.into_iter().flatten()) {
            capi::xdecref(o);
        }
        if result.is_null() {
            capi::PyErr_SetRaisedException(exception);
        }
        result
    }
}
