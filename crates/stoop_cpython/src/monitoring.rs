//! Loop takeover through `sys.monitoring`, and seeing whether anybody else monitors.
//!
//! Our tool id is the one reserved for optimisers. Events of a code object are armed by [`arm`]; the next jump in it
//! calls the handler given to [`install`], in the frame's own thread, where the frame may be run natively and sent
//! on to any unit (see [`crate::frame`]). The next call of it calls the other handler, which only looks.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::capi::{
    METH_FASTCALL, Obj, PyCFunction_NewEx, PyDict_GetItemString, PyDict_New, PyDict_SetItemString, PyErr_Clear,
    PyEval_GetBuiltins, PyFunction_GetCode, PyImport_ImportModule, PyLong_FromLong, PyMethodDef, PyObject_CallFunctionObjArgs,
    PyObject_CallOneArg, PyObject_GetAttrString, PyObject_Vectorcall, PyRun_String, PyThreadState, PyThreadState_Get,
    PyTuple_Pack, PyUnicode_AsUTF8, PyUnicode_FromString, decref, none, xdecref,
};
use crate::decode::decode_text;
use crate::layout::{self, Breaker, read};
use crate::objects::int_value;

/// The tool id for optimisers.
pub const TOOL: u8 = 5;
/// The PY_START event.
pub const START: u8 = 1;
/// The JUMP event.
pub const JUMP: u8 = 1 << 7;

/// What a jump handler wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Go on (wherever the frame's instruction pointer says).
    Go,
    /// Go on, and do not report this jump again.
    Disable,
    /// An exception is set and the frame has no handler for it: its pointer is at the raising instruction.
    Raise,
}

/// Called at a jump of an armed code object: thread, code object, the jump's own unit, the unit jumped to.
pub type JumpFn = unsafe fn(*mut PyThreadState, Obj, u32, u32) -> Answer;
/// Called when a call of an armed code object starts. Unless it asks for the next one, that is not reported until the event is
/// armed anew.
pub type StartFn = unsafe fn(*mut PyThreadState, Obj) -> bool;

/// References that live as long as the process.
#[derive(Debug)]
struct Handles {
    set_local_events: Obj,
    disable: Obj,
    tool: Obj,
    jump: JumpFn,
    start: StartFn,
}

// SAFETY: the objects are only touched with the GIL held.
unsafe impl Send for Handles {}
// SAFETY: as above.
unsafe impl Sync for Handles {}

static HANDLES: OnceLock<Handles> = OnceLock::new();

/// A method table entry that C keeps a pointer to.
struct Def(PyMethodDef);
// SAFETY: never written.
unsafe impl Sync for Def {}
static ON_JUMP: Def = Def(PyMethodDef {
    ml_name: c"stoop_jump".as_ptr(),
    ml_meth: on_jump as *const std::ffi::c_void,
    ml_flags: METH_FASTCALL,
    ml_doc: std::ptr::null(),
});

static ON_START: Def = Def(PyMethodDef {
    ml_name: c"stoop_start".as_ptr(),
    ml_meth: on_start as *const std::ffi::c_void,
    ml_flags: METH_FASTCALL,
    ml_doc: std::ptr::null(),
});

/// What [`self_test`] waits for: 1 while it runs, 2 once a jump was reported as the layout says.
static PROBE: AtomicU8 = AtomicU8::new(0);

unsafe extern "C" fn on_jump(_slf: Obj, args: *const Obj, count: isize) -> Obj {
    let Some(handles) = HANDLES.get() else {
        return none();
    };
    if count != 3 {
        return none();
    }
    // SAFETY: the interpreter passes the code object and two offsets in bytes; the GIL is held.
    let answer = unsafe {
        let (code, from, to) = (*args, int_value(*args.add(1)), int_value(*args.add(2)));
        let (Some(from), Some(to)) = (from, to) else {
            return none();
        };
        if PROBE.load(Ordering::Relaxed) != 0 {
            probe_jump(code);
            return none();
        }
        catch_unwind(AssertUnwindSafe(|| (handles.jump)(PyThreadState_Get(), code, (from / 2) as u32, (to / 2) as u32)))
    };
    match answer {
        Ok(Answer::Raise) => std::ptr::null_mut(),
        Ok(Answer::Disable) => {
            // SAFETY: a live object.
            unsafe { crate::capi::incref(handles.disable) };
            handles.disable
        }
        // None is immortal: no reference to count.
        Ok(Answer::Go) | Err(_) => none(),
    }
}

