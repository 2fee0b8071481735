//! Boxing, unboxing, and storing unboxed values where boxes live.
//!
//! A box whose only reference is the slot itself is overwritten instead of replaced: nobody else can tell.

use stoop_cpython::capi::{self, Obj, decref, xincref};
use stoop_cpython::layout::{self, Layout, read, write};
use stoop_cpython::type_ptr;

use super::{ffi, pools, reserve};

/// Bits of a digit.
const DIGIT_BITS: u32 = 30;
/// The sign field of an int's tag word for negative numbers.
const NEGATIVE: u64 = 2;
/// The tag word of a positive int of one digit.
const ONE_DIGIT: u64 = 1 << 3;

/// Puts a value into a slot and drops the former one, last: dropping may run code that reads the slot.
///
/// # Safety
/// `slot` holds an owned reference or NULL; `new` is owned and handed over.
unsafe fn replace(slot: *mut Obj, new: Obj) {
    // SAFETY: the caller's slot and references.
    unsafe {
        let old = slot.replace(new);
        pools::release(old);
    }
}

/// Whether an object is an exact instance of `ty` that nothing but one slot refers to.
///
/// # Safety
/// `o` is live or NULL.
#[inline(always)]
unsafe fn unique(o: Obj, ty: Obj) -> bool {
    // SAFETY: checked for NULL, live by the caller's duty.
    unsafe { !o.is_null() && (*o).ob_refcnt == 1 && (*o).ob_type == ty }
}

/// Whether a value is one digit long and outside every range of shared ints.
fn is_plain_digit(value: i64) -> bool {
    !(-5..=256).contains(&value) && value.unsigned_abs() < 1 << DIGIT_BITS
}

/// # Safety
/// `o` is an exact int.
unsafe fn tag(layout: &Layout, o: Obj) -> u64 {
    // SAFETY: ints have a tag word there.
    unsafe { read(o, layout.long_tag) }
}

/// Makes a frame slot hold this int.
///
/// # Safety
/// `slot` holds an owned reference or NULL; GIL held.
pub unsafe extern "C" fn sync_int(slot: *mut Obj, value: i64) {
    let layout = layout::get();
    // SAFETY: the caller's slot; a unique one-digit int has room for one digit.
    unsafe {
        let old = slot.read();
        if is_plain_digit(value) && unique(old, type_ptr!(PyLong_Type)) && tag(layout, old) >> 3 == 1 {
            write(old, layout.long_tag, ONE_DIGIT | if value < 0 { NEGATIVE } else { 0 });
            write(old, layout.long_digits, value.unsigned_abs() as u32);
        } else {
            replace(slot, reserve::int(value));
        }
    }
}

/// Makes a frame slot hold this float.
///
/// # Safety
/// As [`sync_int`].
pub unsafe extern "C" fn sync_float(slot: *mut Obj, value: f64) {
    // SAFETY: the caller's slot; a unique float is only the slot's.
    unsafe {
        let old = slot.read();
        if unique(old, type_ptr!(PyFloat_Type)) {
            write(old, layout::get().float_value, value);
        } else {
            replace(slot, reserve::float(value));
        }
    }
}

/// Makes a frame slot hold this object (or NULL), taking a reference of its own.
///
/// # Safety
/// As [`sync_int`]; `value` is live or NULL.
pub unsafe extern "C" fn sync_ref(slot: *mut Obj, value: Obj) {
    // SAFETY: the caller's slot and object.
    unsafe {
        if slot.read() != value {
            xincref(value);
            replace(slot, value);
        }
    }
}

/// Puts a new float box into a slot of an object.
///
/// # Safety
/// As [`sync_int`].
pub unsafe extern "C" fn slot_set_float(slot: *mut Obj, value: f64) {
    // SAFETY: the caller's slot.
    unsafe { replace(slot, reserve::float(value)) }
}

