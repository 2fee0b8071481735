//! What functions tell the garbage collector they hold.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use crate::capi::{self, Obj};
use crate::layout::{self, read, write};
use crate::natives::{self, Replacement};

/// The collector's own function, called with each object that something holds.
type Visit = unsafe extern "C" fn(held: Obj, arg: *mut c_void) -> i32;
type Traverse = unsafe extern "C" fn(function: Obj, visit: Visit, arg: *mut c_void) -> i32;
type Clear = unsafe extern "C" fn(function: Obj) -> i32;

/// Who is asked about functions besides their type.
#[derive(Clone, Copy, Debug)]
pub struct Handlers {
    /// Calls back with each object that is held on a function's behalf, once for each reference. The same objects each
    /// time until Python code has run; touches no reference count. Any interpreter may ask.
    pub held: fn(function: Obj, visit: &mut dyn FnMut(Obj) -> i32) -> i32,
    /// The function is garbage and was emptied: nothing is to be held on its behalf any more.
    pub cleared: fn(function: Obj),
}

struct Hooks {
    handlers: Handlers,
    traverse: Traverse,
    clear: Clear,
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

unsafe extern "C" fn traverse(function: Obj, visit: Visit, arg: *mut c_void) -> i32 {
    let Some(hooks) = HOOKS.get() else { return 0 };
    // SAFETY: the type's former function, with the collector's arguments.
    unsafe {
        match (hooks.traverse)(function, visit, arg) {
            0 => (hooks.handlers.held)(function, &mut |held| visit(held, arg)),
            stop => stop,
        }
    }
}

unsafe extern "C" fn clear(function: Obj) -> i32 {
    let Some(hooks) = HOOKS.get() else { return 0 };
    // SAFETY: the type's former function, with the collector's argument.
    let result = unsafe { (hooks.clear)(function) };
    (hooks.handlers.cleared)(function);
    result
}

/// Has the collector told what is held on behalf of functions. A second call does nothing.
///
/// # Safety
/// The GIL is held.
pub unsafe fn watch_functions(handlers: Handlers) {
    let l = layout::get();
    let ty = crate::type_ptr!(PyFunction_Type);
    if HOOKS.get().is_some() {
        return;
    }
    // SAFETY: a built-in type, which is never freed; both are plain function pointers.
    unsafe {
        let (former_traverse, former_clear): (usize, usize) = (read(ty, l.tp_traverse), read(ty, l.tp_clear));
        if former_traverse == 0 || former_clear == 0 {
            return;
        }
        let hooks = Hooks {
            handlers,
            traverse: std::mem::transmute::<usize, Traverse>(former_traverse),
            clear: std::mem::transmute::<usize, Clear>(former_clear),
        };
        if HOOKS.set(hooks).is_ok() {
            write(ty, l.tp_traverse, traverse as *const c_void);
            write(ty, l.tp_clear, clear as *const c_void);
            hide_from_looks();
        }
    }
}

thread_local! {
    /// Whether this thread is in `gc.get_referrers` or `gc.get_referents`, which go through what the collector is told.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a program asks who holds what, not the collector: what is held on behalf of functions is none of its business.
pub fn is_look() -> bool {
    LOOKING.get()
}

type TupleFn = unsafe extern "C" fn(Obj, Obj) -> Obj;
type ArrayFn = unsafe extern "C" fn(Obj, *const Obj, isize) -> Obj;

static REFERRERS: OnceLock<Replacement> = OnceLock::new();
static REFERENTS: OnceLock<Replacement> = OnceLock::new();

unsafe extern "C" fn look_in_tuple<const BACK: bool>(module: Obj, args: Obj) -> Obj {
    let Some(own) = if BACK { &REFERRERS } else { &REFERENTS }.get() else { return std::ptr::null_mut() };
    let before = LOOKING.replace(true);
    // SAFETY: CPython's own function, with the caller's arguments.
    let found = unsafe { std::mem::transmute::<usize, TupleFn>(own.former)(module, args) };
    LOOKING.set(before);
    found
}

unsafe extern "C" fn look_in_array<const BACK: bool>(module: Obj, args: *const Obj, count: isize) -> Obj {
    let Some(own) = if BACK { &REFERRERS } else { &REFERENTS }.get() else { return std::ptr::null_mut() };
    let before = LOOKING.replace(true);
    // SAFETY: CPython's own function, with the caller's arguments.
    let found = unsafe { std::mem::transmute::<usize, ArrayFn>(own.former)(module, args, count) };
    LOOKING.set(before);
    found
}

/// Has programs that ask the collector who holds what not told of regions.
///
/// # Safety
/// The GIL is held.
unsafe fn hide_from_looks() {
    let rows: [(&OnceLock<Replacement>, &CStr, usize, usize); 2] = [
        (&REFERRERS, c"get_referrers", look_in_tuple::<true> as *const () as usize, look_in_array::<true> as *const () as usize),
        (
            &REFERENTS,
            c"get_referents",
            look_in_tuple::<false> as *const () as usize,
            look_in_array::<false> as *const () as usize,
        ),
    ];
    // SAFETY: as documented, which also orders the replacement and its being kept.
    unsafe {
        for (own, name, in_tuple, in_array) in rows {
            if let Some(r) = Replacement::make_inside(c"gc", name, &[(natives::TUPLE, in_tuple), (natives::ARRAY, in_array)]) {
                let _ = own.set(r);
            }
        }
    }
}

/// Whether this thread runs in the main interpreter.
///
/// # Safety
/// The GIL of some interpreter is held.
pub unsafe fn in_main_interpreter() -> bool {
    // SAFETY: as documented.
    unsafe { capi::PyInterpreterState_Get() == capi::PyInterpreterState_Main() }
}
