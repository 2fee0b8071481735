//! The exception that is being handled, and who may look into the frame that handles it.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::capi::{self, Frame, Obj, PyThreadState};
use crate::layout::{self, read, write};
use crate::{exceptions, frame, monitoring};

/// How many views of frames' locals were ever made. Whoever has one can write a running frame's locals.
static VIEWS: AtomicU64 = AtomicU64::new(0);

/// For frames that caught an exception, how many views there were then. Frames share entries: one that finds another's
/// knows nothing.
static CAUGHT: [(AtomicUsize, AtomicU64); 256] = [const { (AtomicUsize::new(0), AtomicU64::new(0)) }; 256];

fn entry(frame: *mut Frame) -> &'static (AtomicUsize, AtomicU64) {
    &CAUGHT[(frame as usize >> 4 ^ frame as usize >> 12) % CAUGHT.len()]
}

/// What allocated the views before [`watch_views`].
static ALLOCATE: AtomicUsize = AtomicUsize::new(0);

type AllocFn = unsafe extern "C" fn(ty: Obj, items: isize) -> Obj;

unsafe extern "C" fn allocate_view(ty: Obj, items: isize) -> Obj {
    VIEWS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the type's former allocator, saved before this took its place.
    unsafe {
        let former: AllocFn = std::mem::transmute(ALLOCATE.load(Ordering::Relaxed) as *const c_void);
        former(ty, items)
    }
}

/// Begins to count views of frames' locals, where the interpreter has such a type (3.13).
///
/// # Safety
/// The GIL is held.
pub unsafe fn watch_views() {
    let l = layout::get();
    // SAFETY: a built-in type, which is never freed; its allocator is a plain function pointer.
    unsafe {
        let ty = capi::symbol(c"PyFrameLocalsProxy_Type");
        if ty.is_null() || ALLOCATE.load(Ordering::Relaxed) != 0 {
            return;
        }
        ALLOCATE.store(read::<usize, _>(ty, l.tp_alloc), Ordering::Relaxed);
        write(ty, l.tp_alloc, allocate_view as *const c_void);
    }
}

/// The cell of the exception that the running function, generator or coroutine handles.
unsafe fn cell(tstate: *mut PyThreadState) -> *mut Obj {
    // SAFETY: a live thread state has an entry, which starts with the exception.
    unsafe { read(tstate, layout::get().ts_exc_info) }
}

/// Takes the exception that is set, raised by the instruction at which the frame stands, with a traceback entry.
///
/// `depth` exceptions are being handled in the frame already; with none, nobody had the frame before what raised.
///
/// # Safety
/// The calling thread's state and its current frame; an exception is set.
pub unsafe extern "C" fn catch(tstate: *mut PyThreadState, frame: *mut Frame, depth: i32) -> Obj {
    // SAFETY: as documented.
    unsafe {
        let unseen = depth == 0 || is_held(frame) == 0;
        exceptions::add_traceback(tstate, frame);
        let code = frame::code(frame);
        if monitoring::other_tools_active(tstate, code) {
            exceptions::tell_caught(tstate, frame);
        }
        let (owner, views) = entry(frame);
        owner.store(if unseen { frame as usize } else { 0 }, Ordering::Relaxed);
        views.store(VIEWS.load(Ordering::Relaxed), Ordering::Relaxed);
        capi::PyErr_GetRaisedException()
    }
}

/// Begins to handle an exception; what was handled before, or None, as a reference of its own.
///
/// # Safety
/// The calling thread's state and a live exception.
pub unsafe extern "C" fn push(tstate: *mut PyThreadState, exception: Obj) -> Obj {
    // SAFETY: the cell owns what it holds; its reference goes to the caller.
    unsafe {
        capi::incref(exception);
        let former = cell(tstate).replace(exception);
        if former.is_null() { capi::new_ref(capi::none()) } else { former }
    }
}

/// Ends what [`push`] began, taking over its result. May run finalisers.
///
/// # Safety
/// The calling thread's state and its current frame.
pub unsafe extern "C" fn pop(tstate: *mut PyThreadState, frame: *mut Frame, previous: Obj) {
    // SAFETY: the cell owns what it holds.
    unsafe {
        let former = cell(tstate).replace(previous);
        capi::xdecref(former);
        frame::forget_object(frame);
    }
}

/// Lets a frame's object go that nobody else has.
///
/// # Safety
/// The calling thread's current frame.
pub unsafe extern "C" fn forget(frame: *mut Frame) {
    // SAFETY: compiled code runs while no tool is active.
    unsafe { frame::forget_object(frame) }
}

/// Whether somebody may have got at a frame's locals since [`catch`], and so may have written them. Merely having the
/// frame, as tracebacks and the frames in them do, lets nobody write.
///
/// # Safety
/// The calling thread's current frame.
pub unsafe extern "C" fn is_held(frame: *mut Frame) -> i32 {
    const OPTIMIZED: i32 = 1;
    // SAFETY: the caller's frame.
    unsafe {
        let code = frame::code(frame);
        let optimized = !code.is_null() && read::<i32, _>(code, layout::get().co_flags) & OPTIMIZED != 0;
        let (owner, views) = entry(frame);
        let known =
            owner.load(Ordering::Relaxed) == frame as usize && views.load(Ordering::Relaxed) == VIEWS.load(Ordering::Relaxed);
        // Where there are no views (3.12), asking for a function's locals leaves a dict in the frame.
        i32::from(!known || optimized && !frame::locals_mapping(frame).is_null())
    }
}