/// Puts a new int box into a slot of an object.
///
/// # Safety
/// As [`sync_int`].
pub unsafe extern "C" fn slot_set_int(slot: *mut Obj, value: i64) {
    // SAFETY: the caller's slot.
    unsafe { replace(slot, reserve::int(value)) }
}

/// # Safety
/// `position` is in the list's range.
unsafe fn item_slot(list: Obj, position: i64) -> *mut Obj {
    // SAFETY: a list's items pointer covers its positions.
    unsafe { read::<*mut Obj, _>(list, layout::get().list_items).offset(position as isize) }
}

/// Puts a new float box into a list.
///
/// # Safety
/// An exact list, a position in range; GIL held.
pub unsafe extern "C" fn list_set_float(list: Obj, position: i64, value: f64) {
    // SAFETY: boxing runs no Python code, so the slot stays where it is until the store.
    unsafe { replace(item_slot(list, position), reserve::float(value)) }
}

/// Puts a new int box into a list.
///
/// # Safety
/// As [`list_set_float`].
pub unsafe extern "C" fn list_set_int(list: Obj, position: i64, value: i64) {
    // SAFETY: as above.
    unsafe { replace(item_slot(list, position), reserve::int(value)) }
}

/// An int's value into `*out`: 1, or 0 if 64 bits do not hold it.
///
/// # Safety
/// An exact int; `out` is writable; GIL held.
pub unsafe extern "C" fn unbox_int(o: Obj, out: *mut i64) -> i32 {
    let layout = layout::get();
    // SAFETY: an int has as many digits as its tag says.
    unsafe {
        let tag = tag(layout, o);
        if tag >> 3 <= 2 {
            let low: u32 = read(o, layout.long_digits);
            let high: u32 = if tag >> 3 == 2 { read(o, layout.long_digits + 4) } else { 0 };
            let magnitude = i64::from(high) << DIGIT_BITS | i64::from(low);
            out.write(match tag & 3 {
                0 => magnitude,
                1 => 0,
                _ => -magnitude,
            });
            return 1;
        }
        let mut overflow = 0;
        let value = capi::PyLong_AsLongLongAndOverflow(o, &mut overflow);
        out.write(value);
        i32::from(overflow == 0)
    }
}

/// How many values a range has, if CPython's fast iterator can count them.
fn range_length(start: i64, stop: i64, step: i64) -> Option<i64> {
    let length = match step {
        0 => return None,
        1.. if start < stop => 1 + (stop.wrapping_sub(1).wrapping_sub(start) as u64) / step as u64,
        ..0 if start > stop => 1 + (start.wrapping_sub(1).wrapping_sub(stop) as u64) / step.unsigned_abs(),
        _ => return Some(0),
    };
    // The iterator's last step must not overflow either; CPython takes another type then.
    let lands = if step > 0 { stop <= i64::MAX - (step - 1) } else { stop >= i64::MIN + (-1 - step) };
    i64::try_from(length).ok().filter(|_| lands)
}

/// A fresh range iterator; NULL without exception where CPython would not make this type.
///
/// # Safety
/// GIL held.
pub unsafe extern "C" fn new_range_iter(start: i64, stop: i64, step: i64) -> Obj {
    match range_length(start, stop, step) {
        // SAFETY: as for this function.
        Some(length) => unsafe { range_iter(start, step, length) },
        None => std::ptr::null_mut(),
    }
}

/// How many values a range has; -1 where CPython would not make its plain iterator.
pub extern "C" fn range_len(start: i64, stop: i64, step: i64) -> i64 {
    range_length(start, stop, step).unwrap_or(-1)
}

/// What is left of a range in the form of [`stoop_ir::Op::VirtualRange`]: the next value, and how many.
fn range_rest(next: i64, step: i64, bound: i64, form: i64) -> (i64, i128) {
    let taken = form >> 1;
    let left = if form & 1 != 0 {
        i128::from(bound - taken)
    } else {
        (i128::from(bound) - i128::from(next)) * i128::from(step) - i128::from(taken)
    };
    (next.wrapping_add(step.wrapping_mul(taken)), left.max(0))
}

