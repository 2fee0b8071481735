//! Iteration, displays, and the updates that displays and comprehensions make.
//!
//! # Safety
//! Every helper here borrows live objects (unless its row in the table says "steals") and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::ptr::null_mut;

use stoop_cpython::capi::{self, Obj, PyThreadState, decref, new_ref, type_of};
use stoop_cpython::generator;
use stoop_cpython::layout::{self, Version, read, write};
use stoop_cpython::{objects, of_version, type_ptr};

use super::boxes::drop_all;
use super::{contained, ffi};
use crate::engine::chains::is_harmless;
use crate::engine::generators;

/// The error result of [`iter_next`]: no object lives at address 1.
const ITER_ERROR: Obj = 1 as Obj;

/// The next value of an iterator; `Err`: there is none, and whether that is because it came to its end. A StopIteration
/// that arrives as an exception is the end too; any other exception is set.
#[inline(always)]
pub unsafe fn next<V: Version>(ts: *mut PyThreadState, iter: Obj) -> Result<Obj, bool> {
    type IterNext = unsafe extern "C" fn(Obj) -> Obj;
    // SAFETY: what `iter()` returned has `tp_iternext`, which its type keeps for good.
    unsafe {
        let ty = type_of(iter);
        if !is_harmless(iter) {
            generator::reveal();
        }
        let resumed = if ty == type_ptr!(PyGen_Type) { generators::quickly::<V>(ts, iter) } else { None };
        let value = resumed.unwrap_or_else(|| {
            let next: IterNext = read(ty, V::LAYOUT.tp_iternext);
            next(iter)
        });
        if !value.is_null() {
            return Ok(value);
        }
        if capi::PyErr_Occurred().is_null() {
            return Err(true);
        }
        let stopped = capi::PyErr_ExceptionMatches(capi::PyExc_StopIteration) != 0;
        if stopped {
            capi::PyErr_Clear();
        }
        Err(stopped)
    }
}

/// The next value; NULL at the end, 1 on error.
unsafe extern "C" fn iter_next<V: Version>(ts: *mut PyThreadState, iter: Obj) -> Obj {
    // SAFETY: as above.
    match unsafe { next::<V>(ts, iter) } {
        Ok(value) => value,
        Err(ended) => {
            if ended {
                null_mut()
            } else {
                ITER_ERROR
            }
        }
    }
}

/// The address of the helper `PyIterNext`.
pub fn iter_next_address() -> usize {
    of_version!(iter_next as *const ()) as usize
}

/// An iterator over sequences that stands at an index: of the kinds of [`stoop_ir::Op::VirtualIter`]. Takes the
/// references; NULL without exception when there is no memory.
pub unsafe fn virtual_iterator(index: i64, of: &[Obj], kind: i64) -> Obj {
    // SAFETY: exact sequences and their iterators, of which nothing runs Python code.
    unsafe {
        let iterators: Vec<Obj> = of.iter().map(|o| sequence_iterator(index, *o)).collect();
        let whole = match (kind & 0xff, &iterators[..]) {
            (0, [only]) => return *only,
            _ if iterators.contains(&null_mut()) => null_mut(),
            (1, [only]) => capi::PyObject_CallFunction(type_ptr!(PyEnum_Type), c"OL".as_ptr(), *only, index + (kind >> 8)),
            _ => {
                let arguments = capi::PyTuple_New(iterators.len() as isize);
                if arguments.is_null() {
                    arguments
                } else {
                    for (k, it) in iterators.iter().enumerate() {
                        capi::PyTuple_SetItem(arguments, k as isize, new_ref(*it));
                    }
                    let zip = capi::PyObject_CallObject(type_ptr!(PyZip_Type), arguments);
                    decref(arguments);
                    zip
                }
            }
        };
        if whole.is_null() {
            capi::PyErr_Clear();
        }
        iterators.into_iter().for_each(|it| capi::xdecref(it));
        whole
    }
}

