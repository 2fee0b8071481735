//! What compiled code relies on without checking, and who says when it falls.
//!
//! | invariant | holds while | broken by |
//! |---|---|---|
//! | a function keeps its code and defaults | it was inlined as it is | the function watcher: code or defaults changed, function freed |
//! | a module's variable is this region's own while the region runs | the region keeps its value in a register | the dict watcher, as above; a region that stores to it through its home |
//! | a global, builtin or module attribute keeps its value | the dict has the same entry of that name | the dict watcher: that key added, changed, deleted; the dict cleared, cloned into, freed |
//!
//! A broken invariant voids the regions that rely on it: running activations leave at their next safe point, new
//! entries are refused, and the region is compiled anew when it is hot again.

use std::cell::UnsafeCell;
use std::collections::HashMap;

use stoop_cpython::capi::{self, Obj};
use stoop_cpython::watch::{self, DictEvent};
use stoop_cpython::{inspect, objects};
use stoop_ir::Class;

use super::addresses::{self, AddressMap};
use super::classes;
use super::homes;
use super::record::Record;

/// State that only the holder of the GIL touches.
struct Held<T>(UnsafeCell<T>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl<T> Sync for Held<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Held<T> {}

#[derive(Default)]
struct Names {
    /// By dict, then by name's text.
    dicts: AddressMap<HashMap<String, Entry>>,
    /// Regions that have inlined a function.
    functions: AddressMap<Vec<*mut Record>>,
    /// Interned name objects that somebody relies on, and in how many dicts: most events are about others.
    interned: AddressMap<u32>,
}

#[derive(Default)]
struct Entry {
    /// Regions that rely on its value.
    records: Vec<*mut Record>,
    /// Loops of the module itself that keep the value in a register while they run.
    owners: Vec<*mut Record>,
    /// Whether somebody else stored to it while such a loop ran: it is read and written where it lies from then on.
    shared: bool,
    /// How often it changed while relied on. Names that keep changing are not relied on again.
    broken: u32,
    /// Its name object among the interned ones; 0 if it is not there.
    listed: usize,
}

/// A name that changed this often is a variable.
const TOO_OFTEN: u32 = 2;

/// Which changes are to be expected of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A function, class or module: what changes once may not change again.
    Definition,
    /// Anything else: what has changed once is a variable.
    Value,
}

static NAMES: std::sync::LazyLock<Held<Names>> = std::sync::LazyLock::new(|| Held(UnsafeCell::new(Names::default())));

fn names() -> &'static mut Names {
    // SAFETY: the GIL is held, and no caller keeps the reference over a call that could come back here.
    unsafe { &mut *NAMES.0.get() }
}

/// Makes a region depend on a dict's entry of a name; `false` if the entry changes too often or can't be watched.
pub fn track_name(record: *mut Record, dict: Obj, name: Obj, kind: Kind) -> bool {
    // SAFETY: names are exact strings.
    let text = unsafe { objects::str_text(name) };
    let n = names();
    let entry = n.dicts.entry(dict as usize).or_default().entry(text).or_default();
    if entry.broken >= TOO_OFTEN || (kind == Kind::Value && entry.broken > 0) {
        return false;
    }
    if !entry.records.contains(&record) {
        entry.records.push(record);
    }
    list(entry, name, &mut n.interned);
    // SAFETY: an exact dict, the GIL held. Watching twice is harmless.
    unsafe { watch::watch_dict(dict) }
}

/// Puts an entry's name among the interned ones.
fn list(entry: &mut Entry, name: Obj, interned: &mut AddressMap<u32>) {
    // Who relied on it before may be gone, and the name's object with it.
    if entry.listed != name as usize {
        unlist(entry, interned);
        entry.listed = name as usize;
        *interned.entry(name as usize).or_default() += 1;
    }
}

/// Makes a dict's entry of a name a variable: regions that rely on its value fall, and none will rely on it again.
/// `owner` is a region that keeps the value in a register while it runs: `false` if it must not, because others store to
/// the variable meanwhile. Without one, stores through the entry's home are about to be compiled.
///
/// # Safety
/// A live exact dict and an interned name; the GIL is held.
pub unsafe fn make_variable(owner: Option<*mut Record>, dict: Obj, name: Obj) -> bool {
    // SAFETY: names are exact strings.
    let text = unsafe { objects::str_text(name) };
    let n = names();
    let entry = n.dicts.entry(dict as usize).or_default().entry(text).or_default();
    if owner.is_none() {
        entry.shared = true;
        for r in std::mem::take(&mut entry.owners) {
            // SAFETY: `forget` takes a record out before it is freed.
            unsafe { (*r).invalidate() };
        }
    }
    if owner.is_some() && entry.shared {
        return false;
    }
    entry.broken = entry.broken.max(TOO_OFTEN);
    break_entry(entry, &mut n.interned);
    if let Some(r) = owner {
        list(entry, name, &mut n.interned);
        if !entry.owners.contains(&r) {
            entry.owners.push(r);
        }
    }
    // SAFETY: as documented.
    unsafe { watch::watch_dict(dict) }
}

