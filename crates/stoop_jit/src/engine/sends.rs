//! Generators and coroutines that are sent values from C: event loops do so through a slot of the type, `am_send`, Python
//! code through the method `send`.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use stoop_cpython::capi::{self, Obj, PyThreadState};
use stoop_cpython::layout::Version;
use stoop_cpython::{generator, natives, of_version, type_ptr};

use super::chains::Outcome;
use super::generators::{advance, decide, is_foreign, look_up};
use super::record::Record;
use super::trial::{self, Verdict};

type SendFn = unsafe extern "C" fn(generator: Obj, value: Obj, result: *mut Obj) -> i32;

/// The interpreter's function, the same for both types.
static FORMER: AtomicUsize = AtomicUsize::new(0);

/// What became of a generator, as the slot says it.
const RETURNED: i32 = 0;
const RAISED: i32 = -1;
const YIELDED: i32 = 1;

/// Takes the slots and methods over, once.
///
/// # Safety
/// The GIL is held; the layout has been checked.
pub(super) unsafe fn start() {
    let (slot, method) = (of_version!(send as *const c_void) as usize, of_version!(method as *const c_void) as usize);
    // SAFETY: static data of built-in types, which the interpreter only reads.
    unsafe {
        let [generators, coroutines] = [type_ptr!(PyGen_Type), type_ptr!(PyCoro_Type)].map(|ty| generator::send_slot(ty));
        if generators.read() != coroutines.read() || generators.read() == 0 {
            return;
        }
        FORMER.store(generators.read(), Ordering::Relaxed);
        generators.write(slot);
        coroutines.write(slot);
        for ty in [type_ptr!(PyGen_Type), type_ptr!(PyCoro_Type)] {
            natives::replace_method(ty, c"send", method);
        }
    }
}

unsafe fn former(generator: Obj, value: Obj, result: *mut Obj) -> i32 {
    // SAFETY: saved from the slot.
    unsafe {
        let former: SendFn = std::mem::transmute(FORMER.load(Ordering::Relaxed) as *const c_void);
        former(generator, value, result)
    }
}

/// The slot.
unsafe extern "C" fn send<V: Version>(generator: Obj, value: Obj, result: *mut Obj) -> i32 {
    // SAFETY: the slot's protocol: a live generator or coroutine, the GIL held.
    unsafe {
        if is_foreign::<V>(generator) {
            return former(generator, value, result);
        }
        let ts = capi::PyThreadState_Get();
        match look_up(generator::place(generator)) {
            Some(r) if !r.is_null() && (*r).trial.verdict == Verdict::Open => try_out(ts, generator, value, result, r),
            _ => match natively(ts, generator, value, result, false) {
                Ok(status) => status,
                Err(record) => try_out(ts, generator, value, result, record),
            },
        }
    }
}

/// The region that is still to be tried, if there is one, unless that is what is going on.
unsafe fn natively(
    ts: *mut PyThreadState,
    generator: Obj,
    value: Obj,
    result: *mut Obj,
    tried: bool,
) -> Result<i32, *mut Record> {
    // SAFETY: as for `send`.
    unsafe {
        let (status, value) = match advance(ts, generator, value, tried) {
            Err(None) => return Ok(former(generator, value, result)),
            Err(Some(record)) => return Err(record),
            Ok(Outcome::Yielded(value)) => (YIELDED, value),
            Ok(Outcome::Returned(value)) => (RETURNED, value),
            Ok(Outcome::Raised) => (RAISED, std::ptr::null_mut()),
        };
        result.write(value);
        Ok(status)
    }
}

/// Runs a region, or lets the interpreter, to find out which is faster.
#[cold]
unsafe fn try_out(ts: *mut PyThreadState, generator: Obj, value: Obj, result: *mut Obj, record: *mut Record) -> i32 {
    // SAFETY: as for `send`; the region is kept while it is marked active.
    unsafe {
        (*record).active += 1;
        let compiled = (*record).trial.next_is_compiled();
        let start = trial::now();
        let status = match compiled {
            true => natively(ts, generator, value, result, true).unwrap_or_else(|_| former(generator, value, result)),
            false => former(generator, value, result),
        };
        let ticks = trial::now() - start;
        (*record).active -= 1;
        // Deciding may free objects, which wants no exception set.
        if status != RAISED
            && (*record).is_valid()
            && (*record).trial.verdict == Verdict::Open
            && (*record).trial.note(compiled, false, ticks)
        {
            decide(record);
        }
        status
    }
}

/// The method.
unsafe extern "C" fn method<V: Version>(generator: Obj, value: Obj) -> Obj {
    let mut result = std::ptr::null_mut();
    // SAFETY: the method's protocol; the result of a return is the caller's.
    unsafe {
        if send::<V>(generator, value, &raw mut result) != RETURNED {
            return result;
        }
        if result == capi::none() {
            capi::PyErr_SetNone(capi::PyExc_StopIteration);
        } else {
            capi::_PyGen_SetStopIterationValue(result);
        }
        capi::decref(result);
        std::ptr::null_mut()
    }
}
