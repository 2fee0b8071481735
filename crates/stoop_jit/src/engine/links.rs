//! Links: how compiled code calls functions that it knows by name.
//!
//! One a function: a word that compiled callers load and call. It holds the entry of the function's compiled
//! code while there is one, and otherwise goes through the function's vectorcall. A caller keeps the function
//! alive, and so its link.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::ffi::c_void;

use stoop_cpython::capi::{self, Obj, PyThreadState, VectorcallFn};
use stoop_cpython::inspect;

struct Held(UnsafeCell<Option<HashMap<usize, Box<u64>>>>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl Sync for Held {}
static LINKS: Held = Held(UnsafeCell::new(None));

fn links() -> &'static mut HashMap<usize, Box<u64>> {
    // SAFETY: the GIL is held; callers keep no reference over calls that come back here.
    unsafe { (*LINKS.0.get()).get_or_insert_default() }
}

/// The address of a function's link; `None` for other objects. `entry` is its entry's address, if it has one.
///
/// # Safety
/// A live object, the GIL held.
pub unsafe fn address(o: Obj, entry: impl FnOnce() -> Option<u64>) -> Option<u64> {
    // SAFETY: a live object has a type.
    if unsafe { capi::type_of(o) } != (&raw mut capi::PyFunction_Type).cast() {
        return None;
    }
    let link = links().entry(o as usize).or_insert_with(|| Box::new(entry().unwrap_or(indirect as *const () as u64)));
    Some(&raw const **link as u64)
}

/// Makes a function's link lead to its entry, or to its vectorcall.
pub fn lead(f: Obj, entry: Option<u64>) {
    if let Some(link) = links().get_mut(&(f as usize)) {
        **link = entry.unwrap_or(indirect as *const () as u64);
    }
}

/// A function is about to be freed.
pub fn forget(f: Obj) {
    links().remove(&(f as usize));
}

/// A call through the function's own vectorcall.
unsafe extern "C" fn indirect(f: Obj, args: *const Obj, nargsf: usize, kwnames: Obj, _ts: *mut PyThreadState) -> Obj {
    // SAFETY: a function's vectorcall is never NULL; the caller keeps the protocol.
    unsafe {
        let target: VectorcallFn = std::mem::transmute(inspect::function_vectorcall(f) as *const c_void);
        target(f, args, nargsf, kwnames)
    }
}