/// The iterator over a list, tuple, str or bytes object that stands at an index. Takes the reference.
unsafe fn sequence_iterator(index: i64, of: Obj) -> Obj {
    let l = layout::get();
    // SAFETY: as above.
    unsafe {
        let ty = type_of(of);
        // What the class of a list does by now does not count: the loop has begun.
        let is_list = objects::is_list_class(ty);
        let it = if is_list { objects::list_iterator(of) } else { capi::PyObject_GetIter(of) };
        if it.is_null() {
            capi::PyErr_Clear();
        } else {
            if is_list {
                write(it, l.list_iter_index, index);
            } else if ty == type_ptr!(PyTuple_Type) {
                write(it, l.tuple_iter_index, index);
            } else if index != 0 {
                let done = capi::PyObject_CallMethod(it, c"__setstate__".as_ptr(), c"L".as_ptr(), index);
                if done.is_null() {
                    capi::PyErr_Clear();
                    decref(of);
                    decref(it);
                    return null_mut();
                }
                decref(done);
            }
        }
        decref(of);
        it
    }
}

/// Whether `iter()` of an object fails for want of any iteration protocol.
unsafe fn is_not_iterable(o: Obj) -> bool {
    // SAFETY: a live object's type.
    unsafe { read::<usize, _>(type_of(o), layout::get().tp_iter) == 0 && capi::PySequence_Check(o) == 0 }
}

/// Raises a TypeError whose message ends with (or contains, at `%.200s`) the name of an object's type.
unsafe fn type_error(format: &std::ffi::CStr, o: Obj) {
    // SAFETY: the format has one `%.200s`, which `tp_name`, a C string, fills.
    unsafe {
        let name: *const std::ffi::c_char = read(type_of(o), layout::get().tp_name);
        capi::PyErr_Format(capi::PyExc_TypeError, format.as_ptr(), name);
    }
}

/// A tuple of exactly `count` items of a sequence.
pub unsafe extern "C" fn unpack(sequence: Obj, count: i64) -> Obj {
    // SAFETY: the caller's object; the GIL is held.
    unsafe {
        let ty = type_of(sequence);
        if ty == type_ptr!(PyTuple_Type) && size(sequence) == count as isize {
            // Tuples never change, so the sequence itself will do.
            return new_ref(sequence);
        }
        if ty == type_ptr!(PyList_Type) && size(sequence) == count as isize {
            return capi::PyList_AsTuple(sequence);
        }
        contained(null_mut(), || unpack_iterable(sequence, count as usize))
    }
}

unsafe fn unpack_iterable(iterable: Obj, count: usize) -> Obj {
    // SAFETY: the caller's object.
    unsafe { unpack_by(iterable, count, |iter, items| take_exactly(iter, count, items)) }
}

/// A tuple of what `take` takes from an iterable, `count` items as far as is known; false, with an exception, if those are
/// not the ones wanted.
unsafe fn unpack_by(iterable: Obj, count: usize, take: impl FnOnce(Obj, &mut Vec<Obj>) -> bool) -> Obj {
    // SAFETY: the caller's object; items are owned by `items` until the tuple takes them.
    unsafe {
        let iter = capi::PyObject_GetIter(iterable);
        if iter.is_null() {
            if capi::PyErr_ExceptionMatches(capi::PyExc_TypeError) != 0 && is_not_iterable(iterable) {
                type_error(c"cannot unpack non-iterable %.200s object", iterable);
            }
            return iter;
        }
        let mut items = Vec::with_capacity(count);
        let complete = take(iter, &mut items);
        // The iterator goes first, as in the interpreter, where the items are on the stack by now.
        if complete {
            decref(iter);
        }
        let tuple = if complete { build_tuple(items.as_ptr(), items.len() as i64) } else { null_mut() };
        if tuple.is_null() {
            drop_all(&items);
            if !complete {
                decref(iter);
            }
        }
        tuple
    }
}

