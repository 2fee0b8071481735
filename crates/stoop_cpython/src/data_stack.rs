//! The data stack of a thread, where interpreter frames lie: chunks of memory, taken from and given back as the interpreter
//! does itself.
//!
//! # Safety
//! Every function wants a live thread state of the calling thread.

use crate::capi::{Frame, Obj, PyObject_GetArenaAllocator, PyObjectArenaAllocator, PyThreadState};
use crate::layout::{self, Layout, at, read, write};

/// Takes words from the data stack.
pub(crate) unsafe fn reserve(l: &Layout, tstate: *mut PyThreadState, words: isize) -> *mut Frame {
    // SAFETY: the data stack belongs to the calling thread; top and limit are both NULL before its first use.
    unsafe {
        let top: *mut Obj = read(tstate, l.ts_datastack_top);
        let limit: *mut Obj = read(tstate, l.ts_datastack_limit);
        if !top.is_null() && words * 8 < limit as isize - top as isize {
            write(tstate, l.ts_datastack_top, top.offset(words));
            return top.cast();
        }
        grow(l, tstate, words, top)
    }
}

/// Room for frames of so many bytes together, in a new chunk of the data stack; NULL if there is no memory. It belongs to
/// who asks: the first frame put there ends the chunk when it is popped.
///
/// # Safety
/// See the module.
#[cold]
pub unsafe fn reserve_chunk(tstate: *mut PyThreadState, bytes: usize) -> *mut Frame {
    let l = layout::get();
    // SAFETY: the calling thread's data stack.
    unsafe { grow(l, tstate, bytes.div_ceil(8) as isize, read(tstate, l.ts_datastack_top)) }
}

/// Bytes of an ordinary chunk of the data stack.
const CHUNK: usize = 16 * 1024;
/// Words a chunk must have beside the frame it is made for.
const CHUNK_SPARE: usize = 1000;

/// Starts a new chunk of the data stack, as the interpreter does: it may be the one to free it.
#[cold]
unsafe fn grow(l: &Layout, tstate: *mut PyThreadState, words: isize, top: *mut Obj) -> *mut Frame {
    // SAFETY: the allocator is the one the interpreter frees chunks with; the chunk's head is filled before use.
    unsafe {
        let mut size = CHUNK;
        while size < 8 * (words as usize + CHUNK_SPARE) {
            size *= 2;
        }
        let arena = arena();
        let Some(alloc) = arena.alloc else {
            return std::ptr::null_mut();
        };
        let chunk: *mut u8 = alloc(arena.ctx, size).cast();
        if chunk.is_null() {
            return std::ptr::null_mut();
        }
        let old: *mut u8 = read(tstate, l.ts_datastack_chunk);
        write(chunk, l.chunk_previous, old);
        write(chunk, l.chunk_size, size);
        write(chunk, l.chunk_top, 0usize);
        if !old.is_null() {
            let data: *mut Obj = at(old, l.chunk_data);
            write(old, l.chunk_top, top.offset_from(data) as usize);
        }
        write(tstate, l.ts_datastack_chunk, chunk);
        write(tstate, l.ts_datastack_limit, chunk.add(size));
        // The very first word of the very first chunk stays unused, so that popping never frees that chunk.
        let first: *mut Obj = at::<Obj, _>(chunk, l.chunk_data).add(usize::from(old.is_null()));
        write(tstate, l.ts_datastack_top, first.offset(words));
        first.cast()
    }
}

/// Gives the words from `frame` on back to the data stack.
pub(crate) unsafe fn release(l: &Layout, tstate: *mut PyThreadState, frame: *mut Frame) {
    // SAFETY: `frame` is the topmost on the thread's data stack.
    unsafe {
        let chunk: *mut u8 = read(tstate, l.ts_datastack_chunk);
        if frame.cast::<u8>() != at::<u8, _>(chunk, l.chunk_data) {
            write(tstate, l.ts_datastack_top, frame);
            return;
        }
        let old: *mut u8 = read(chunk, l.chunk_previous);
        let data: *mut Obj = at(old, l.chunk_data);
        write(tstate, l.ts_datastack_top, data.add(read(old, l.chunk_top)));
        write(tstate, l.ts_datastack_chunk, old);
        write(tstate, l.ts_datastack_limit, old.add(read(old, l.chunk_size)));
        let arena = arena();
        if let Some(free) = arena.free {
            free(arena.ctx, chunk.cast(), read(chunk, l.chunk_size));
        }
    }
}

fn arena() -> PyObjectArenaAllocator {
    let mut arena = PyObjectArenaAllocator { ctx: std::ptr::null_mut(), alloc: None, free: None };
    // SAFETY: fills the struct.
    unsafe { PyObject_GetArenaAllocator(&mut arena) };
    arena
}