/// The iterator over what is left of a range, in the form of [`stoop_ir::Op::VirtualRange`]; NULL without memory.
///
/// # Safety
/// GIL held.
pub unsafe fn virtual_range(next: i64, step: i64, bound: i64, form: i64) -> Obj {
    let (next, left) = range_rest(next, step, bound, form);
    // SAFETY: as documented; what is made on the way is dropped.
    unsafe {
        if let Ok(left) = i64::try_from(left) {
            return range_iter(next, step, left);
        }
        // More than the plain iterator counts.
        let range = capi::PyObject_CallFunction(type_ptr!(PyRange_Type), c"LLL".as_ptr(), next, bound, step);
        if range.is_null() {
            return range;
        }
        let it = capi::PyObject_GetIter(range);
        decref(range);
        it
    }
}

/// A range iterator with these fields; NULL without exception when there is no memory.
///
/// # Safety
/// GIL held.
unsafe fn range_iter(start: i64, step: i64, length: i64) -> Obj {
    let layout = layout::get();
    // SAFETY: the type has no items and is not collected; all its fields are filled.
    unsafe {
        let mut it = ffi::_PyObject_New(type_ptr!(PyRangeIter_Type));
        if it.is_null() {
            it = reserve::range();
            if it.is_null() {
                return it;
            }
        }
        write(it, layout.range_iter_start, start);
        write(it, layout.range_iter_step, step);
        write(it, layout.range_iter_len, length);
        it
    }
}

/// Drops what an array holds.
///
/// # Safety
/// Owned references.
pub(super) unsafe fn drop_all(items: &[Obj]) {
    for &item in items.iter().rev() {
        // SAFETY: the caller's references.
        unsafe { decref(item) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_lengths() {
        assert_eq!(range_length(0, 10, 3), Some(4));
        assert_eq!(range_length(10, 0, -3), Some(4));
        assert_eq!(range_length(5, 5, 1), Some(0));
        assert_eq!(range_length(5, 0, 1), Some(0));
        assert_eq!(range_length(0, 1, 0), None);
        assert_eq!(range_length(i64::MIN, i64::MAX, 1), None, "too long");
        assert_eq!(range_length(i64::MAX - 2, i64::MAX, 5), None, "the last step overflows");
        assert_eq!(range_length(i64::MIN + 2, i64::MIN, i64::MIN), None, "the last step overflows");
        assert_eq!(range_length(0, i64::MAX, 1), Some(i64::MAX));
    }

    #[test]
    fn rests_of_ranges() {
        assert_eq!(range_rest(3, 1, 10, 0), (3, 7), "not taken yet, counted by the stop");
        assert_eq!(range_rest(3, 1, 10, 2), (4, 6), "taken");
        assert_eq!(range_rest(9, 1, 10, 2), (10, 0));
        assert_eq!(range_rest(12, 1, 10, 0), (12, 0), "empty from the start");
        assert_eq!(range_rest(9, -1, -1, 2), (8, 9));
        assert_eq!(range_rest(9, 4, 2, 1), (9, 2), "counted by itself");
        assert_eq!(range_rest(9, 4, 2, 3), (13, 1));
        assert_eq!(range_rest(i64::MIN, 1, i64::MAX, 0).1, i128::from(u64::MAX));
    }

    #[test]
    fn which_ints_may_be_overwritten() {
        for value in [-5, 0, 256, 1 << 30, -(1 << 30), i64::MIN, i64::MAX] {
            assert!(!is_plain_digit(value), "{value}");
        }
        for value in [-6, 257, (1 << 30) - 1, 1 - (1 << 30)] {
            assert!(is_plain_digit(value), "{value}");
        }
    }
}
