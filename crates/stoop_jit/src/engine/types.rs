//! Live classes: found by the version tags that the interpreter's caches hold, and noted where guards met them.
//!
//! Nothing here keeps a class alive: everything is held by weak references. Everything needs the GIL.

use std::cell::UnsafeCell;
use std::collections::HashMap;

use stoop_cpython::capi::{self, Obj};
use stoop_cpython::decode::{self, CodeInfo, Instr};
use stoop_cpython::opcodes::Opcode;
use stoop_cpython::{objects, type_ptr};

use super::record::CodeState;
use crate::frontend::MOST_CLASSES;

/// A class, as long as it lives.
#[derive(Debug)]
pub struct Weak(Obj);

impl Weak {
    /// A weak reference to a class.
    pub fn new(class: Obj) -> Option<Weak> {
        // SAFETY: classes can be referred to weakly; the GIL is held.
        unsafe {
            let r = capi::PyWeakref_NewRef(class, std::ptr::null_mut());
            if r.is_null() {
                capi::PyErr_Clear();
            }
            (!r.is_null()).then_some(Weak(r))
        }
    }

    /// The class, if it lives.
    pub fn get(&self) -> Option<Obj> {
        // SAFETY: a weak reference of our own; what is found lives while the GIL is held and nothing runs.
        let o = unsafe { capi::PyWeakref_GetObject(self.0) };
        (!o.is_null() && o != capi::none()).then_some(o)
    }
}

impl Drop for Weak {
    fn drop(&mut self) {
        // SAFETY: our own reference; states and tables change under the GIL only.
        unsafe { capi::decref(self.0) };
    }
}

/// How often what is assumed about the classes at one place may fail.
const PATIENCE: u32 = 6;

/// The classes of the objects at one place in the code.
#[derive(Debug, Default)]
pub struct Site {
    classes: Vec<Weak>,
    crowded: bool,
    failures: u32,
}

impl Site {
    /// Notes a class.
    pub fn note(&mut self, class: Obj) {
        if self.crowded || self.classes.iter().any(|w| w.get() == Some(class)) {
            return;
        }
        self.classes.retain(|w| w.get().is_some());
        self.crowded = self.classes.len() >= MOST_CLASSES;
        if !self.crowded {
            self.classes.extend(Weak::new(class));
        }
    }

    /// What was assumed about them has failed; whether it is worth assuming anew.
    pub fn fail(&mut self) -> bool {
        self.failures += 1;
        !self.crowded && self.failures <= PATIENCE
    }

    /// How much is known: grows when anything new is.
    pub fn news(&self) -> usize {
        self.classes.len() + usize::from(self.crowded) + usize::from(self.failures > PATIENCE)
    }

    /// The classes that still live.
    pub fn classes(&self) -> Vec<Obj> {
        if self.crowded { Vec::new() } else { self.classes.iter().filter_map(Weak::get).collect() }
    }
}

/// Notes the classes that the interpreter's caches hold now: each holds the last one only, and others at other times.
///
/// # Safety
/// The code object of `info`, which lives; the GIL is held.
pub unsafe fn note_seen(s: &mut CodeState, info: &CodeInfo) {
    for i in info.instrs.iter().filter(|i| matches!(i.op, Opcode::LoadAttr | Opcode::StoreAttr)) {
        // SAFETY: as documented.
        let now = unsafe { decode::feedback_now(info, i) };
        if let Some(class) = now.instance_version().and_then(by_version) {
            s.sites.entry(i.unit).or_default().note(class);
        }
    }
}