/// Takes `count` items and makes sure that there is no other; else an exception is set.
unsafe fn take_exactly(iter: Obj, count: usize, items: &mut Vec<Obj>) -> bool {
    // SAFETY: an iterator; every item is handed to `items`.
    unsafe {
        while items.len() < count {
            let item = capi::PyIter_Next(iter);
            if item.is_null() {
                if capi::PyErr_Occurred().is_null() {
                    capi::PyErr_Format(
                        capi::PyExc_ValueError,
                        c"not enough values to unpack (expected %zd, got %zd)".as_ptr(),
                        count,
                        items.len(),
                    );
                }
                return false;
            }
            items.push(item);
        }
        let surplus = capi::PyIter_Next(iter);
        if surplus.is_null() {
            return capi::PyErr_Occurred().is_null();
        }
        decref(surplus);
        capi::PyErr_Format(capi::PyExc_ValueError, c"too many values to unpack (expected %zd)".as_ptr(), count);
        false
    }
}

/// The size of a variable-sized object.
unsafe fn size(o: Obj) -> isize {
    // SAFETY: the caller's variable-sized object.
    unsafe { read(o, layout::get().ob_size) }
}

/// A tuple; takes the items' references on success.
pub unsafe extern "C" fn build_tuple(items: *const Obj, count: i64) -> Obj {
    // SAFETY: a fresh tuple has room for `count` items.
    unsafe {
        let tuple = capi::PyTuple_New(count as isize);
        if !tuple.is_null() {
            let first = tuple.byte_offset(layout::get().tuple_items as isize).cast::<Obj>();
            first.copy_from_nonoverlapping(items, count as usize);
        }
        tuple
    }
}

/// A list; takes the items' references on success.
pub unsafe extern "C" fn build_list(items: *const Obj, count: i64) -> Obj {
    // SAFETY: a fresh list has room for `count` items.
    unsafe {
        let list = capi::PyList_New(count.unsigned_abs() as isize);
        if !list.is_null() && count < 0 {
            // Room alone.
            layout::write(list, layout::get().ob_size, 0isize);
        }
        if !list.is_null() && count > 0 {
            let first: *mut Obj = read(list, layout::get().list_items);
            first.copy_from_nonoverlapping(items, count as usize);
        }
        list
    }
}

/// A dict of key, value, key, value …
pub unsafe extern "C" fn build_map(items: *const Obj, count: i64) -> Obj {
    // SAFETY: `count` readable objects, in pairs.
    unsafe {
        let dict = capi::PyDict_New();
        if dict.is_null() {
            return dict;
        }
        for pair in 0..count as usize / 2 {
            let (key, value) = (*items.add(2 * pair), *items.add(2 * pair + 1));
            if capi::PyDict_SetItem(dict, key, value) < 0 {
                decref(dict);
                return null_mut();
            }
        }
        dict
    }
}

/// A set.
pub unsafe extern "C" fn build_set(items: *const Obj, count: i64) -> Obj {
    // SAFETY: `count` readable objects.
    unsafe {
        let set = capi::PySet_New(null_mut());
        if set.is_null() {
            return set;
        }
        for i in 0..count as usize {
            if capi::PySet_Add(set, *items.add(i)) < 0 {
                decref(set);
                return null_mut();
            }
        }
        set
    }
}

/// The concatenation of exact strings.
pub unsafe extern "C" fn build_string(items: *const Obj, count: i64) -> Obj {
    // SAFETY: `count` readable strings; the empty string is the separator.
    unsafe {
        let empty = ffi::PyUnicode_New(0, 0);
        if empty.is_null() {
            return empty;
        }
        let joined = ffi::_PyUnicode_JoinArray(empty, items, count as isize);
        decref(empty);
        joined
    }
}

/// A slice of 2 or 3 parts.
pub unsafe extern "C" fn build_slice(parts: *const Obj, count: i64) -> Obj {
    // SAFETY: `count` readable objects.
    unsafe {
        let step = if count == 3 { *parts.add(2) } else { null_mut() };
        capi::PySlice_New(*parts, *parts.add(1), step)
    }
}

