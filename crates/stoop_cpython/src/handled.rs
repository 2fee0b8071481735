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

/// What ended the views before [`watch_views`].
static END: AtomicUsize = AtomicUsize::new(0);

/// A bit is set for each frame object that had a view which is gone. Objects share bits, and later objects have the
/// addresses of earlier ones: a set bit tells little, a clear one that there was no view.
static VIEWED: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

fn bit(object: Obj) -> (usize, u64) {
    let hash = (object as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

type EndFn = unsafe extern "C" fn(view: Obj);

unsafe extern "C" fn end_view(view: Obj) {
    /// A view is an object with one field.
    const FRAME: i32 = 16;
    // SAFETY: a view that is being freed; its field is a frame object, or NULL if the garbage collector was there.
    unsafe {
        let object: Obj = read(view, FRAME);
        if !object.is_null() && capi::type_of(object) == crate::type_ptr!(PyFrame_Type) {
            let (word, bit) = bit(object);
            VIEWED[word].fetch_or(bit, Ordering::Relaxed);
        } else {
            VIEWED.iter().for_each(|w| w.store(u64::MAX, Ordering::Relaxed));
        }
        let former: EndFn = std::mem::transmute(END.load(Ordering::Relaxed) as *const c_void);
        former(view);
    }
}

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
        END.store(read::<usize, _>(ty, l.tp_dealloc), Ordering::Relaxed);
        write(ty, l.tp_alloc, allocate_view as *const c_void);
        write(ty, l.tp_dealloc, end_view as *const c_void);
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

/// Whether asking for the frame's locals has left something in it, as it does where there are no views (3.12).
unsafe fn was_asked(frame: *mut Frame) -> bool {
    // SAFETY: the caller's frame.
    unsafe { is_optimized(frame) && !frame::locals_mapping(frame).is_null() }
}

/// Whether locals have slots in the frame.
unsafe fn is_optimized(frame: *mut Frame) -> bool {
    const OPTIMIZED: i32 = 1;
    // SAFETY: the caller's frame.
    unsafe {
        let code = frame::code(frame);
        !code.is_null() && read::<i32, _>(code, layout::get().co_flags) & OPTIMIZED != 0
    }
}

/// Whether somebody has a frame's object, or may have written its locals before letting go of it.
///
/// # Safety
/// The calling thread's current frame.
pub unsafe fn is_seen(frame: *mut Frame) -> bool {
    // SAFETY: the caller's frame; what it has, lives.
    unsafe {
        let object = frame::frame_object(frame);
        // The locals of a module or class body are a dict, which has no need of the frame.
        if object.is_null() || !is_optimized(frame) {
            return false;
        }
        let (word, bit) = bit(object);
        (*object).ob_refcnt != 1 || VIEWED[word].load(Ordering::Relaxed) & bit != 0 || was_asked(frame)
    }
}

/// Whether somebody may have got at a frame's locals since [`catch`], and so may have written them. Merely having the
/// frame, as tracebacks and the frames in them do, lets nobody write.
///
/// # Safety
/// The calling thread's current frame.
pub unsafe extern "C" fn is_held(frame: *mut Frame) -> i32 {
    // SAFETY: the caller's frame.
    unsafe {
        let (owner, views) = entry(frame);
        let known =
            owner.load(Ordering::Relaxed) == frame as usize && views.load(Ordering::Relaxed) == VIEWS.load(Ordering::Relaxed);
        i32::from(!known || was_asked(frame))
    }
}

/// Whether somebody may have written a frame's locals while they were in their slots: it may be in a handler, where its
/// traceback alone has it.
///
/// # Safety
/// The calling thread's current frame.
pub unsafe extern "C" fn may_be_written(frame: *mut Frame) -> i32 {
    // SAFETY: the caller's frame.
    unsafe { i32::from(is_seen(frame) && is_held(frame) != 0) }
}
