//! Memory of the compiler's thread.
//!
//! Compiling makes and drops hundreds of thousands of small pieces, and vectors that grow: with the system's allocator
//! a quarter of the time went there, half of that into the first touch of new pages. So the thread that compiles has a
//! heap of its own: one stretch of address space, of which pages are asked for many at a time; free pieces are kept
//! in one list for each size. No other thread takes memory there. What another gives back waits in a list of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Address space of the heap; what does not fit is the system's.
const RESERVED: usize = 64 << 20;
/// Bytes of it that pages are asked for at a time.
const STEP: usize = 256 << 10;
/// Sizes up to this come in steps of [`GRAIN`], larger ones in four steps for each doubling.
const SMALL: usize = 1024;
const GRAIN: usize = 16;
/// Larger pieces are the system's.
const LARGEST: usize = 4 << 20;
const CLASSES: usize = SMALL / GRAIN + 4 * (LARGEST / SMALL).ilog2() as usize;

/// The allocator of the extension module.
#[derive(Debug)]
pub struct Heap;

/// The thread's right to the heap, until it is dropped.
#[derive(Debug)]
pub struct Mine(());

/// A free piece.
struct Free {
    next: *mut Free,
    class: usize,
}

struct State {
    free: [*mut Free; CLASSES],
    /// Where what was never used begins, and where the pages end that were asked for.
    top: usize,
    ready: usize,
}

struct Shared(UnsafeCell<State>);

// SAFETY: touched by the thread alone that has set `TAKEN`.
unsafe impl Sync for Shared {}

static STATE: Shared = Shared(UnsafeCell::new(State { free: [null_mut(); CLASSES], top: 0, ready: 0 }));
/// Where the heap lies; 0 before it is reserved.
static START: AtomicUsize = AtomicUsize::new(0);
/// Whether a thread has the right to it. In the child of a fork in which one had, nobody has it again: it may have been
/// in the middle of something.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// What other threads have given back.
static RETURNED: AtomicPtr<Free> = AtomicPtr::new(null_mut());

thread_local! {
    static HAS_IT: Cell<bool> = const { Cell::new(false) };
}

