//! Leaving compiled code: the interpreter's frame is made exactly what it would be, and goes on there.

use std::sync::Arc;

use stoop_codegen::unit::{ExitDesc, Recipe};
use stoop_cpython::capi::{self, Frame, Obj, PyThreadState};
use stoop_cpython::{frame, generator, handled, objects};
use stoop_ir::Op;

use super::homes::Home;
use super::record::Record;
use crate::frontend::Entry;
use crate::helpers::reserve;

/// What a loop's machine code returns when the interpreter is to go on.
pub const HANDED_BACK: usize = 2;

/// What makes an exit's objects. Where there is no memory for one, something else takes its place that raises MemoryError
/// when it is used, and the exit raises it as well.
pub(super) struct Maker<'a> {
    /// The exit's buffer.
    values: *mut u64,
    parts: &'a [Recipe],
    /// Whether something could not be made.
    failed: bool,
}

impl<'a> Maker<'a> {
    /// For an exit and its own buffer.
    fn new(e: &'a ExitDesc, values: *const u64) -> Maker<'a> {
        Maker { values: values.cast_mut(), parts: &e.parts, failed: false }
    }

    /// An object, or what stands for it.
    unsafe fn or_missing(&mut self, made: Obj) -> Obj {
        if !made.is_null() {
            return made;
        }
        self.failed = true;
        // SAFETY: the GIL is held.
        unsafe { reserve::missing() }
    }

    /// An object for a recipe, with a reference of its own.
    ///
    /// # Safety
    /// A recipe of the exit.
    unsafe fn object(&mut self, r: Recipe) -> Obj {
        let (values, parts) = (self.values, self.parts);
        // SAFETY: recipes index the buffer they were made for; references in it are alive.
        unsafe {
            let at = |k: usize| *values.add(k);
            match r {
                Recipe::Int(k) => reserve::int(at(k) as i64),
                Recipe::Float(k) => reserve::float(f64::from_bits(at(k))),
                Recipe::Bool(k) => truth(at(k) & 0xff != 0),
                Recipe::Owned(k) => at(k) as Obj,
                Recipe::Borrowed(k) => {
                    let o = at(k) as Obj;
                    capi::xincref(o);
                    o
                }
                Recipe::Null => std::ptr::null_mut(),
                Recipe::Const(a) => capi::new_ref(a as Obj),
                Recipe::OwnedConst(a) => a as Obj,
                Recipe::ConstInt(v) => reserve::int(v),
                Recipe::ConstFloat(bits) => reserve::float(f64::from_bits(bits)),
                Recipe::ConstBool(b) => truth(b),
                Recipe::Range(first, form) => {
                    let int = |k: usize| match parts[first + k] {
                        Recipe::ConstInt(v) => v,
                        Recipe::Int(k) => at(k) as i64,
                        other => unreachable!("a range of {other:?}"),
                    };
                    self.or_missing(crate::helpers::boxes::virtual_range(int(0), int(1), int(2), form))
                }
                Recipe::Iter(first, count, kind) => {
                    let index = match parts[first] {
                        Recipe::ConstInt(v) => v,
                        Recipe::Int(k) => at(k) as i64,
                        other => unreachable!("an index of {other:?}"),
                    };
                    let of: Vec<Obj> = parts[first + 1..first + count].iter().map(|r| self.object(*r)).collect();
                    self.or_missing(crate::helpers::containers::virtual_iterator(index, &of, kind))
                }
                Recipe::Tuple(first, count) => {
                    let t = capi::PyTuple_New(count as isize);
                    for (k, part) in parts[first..first + count].iter().enumerate() {
                        let item = self.object(*part);
                        if t.is_null() {
                            capi::xdecref(item);
                        } else {
                            capi::PyTuple_SetItem(t, k as isize, item);
                        }
                    }
                    self.or_missing(t)
                }
            }
        }
    }

    /// Makes the instances that compiled code has done without.
    ///
    /// # Safety
    /// The exit this was made for.
    unsafe fn instances(&mut self, e: &ExitDesc) {
        let values = self.values;
        // SAFETY: recipes index the buffer; classes are kept alive by the region. An instance takes references of its
        // own; those that compiled code holds go for each of the instance's that is handed over.
        unsafe {
            for o in &e.objects {
                let new = objects::new_instance(o.class as Obj);
                let object = self.or_missing(new);
                for (place, r) in o.fields.iter().filter(|_| !new.is_null()) {
                    objects::set_fresh(object, *place, self.object(*r));
                }
                values.add(o.slot).write(object as u64);
                for n in 0..o.owned {
                    if n > 0 {
                        capi::incref(object);
                    }
                    for (_, r) in &o.fields {
                        match *r {
                            Recipe::Borrowed(k) | Recipe::Owned(k) => capi::decref(*values.add(k) as Obj),
                            Recipe::Const(a) | Recipe::OwnedConst(a) => capi::decref(a as Obj),
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    /// Sets the exception if something could not be made; whether.
    pub(super) unsafe fn raises(&self) -> bool {
        // SAFETY: the GIL is held; no exception is set before.
        unsafe {
            if self.failed {
                capi::PyErr_NoMemory();
            }
        }
        self.failed
    }
}

fn truth(b: bool) -> Obj {
    if b { capi::py_true() } else { capi::py_false() }
}

/// Writes locals and operand stack.
///
/// # Safety
/// The frame, buffer and exit belong together.
pub(super) unsafe fn rebuild(
    maker: &mut Maker<'_>,
    frame: *mut Frame,
    locals: &[(u32, Recipe)],
    stack: &[Recipe],
    nlocalsplus: u32,
    variables: &[Arc<Home>],
) {
    // Everything is made before anything is dropped: a drop may run code that looks at the frame.
    let mut dropped: Vec<Obj> = Vec::new();
    // SAFETY: slots are within the frame; each gets an owned reference.
    unsafe {
        let locals: Vec<(u32, Obj)> = locals.iter().map(|(k, r)| (*k, maker.object(*r))).collect();
        for (n, r) in stack.iter().enumerate() {
            *frame::slot(frame, nlocalsplus as usize + n) = maker.object(*r);
        }
        frame::set_stacktop(frame, (nlocalsplus as usize + stack.len()) as i32);
        for (k, new) in locals {
            let slot = match k.checked_sub(nlocalsplus) {
                None => frame::slot(frame, k as usize),
                Some(n) => variables[n as usize].find_or_make(),
            };
            let old = *slot;
            *slot = new;
            if !old.is_null() {
                dropped.push(old);
            }
        }
        for o in dropped {
            capi::decref(o);
        }
    }
}

/// Drops the references that come with locals which are not written.
///
/// # Safety
/// As for [`rebuild`].
pub(super) unsafe fn let_go(maker: &mut Maker<'_>, locals: &[(u32, Recipe)]) {
    // SAFETY: each is made, or handed over, once.
    unsafe {
        let all: Vec<Obj> = locals.iter().map(|(_, r)| maker.object(*r)).collect();
        for o in all {
            capi::xdecref(o);
        }
    }
}

/// The exit of a region that is being taken, counted.
///
/// # Safety
/// As for [`side_exit`].
unsafe fn taken(record: *mut Record, index: u32) -> *const ExitDesc {
    // SAFETY: the record lives while an activation runs; its exits do not change.
    unsafe {
        generator::reveal();
        (&mut (*record).exit_counts)[index as usize] += 1;
        &raw const (&(*record).exits)[index as usize]
    }
}

/// As [`let_go`], for operands.
///
/// # Safety
/// As for [`rebuild`].
pub(super) unsafe fn let_go_of_stack(maker: &mut Maker<'_>, stack: &[Recipe]) {
    // SAFETY: as above.
    unsafe {
        let all: Vec<Obj> = stack.iter().map(|r| maker.object(*r)).collect();
        for o in all {
            capi::xdecref(o);
        }
    }
}

/// The runtime helper `SideExit`.
///
/// # Safety
/// Called by compiled code with its own frame, buffer and record.
pub unsafe extern "C" fn side_exit(
    ts: *mut PyThreadState,
    f: *mut Frame,
    values: *const u64,
    record: *mut Record,
    index: u32,
) -> usize {
    // SAFETY: the record lives while an activation runs; its exits do not change.
    unsafe {
        let e = taken(record, index);
        if matches!((*e).op, Op::Check | Op::CheckHandling) && !(super::entry::is_quiet(ts) && (*record).is_unobserved()) {
            super::registry::stand_aside();
        }
        let mut maker = Maker::new(&*e, values);
        maker.instances(&*e);
        super::policy::met(record, index as usize, f, values);
        if !(*e).parents.is_empty() {
            return super::nested::leave(maker, ts, f, record, &*e);
        }
        let nlocalsplus = (&(*record).info).nlocalsplus;
        rebuild(&mut maker, f, &(*e).locals, &(*e).stack, nlocalsplus, &(*record).variables);
        if maker.raises() {
            return raise_at(ts, f, record, (*e).unit);
        }
        go_on(ts, f, record, (*e).unit)
    }
}

/// Hands the frame to the interpreter at a code unit.
pub(super) unsafe fn go_on(ts: *mut PyThreadState, f: *mut Frame, record: *mut Record, unit: u32) -> usize {
    // SAFETY: the frame is complete; for a function's it is consumed by the interpreter.
    unsafe {
        match (*record).entry {
            Entry::Function => {
                frame::set_next(f, unit);
                frame::leave_call(ts);
                frame::resume(ts, f) as usize
            }
            // Inside the callback the interpreter reads the pointer itself, without the bias of a suspended frame.
            Entry::Loop { .. } => {
                frame::set_running(f, unit);
                HANDED_BACK
            }
            Entry::Resume { .. } => {
                frame::set_next(f, unit);
                HANDED_BACK
            }
        }
    }
}

/// The runtime helper `RaiseExit`: an exception is set.
///
/// # Safety
/// As for [`side_exit`].
pub unsafe extern "C" fn raise_exit(
    ts: *mut PyThreadState,
    f: *mut Frame,
    values: *const u64,
    record: *mut Record,
    index: u32,
) -> usize {
    // SAFETY: as above. The exception is kept aside while the frame is rebuilt.
    unsafe {
        let e = taken(record, index);
        let nlocalsplus = (&(*record).info).nlocalsplus;
        let exc = capi::PyErr_GetRaisedException();
        let mut maker = Maker::new(&*e, values);
        maker.instances(&*e);
        super::policy::raised(record, index as usize, f);
        if !(*e).parents.is_empty() {
            capi::PyErr_SetRaisedException(exc);
            return super::nested::raise(maker, ts, f, record, &*e);
        }
        rebuild(&mut maker, f, &(*e).locals, &(*e).stack, nlocalsplus, &(*record).variables);
        capi::PyErr_SetRaisedException(exc);
        raise_at(ts, f, record, (*e).unit)
    }
}

/// Goes on with the exception that is set, raised by the instruction at a unit that a state names.
unsafe fn raise_at(ts: *mut PyThreadState, f: *mut Frame, record: *mut Record, unit: u32) -> usize {
    // SAFETY: the frame is complete.
    unsafe {
        let info = (*record).info.clone();
        let op_unit = info.index_of(unit).map_or(unit, |k| info.instrs[k].op_unit);
        raise(ts, f, record, unit, op_unit)
    }
}

/// Goes on with the exception that is set, raised by the instruction at a unit of the region's own frame.
pub(super) unsafe fn raise(ts: *mut PyThreadState, f: *mut Frame, record: *mut Record, unit: u32, op_unit: u32) -> usize {
    // SAFETY: the frame is complete.
    unsafe {
        let info = (*record).info.clone();
        let entry = (*record).entry;
        if matches!(entry, Entry::Loop { .. }) && info.handler(op_unit).is_none() {
            // The interpreter adds the traceback entry and unwinds the frame itself.
            frame::set_running(f, op_unit);
            return 0;
        }
        if frame::unwind(ts, f, op_unit, false) {
            let handler = info.handler(op_unit).map_or(unit, |h| h.target);
            return go_on(ts, f, record, handler);
        }
        if entry == Entry::Function {
            frame::leave_call(ts);
            frame::pop_frame(ts, f);
        }
        0
    }
}

/// The runtime helper `Poll`.
///
/// # Safety
/// As for [`side_exit`]; the frame is in order (synced).
pub unsafe extern "C" fn poll(ts: *mut PyThreadState, f: *mut Frame) -> i32 {
    // SAFETY: the GIL is held.
    unsafe {
        generator::reveal();
        super::breaker::serve(ts, f)
    }
}

/// The runtime helper `Recheck`.
///
/// # Safety
/// As for [`side_exit`]; the frame is in order (synced).
pub unsafe extern "C" fn recheck(ts: *mut PyThreadState, f: *mut Frame, record: *mut Record) -> i32 {
    // SAFETY: the record lives while an activation runs; the GIL is held.
    unsafe {
        let r = &*record;
        let stays =
            r.is_valid() && super::entry::is_quiet(ts) && r.is_unobserved() && !handled::is_seen(f) && frame::current(ts) == f;
        i32::from(!stays)
    }
}
