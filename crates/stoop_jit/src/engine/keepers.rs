//! Compiled regions as the garbage collector sees them.
//!
//! A region keeps the functions and classes that it names. Most of these lead back to the region's own code, by the
//! globals they share: a circle through memory that the collector does not know, so none of it would ever be freed.
//! Therefore one function for each code object, its *keeper*, tells the collector what the regions hold, as if it held
//! that itself. If it turns out to be garbage, nothing that lives can reach what the regions rely on, and they go.
//!
//! A code object without a keeper, and regions that are running, keep what they name.

use std::cell::UnsafeCell;

use stoop_cpython::capi::{self, Frame, Obj};
use stoop_cpython::garbage::{self, Handlers};
use stoop_cpython::{frame, inspect};

use super::addresses::{self, AddressMap};
use super::record::CodeState;
use super::registry;

/// Frames among which the maker of a function is looked for.
const MOST_FRAMES: usize = 16;

/// By function, the code objects whose regions it stands for.
struct Held(UnsafeCell<Option<AddressMap<Vec<usize>>>>);
// SAFETY: every access is made with the main interpreter's GIL held, which orders them.
unsafe impl Sync for Held {}
static KEEPERS: Held = Held(UnsafeCell::new(None));

fn keepers() -> &'static mut AddressMap<Vec<usize>> {
    // SAFETY: the GIL is held, and no caller keeps the reference over a call that could come back here.
    unsafe { (*KEEPERS.0.get()).get_or_insert_default() }
}

/// Has the collector told.
///
/// # Safety
/// The GIL is held.
pub unsafe fn start() {
    // SAFETY: as documented.
    unsafe { garbage::watch_functions(Handlers { held, cleared }) };
}

/// Finds a keeper for a code object with regions: the function that makes its functions, if that runs, because it
/// outlives them; else the function that is there.
///
/// # Safety
/// A live function or NULL, and a frame of the code or NULL; the GIL is held.
pub unsafe fn find(s: &mut CodeState, fr: *mut Frame, function: Obj) {
    // SAFETY: as documented; keepers are alive, and so are frames while the GIL is held; complete ones have a function.
    unsafe {
        if s.keeper != 0 && inspect::function_code(s.keeper as Obj) != s.code {
            return;
        }
        let is_function = |o: &Obj| !o.is_null() && capi::type_of(*o) == stoop_cpython::type_ptr!(PyFunction_Type);
        let complete = |f: &*mut Frame| !frame::code(*f).is_null() && frame::is_complete(*f);
        let around = frame::frames(capi::PyThreadState_Get()).take(MOST_FRAMES).filter(complete);
        let maker = around.filter(|f| inspect::makes(frame::code(*f), s.code)).map(|f| frame::function(f)).find(is_function);
        let own = if function.is_null() && !fr.is_null() { frame::function(fr) } else { function };
        match maker {
            Some(maker) => take(s, maker),
            None if s.keeper == 0 && is_function(&own) => take(s, own),
            None => {}
        }
    }
}

/// A function was made. Its maker runs.
///
/// # Safety
/// A live function; the GIL is held.
pub unsafe fn made(function: Obj) {
    // SAFETY: as documented.
    unsafe {
        let code = inspect::function_code(function);
        if let Some(s) = registry::find(code).filter(|s| s.function.is_some() || !s.loops.is_empty()) {
            find(s, std::ptr::null_mut(), function);
        }
    }
}

fn take(s: &mut CodeState, keeper: Obj) {
    leave(s);
    addresses::CODES.note(s.code as usize);
    addresses::FUNCTIONS.note(keeper as usize);
    s.keeper = keeper as usize;
    keepers().entry(keeper as usize).or_default().push(s.code as usize);
}

/// A code object is forgotten.
pub fn leave(s: &mut CodeState) {
    let keeper = std::mem::take(&mut s.keeper);
    if keeper != 0
        && let Some(codes) = keepers().get_mut(&keeper)
    {
        codes.retain(|c| *c != s.code as usize);
        if codes.is_empty() {
            keepers().remove(&keeper);
        }
    }
}

/// A function goes, or gets other code.
pub fn end(function: Obj) {
    for code in keepers().remove(&(function as usize)).unwrap_or_default() {
        if let Some(s) = registry::find(code as Obj) {
            // Another function of the same code may stand in.
            s.keeper = s.functions.keys().copied().find(|f| *f != function as usize).unwrap_or(0);
            if s.keeper != 0 {
                keepers().entry(s.keeper).or_default().push(code);
            }
        }
    }
}

fn held(function: Obj, visit: &mut dyn FnMut(Obj) -> i32) -> i32 {
    // SAFETY: the collector's interpreter has its GIL.
    if !addresses::FUNCTIONS.may_have(function as usize) || garbage::is_look() || !unsafe { garbage::in_main_interpreter() } {
        return 0;
    }
    let Some(codes) = keepers().get(&(function as usize)) else { return 0 };
    for code in codes {
        let Some(s) = registry::find(*code as Obj) else { continue };
        for region in s.function.iter().chain(s.loops.values()).filter(|r| r.active == 0) {
            for o in &region.consts {
                let stop = visit(*o);
                if stop != 0 {
                    return stop;
                }
            }
        }
    }
    0
}

fn cleared(function: Obj) {
    // SAFETY: as above.
    if !addresses::FUNCTIONS.may_have(function as usize) || !unsafe { garbage::in_main_interpreter() } {
        return;
    }
    for code in keepers().remove(&(function as usize)).unwrap_or_default() {
        if let Some(s) = registry::find(code as Obj) {
            s.keeper = 0;
            registry::release(code as Obj, None);
        }
    }
}