/// Takes the heap for the calling thread, if it is free and the system gives the address space.
pub fn claim() -> Option<Mine> {
    if TAKEN.swap(true, Ordering::Acquire) {
        return None;
    }
    if START.load(Ordering::Relaxed) == 0 {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: new pages, which nobody knows of.
        let start = unsafe { libc::mmap(null_mut(), RESERVED, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            // It stays taken: there is nothing to have.
            return None;
        }
        // SAFETY: this thread has just taken it.
        let state = unsafe { &mut *STATE.0.get() };
        (state.top, state.ready) = (start as usize, start as usize);
        START.store(start as usize, Ordering::Release);
    }
    HAS_IT.set(true);
    Some(Mine(()))
}

impl Drop for Mine {
    fn drop(&mut self) {
        HAS_IT.set(false);
        TAKEN.store(false, Ordering::Release);
    }
}

fn is_ours(p: *mut u8) -> bool {
    let start = START.load(Ordering::Relaxed);
    start != 0 && (p as usize).wrapping_sub(start) < RESERVED
}

/// The class of a size and the bytes that its pieces have; `None` where the system does it.
fn class(layout: &Layout) -> Option<(usize, usize)> {
    let size = layout.size();
    if layout.align() > GRAIN || size > LARGEST {
        return None;
    }
    if size <= SMALL {
        let k = size.max(1).div_ceil(GRAIN);
        return Some((k - 1, k * GRAIN));
    }
    // Four steps from each power of two to the next.
    let doubling = (size - 1).ilog2();
    let step = 1usize << (doubling - 2);
    let quarter = (size - (1 << doubling)).div_ceil(step);
    let k = SMALL / GRAIN + 4 * (doubling - SMALL.ilog2()) as usize + quarter - 1;
    Some((k, (1 << doubling) + quarter * step))
}

impl State {
    /// # Safety
    /// The calling thread has the heap; class and size belong together.
    unsafe fn take(&mut self, class: usize, size: usize) -> *mut u8 {
        if self.free[class].is_null() && !RETURNED.load(Ordering::Relaxed).is_null() {
            let mut piece = RETURNED.swap(null_mut(), Ordering::Acquire);
            while !piece.is_null() {
                // SAFETY: pieces that were given back, each with its class.
                unsafe {
                    let next = (*piece).next;
                    let list = &mut self.free[(*piece).class];
                    (*piece).next = *list;
                    *list = piece;
                    piece = next;
                }
            }
        }
        let first = self.free[class];
        if !first.is_null() {
            // SAFETY: a free piece, which nobody else touches.
            self.free[class] = unsafe { (*first).next };
            return first.cast();
        }
        let end = self.top + size;
        if end > START.load(Ordering::Relaxed) + RESERVED {
            return null_mut();
        }
        while self.ready < end {
            // SAFETY: pages of the heap. Where the system knows no such advice they come when they are touched.
            unsafe { libc::madvise(self.ready as *mut _, STEP, libc::MADV_POPULATE_WRITE) };
            self.ready += STEP;
        }
        let piece = self.top as *mut u8;
        self.top = end;
        piece
    }
}

// SAFETY: pieces are of the size and alignment asked for, and handed out once until they are given back; all others
// are the system's.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if HAS_IT.get()
            && let Some((class, size)) = class(&layout)
        {
            // SAFETY: this thread has the heap, and uses it nowhere else meanwhile: nothing in here allocates.
            let piece = unsafe { (*STATE.0.get()).take(class, size) };
            if !piece.is_null() {
                return piece;
            }
        }
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !HAS_IT.get() || class(&layout).is_none() {
            // SAFETY: passed on: the system's new pages are zero already.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: a piece of that size, or NULL.
        unsafe {
            let piece = self.alloc(layout);
            if !piece.is_null() {
                ptr::write_bytes(piece, 0, layout.size());
            }
            piece
        }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        if !is_ours(p) {
            // SAFETY: passed on.
            return unsafe { System.dealloc(p, layout) };
        }
        let Some((class, _)) = class(&layout) else { return };
        let piece: *mut Free = p.cast();
        // SAFETY: the piece is the caller's last word on it: at least 16 bytes, aligned alike.
        unsafe {
            if HAS_IT.get() {
                let list = &raw mut (*STATE.0.get()).free[class];
                piece.write(Free { next: *list, class });
                *list = piece;
                return;
            }
            let mut next = RETURNED.load(Ordering::Relaxed);
            loop {
                piece.write(Free { next, class });
                match RETURNED.compare_exchange_weak(next, piece, Ordering::Release, Ordering::Relaxed) {
                    Ok(_) => return,
                    Err(other) => next = other,
                }
            }
        }
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !is_ours(p) {
            // SAFETY: passed on.
            return unsafe { System.realloc(p, layout, new_size) };
        }
        // SAFETY: the caller's: an alignment that is one, a size that does not overflow with it.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if class(&layout) == class(&new) {
            return p;
        }
        // SAFETY: a live piece of the old size, a new one of the new size.
        unsafe {
            let to = self.alloc(new);
            if !to.is_null() {
                ptr::copy_nonoverlapping(p, to, layout.size().min(new_size));
                self.dealloc(p, layout);
            }
            to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_fit_their_sizes() {
        let mut last = 0;
        for size in (0..5000).chain((5000..LARGEST).step_by(777)).chain([LARGEST]) {
            let (class, bytes) = class(&Layout::from_size_align(size, 8).unwrap()).unwrap();
            assert!(bytes >= size && bytes.is_multiple_of(GRAIN) && bytes <= size.max(12) * 5 / 4 + GRAIN, "{size}: {bytes}");
            assert!(class < CLASSES && class >= last && class <= last + 1 + size / 1000, "{size}: {class} after {last}");
            // All sizes of a class have the same bytes.
            assert_eq!(super::class(&Layout::from_size_align(bytes, 8).unwrap()), Some((class, bytes)));
            last = class;
        }
        assert_eq!(last, CLASSES - 1);
        assert!(class(&Layout::from_size_align(LARGEST + 1, 8).unwrap()).is_none());
        assert!(class(&Layout::from_size_align(8, 64).unwrap()).is_none());
    }

    #[test]
    fn pieces_come_back() {
        let of = |n: usize| Layout::from_size_align(n, 16).unwrap();
        // SAFETY: what is given out is given back, once.
        unsafe {
            let foreign = Heap.alloc(of(100));
            assert!(!is_ours(foreign));
            let mine = claim().expect("nobody else has it");
            assert!(claim().is_none());
            let (a, b) = (Heap.alloc(of(100)), Heap.alloc(of(100)));
            assert!(is_ours(a) && is_ours(b) && (a as usize).abs_diff(b as usize) >= 100);
            a.write_bytes(7, 100);
            b.write_bytes(9, 100);
            // Grown in place while the class allows, else moved with what is in it.
            assert_eq!(Heap.realloc(a, of(100), 112), a);
            let a = Heap.realloc(a, of(112), 5000);
            assert!((0..100).all(|k| *a.add(k) == 7));
            // Given back by another thread, it is there again.
            let (at, large) = (b as usize, Heap.alloc(of(LARGEST + 16)));
            assert!(!is_ours(large));
            std::thread::spawn(move || Heap.dealloc(at as *mut u8, of(100))).join().unwrap();
            let c = Heap.alloc(of(112));
            let d = Heap.alloc_zeroed(of(112));
            assert!(c == b || d == b);
            assert!((0..112).all(|k| *d.add(k) == 0));
            // More than there is: the system's.
            let many: Vec<*mut u8> = (0..20).map(|_| Heap.alloc(of(LARGEST))).collect();
            assert!(many.iter().any(|p| is_ours(*p)) && many.iter().any(|p| !is_ours(*p)) && !many.contains(&null_mut()));
            many.iter().for_each(|p| Heap.dealloc(*p, of(LARGEST)));
            drop(mine);
            for (p, n) in [(a, 5000), (c, 112), (d, 112), (foreign, 100), (large, LARGEST + 16)] {
                Heap.dealloc(p, of(n));
            }
            assert!(!is_ours(Heap.alloc(of(100))));
        }
    }
}
