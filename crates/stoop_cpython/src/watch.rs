//! Watchers: being told when functions, dicts, types and code objects change.
//!
//! One watcher of each kind for the process. Handlers are plain Rust functions; they run inside the change, with
//! the GIL held, must not run Python code, and see the state *before* it. A panic in a handler is swallowed:
//! it must not unwind into C.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::capi::{
    Obj, PyCode_AddWatcher, PyCode_ClearWatcher, PyDict_AddWatcher, PyDict_ClearWatcher, PyDict_Unwatch, PyDict_Watch,
    PyErr_Clear, PyFunction_AddWatcher, PyFunction_ClearWatcher, PyType_AddWatcher, PyType_ClearWatcher, PyType_Unwatch,
    PyType_Watch,
};

/// What happened to a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FunctionEvent {
    /// It was made; its fields are set.
    Create,
    /// It is about to go.
    Destroy,
    /// `__code__` is about to change.
    Code,
    /// `__defaults__` are about to change.
    Defaults,
    /// `__kwdefaults__` are about to change.
    KwDefaults,
}

/// What happens to a watched dict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DictEvent {
    /// A key is added.
    Added,
    /// A value is replaced.
    Modified,
    /// A key is removed.
    Deleted,
    /// It is filled from another dict at once (key and value are NULL).
    Cloned,
    /// It is emptied (key and value are NULL).
    Cleared,
    /// It goes (key and value are NULL).
    Deallocated,
}

/// What happened to a code object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeEvent {
    /// It was made.
    Create,
    /// It is about to go.
    Destroy,
}

/// Who is told.
#[derive(Clone, Copy, Debug)]
pub struct Handlers {
    /// Every function: event, function, new value (NULL for `Create`, `Destroy`, and removals).
    pub function: fn(FunctionEvent, Obj, Obj),
    /// Watched dicts: event, dict, key, new value (NULL when deleted).
    pub dict: fn(DictEvent, Obj, Obj, Obj),
    /// Watched types: something in the type, or a base, is about to change. Fires once until its version tag is
    /// assigned anew.
    pub ty: fn(Obj),
    /// Every code object.
    pub code: fn(CodeEvent, Obj),
}

#[derive(Clone, Copy, Debug)]
struct Ids {
    function: c_int,
    dict: c_int,
    ty: c_int,
    code: c_int,
}

static HANDLERS: OnceLock<Handlers> = OnceLock::new();
static IDS: OnceLock<Ids> = OnceLock::new();

fn tell(f: impl FnOnce(&Handlers)) -> c_int {
    if let Some(handlers) = HANDLERS.get() {
        // A handler that panics has told its message hook; the program goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| f(handlers)));
    }
    0
}

unsafe extern "C" fn on_function(event: c_int, function: Obj, value: Obj) -> c_int {
    let event = match event {
        0 => FunctionEvent::Create,
        1 => FunctionEvent::Destroy,
        2 => FunctionEvent::Code,
        3 => FunctionEvent::Defaults,
        4 => FunctionEvent::KwDefaults,
        _ => return 0,
    };
    tell(|h| (h.function)(event, function, value))
}

unsafe extern "C" fn on_dict(event: c_int, dict: Obj, key: Obj, value: Obj) -> c_int {
    let event = match event {
        0 => DictEvent::Added,
        1 => DictEvent::Modified,
        2 => DictEvent::Deleted,
        3 => DictEvent::Cloned,
        4 => DictEvent::Cleared,
        5 => DictEvent::Deallocated,
        _ => return 0,
    };
    tell(|h| (h.dict)(event, dict, key, value))
}

unsafe extern "C" fn on_type(ty: Obj) -> c_int {
    tell(|h| (h.ty)(ty))
}

unsafe extern "C" fn on_code(event: c_int, code: Obj) -> c_int {
    let event = match event {
        0 => CodeEvent::Create,
        1 => CodeEvent::Destroy,
        _ => return 0,
    };
    tell(|h| (h.code)(event, code))
}

/// Registers the watchers, once for the process; later calls do nothing. An error is a sentence.
///
/// # Safety
/// GIL held; main interpreter.
pub unsafe fn install(handlers: Handlers) -> Result<(), String> {
    if IDS.get().is_some() {
        return Ok(());
    }
    let _ = HANDLERS.set(handlers);
    // SAFETY: the callbacks have the declared signatures and stay loaded: the module is never unloaded.
    unsafe {
        let function = PyFunction_AddWatcher(on_function);
        let dict = PyDict_AddWatcher(on_dict);
        let ty = PyType_AddWatcher(on_type);
        let code = PyCode_AddWatcher(on_code);
        if function < 0 || dict < 0 || ty < 0 || code < 0 {
            PyErr_Clear();
            let _ = function < 0 || PyFunction_ClearWatcher(function) == 0;
            let _ = dict < 0 || PyDict_ClearWatcher(dict) == 0;
            let _ = ty < 0 || PyType_ClearWatcher(ty) == 0;
            let _ = code < 0 || PyCode_ClearWatcher(code) == 0;
            PyErr_Clear();
            return Err("CPython has no watcher left for functions, dicts, types or code objects".into());
        }
        let _ = IDS.set(Ids { function, dict, ty, code });
    }
    Ok(())
}

/// Whether [`install`] has succeeded.
pub fn installed() -> bool {
    IDS.get().is_some_and(|ids| ids.function >= 0 && ids.code >= 0)
}

/// Starts to watch a dict. False if that is impossible.
///
/// # Safety
/// A live dict; GIL held.
pub unsafe fn watch_dict(dict: Obj) -> bool {
    // SAFETY: the caller's dict.
    IDS.get().is_some_and(|ids| unsafe { cleared(PyDict_Watch(ids.dict, dict)) })
}

/// Stops watching a dict.
///
/// # Safety
/// A live dict; GIL held.
pub unsafe fn unwatch_dict(dict: Obj) -> bool {
    // SAFETY: the caller's dict.
    IDS.get().is_some_and(|ids| unsafe { cleared(PyDict_Unwatch(ids.dict, dict)) })
}

/// Starts to watch a type, and gives it a version tag, without which nothing would be told. False if impossible.
///
/// # Safety
/// A live type; GIL held.
pub unsafe fn watch_type(ty: Obj) -> bool {
    // SAFETY: the caller's type.
    IDS.get().is_some_and(|ids| unsafe { cleared(PyType_Watch(ids.ty, ty)) })
}

/// Stops watching a type.
///
/// # Safety
/// A live type; GIL held.
pub unsafe fn unwatch_type(ty: Obj) -> bool {
    // SAFETY: the caller's type.
    IDS.get().is_some_and(|ids| unsafe { cleared(PyType_Unwatch(ids.ty, ty)) })
}

unsafe fn cleared(result: c_int) -> bool {
    if result != 0 {
        // SAFETY: an exception is set; the caller goes by the answer.
        unsafe { PyErr_Clear() };
    }
    result == 0
}
