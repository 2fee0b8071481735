//! Links: how compiled code calls Python functions.
//!
//! One a function: a word that compiled callers load and call. It holds the entry of the function's compiled
//! code while there is one, and otherwise goes through the function's vectorcall. Callers that know the function
//! have the word's address in their code, and keep the function alive, and so its link; others look it up.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use stoop_cpython::capi::{self, Obj, PyThreadState, VectorcallFn};
use stoop_cpython::inspect;

use super::addresses::{self, AddressMap};
use super::{choose, trial};

/// A vectorcall that takes the thread state, or NULL, as a fifth argument.
pub type LinkedFn = unsafe extern "C" fn(Obj, *const Obj, usize, Obj, *mut PyThreadState) -> Obj;

const RECENT: usize = 512;

struct Links {
    /// By the function's address.
    all: AddressMap<Box<u64>>,
    /// Functions and what their links hold, for look-ups.
    recent: [(usize, u64); RECENT],
    /// Interpreted functions that compiled code calls.
    interpreted: [Interpreted; PLACES],
}

/// What an interpreted function has taken since that was last told.
#[derive(Clone, Copy, Default)]
struct Interpreted {
    function: usize,
    calls: u32,
    ticks: u64,
}

/// Interpreted functions told apart, by place; of two at one place the later takes over.
const PLACES: usize = 64;
/// Calls after which it is told what they took.
const TELL_CALLS: u32 = 32;
/// A call that takes longer waits, or does much else: it says little about the function itself.
const LONG_TICKS: u64 = 200_000;

struct Held(UnsafeCell<Option<Links>>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl Sync for Held {}
static LINKS: Held = Held(UnsafeCell::new(None));

fn links() -> &'static mut Links {
    // SAFETY: the GIL is held; callers keep no reference over calls that come back here.
    unsafe {
        (*LINKS.0.get()).get_or_insert_with(|| Links {
            all: AddressMap::default(),
            recent: [(0, 0); RECENT],
            interpreted: [Interpreted::default(); PLACES],
        })
    }
}

fn place(f: usize, places: usize) -> usize {
    (f >> 4) % places
}

fn no_entry() -> u64 {
    indirect as *const () as u64
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
    addresses::FUNCTIONS.note(o as usize);
    let link = links().all.entry(o as usize).or_insert_with(|| Box::new(entry().unwrap_or_else(no_entry)));
    Some(&raw const **link as u64)
}

/// Makes a function's link lead to its entry, or to its vectorcall.
pub fn lead(f: Obj, entry: Option<u64>) {
    let l = links();
    let target = entry.unwrap_or_else(no_entry);
    match l.all.get_mut(&(f as usize)) {
        Some(link) => **link = target,
        None if entry.is_some() => {
            addresses::FUNCTIONS.note(f as usize);
            l.all.insert(f as usize, Box::new(target));
        }
        None => {}
    }
    let recent = &mut l.recent[place(f as usize, RECENT)];
    if recent.0 == f as usize {
        recent.1 = target;
    }
}

/// How to call a function right now.
///
/// # Safety
/// A live function, the GIL held.
#[inline]
pub unsafe fn target(f: Obj) -> LinkedFn {
    let l = links();
    let recent = &mut l.recent[place(f as usize, RECENT)];
    if recent.0 != f as usize {
        *recent = (f as usize, l.all.get(&(f as usize)).map_or_else(no_entry, |link| **link));
    }
    // SAFETY: links hold entries and `indirect`.
    unsafe { std::mem::transmute::<u64, LinkedFn>(recent.1) }
}

/// A function is about to be freed.
pub fn forget(f: Obj) {
    links().all.remove(&(f as usize));
    forget_recent(f);
}

/// A function without a link is about to be freed.
pub fn forget_recent(f: Obj) {
    let l = links();
    let recent = &mut l.recent[place(f as usize, RECENT)];
    if recent.0 == f as usize {
        *recent = (0, 0);
    }
    let interpreted = &mut l.interpreted[place(f as usize, PLACES)];
    if interpreted.function == f as usize {
        *interpreted = Interpreted::default();
    }
}

static INTERPRETED_CALLS: AtomicU64 = AtomicU64::new(0);

/// How many calls of compiled code have gone through functions' vectorcalls so far.
pub fn interpreted_calls() -> u64 {
    INTERPRETED_CALLS.load(Ordering::Relaxed)
}

/// A call through the function's own vectorcall.
unsafe extern "C" fn indirect(f: Obj, args: *const Obj, nargsf: usize, kwnames: Obj, _ts: *mut PyThreadState) -> Obj {
    // The GIL is held: nobody counts between the two.
    INTERPRETED_CALLS.store(interpreted_calls() + 1, Ordering::Relaxed);
    // SAFETY: a function's vectorcall is never NULL; the caller keeps the protocol.
    unsafe {
        let target: VectorcallFn = std::mem::transmute(inspect::function_vectorcall(f) as *const c_void);
        let start = trial::now();
        let result = target(f, args, nargsf, kwnames);
        // Telling calls into the interpreter, which wants no exception set.
        if !result.is_null() {
            note(f, trial::now() - start);
        }
        result
    }
}

/// Notes what a call has taken. The sampler is blind to functions that compiled loops call: it sees threads where they
/// look whether somebody wants the GIL, and the loops do that.
///
/// # Safety
/// A live function, the GIL held.
unsafe fn note(f: Obj, ticks: u64) {
    let place = &mut links().interpreted[place(f as usize, PLACES)];
    if place.function != f as usize {
        *place = Interpreted { function: f as usize, calls: 0, ticks: 0 };
    }
    place.calls += 1;
    place.ticks += ticks.min(LONG_TICKS);
    if place.calls >= TELL_CALLS {
        let ns = trial::nanoseconds(std::mem::take(&mut place.ticks));
        place.calls = 0;
        // SAFETY: as documented.
        unsafe { choose::called(f, ns) };
    }
}