/// Appends to an exact list; takes the item's reference on success.
pub unsafe extern "C" fn list_append(list: Obj, item: Obj) -> i32 {
    let layout = layout::get();
    // SAFETY: an exact list whose allocation is at least its size.
    unsafe {
        let count = size(list);
        if count < read::<isize, _>(list, layout.list_allocated) {
            read::<*mut Obj, _>(list, layout.list_items).offset(count).write(item);
            write(list, layout.ob_size, count + 1);
            return 0;
        }
        let result = capi::PyList_Append(list, item);
        if result == 0 {
            decref(item);
        }
        result
    }
}

/// Takes an item out of an exact list. The memory is given back when CPython would: programs can see its size.
pub unsafe extern "C" fn list_pop(list: Obj, position: i64) -> Obj {
    let layout = layout::get();
    // SAFETY: an exact list, a position in range; the item's reference moves to the caller.
    unsafe {
        let (count, at) = (size(list) - 1, position as isize);
        let items: *mut Obj = read(list, layout.list_items);
        let item = *items.offset(at);
        if count > 0 && count >= read::<isize, _>(list, layout.list_allocated) >> 1 {
            items.offset(at + 1).copy_to(items.offset(at), (count - at) as usize);
            write(list, layout.ob_size, count);
            return item;
        }
        capi::incref(item);
        if capi::PyList_SetSlice(list, at, at + 1, null_mut()) < 0 {
            decref(item);
            return null_mut();
        }
        item
    }
}

/// Inserts into an exact list; takes the item's reference on success.
pub unsafe extern "C" fn list_insert(list: Obj, place: i64, item: Obj) -> i32 {
    let layout = layout::get();
    // SAFETY: an exact list whose allocation is at least its size.
    unsafe {
        let count = size(list);
        let allocated: isize = read(list, layout.list_allocated);
        let place = place as isize;
        let at = if place < 0 { (place + count).max(0) } else { place.min(count) };
        if count < allocated && count + 1 >= allocated >> 1 {
            let items: *mut Obj = read(list, layout.list_items);
            items.offset(at).copy_to(items.offset(at + 1), (count - at) as usize);
            items.offset(at).write(item);
            write(list, layout.ob_size, count + 1);
            return 0;
        }
        let result = capi::PyList_Insert(list, at, item);
        if result == 0 {
            decref(item);
        }
        result
    }
}

/// The items of an exact list between two bounds, which count from the end when negative.
pub unsafe extern "C" fn list_slice(list: Obj, start: i64, stop: i64) -> Obj {
    // SAFETY: an exact list; the function moves bounds that are still out of range into it.
    unsafe {
        let len = size(list) as i64;
        let place = |i: i64| if i < 0 { (i + len).max(0) } else { i };
        capi::PyList_GetSlice(list, place(start) as isize, place(stop) as isize)
    }
}

/// `a + b` of two exact strs, bytes objects, tuples or lists.
pub unsafe extern "C" fn concat(a: Obj, b: Obj) -> Obj {
    // SAFETY: two instances of one of these classes, whose concatenation runs no Python code.
    unsafe {
        if capi::type_of(a) == type_ptr!(PyUnicode_Type) { capi::PyUnicode_Concat(a, b) } else { capi::PySequence_Concat(a, b) }
    }
}

/// Extends a list, in the words of `[*iterable]`.
pub unsafe extern "C" fn list_extend(list: Obj, iterable: Obj) -> i32 {
    // SAFETY: the caller's objects.
    unsafe {
        let none = ffi::_PyList_Extend(list, iterable);
        if !none.is_null() {
            decref(none);
            return 0;
        }
        if capi::PyErr_ExceptionMatches(capi::PyExc_TypeError) != 0 && is_not_iterable(iterable) {
            capi::PyErr_Clear();
            type_error(c"Value after * must be an iterable, not %.200s", iterable);
        }
        -1
    }
}

/// Updates a dict, in the words of `{**mapping}`.
pub unsafe extern "C" fn dict_update(dict: Obj, mapping: Obj) -> i32 {
    // SAFETY: the caller's objects.
    unsafe {
        let result = capi::PyDict_Update(dict, mapping);
        if result < 0 && capi::PyErr_ExceptionMatches(capi::PyExc_AttributeError) != 0 {
            type_error(c"'%.200s' object is not a mapping", mapping);
        }
        result
    }
}

