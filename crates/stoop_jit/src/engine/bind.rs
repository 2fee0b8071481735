//! Binding arguments to a frame's slots, for calls that are not plainly positional.
//!
//! Exactly the interpreter's rules; where they end in an error, `None`: the interpreter is then asked to do the
//! call, so that its message is the one the user sees.

use stoop_cpython::capi::{self, Frame, Obj, PyThreadState};
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::{frame, inspect, objects};

const VARARGS: u32 = 4;
const VARKEYWORDS: u32 = 8;
const OFFSET: usize = 1 << (usize::BITS - 1);

/// Pushes a frame with the arguments in place.
///
/// # Safety
/// The vectorcall protocol; `info` is the function's code.
pub unsafe fn bind(
    ts: *mut PyThreadState,
    f: Obj,
    args: *const Obj,
    nargsf: usize,
    kwnames: Obj,
    info: &CodeInfo,
) -> Option<*mut Frame> {
    // SAFETY: the protocol gives positional arguments, then one value a keyword name.
    unsafe {
        let count = nargsf & !OFFSET;
        let names: &[Obj] = if kwnames.is_null() { &[] } else { objects::tuple_slice(kwnames) };
        let all = std::slice::from_raw_parts(
            if args.is_null() { std::ptr::NonNull::dangling().as_ptr() } else { args },
            count + names.len(),
        );
        if names.is_empty() && info.kwonly == 0 && info.flags & (VARARGS | VARKEYWORDS) == 0 && count <= info.argcount as usize {
            return fill_up(ts, f, all, info.argcount as usize);
        }
        let mut slots: Vec<Obj> = vec![std::ptr::null_mut(); info.nlocalsplus as usize];
        let bound = fill(f, &all[..count], &all[count..], names, info, &mut slots);
        let fr = if bound.is_some() { frame::push_frame(ts, f) } else { std::ptr::null_mut() };
        if fr.is_null() {
            for o in slots {
                capi::xdecref(o);
            }
            return None;
        }
        for (k, o) in slots.into_iter().enumerate() {
            *frame::slot(fr, k) = o;
        }
        Some(fr)
    }
}

/// Positional arguments, and defaults for the rest.
unsafe fn fill_up(ts: *mut PyThreadState, f: Obj, given: &[Obj], argcount: usize) -> Option<*mut Frame> {
    // SAFETY: as for `bind`; nothing runs between the reading of the defaults and their use.
    unsafe {
        let defaults = inspect::function_defaults(f);
        let missing = argcount - given.len();
        if missing > defaults.len() {
            return None;
        }
        let fr = frame::push_frame(ts, f);
        if fr.is_null() {
            return None;
        }
        for (k, o) in given.iter().chain(&defaults[defaults.len() - missing..]).enumerate() {
            *frame::slot(fr, k) = capi::new_ref(*o);
        }
        Some(fr)
    }
}

/// Fills `slots` with owned references.
unsafe fn fill(f: Obj, positional: &[Obj], values: &[Obj], names: &[Obj], info: &CodeInfo, slots: &mut [Obj]) -> Option<()> {
    let argcount = info.argcount as usize;
    let total = argcount + info.kwonly as usize;
    let varargs = info.flags & VARARGS != 0;
    let varkeywords = info.flags & VARKEYWORDS != 0;
    // SAFETY: all objects are alive; dict operations are on exact strings.
    unsafe {
        if positional.len() > argcount && !varargs {
            return None;
        }
        for (slot, a) in slots.iter_mut().zip(positional.iter().take(argcount)) {
            *slot = capi::new_ref(*a);
        }
        if varargs {
            let rest = positional.get(argcount..).unwrap_or(&[]);
            let t = capi::PyTuple_New(rest.len() as isize);
            if t.is_null() {
                capi::PyErr_Clear();
                return None;
            }
            for (k, a) in rest.iter().enumerate() {
                capi::PyTuple_SetItem(t, k as isize, capi::new_ref(*a));
            }
            slots[total] = t;
        }
        let extra = total + usize::from(varargs);
        if varkeywords {
            slots[extra] = capi::PyDict_New();
            if slots[extra].is_null() {
                capi::PyErr_Clear();
                return None;
            }
        }
        for (name, value) in names.iter().zip(values) {
            let text = objects::str_text(*name);
            let place = (info.posonly as usize..total).find(|k| info.varnames[*k] == text);
            match place {
                Some(k) if slots[k].is_null() => slots[k] = capi::new_ref(*value),
                Some(_) => return None,
                None if varkeywords => {
                    if capi::PyDict_SetItem(slots[extra], *name, *value) < 0 {
                        capi::PyErr_Clear();
                        return None;
                    }
                }
                None => return None,
            }
        }
        let defaults = inspect::function_defaults(f);
        let first_default = argcount - defaults.len().min(argcount);
        for (k, slot) in slots.iter_mut().enumerate().take(argcount) {
            if slot.is_null() {
                let d = k.checked_sub(first_default).and_then(|n| defaults.get(n))?;
                *slot = capi::new_ref(*d);
            }
        }
        for (k, slot) in slots.iter_mut().enumerate().take(total).skip(argcount) {
            if slot.is_null() {
                let kw = inspect::function_kwdefaults(f);
                if kw.is_null() {
                    return None;
                }
                let d = capi::PyDict_GetItem(kw, inspect::local_name(info.code, k));
                if d.is_null() {
                    return None;
                }
                *slot = capi::new_ref(d);
            }
        }
    }
    Some(())
}
