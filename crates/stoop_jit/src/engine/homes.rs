//! Where variables of modules live: the entries of dicts, looked up once and found again when the table has moved.
//!
//! A *home* is a word that compiled code reads: the address of the value of one name in one dict, or 0. The dict is
//! watched; before keys come or go every home in it is set to 0, and whoever needs one next looks the name up again. A
//! value that is replaced leaves the entry where it is.
//!
//! Stores through a home are not told to watchers: what else relies on the name's value is voided when code that stores
//! so is made ([`super::invariants`]).

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use stoop_cpython::capi::{self, Obj};
use stoop_cpython::{inspect, objects, watch};

use super::addresses::AddressMap;

/// The place of one name's value in one dict.
#[derive(Debug)]
#[repr(C)]
pub struct Home {
    /// The address of the value, or NULL where it has to be looked up.
    entry: Cell<*mut Obj>,
    /// The dict (borrowed: NULL once it is gone).
    dict: Cell<Obj>,
    /// The name, with a reference of our own.
    name: Obj,
}

// SAFETY: only the holder of the GIL touches homes and drops them.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: taken in `home`; the GIL is held where regions and tables of homes are dropped.
        unsafe { capi::decref(self.name) };
    }
}

impl Home {
    /// What compiled code knows it by.
    pub fn address(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    /// The dict; NULL once it is gone.
    pub fn dict(&self) -> Obj {
        self.dict.get()
    }

    /// Where the value is; NULL if there is none, or none that can be told by its place.
    pub fn find(&self) -> *mut Obj {
        if self.entry.get().is_null() && !self.dict.get().is_null() {
            // SAFETY: the dict is alive: its end is told.
            self.entry.set(unsafe { objects::dict_value(self.dict.get(), self.name) });
        }
        self.entry.get()
    }

    /// Where the value is; the name gets one if it has none.
    pub fn find_or_make(&self) -> *mut Obj {
        let found = self.find();
        if !found.is_null() {
            return found;
        }
        // SAFETY: the frame that runs keeps its globals alive; a new key of a dict with strings as keys runs no code.
        unsafe {
            if self.dict.get().is_null() || capi::PyDict_SetItem(self.dict.get(), self.name, capi::none()) < 0 {
                capi::_Py_FatalErrorFunc(c"stoop".as_ptr(), c"out of memory while storing a global".as_ptr());
            }
        }
        self.find()
    }
}

struct Homes(std::cell::UnsafeCell<AddressMap<HashMap<usize, Arc<Home>>>>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl Sync for Homes {}
// SAFETY: as above.
unsafe impl Send for Homes {}

static HOMES: std::sync::LazyLock<Homes> = std::sync::LazyLock::new(|| Homes(std::cell::UnsafeCell::default()));

fn homes() -> &'static mut AddressMap<HashMap<usize, Arc<Home>>> {
    // SAFETY: the GIL is held, and no caller keeps the reference over a call that could come back here.
    unsafe { &mut *HOMES.0.get() }
}

struct Taken(std::cell::UnsafeCell<Vec<usize>>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl Sync for Taken {}

/// Dicts whose entries are locals of a loop that runs.
static TAKEN: Taken = Taken(std::cell::UnsafeCell::new(Vec::new()));

fn taken() -> &'static mut Vec<usize> {
    // SAFETY: as for `homes`.
    unsafe { &mut *TAKEN.0.get() }
}

/// The home of a name in a dict; `None` if it has no value now that could be told by its place.
///
/// # Safety
/// A live exact dict and an interned name; the GIL is held.
pub unsafe fn home(dict: Obj, name: Obj) -> Option<Arc<Home>> {
    // SAFETY: as documented.
    unsafe {
        if objects::dict_value(dict, name).is_null() || !inspect::is_collected(dict) || !watch::watch_dict(dict) {
            return None;
        }
        let home = homes().entry(dict as usize).or_default().entry(name as usize).or_insert_with(|| {
            capi::incref(name);
            Arc::new(Home { entry: Cell::new(std::ptr::null_mut()), dict: Cell::new(dict), name })
        });
        home.find();
        Some(home.clone())
    }
}

/// Takes the dict of a loop's variables for one activation: `false` if another has it, or a variable has no value.
pub fn begin(variables: &[Arc<Home>]) -> bool {
    let Some(first) = variables.first() else { return true };
    let taken = taken();
    if taken.contains(&(first.dict() as usize)) || variables.iter().any(|h| h.find().is_null()) {
        return false;
    }
    taken.push(first.dict() as usize);
    true
}

/// Gives it back.
pub fn end(variables: &[Arc<Home>]) {
    if let Some(first) = variables.first() {
        taken().retain(|d| *d != first.dict() as usize);
    }
}

/// Keys of a dict are about to come or go.
pub fn moved(dict: Obj) {
    if let Some(all) = homes().get(&(dict as usize)) {
        all.values().for_each(|h| h.entry.set(std::ptr::null_mut()));
    }
}

/// A dict goes.
pub fn gone(dict: Obj) {
    for h in homes().remove(&(dict as usize)).unwrap_or_default().into_values() {
        h.entry.set(std::ptr::null_mut());
        h.dict.set(std::ptr::null_mut());
    }
}

/// The runtime helper `FindHome`: where the value is, or NULL.
///
/// # Safety
/// A home that the calling region keeps; the GIL is held.
pub unsafe extern "C" fn find(home: *const Home) -> *mut Obj {
    // SAFETY: as documented.
    unsafe { (*home).find() }
}

/// The runtime helper `MakeHome`: where the value is; the name gets one if it has none.
///
/// # Safety
/// As for [`find`].
pub unsafe extern "C" fn make(home: *const Home) -> *mut Obj {
    // SAFETY: as documented.
    unsafe { (*home).find_or_make() }
}