/// The classes met at other attributes of the variable whose attribute is wanted at a code unit.
pub fn elsewhere(s: &CodeState, info: &CodeInfo, unit: u32) -> Vec<Obj> {
    let Some(k) = info.index_of(unit).filter(|k| *k > 0) else { return Vec::new() };
    let of = |i: &Instr| matches!(i.op, Opcode::LoadFast | Opcode::LoadFastCheck).then_some(i.arg);
    let crowded = |unit: &u32| s.sites.get(unit).is_some_and(|site| site.crowded);
    let Some(slot) = of(&info.instrs[k - 1]).filter(|_| !crowded(&unit)) else { return Vec::new() };
    let mut found: Vec<Obj> = Vec::new();
    for w in info.instrs.windows(2).filter(|w| of(&w[0]) == Some(slot) && w[1].unit != unit) {
        if !matches!(w[1].op, Opcode::LoadAttr | Opcode::StoreAttr | Opcode::LoadSuperAttr) {
            continue;
        }
        let seen = w[1].feedback.instance_version().and_then(by_version);
        for class in s.sites.get(&w[1].unit).map(Site::classes).unwrap_or_default().into_iter().chain(seen) {
            if !found.contains(&class) {
                found.push(class);
            }
        }
    }
    if found.len() > MOST_CLASSES { Vec::new() } else { found }
}

#[derive(Default)]
struct Table {
    by_version: HashMap<u32, Weak>,
    /// The greatest version when the table was made: newer ones are worth another look.
    newest: u32,
}

struct Held(UnsafeCell<Option<Table>>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl Sync for Held {}
static TABLE: Held = Held(UnsafeCell::new(None));

/// The class made in Python that has a version now.
pub fn by_version(version: u32) -> Option<Obj> {
    // SAFETY: the GIL is held; what is called below never comes back here.
    let t = unsafe { (*TABLE.0.get()).get_or_insert_default() };
    if version > t.newest {
        look(t, version);
    }
    let class = t.by_version.get(&version)?.get()?;
    // SAFETY: a live class.
    (unsafe { objects::type_version(class) } == version).then_some(class)
}

/// A class's version tag, given one if it has none.
pub fn version_of(class: Obj) -> Option<u32> {
    // SAFETY: a live class, the GIL held.
    unsafe {
        if objects::type_version(class) == 0 {
            capi::PyUnstable_Type_AssignVersionTag(class);
        }
        let version = objects::type_version(class);
        (version != 0).then_some(version)
    }
}

/// Looks at every class, for those that got their versions since the last time.
fn look(t: &mut Table, version: u32) {
    let known = t.newest;
    t.newest = version;
    // SAFETY: live classes.
    t.by_version.retain(|v, w| w.get().is_some_and(|class| unsafe { objects::type_version(class) } == *v));
    // SAFETY: live classes; `type.__subclasses__` is C code, which runs no Python code and makes only a list. The
    // list keeps what is in it alive while it is walked.
    unsafe {
        let name = capi::PyUnicode_InternFromString(c"__subclasses__".as_ptr());
        if name.is_null() {
            capi::PyErr_Clear();
            return;
        }
        let method = capi::_PyType_Lookup(type_ptr!(PyType_Type), name);
        capi::decref(name);
        if method.is_null() {
            return;
        }
        let mut seen = std::collections::HashSet::new();
        let mut work = vec![capi::new_ref(type_ptr!(PyBaseObject_Type))];
        while let Some(class) = work.pop() {
            if seen.insert(class as usize) {
                let v = objects::type_version(class);
                if v > known && objects::type_flags(class) & stoop_cpython::layout::flags::HEAP != 0 {
                    t.newest = t.newest.max(v);
                    t.by_version.extend(Weak::new(class).map(|w| (v, w)));
                }
                let list = capi::PyObject_Vectorcall(method, &raw const class, 1, std::ptr::null_mut());
                if list.is_null() {
                    capi::PyErr_Clear();
                } else {
                    work.extend(objects::list_slice(list).iter().map(|o| capi::new_ref(*o)));
                    capi::decref(list);
                }
            }
            capi::decref(class);
        }
    }
}

/// What a class has of that name, itself or by a base; NULL if nothing.
///
/// # Safety
/// A live class, the GIL held.
pub unsafe fn look_up(class: Obj, name: &str) -> Obj {
    let Ok(name) = std::ffi::CString::new(name) else { return std::ptr::null_mut() };
    // SAFETY: as documented; the look-up runs no Python code.
    unsafe {
        let name = capi::PyUnicode_InternFromString(name.as_ptr());
        if name.is_null() {
            capi::PyErr_Clear();
            return name;
        }
        let found = if objects::has_plain_names(class) { capi::_PyType_Lookup(class, name) } else { std::ptr::null_mut() };
        capi::decref(name);
        found
    }
}