/// Makes a region depend on a function's code and defaults.
pub fn track_function(record: *mut Record, function: Obj) -> bool {
    addresses::FUNCTIONS.note(function as usize);
    let records = names().functions.entry(function as usize).or_default();
    if !records.contains(&record) {
        records.push(record);
    }
    watch::installed()
}

/// A function's code or defaults change, or it goes.
pub fn break_function(function: Obj) {
    for r in names().functions.remove(&(function as usize)).unwrap_or_default() {
        // SAFETY: `forget` takes a record out before it is freed.
        unsafe { (*r).invalidate() };
        super::totals::count(|t| t.invalidations += 1);
    }
}

/// Forgets a region that is about to be freed.
pub fn forget(record: *mut Record) {
    for d in names().dicts.values_mut() {
        for e in d.values_mut() {
            e.records.retain(|r| *r != record);
            e.owners.retain(|r| *r != record);
        }
    }
    for records in names().functions.values_mut() {
        records.retain(|r| *r != record);
    }
}

/// The dict watcher. Runs in the middle of dict operations: touches only our own memory.
pub fn on_dict(event: DictEvent, dict: Obj, key: Obj, _new: Obj) {
    match event {
        DictEvent::Modified => {}
        DictEvent::Deallocated => homes::gone(dict),
        DictEvent::Added | DictEvent::Deleted | DictEvent::Cloned | DictEvent::Cleared => homes::moved(dict),
    }
    let n = names();
    if matches!(event, DictEvent::Added | DictEvent::Modified | DictEvent::Deleted) && !key.is_null() {
        // SAFETY: the key is alive during the event.
        let is_str = unsafe { inspect::is_exact_str(key) };
        // SAFETY: an exact str.
        if !is_str || !n.interned.contains_key(&(key as usize)) && unsafe { inspect::is_interned(key) } {
            return;
        }
        if let Some(entries) = n.dicts.get_mut(&(dict as usize)) {
            // SAFETY: as above.
            let text = unsafe { objects::str_text(key) };
            if let Some(e) = entries.get_mut(&text) {
                // SAFETY: an exact dict in the middle of an operation that has changed nothing yet.
                let value = unsafe { objects::dict_value(dict, key) };
                if !value.is_null() {
                    // SAFETY: the place of a live value.
                    let_go(e, unsafe { *value });
                }
                break_entry(e, &mut n.interned);
            }
        }
        return;
    }
    // Cleared, cloned into, or freed: everything falls.
    if let Some(mut entries) = n.dicts.remove(&(dict as usize)) {
        for e in entries.values_mut() {
            e.broken = TOO_OFTEN;
            break_entry(e, &mut n.interned);
            unlist(e, &mut n.interned);
        }
    }
}

/// Has the regions that rely on an entry's value keep it alive no longer: it may be about to go. Code that runs right now
/// still uses it.
fn let_go(e: &Entry, value: Obj) {
    for r in &e.records {
        // SAFETY: `forget` takes a record out before it is freed. The dict itself still has a reference, so this drops no
        // last one.
        unsafe {
            let r = &mut **r;
            if r.active > 0 || r.native.is_none() {
                continue;
            }
            let before = r.consts.len();
            r.consts.retain(|o| *o != value);
            for _ in r.consts.len()..before {
                capi::decref(value);
            }
        }
    }
}

/// Takes an entry's name out of the interned ones.
fn unlist(e: &mut Entry, interned: &mut AddressMap<u32>) {
    let name = std::mem::take(&mut e.listed);
    if let Some(dicts) = interned.get_mut(&name) {
        *dicts -= 1;
        if *dicts == 0 {
            interned.remove(&name);
        }
    }
}

fn break_entry(e: &mut Entry, interned: &mut AddressMap<u32>) {
    e.broken += u32::from(!e.records.is_empty());
    // A loop that does not run takes the value anew when it is entered.
    // SAFETY: `forget` takes a record out before it is freed.
    for r in e.owners.extract_if(.., |r| unsafe { (**r).active > 0 }) {
        e.shared = true;
        // SAFETY: as above.
        unsafe { (*r).invalidate() };
        super::totals::count(|t| t.invalidations += 1);
    }
    if e.broken >= TOO_OFTEN && e.owners.is_empty() {
        // Nobody will rely on it again: its changes need not be looked at.
        unlist(e, interned);
    }
    for r in e.records.drain(..) {
        // SAFETY: `forget` takes a record out before it is freed.
        unsafe { (*r).invalidate() };
        super::totals::count(|t| t.invalidations += 1);
    }
}

/// What changes are to be expected of a global's value.
pub fn kind_of(o: Obj) -> Kind {
    // SAFETY: `o` is alive.
    let defined =
        matches!(classes::class_of(o), Some(Class::Function | Class::Builtin | Class::Module)) || unsafe { objects::is_type(o) };
    if defined { Kind::Definition } else { Kind::Value }
}

/// Whether an object refers to nothing, and nobody minds how long it lives.
pub fn is_atom(o: Obj) -> bool {
    matches!(
        classes::class_of(o),
        Some(Class::Int | Class::Float | Class::Bool | Class::NoneType | Class::Str | Class::Bytes | Class::Complex)
    )
}