unsafe extern "C" fn on_start(_slf: Obj, args: *const Obj, count: isize) -> Obj {
    let Some(handles) = HANDLES.get() else {
        return none();
    };
    // SAFETY: the interpreter passes the code object and an offset; the GIL is held; the answer is a live object.
    unsafe {
        if count == 2 {
            let code = *args;
            // A handler that panics has told its message hook; the program goes on.
            if catch_unwind(AssertUnwindSafe(|| (handles.start)(PyThreadState_Get(), code))).unwrap_or(false) {
                return none();
            }
        }
        crate::capi::incref(handles.disable);
    }
    handles.disable
}

/// Takes the tool id and registers the handlers. An error is a sentence. After [`uninstall`] it may be called
/// again (the first handlers stay).
///
/// # Safety
/// GIL held; main interpreter. Runs Python code (imports, audit hooks).
pub unsafe fn install(jump: JumpFn, start: StartFn) -> Result<(), String> {
    // SAFETY: new references are kept for the process's life or dropped here.
    unsafe {
        let sys = PyImport_ImportModule(c"sys".as_ptr());
        let monitoring = attribute(sys, c"monitoring")?;
        if HANDLES.get().is_none() {
            let handles = Handles {
                set_local_events: attribute(monitoring, c"set_local_events")?,
                disable: attribute(monitoring, c"DISABLE")?,
                tool: PyLong_FromLong(i64::from(TOOL)),
                jump,
                start,
            };
            let _ = HANDLES.set(handles);
        }
        let Some(handles) = HANDLES.get() else {
            return Err("sys.monitoring is not available".into());
        };
        let holder = call(monitoring, c"get_tool", &[handles.tool])?;
        if holder != none() {
            let name = PyUnicode_AsUTF8(holder);
            let name = if name.is_null() { "?".into() } else { CStr::from_ptr(name).to_string_lossy() };
            let sentence = format!("sys.monitoring's optimizer id ({TOOL}) is already used by {name}");
            decref(holder);
            return if name == "stoop" { Ok(()) } else { Err(sentence) };
        }
        let name = PyUnicode_FromString(c"stoop".as_ptr());
        xdecref(call(monitoring, c"use_tool_id", &[handles.tool, name])?);
        register(monitoring, handles, START, &ON_START)?;
        let function = register(monitoring, handles, JUMP, &ON_JUMP)?;
        let tested = self_test(name, function);
        xdecref(name);
        xdecref(monitoring);
        xdecref(sys);
        if tested.is_err() {
            uninstall();
        }
        tested
    }
}

