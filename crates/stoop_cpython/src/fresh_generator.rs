//! Making the generators and coroutines that calls of their functions yield, without running the bytecode that does so.

use crate::capi::{self, Frame, Obj, PyThreadState, decref, incref, new_ref};
use crate::frame;
use crate::generator;
use crate::kept::{Pool, revive_untracked};
use crate::layout::{self, at, owner, read, write};
use crate::opcodes::Opcode;
use crate::type_ptr;

const VARARGS: u32 = 4;
const VARKEYWORDS: u32 = 8;
const GENERATOR: u32 = 0x20;
const COROUTINE: u32 = 0x80;
const ASYNC_GENERATOR: u32 = 0x200;

/// How many are kept of each size.
const MOST: usize = 32;
/// How many operands and locals those have that are kept.
const LARGEST: usize = 32;
/// Memory of generators that are gone, by the number of slots, for the next ones. Nobody refers to it.
static POOLS: [Pool<MOST>; LARGEST] = [const { Pool::new() }; LARGEST];

/// Memory for a generator with so many slots: an object with one reference, whose fields are to be written.
#[inline]
unsafe fn take(slots: usize) -> Option<Obj> {
    // SAFETY: what is kept was an object of that size.
    unsafe {
        let o = POOLS.get(slots)?.take()?;
        revive_untracked(o);
        Some(o)
    }
}

/// Lets the last reference to an exact generator or coroutine go that has ended, and has no weak references; its memory
/// is kept if there is room. Runs no Python code.
///
/// # Safety
/// As documented; the GIL of the interpreter whose regions run is held.
#[inline]
pub unsafe fn drop_ended(o: Obj) {
    let l = layout::get();
    // SAFETY: an ended generator has its names and its code, and a coroutine may know where it was made.
    unsafe {
        let fr: *mut Frame = at(o, l.gen_frame);
        let code: Obj = read(fr, l.frame_code);
        let handled: Obj = read(o, l.gen_exc_state);
        let slots = read::<i32, _>(code, l.co_framesize) - l.frame_locals / 8;
        let plain = (handled.is_null() || handled == capi::none())
            && read::<usize, _>(o, l.gen_exc_state + 16) == 0
            && (*code).ob_refcnt > 1;
        if plain && POOLS.get(slots as usize).is_some_and(|pool| pool.put(o)) {
            capi::PyObject_GC_UnTrack(o.cast());
            decref(read(o, l.gen_name));
            decref(read(o, l.gen_name + 8));
            decref(code);
            (*o).ob_refcnt = 0;
        } else {
            decref(o);
        }
    }
}

/// Whether calls of a code object, with positional arguments that fill all parameters, make generators or coroutines.
///
/// # Safety
/// A live code object.
pub unsafe fn makes_generators(code: Obj) -> bool {
    let l = layout::get();
    // SAFETY: as documented; generators' code has two instructions before the first that is traced.
    unsafe {
        let flags: u32 = read(code, l.co_flags);
        let first: i32 = read(code, l.co_firsttraceable);
        flags & (GENERATOR | COROUTINE) != 0
            && flags & (ASYNC_GENERATOR | VARARGS | VARKEYWORDS) == 0
            && read::<i32, _>(code, l.co_kwonlyargcount) == 0
            && first >= 2
            && generator::is_opcode(code, first as u32 - 2, Opcode::ReturnGenerator)
    }
}

/// What a call of a generator's or coroutine's function yields; `None` if it is for the interpreter to make the call, and
/// NULL, with an exception, without memory. Runs no Python code.
///
/// # Safety
/// The running thread, in which no tool listens; a live function, and as many arguments as it has positional parameters.
pub unsafe fn call(ts: *mut PyThreadState, function: Obj, args: &[Obj]) -> Option<Obj> {
    let l = layout::get();
    // SAFETY: the fields written are those that the interpreter initialises.
    unsafe {
        let code: Obj = read(function, l.func_code);
        let fits = makes_generators(code)
            && read::<i32, _>(code, l.co_argcount) as usize == args.len()
            && read::<i32, _>(ts, l.ts_py_recursion_remaining) > 1;
        let is_coroutine = read::<u32, _>(code, l.co_flags) & COROUTINE != 0;
        if !fits || is_coroutine && read::<i32, _>(ts, l.ts_coroutine_origin) != 0 {
            return None;
        }
        let header = l.frame_locals / 8;
        let ty = if is_coroutine { type_ptr!(PyCoro_Type) } else { type_ptr!(PyGen_Type) };
        let slots = read::<i32, _>(code, l.co_framesize) - header;
        let o = match take(slots as usize) {
            Some(kept) => {
                write(kept, l.ob_type, ty);
                kept
            }
            None => capi::_PyObject_GC_NewVar(ty, slots as isize),
        };
        if o.is_null() {
            return Some(o);
        }
        // From the weak references to what it handles, and all that is told of it.
        for k in 0..(l.gen_frame - l.gen_weakrefs) / 8 {
            write(o, l.gen_weakrefs + 8 * k, 0u64);
        }
        write(o, l.gen_name, new_ref(read(function, l.func_name)));
        write(o, l.gen_name + 8, new_ref(read(function, l.func_qualname)));
        let fr = generator::frame_of(o);
        let count: i32 = read(code, l.co_nlocalsplus);
        for k in 0..header + count {
            write(fr, 8 * k, 0u64);
        }
        write(fr, l.frame_code, new_ref(code));
        write(fr, l.frame_function, new_ref(function));
        write(fr, l.frame_globals, read::<Obj, _>(function, l.func_globals));
        write(fr, l.frame_builtins, read::<Obj, _>(function, l.func_builtins));
        write(fr, l.frame_stacktop, count);
        write(fr, l.frame_owner, owner::GENERATOR);
        let first: i32 = read(code, l.co_firsttraceable);
        frame::set_next(fr, first as u32 - 1);
        for (k, a) in args.iter().enumerate() {
            incref(*a);
            frame::slot(fr, k).write(*a);
        }
        let made = first == 2 || frame::prologue(fr);
        write(o, l.gen_frame_state, l.gen_states[0]);
        capi::PyObject_GC_Track(o.cast());
        if made {
            return Some(o);
        }
        capi::decref(o);
        Some(std::ptr::null_mut())
    }
}
