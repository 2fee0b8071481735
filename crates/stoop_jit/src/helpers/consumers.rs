//! `any`, `all` and `sum` over generators: as CPython's, but they resume machine code without asking each time what
//! iterates and which thread runs.
//!
//! They take the places of the C functions behind the builtins, for interpreted callers as well. Whatever they are not made
//! for, other iterables to begin with, goes to those.
//!
//! # Safety
//! Every function here has the signature and the duties of the C function it stands for.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stoop_cpython::capi::{self, Obj, PyThreadState, decref, incref, type_of};
use stoop_cpython::layout::{self, Version, read};
use stoop_cpython::natives::{self, Replacement};
use stoop_cpython::{of_version, type_ptr};

use super::containers::next;
use super::pools;

type OneFn = unsafe extern "C" fn(Obj, Obj) -> Obj;
type ArrayFn = unsafe extern "C" fn(Obj, *const Obj, isize, Obj) -> Obj;

/// CPython's own, by the names below.
static FORMER: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
const ANY: usize = 0;
const ALL: usize = 1;
const SUM: usize = 2;

/// The interpreter whose threads may have machine code, and its ints.
static INTERPRETER: AtomicUsize = AtomicUsize::new(0);

static REPLACED: Mutex<Vec<Replacement>> = Mutex::new(Vec::new());

fn replaced() -> MutexGuard<'static, Vec<Replacement>> {
    REPLACED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts these in the places of CPython's.
///
/// # Safety
/// The GIL of the main interpreter is held; the layout has been checked.
pub unsafe fn start() {
    let l = layout::get();
    let rows = [
        (ANY, c"any", natives::ONE, of_version!(any as *const ())),
        (ALL, c"all", natives::ONE, of_version!(all as *const ())),
        (SUM, c"sum", natives::ARRAY_AND_NAMES, of_version!(sum as *const ())),
    ];
    // SAFETY: as documented; the signatures are those that both versions' builtins have.
    unsafe {
        if INTERPRETER.swap(read(capi::PyThreadState_Get(), l.ts_interp), Ordering::Relaxed) != 0 {
            replaced().iter().for_each(|r| r.redo());
            return;
        }
        let builtins = capi::PyImport_ImportModule(c"builtins".as_ptr());
        for (which, name, flags, new) in rows {
            let found = if builtins.is_null() { builtins } else { capi::PyObject_GetAttrString(builtins, name.as_ptr()) };
            if found.is_null() {
                capi::PyErr_Clear();
                continue;
            }
            if let Some(replacement) = Replacement::make(found, builtins, name, &[(flags, new as usize)]) {
                FORMER[which].store(replacement.former, Ordering::Relaxed);
                replaced().push(replacement);
            }
            decref(found);
        }
        capi::xdecref(builtins);
    }
}

/// Puts CPython's back. Who has seen the address of one of these may go on calling it.
///
/// # Safety
/// The GIL is held.
pub unsafe fn stop() {
    // SAFETY: as documented.
    replaced().iter().for_each(|r| unsafe { r.undo() });
}

/// Whether an object is a generator of the interpreter that has machine code. The thread that runs.
#[inline(always)]
unsafe fn consumes<V: Version>(iterable: Obj) -> Option<*mut PyThreadState> {
    // SAFETY: see the module.
    unsafe {
        if type_of(iterable) != type_ptr!(PyGen_Type) {
            return None;
        }
        let ts = capi::PyThreadState_Get();
        (read::<usize, _>(ts, V::LAYOUT.ts_interp) == INTERPRETER.load(Ordering::Relaxed)).then_some(ts)
    }
}

fn former(which: usize) -> *const c_void {
    FORMER[which].load(Ordering::Relaxed) as *const c_void
}

unsafe extern "C" fn any<V: Version>(module: Obj, iterable: Obj) -> Obj {
    // SAFETY: see the module.
    unsafe { search::<V>(module, iterable, ANY, true) }
}