/// As [`dict_update`], for the keyword arguments of a call: a keyword given twice is an error, in the callable's name.
pub unsafe extern "C" fn dict_merge(dict: Obj, mapping: Obj, callable: Obj) -> i32 {
    const REFUSE_DUPLICATES: i32 = 2;
    // SAFETY: the caller's objects.
    unsafe {
        let result = ffi::_PyDict_MergeEx(dict, mapping, REFUSE_DUPLICATES);
        if result < 0 {
            keyword_error(callable, mapping);
        }
        result
    }
}

/// Puts an error of merging keyword arguments into the words of calls.
unsafe fn keyword_error(callable: Obj, mapping: Obj) {
    // SAFETY: live objects; an exception is set.
    unsafe {
        if capi::PyErr_ExceptionMatches(capi::PyExc_AttributeError) != 0 {
            capi::PyErr_Clear();
            let callee = ffi::_PyObject_FunctionStr(callable);
            if !callee.is_null() {
                let name: *const std::ffi::c_char = read(type_of(mapping), layout::get().tp_name);
                let format = c"%U argument after ** must be a mapping, not %.200s";
                capi::PyErr_Format(capi::PyExc_TypeError, format.as_ptr(), callee, name);
                decref(callee);
            }
        } else if capi::PyErr_ExceptionMatches(capi::PyExc_KeyError) != 0 {
            let exception = capi::PyErr_GetRaisedException();
            let args = ffi::PyException_GetArgs(exception);
            if capi::PyTuple_Size(args) == 1 {
                let callee = ffi::_PyObject_FunctionStr(callable);
                if !callee.is_null() {
                    let format = c"%U got multiple values for keyword argument '%S'";
                    capi::PyErr_Format(capi::PyExc_TypeError, format.as_ptr(), callee, capi::PyTuple_GetItem(args, 0));
                    decref(callee);
                }
                decref(exception);
            } else {
                capi::PyErr_SetRaisedException(exception);
            }
            decref(args);
        }
    }
}

/// `first, *rest, last = iterable` as a tuple; `counts` is how many come before the list, and 256 times how many after.
pub unsafe extern "C" fn unpack_ex(iterable: Obj, counts: i64) -> Obj {
    // SAFETY: the caller's object; the GIL is held.
    unsafe { contained(null_mut(), || unpack_around(iterable, (counts & 0xff) as usize, (counts >> 8) as usize)) }
}

unsafe fn unpack_around(iterable: Obj, before: usize, after: usize) -> Obj {
    // SAFETY: the caller's object.
    unsafe { unpack_by(iterable, before + 1 + after, |iter, items| take_around(iter, before, after, items)) }
}

unsafe fn take_around(iter: Obj, before: usize, after: usize, items: &mut Vec<Obj>) -> bool {
    // SAFETY: an iterator; every item is handed to `items`, the last ones with what was the list's reference.
    unsafe {
        let too_few = |got: usize| {
            let format = c"not enough values to unpack (expected at least %zd, got %zd)";
            capi::PyErr_Format(capi::PyExc_ValueError, format.as_ptr(), before + after, got);
        };
        while items.len() < before {
            let item = capi::PyIter_Next(iter);
            if item.is_null() {
                if capi::PyErr_Occurred().is_null() {
                    too_few(items.len());
                }
                return false;
            }
            items.push(item);
        }
        let rest = capi::PySequence_List(iter);
        if rest.is_null() {
            return false;
        }
        items.push(rest);
        let count = size(rest) as usize;
        if count < after {
            too_few(before + count);
            return false;
        }
        let first: *mut Obj = read(rest, layout::get().list_items);
        items.extend((count - after..count).map(|k| *first.add(k)));
        write(rest, layout::get().ob_size, (count - after) as isize);
        true
    }
}

/// Whether an object's type has a flag.
pub unsafe extern "C" fn match_kind(o: Obj, flag: i64) -> i32 {
    // SAFETY: the caller's object.
    unsafe { i32::from(stoop_cpython::objects::type_flags(type_of(o)) & flag as u64 != 0) }
}