/// Registers the function that an event calls; it is returned, borrowed from the interpreter.
unsafe fn register(monitoring: Obj, handles: &Handles, event: u8, def: &'static Def) -> Result<Obj, String> {
    // SAFETY: the table entry lives for ever; references are dropped here.
    unsafe {
        let function = PyCFunction_NewEx((&raw const def.0).cast_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        let number = PyLong_FromLong(event.into());
        let result = call(monitoring, c"register_callback", &[handles.tool, number, function]);
        xdecref(number);
        xdecref(function);
        xdecref(result?);
        Ok(function)
    }
}

/// Inside the callback of the probe's jump: do thread state and frame look as the layout says?
unsafe fn probe_jump(code: Obj) {
    let l = layout::get();
    // SAFETY: the current frame runs `code`, as checked.
    unsafe {
        let ts = PyThreadState_Get();
        let frame = crate::frame::current(ts);
        let good = read::<i32, _>(ts, l.ts_tracing) > 0
            && read::<i32, _>(ts, l.ts_what_event) == 7
            && crate::frame::code(frame) == code
            && crate::frame::stacktop(frame) == read::<i32, _>(code, l.co_nlocalsplus) + 1
            && is_armed(code);
        if good {
            PROBE.store(2, Ordering::Relaxed);
        }
    }
}

/// Reports one jump of a small function to ourselves, to see that monitoring data lie where the layout says.
unsafe fn self_test(name: Obj, callback: Obj) -> Result<(), String> {
    let l = layout::get();
    let wrong = |what: &str| Err(format!("monitoring is laid out differently from what Stoop knows: {what}"));
    // SAFETY: a function of our own, run once; all references are dropped.
    unsafe {
        let interp: *const u8 = read(PyThreadState_Get(), l.ts_interp);
        if read::<Obj, _>(interp, l.interp_tool_names + 8 * i32::from(TOOL)) != name {
            return wrong("the tools' names");
        }
        if read::<Obj, _>(interp, callable_offset(TOOL, 7)) != callback {
            return wrong("the tools' callbacks");
        }
        let names = PyDict_New();
        PyDict_SetItemString(names, c"__builtins__".as_ptr(), PyEval_GetBuiltins());
        let text = c"def probe(items):\n    for i in items: pass\n";
        xdecref(PyRun_String(text.as_ptr(), 257, names, names));
        let probe = PyDict_GetItemString(names, c"probe".as_ptr());
        if probe.is_null() {
            PyErr_Clear();
            decref(names);
            return wrong("a function for probing cannot be made");
        }
        let code = PyFunction_GetCode(probe);
        let before = decode_text(code);
        let armed = arm(code, JUMP);
        let during = decode_text(code);
        let seen = armed && is_armed(code);
        PROBE.store(1, Ordering::Relaxed);
        let items = PyTuple_Pack(2, none(), none());
        xdecref(PyObject_CallOneArg(probe, items));
        xdecref(items);
        PyErr_Clear();
        // Within a callback of somebody's nothing is reported; then this must do.
        let muted = read::<i32, _>(PyThreadState_Get(), l.ts_tracing) > 0;
        let reported = PROBE.swap(0, Ordering::Relaxed) == 2 || muted;
        let disarmed = arm(code, 0) && !is_armed(code);
        decref(names);
        match (seen && disarmed, before == during, reported) {
            (false, ..) => wrong("a code object's tools"),
            (_, false, _) => wrong("instrumented instructions"),
            (.., false) => wrong("a jump event's thread and frame"),
            _ => Ok(()),
        }
    }
}

/// Gives the tool id back; armed code objects report no more.
///
/// # Safety
/// GIL held. Runs Python code.
pub unsafe fn uninstall() {
    let Some(handles) = HANDLES.get() else { return };
    // SAFETY: as in `install`; errors are of no use to anybody here.
    unsafe {
        let sys = PyImport_ImportModule(c"sys".as_ptr());
        if let Ok(monitoring) = attribute(sys, c"monitoring") {
            for event in [JUMP, START] {
                let number = PyLong_FromLong(event.into());
                if let Ok(result) = call(monitoring, c"register_callback", &[handles.tool, number, none()]) {
                    xdecref(result);
                }
                xdecref(number);
            }
            if let Ok(result) = call(monitoring, c"free_tool_id", &[handles.tool]) {
                xdecref(result);
            }
            decref(monitoring);
        }
        xdecref(sys);
    }
}

unsafe fn attribute(object: Obj, name: &CStr) -> Result<Obj, String> {
    if object.is_null() {
        // SAFETY: clears what the failed call left.
        unsafe { PyErr_Clear() };
        return Err("the sys module cannot be imported".into());
    }
    // SAFETY: the caller's object.
    unsafe {
        let found = PyObject_GetAttrString(object, name.as_ptr());
        if found.is_null() {
            PyErr_Clear();
            return Err(format!("sys.monitoring has no {}", name.to_string_lossy()));
        }
        Ok(found)
    }
}

unsafe fn call(object: Obj, name: &CStr, args: &[Obj]) -> Result<Obj, String> {
    // SAFETY: the caller's objects.
    unsafe {
        let method = attribute(object, name)?;
        let result = PyObject_Vectorcall(method, args.as_ptr(), args.len(), std::ptr::null_mut());
        decref(method);
        if result.is_null() {
            PyErr_Clear();
            return Err(format!("sys.monitoring.{} failed", name.to_string_lossy()));
        }
        Ok(result)
    }
}

/// Reports these events ([`JUMP`], [`START`]) of a code object from now on, and no others. False if that failed (no
/// exception stays set). To have an event reported again that was answered with [`Answer::Disable`], report none in
/// between.
///
/// # Safety
/// A live code object; GIL held. Rewrites the code's instructions.
pub unsafe fn arm(code: Obj, events: u8) -> bool {
    let Some(h) = HANDLES.get() else { return false };
    // SAFETY: live objects; the argument list ends with NULL.
    unsafe {
        let nothing: Obj = std::ptr::null_mut();
        let number = PyLong_FromLong(events.into());
        let result = PyObject_CallFunctionObjArgs(h.set_local_events, h.tool, code, number, nothing);
        xdecref(number);
        if result.is_null() {
            PyErr_Clear();
            return false;
        }
        decref(result);
        true
    }
}

/// Whether our JUMP event is armed on a code object.
///
/// # Safety
/// A live code object; GIL held.
pub unsafe fn is_armed(code: Obj) -> bool {
    // SAFETY: the caller's code object.
    unsafe { local_tools(code).is_some_and(|tools| tools[7] & (1 << TOOL) != 0) }
}

/// Where a code object keeps which tools listen to it alone: the address of a byte an event, for as long as it lives.
///
/// # Safety
/// A live code object; GIL held. May rewrite the code's instructions.
pub unsafe fn local_events(code: Obj) -> Option<u64> {
    // SAFETY: the caller's code object. Monitoring data, once made, stay.
    unsafe {
        if local_tools(code).is_none() {
            arm(code, JUMP);
            arm(code, 0);
        }
        local_tools(code).map(|tools| tools.as_ptr() as u64)
    }
}

/// Local events, by where words of eight bytes begin that hold them all: the second one holds all that concern a
/// function that is running.
pub const LOCAL_WORDS: [u64; 2] = [0, 2];

/// The bits of such a word that are other tools'.
pub const LOCAL_MASK: u64 = !(0x0101_0101_0101_0101 << TOOL);

/// Whether this is `sys.monitoring.DISABLE`.
pub(crate) fn is_disable(o: Obj) -> bool {
    HANDLES.get().is_some_and(|h| o == h.disable)
}

unsafe fn local_tools<'a>(code: Obj) -> Option<&'a [u8]> {
    let l = layout::get();
    // SAFETY: monitoring data, where present, holds a byte an event.
    unsafe {
        let data: *const u8 = read(code, l.co_monitoring);
        (!data.is_null())
            .then(|| std::slice::from_raw_parts(data.offset(l.mon_local_tools as isize), l.mon_local_tools_len as usize))
    }
}

/// Whether a tool other than ours (a debugger, profiler, coverage tool, `sys.settrace`, `sys.setprofile`) listens
/// to anything, everywhere or in this code object: compiled code must then be left and not entered.
///
/// # Safety
/// GIL held; a live code object, or NULL for the global part alone.
pub unsafe fn other_tools_active(tstate: *mut PyThreadState, code: Obj) -> bool {
    let l = layout::get();
    // SAFETY: the interpreter's monitors are a byte an event.
    unsafe {
        let interp: *const u8 = read(tstate, l.ts_interp);
        let tools = std::slice::from_raw_parts(interp.offset(l.interp_tools as isize), l.interp_tools_len as usize);
        let others = |bytes: &[u8]| bytes.iter().any(|b| b & !(1 << TOOL) != 0);
        others(tools) || (!code.is_null() && local_tools(code).is_some_and(others))
    }
}

/// Whether a tool listens to something everywhere, or may anywhere be told of C functions that return.
///
/// # Safety
/// GIL held.
pub unsafe fn other_tools_present(tstate: *mut PyThreadState) -> bool {
    const C_RETURN: i32 = 15;
    const C_RAISE: i32 = 16;
    // The two above belong to `sys.setprofile` and `sys.settrace`, which keep theirs for good but listen everywhere.
    const IDS: u8 = 6;
    // SAFETY: an object or NULL for each tool and event.
    unsafe {
        let interp: *const u8 = read(tstate, layout::get().ts_interp);
        let has = |tool: u8, event: i32| !read::<Obj, _>(interp, callable_offset(tool, event)).is_null();
        other_tools_active(tstate, std::ptr::null_mut())
            || (0..IDS).any(|tool| tool != TOOL && (has(tool, C_RETURN) || has(tool, C_RAISE)))
    }
}

/// Events that each tool may have a callback for.
const EVENTS: i32 = 17;
pub(crate) const TOOLS: u8 = 8;

/// Where the interpreter keeps a tool's callback: the callbacks lie right before the names.
pub(crate) fn callable_offset(tool: u8, event: i32) -> i32 {
    layout::get().interp_tool_names - 8 * EVENTS * i32::from(TOOLS) + 8 * (EVENTS * i32::from(tool) + event)
}

/// The monitoring version: it changes whenever a tool's global events do (not with local ones).
///
/// # Safety
/// GIL held.
pub unsafe fn version(tstate: *mut PyThreadState) -> u64 {
    // SAFETY: the words are where the layout says.
    unsafe {
        let interp: *const u8 = read(tstate, layout::get().ts_interp);
        match layout::get().breaker {
            Breaker::Interpreter { version, .. } => read(interp, version),
            Breaker::ThreadState { events, version, .. } => read::<u64, _>(interp, version) & !events,
        }
    }
}

/// Whether the eval breaker asks for something (a signal, the GIL, a pending call, an asynchronous exception, GC).
///
/// # Safety
/// GIL held.
#[inline]
pub unsafe fn pending(tstate: *mut PyThreadState) -> bool {
    // SAFETY: the words are where the layout says; other threads may write them, a stale read is harmless.
    unsafe {
        match layout::get().breaker {
            Breaker::Interpreter { offset, .. } => {
                let interp: *const u8 = read(tstate, layout::get().ts_interp);
                interp.offset(offset as isize).cast::<c_int>().read_volatile() != 0
            }
            Breaker::ThreadState { offset, events, .. } => {
                tstate.cast::<u8>().offset(offset as isize).cast::<u64>().read_volatile() & events != 0
            }
        }
    }
}

/// Where compiled code polls [`pending`]: the word, its size in bytes, and the bits that must all be zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PollWord {
    /// Absolute address, if it is the same for all threads (3.12).
    pub address: Option<u64>,
    /// Offset from the thread state otherwise (3.13).
    pub tstate_offset: i32,
    /// Bytes.
    pub width: u8,
    /// Bits that ask for attention.
    pub mask: u64,
}

/// See [`PollWord`].
///
/// # Safety
/// GIL held; the answer holds for this interpreter.
pub unsafe fn poll_word(tstate: *mut PyThreadState) -> PollWord {
    // SAFETY: address arithmetic.
    unsafe {
        match layout::get().breaker {
            Breaker::Interpreter { offset, .. } => {
                let interp: *const u8 = read(tstate, layout::get().ts_interp);
                let address = interp.offset(offset as isize) as u64;
                PollWord { address: Some(address), tstate_offset: 0, width: 4, mask: u64::from(u32::MAX) }
            }
            Breaker::ThreadState { offset, events, .. } => {
                PollWord { address: None, tstate_offset: offset, width: 8, mask: events }
            }
        }
    }
}
