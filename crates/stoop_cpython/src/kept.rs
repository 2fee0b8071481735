//! Memory of objects that are gone, kept for the next ones of their kind.

use std::cell::UnsafeCell;

use crate::capi::{self, Obj};
use crate::layout::write;

/// The garbage collector's two words, before the object.
pub(crate) const GC_NEXT: i32 = -16;
const GC_PREVIOUS: i32 = -8;

/// The last few objects of one kind that nobody refers to any more.
pub struct Kept<const MOST: usize> {
    items: [Obj; MOST],
    count: usize,
}

impl<const MOST: usize> Kept<MOST> {
    /// Nothing.
    pub const fn new() -> Self {
        Kept { items: [std::ptr::null_mut(); MOST], count: 0 }
    }

    /// What is kept.
    pub fn items(&self) -> &[Obj] {
        &self.items[..self.count]
    }

    /// Whether another one finds no room.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.count == MOST
    }

    /// Keeps an object. Whether there was room.
    #[inline]
    pub fn put(&mut self, o: Obj) -> bool {
        let room = !self.is_full();
        if room {
            self.items[self.count] = o;
            self.count += 1;
        }
        room
    }

    /// The object that was kept last.
    #[inline]
    pub fn take(&mut self) -> Option<Obj> {
        self.count = self.count.checked_sub(1)?;
        Some(self.items[self.count])
    }
}

impl<const MOST: usize> Default for Kept<MOST> {
    fn default() -> Self {
        Kept::new()
    }
}

/// The same for the whole process.
#[derive(Default)]
pub struct Pool<const MOST: usize>(UnsafeCell<Kept<MOST>>);

// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl<const MOST: usize> Sync for Pool<MOST> {}

impl<const MOST: usize> Pool<MOST> {
    /// Nothing.
    pub const fn new() -> Self {
        Pool(UnsafeCell::new(Kept::new()))
    }

    /// Keeps an object. Whether there was room.
    ///
    /// # Safety
    /// Nobody refers to the object; the GIL is held.
    #[inline]
    pub unsafe fn put(&self, o: Obj) -> bool {
        // SAFETY: nobody else is here.
        unsafe { (*self.0.get()).put(o) }
    }

    /// The object that was kept last, for [`revive`].
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub unsafe fn take(&self) -> Option<Obj> {
        // SAFETY: nobody else is here.
        unsafe { (*self.0.get()).take() }
    }
}

/// Gives memory that was kept one reference, and tells who traces memory. Its fields are to be written.
///
/// # Safety
/// It was an object, of the type that it still has or is given next; the GIL is held.
#[inline]
pub unsafe fn revive(o: Obj) {
    // SAFETY: as documented.
    unsafe { capi::_Py_NewReference(o) };
}

/// The same for what the garbage collector is told of later.
///
/// # Safety
/// As for [`revive`]; the collector's words stand before it.
#[inline]
pub(crate) unsafe fn revive_untracked(o: Obj) {
    // SAFETY: as documented.
    unsafe {
        write(o, GC_NEXT, 0usize);
        write(o, GC_PREVIOUS, 0usize);
        revive(o);
    }
}