unsafe extern "C" fn all<V: Version>(module: Obj, iterable: Obj) -> Obj {
    // SAFETY: see the module.
    unsafe { search::<V>(module, iterable, ALL, false) }
}

/// Looks for an item of that truth value: the answer is that value if there is one, else the other.
unsafe fn search<V: Version>(module: Obj, iterable: Obj, which: usize, wanted: bool) -> Obj {
    // SAFETY: see the module; the generator is held while it is consumed.
    unsafe {
        let Some(ts) = consumes::<V>(iterable) else {
            let former: OneFn = std::mem::transmute(former(which));
            return former(module, iterable);
        };
        incref(iterable);
        let result = searched::<V>(ts, iterable, None, wanted);
        decref(iterable);
        result
    }
}

/// The same from what a generator has just yielded on, or after it has ended: then there is no such item.
pub unsafe fn go_on_searching(ts: *mut PyThreadState, generator: Obj, item: Option<Obj>, wanted: bool) -> Obj {
    // SAFETY: see the module.
    unsafe {
        if item.is_none() {
            return if wanted { capi::py_false() } else { capi::py_true() };
        }
        of_version!(searched(ts, generator, item, wanted))
    }
}

/// Looks among that item and what a generator yields after it.
unsafe fn searched<V: Version>(ts: *mut PyThreadState, generator: Obj, item: Option<Obj>, wanted: bool) -> Obj {
    // SAFETY: see the module; the generator is held by the caller.
    unsafe {
        let mut first = item;
        let found = loop {
            let item = match first.take().map_or_else(|| next::<V>(ts, generator), Ok) {
                Ok(item) => item,
                Err(ended) => break ended.then_some(!wanted),
            };
            let truth = if item == capi::py_true() {
                1
            } else if item == capi::py_false() {
                0
            } else {
                capi::PyObject_IsTrue(item)
            };
            pools::release(item);
            if truth < 0 {
                break None;
            }
            if (truth > 0) == wanted {
                break Some(wanted);
            }
        };
        match found {
            Some(true) => capi::py_true(),
            Some(false) => capi::py_false(),
            None => std::ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn sum<V: Version>(module: Obj, args: *const Obj, count: isize, names: Obj) -> Obj {
    // SAFETY: see the module; the generator is held while it is consumed.
    unsafe {
        let one = (count == 1 && names.is_null()).then(|| *args);
        let Some((generator, ts)) = one.and_then(|g| Some((g, consumes::<V>(g)?))) else {
            let former: ArrayFn = std::mem::transmute(former(SUM));
            return former(module, args, count, names);
        };
        incref(generator);
        let total = add_up::<V>(ts, module, generator);
        decref(generator);
        total
    }
}

/// Adds ints up as long as they are small; floats go on in CPython's own `sum`, anything else by the items' protocols.
unsafe fn add_up<V: Version>(ts: *mut PyThreadState, module: Obj, generator: Obj) -> Obj {
    // SAFETY: as for `sum`.
    unsafe {
        let mut total = 0i64;
        let item = loop {
            let item = match next::<V>(ts, generator) {
                Ok(item) => item,
                Err(true) => return pools::new_int(total),
                Err(false) => return std::ptr::null_mut(),
            };
            match small::<V>(item).and_then(|n| total.checked_add(n)) {
                Some(more) => total = more,
                None => break item,
            }
            pools::release(item);
        };
        add_one(module, generator, pools::new_int(total), item)
    }
}

/// Adds an item to the sum so far, which is an exact int, and then what a generator yields; both references are let go.
/// Where ints go on, or floats begin, that is CPython's `sum`, which adds anything else by the items' protocols from then
/// on.
unsafe fn add_one(module: Obj, generator: Obj, sum: Obj, item: Obj) -> Obj {
    // SAFETY: as for `sum`.
    unsafe {
        let ty = type_of(item);
        let mut overflow = 0;
        let is_int = (ty == type_ptr!(PyLong_Type) || ty == type_ptr!(PyBool_Type)) && {
            capi::PyLong_AsLongAndOverflow(item, &raw mut overflow);
            overflow == 0
        };
        let result = plus(sum, item);
        if result.is_null() || former(SUM).is_null() || !is_int && type_of(result) != type_ptr!(PyFloat_Type) {
            return add_anything(generator, result);
        }
        let former: ArrayFn = std::mem::transmute(former(SUM));
        let whole = former(module, [generator, result].as_ptr(), 2, std::ptr::null_mut());
        decref(result);
        whole
    }
}

/// Adds what a generator yields to the sum so far, whose reference is let go, by the items' protocols.
unsafe fn add_anything(generator: Obj, sum: Obj) -> Obj {
    // SAFETY: as for `sum`.
    unsafe {
        let mut result = sum;
        while !result.is_null() {
            let item = capi::PyIter_Next(generator);
            if item.is_null() {
                if capi::PyErr_Occurred().is_null() {
                    break;
                }
                decref(result);
                return std::ptr::null_mut();
            }
            result = plus(result, item);
        }
        result
    }
}

/// `sum` of ints, of which so many have been added, from what a generator has just yielded on; there is no such item if it
/// has ended. Takes the references.
pub unsafe fn go_on_adding(generator: Obj, sum: Obj, item: Option<Obj>) -> Obj {
    // SAFETY: see the module.
    unsafe {
        match item {
            None => sum,
            Some(item) => add_one(std::ptr::null_mut(), generator, sum, item),
        }
    }
}

/// The same of floats: the sum, and what adding has lost, if there was anything to add.
pub unsafe fn go_on_adding_floats(generator: Obj, so_far: Option<(f64, f64)>, item: Option<Obj>) -> Obj {
    // SAFETY: see the module.
    unsafe {
        let Some((mut sum, mut lost)) = so_far else { return go_on_adding(generator, pools::new_int(0), item) };
        let mut next = item;
        while let Some(item) = next {
            let ty = type_of(item);
            if ty == type_ptr!(PyFloat_Type) {
                let x = capi::PyFloat_AsDouble(item);
                let more = sum + x;
                lost += if sum.abs() >= x.abs() { (sum - more) + x } else { (x - more) + sum };
                sum = more;
            } else {
                let is_int = capi::PyType_IsSubtype(ty, type_ptr!(PyLong_Type)) != 0;
                let mut overflow = 0;
                let n = if is_int { capi::PyLong_AsLongAndOverflow(item, &raw mut overflow) } else { 0 };
                if !is_int || overflow != 0 {
                    return add_anything(generator, plus(capi::PyFloat_FromDouble(whole(sum, lost)), item));
                }
                sum += n as f64;
            }
            decref(item);
            let more = capi::PyIter_Next(generator);
            if more.is_null() && !capi::PyErr_Occurred().is_null() {
                return more;
            }
            next = (!more.is_null()).then_some(more);
        }
        capi::PyFloat_FromDouble(whole(sum, lost))
    }
}

/// `max` or `min`, of which this is what has been chosen so far (NULL if there was nothing to choose), from what a generator
/// has just yielded on; there is no such item if it has ended.
pub unsafe fn go_on_choosing(generator: Obj, best: Obj, greatest: bool, item: Option<Obj>) -> Obj {
    const LESS: i32 = 0;
    const GREATER: i32 = 4;
    // SAFETY: see the module; the item's reference is ours.
    unsafe {
        capi::xincref(best);
        let (mut best, mut next) = (best, item);
        while let Some(item) = next {
            let better = match best.is_null() {
                true => 1,
                false => capi::PyObject_RichCompareBool(item, best, if greatest { GREATER } else { LESS }),
            };
            let loser = if better > 0 { std::mem::replace(&mut best, item) } else { item };
            capi::xdecref(loser);
            if better < 0 {
                capi::xdecref(best);
                return std::ptr::null_mut();
            }
            match following(generator) {
                Ok(more) => next = more,
                Err(()) => {
                    capi::xdecref(best);
                    return std::ptr::null_mut();
                }
            }
        }
        if best.is_null() {
            let text = if greatest { c"max() iterable argument is empty" } else { c"min() iterable argument is empty" };
            capi::PyErr_SetString(capi::PyExc_ValueError, text.as_ptr());
        }
        best
    }
}

/// A generator's next item, if there is one; an error with an exception set.
unsafe fn following(generator: Obj) -> Result<Option<Obj>, ()> {
    // SAFETY: see the module.
    unsafe {
        let item = capi::PyIter_Next(generator);
        if item.is_null() && !capi::PyErr_Occurred().is_null() {
            return Err(());
        }
        Ok((!item.is_null()).then_some(item))
    }
}

/// Appends what a generator has just yielded to a list, and all that it yields after; whether that went well.
pub unsafe fn go_on_extending(generator: Obj, list: Obj, item: Option<Obj>) -> bool {
    // SAFETY: see the module; the item's reference is ours.
    unsafe { go_on_with(generator, item, |item| capi::PyList_Append(list, item) == 0) }
}

/// The same for a set.
pub unsafe fn go_on_updating(generator: Obj, set: Obj, item: Option<Obj>) -> bool {
    // SAFETY: as above.
    unsafe { go_on_with(generator, item, |item| capi::PySet_Add(set, item) == 0) }
}

/// The same for a dict, of tuples of two items.
pub unsafe fn go_on_putting(generator: Obj, dict: Obj, item: Option<Obj>) -> bool {
    // SAFETY: as above.
    unsafe {
        go_on_with(generator, item, |pair| {
            let [key, value] = [0, 1].map(|n| capi::PyTuple_GetItem(pair, n));
            !key.is_null() && !value.is_null() && capi::PyDict_SetItem(dict, key, value) == 0
        })
    }
}

/// A list with no more room than `list` leaves to one of few items, as a new reference.
pub unsafe fn trimmed(list: Obj) -> Obj {
    // SAFETY: see the module; an exact list.
    unsafe {
        let len = capi::PyList_Size(list);
        if len > 1 {
            return capi::new_ref(list);
        }
        let short = capi::PyList_New(0);
        if !short.is_null() && len == 1 && capi::PyList_Append(short, capi::PyList_GetItem(list, 0)) < 0 {
            decref(short);
            return std::ptr::null_mut();
        }
        short
    }
}

unsafe fn go_on_with(generator: Obj, item: Option<Obj>, take: impl Fn(Obj) -> bool) -> bool {
    let mut next = item;
    // SAFETY: as above.
    unsafe {
        while let Some(item) = next {
            let taken = take(item);
            decref(item);
            match if taken { following(generator) } else { Err(()) } {
                Ok(more) => next = more,
                Err(()) => return false,
            }
        }
    }
    true
}

/// A sum with what adding has lost, unless that says nothing.
fn whole(sum: f64, lost: f64) -> f64 {
    if lost != 0.0 && lost.is_finite() { sum + lost } else { sum }
}

/// The sum of two objects, which are let go.
unsafe fn plus(x: Obj, y: Obj) -> Obj {
    // SAFETY: references of the caller's.
    unsafe {
        let sum = if x.is_null() { x } else { capi::PyNumber_Add(x, y) };
        capi::xdecref(x);
        decref(y);
        sum
    }
}

/// The value of an exact int of at most one digit, or of a bool.
#[inline(always)]
unsafe fn small<V: Version>(o: Obj) -> Option<i64> {
    let l = const { &V::LAYOUT };
    // SAFETY: a live object; ints have a tag word and at least room for one digit.
    unsafe {
        let ty = type_of(o);
        if ty != type_ptr!(PyLong_Type) && ty != type_ptr!(PyBool_Type) {
            return None;
        }
        let tag: u64 = read(o, l.long_tag);
        let digit = i64::from(read::<u32, _>(o, l.long_digits));
        // The sign's field has 1 for zero and 2 for less; the count of digits is above it.
        match tag {
            16.. => None,
            _ if tag & 1 != 0 => Some(0),
            _ if tag & 2 != 0 => Some(-digit),
            _ => Some(digit),
        }
    }
}
