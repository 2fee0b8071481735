//! Whether an object's end runs any code: a finaliser's, a weak reference's, or that of a class nothing is known of.

use crate::capi::{self, Obj, type_of};
use crate::layout::{self, read};
use crate::{instances, objects, type_ptr};

/// How many objects that a dying one holds are looked at, directly and indirectly, beside simple ones.
const MOST: usize = 24;
/// How many items a list or tuple that dies may hold. To look at one costs a small part of what freeing it does.
const MOST_ITEMS: usize = 4096;

/// The references that are left to an object when what has died lets go of its own.
struct Left {
    objects: [(Obj, isize); MOST],
    count: usize,
}

impl Left {
    /// One reference goes. Whether that is the last; `None` if there is no room to remember.
    fn release(&mut self, o: Obj) -> Option<bool> {
        if let Some(known) = self.objects[..self.count].iter_mut().find(|known| known.0 == o) {
            known.1 -= 1;
            return Some(known.1 == 0);
        }
        if self.count == MOST {
            return None;
        }
        // SAFETY: something that is still there holds it.
        let left = unsafe { (*o).ob_refcnt } - 1;
        self.objects[self.count] = (o, left);
        self.count += 1;
        Some(left == 0)
    }
}

/// Whether an object of the class is what it says and nothing else.
fn is_simple(class: Obj) -> bool {
    class == type_ptr!(PyLong_Type)
        || class == type_ptr!(PyFloat_Type)
        || class == type_ptr!(PyUnicode_Type)
        || class == type_ptr!(PyBytes_Type)
        || class == type_ptr!(PyRangeIter_Type)
        || class == type_ptr!(PyComplex_Type)
}

/// What an object holds, if that is all there is to it; `None` for what is not known, or is too much.
unsafe fn held<'a>(o: Obj, class: Obj) -> Option<&'a [Obj]> {
    let l = layout::get();
    // SAFETY: the caller's object, of the class; its fields and items are references or NULL.
    unsafe {
        let items = if class == type_ptr!(PyTuple_Type) {
            objects::tuple_slice(o)
        } else if class == type_ptr!(PyList_Type) {
            objects::list_slice(o)
        } else if class == type_ptr!(PyListIter_Type) {
            std::slice::from_raw_parts(o.cast::<u8>().offset(l.list_iter_seq as isize).cast(), 1)
        } else if class == type_ptr!(PyTupleIter_Type) {
            std::slice::from_raw_parts(o.cast::<u8>().offset(l.tuple_iter_seq as isize).cast(), 1)
        } else if class == type_ptr!(PyCell_Type) {
            std::slice::from_raw_parts(o.cast::<u8>().offset(l.cell_ref as isize).cast(), 1)
        } else if class == type_ptr!(PyDict_Type) {
            let empty = read::<isize, _>(o, l.dict_used) == 0;
            return empty.then_some(&[]);
        } else {
            return instances::values(o, class);
        };
        (items.len() <= MOST_ITEMS).then_some(items)
    }
}

/// What an exact iterator over a dict or set iterates over: NULL at its end; `None` for any other object.
///
/// # Safety
/// A live object.
pub unsafe fn iterated(it: Obj) -> Option<Obj> {
    /// The first field.
    const OVER: i32 = 16;
    // SAFETY: as documented.
    unsafe {
        let class = type_of(it);
        let dicts = class == type_ptr!(PyDictIterKey_Type)
            || class == type_ptr!(PyDictIterValue_Type)
            || class == type_ptr!(PyDictIterItem_Type);
        (dicts || class == type_ptr!(PySetIter_Type)).then(|| read(it, OVER))
    }
}

/// The tuple that an iterator over a dict's items yields again when nobody has it any more, or NULL.
unsafe fn kept_result(it: Obj) -> Obj {
    /// Behind the dict, its size, and the position.
    const RESULT: i32 = 40;
    // SAFETY: an iterator over a dict.
    unsafe { if type_of(it) == type_ptr!(PyDictIterItem_Type) { read(it, RESULT) } else { std::ptr::null_mut() } }
}

/// Whether it is certain that the end of an object, and of all that ends with it, runs no code.
///
/// # Safety
/// An object whose last reference is gone, the GIL held.
pub unsafe fn dies_quietly(o: Obj) -> bool {
    let mut left = Left { objects: [(std::ptr::null_mut(), 0); MOST], count: 0 };
    let mut dead = [o; MOST];
    let mut count = 1;
    while count > 0 {
        count -= 1;
        // SAFETY: everything here is alive until the caller destroys the object.
        unsafe {
            let o = dead[count];
            let class = type_of(o);
            if is_simple(class) {
                continue;
            }
            let (over, result) = match iterated(o) {
                Some(over) => (over, kept_result(o)),
                None => (std::ptr::null_mut(), std::ptr::null_mut()),
            };
            let items = match iterated(o) {
                Some(_) => &[],
                None => match held(o, class) {
                    Some(items) => items,
                    None => return false,
                },
            };
            let counts = |item: &Obj| !item.is_null() && !capi::is_immortal(*item) && !is_simple(type_of(*item));
            for item in items.iter().copied().chain([over, result]).filter(counts) {
                match left.release(item) {
                    Some(true) if count < MOST => {
                        dead[count] = item;
                        count += 1;
                    }
                    Some(false) => {}
                    _ => return false,
                }
            }
        }
    }
    true
}
