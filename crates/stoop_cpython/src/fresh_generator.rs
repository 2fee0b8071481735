//! Making the generators and coroutines that calls of their functions yield, without running the bytecode that does so.

use crate::capi::{self, Obj, PyThreadState, incref, new_ref};
use crate::frame;
use crate::generator;
use crate::layout::{self, at, owner, read, write};
use crate::opcodes::Opcode;
use crate::type_ptr;

const VARARGS: u32 = 4;
const VARKEYWORDS: u32 = 8;
const GENERATOR: u32 = 0x20;
const COROUTINE: u32 = 0x80;
const ASYNC_GENERATOR: u32 = 0x200;

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
        let o = capi::_PyObject_GC_NewVar(ty, (read::<i32, _>(code, l.co_framesize) - header) as isize);
        if o.is_null() {
            return Some(o);
        }
        // From the weak references to what it handles, and all that is told of it.
        at::<u64, _>(o, l.gen_weakrefs).write_bytes(0, ((l.gen_frame - l.gen_weakrefs) / 8) as usize);
        write(o, l.gen_name, new_ref(read(function, l.func_name)));
        write(o, l.gen_name + 8, new_ref(read(function, l.func_qualname)));
        let fr = generator::frame_of(o);
        let count: i32 = read(code, l.co_nlocalsplus);
        fr.cast::<u64>().write_bytes(0, (header + count) as usize);
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
