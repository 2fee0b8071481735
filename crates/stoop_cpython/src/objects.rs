//! Built-in objects read in place: no Python code runs, no exception is set.

use crate::capi::{self, Obj};
use crate::layout::{self, flags, read};
use crate::type_ptr;

/// Whether calling a class makes a bare instance as `object` does, and then runs its `__init__`, if there is one. Stays so
/// while the class has the same version tag: that a class is an exact instance of `type` never changes.
///
/// # Safety
/// A live object.
pub unsafe fn is_plain_class(class: Obj) -> bool {
    // SAFETY: the caller's object.
    unsafe { makes_as(class, type_ptr!(PyBaseObject_Type)) }
}

/// Whether calling a class, which derives from `list`, makes an empty list of it, and then runs its `__init__`. Stays so as
/// for [`is_plain_class`].
///
/// # Safety
/// A live object.
pub unsafe fn is_plain_list_class(class: Obj) -> bool {
    // On 3.12 a fresh instance of another class has values for its attributes, a fresh list has none.
    let told_apart = layout::get().values_valid.is_some();
    // SAFETY: as documented.
    unsafe { told_apart && makes_as(class, type_ptr!(PyList_Type)) && is_list_class(class) }
}

unsafe fn makes_as(class: Obj, base: Obj) -> bool {
    const ABSTRACT: u64 = 1 << 20;
    let l = layout::get();
    // SAFETY: a type, once that is known.
    unsafe {
        capi::type_of(class) == type_ptr!(PyType_Type)
            && type_flags(class) & (flags::HEAP | ABSTRACT) == flags::HEAP
            && read::<usize, _>(class, l.tp_new) == read::<usize, _>(base, l.tp_new)
            && read::<usize, _>(class, l.tp_alloc) == capi::PyType_GenericAlloc as *const () as usize
            && read::<isize, _>(class, l.tp_itemsize) == 0
            && read::<usize, _>(class, l.tp_vectorcall) == 0
    }
}

/// Which of lists' own ways the instances of a class have that derives from `list`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListWays {
    /// They are iterated over as lists are.
    pub iterates: bool,
    /// `len` of them is how many items there are.
    pub measured: bool,
}

/// The ways of a class that derives from `list`; `None` for others, and for `list` itself.
///
/// # Safety
/// A live class. The answer holds while the class has the same version tag.
pub unsafe fn list_ways(class: Obj) -> Option<ListWays> {
    let (l, list) = (layout::get(), type_ptr!(PyList_Type));
    // SAFETY: types; a sequence's methods begin with its length.
    unsafe {
        if type_flags(class) & (flags::HEAP | flags::LIST) != flags::HEAP | flags::LIST {
            return None;
        }
        let length = |ty: Obj| read::<*const usize, _>(ty, l.tp_as_sequence).as_ref().copied();
        Some(ListWays {
            iterates: read::<usize, _>(class, l.tp_iter) == read::<usize, _>(list, l.tp_iter),
            measured: length(class) == length(list),
        })
    }
}

/// An iterator over a list, or an instance of a class that derives from it, as lists make it, whatever the class does.
///
/// # Safety
/// Such an object, the GIL held.
pub unsafe fn list_iterator(list: Obj) -> Obj {
    type Iterate = unsafe extern "C" fn(Obj) -> Obj;
    // SAFETY: the slot takes any list.
    unsafe {
        let iterate: Iterate = std::mem::transmute(read::<usize, _>(type_ptr!(PyList_Type), layout::get().tp_iter));
        iterate(list)
    }
}

/// Whether a class and all that it derives from are Python classes, but for `object`: operators are Python methods then,
/// or there are none.
///
/// # Safety
/// A live type.
pub unsafe fn derives_from_object_only(class: Obj) -> bool {
    let l = layout::get();
    // SAFETY: a type's MRO is a tuple of types.
    unsafe {
        let mro: Obj = read(class, l.tp_mro);
        !mro.is_null() && tuple_slice(mro).iter().all(|t| *t == type_ptr!(PyBaseObject_Type) || type_flags(*t) & flags::HEAP != 0)
    }
}

/// The method that `super(class, o).name` finds for an `o` of class `own`, where calls need not bind it; NULL otherwise.
/// Whatever changes the answer changes `own`'s version.
///
/// # Safety
/// Live types and a str; the GIL is held.
pub unsafe fn method_above(own: Obj, class: Obj, name: Obj) -> Obj {
    let l = layout::get();
    // SAFETY: a type's MRO is a tuple of types; Python classes keep their dicts.
    unsafe {
        let mro: Obj = read(own, l.tp_mro);
        if mro.is_null() || type_flags(own) & (flags::HEAP | flags::TYPE) != flags::HEAP {
            return std::ptr::null_mut();
        }
        let above = tuple_slice(mro).iter().skip_while(|t| **t != class).skip(1);
        for &t in above {
            let found = if type_flags(t) & flags::HEAP != 0 {
                capi::PyDict_GetItem(read(t, l.tp_dict), name)
            } else if t == type_ptr!(PyBaseObject_Type) {
                capi::_PyType_Lookup(t, name)
            } else {
                return std::ptr::null_mut();
            };
            if !found.is_null() {
                let unbound = type_flags(capi::type_of(found)) & flags::METHOD_DESCRIPTOR != 0;
                return if unbound { found } else { std::ptr::null_mut() };
            }
        }
    }
    std::ptr::null_mut()
}

/// Whether instances of a plain class are initialised by nothing: `object.__init__` without arguments.
///
/// # Safety
/// A live type.
pub unsafe fn has_no_init(class: Obj) -> bool {
    let l = layout::get();
    // SAFETY: types.
    unsafe {
        let init: usize = read(class, l.tp_init);
        init == read(type_ptr!(PyBaseObject_Type), l.tp_init)
            || is_list_class(class) && init == read(type_ptr!(PyList_Type), l.tp_init)
    }
}

/// Sets an attribute of an instance that nobody else has seen, taking the value's reference: an inline value by its index,
/// or a member by its offset, negative. It was not set before.
///
/// # Safety
/// A fresh instance whose class has such an attribute.
pub unsafe fn set_fresh(object: Obj, place: i64, value: Obj) {
    let l = layout::get();
    // SAFETY: a member lies within the object; inline values keep the order in which they were set.
    unsafe {
        if place < 0 {
            return layout::write(object, -place as i32, value);
        }
        let values: *mut u8 = match l.values_valid {
            None => (read::<usize, _>(object, l.managed_dict) + 1) as *mut u8,
            Some(_) => object.cast::<u8>().offset(read::<isize, _>(capi::type_of(object), l.tp_basicsize)),
        };
        layout::write(values, l.values_first + 8 * place as i32, value);
        let count: u8 = read(values, l.values_size);
        layout::write(values, l.values_size, count + 1);
        let order = match l.values_capacity {
            None => l.values_size - i32::from(count) - 1,
            Some(at) => l.values_first + 8 * i32::from(read::<u8, _>(values, at)) + i32::from(count),
        };
        layout::write(values, order, place as u8);
    }
}

/// Whether instances of a class are lists.
///
/// # Safety
/// A live class.
#[inline]
pub unsafe fn is_list_class(class: Obj) -> bool {
    // SAFETY: as documented.
    unsafe { type_flags(class) & flags::LIST != 0 }
}

/// A bare instance of a plain class, or an empty list of a plain class of lists; NULL with an exception when memory is out. Runs no Python code.
///
/// # Safety
/// [`is_plain_class`] or [`is_plain_list_class`] holds; the GIL is held.
pub unsafe fn new_instance(class: Obj) -> Obj {
    type New = unsafe extern "C" fn(Obj, Obj, Obj) -> Obj;
    let l = layout::get();
    // SAFETY: the allocator prepares inline values where they lie in the object; where they lie outside, `object.__new__`
    // does. That takes a tuple, and an empty one means no arguments.
    unsafe {
        if l.values_valid.is_some() {
            return crate::instances::take(class).unwrap_or_else(|| capi::PyType_GenericAlloc(class, 0));
        }
        let new: New = std::mem::transmute(read::<usize, _>(type_ptr!(PyBaseObject_Type), l.tp_new));
        let nothing = capi::PyTuple_New(0);
        if nothing.is_null() {
            return nothing;
        }
        let object = new(class, nothing, std::ptr::null_mut());
        capi::decref(nothing);
        object
    }
}

/// Where an exact dict, all of whose keys are strings, keeps the value of an interned name: NULL if it has none there. The
/// place is good until keys come or go.
///
/// # Safety
/// A live exact dict, the GIL held. Runs no Python code.
pub unsafe fn dict_value(dict: Obj, name: Obj) -> *mut Obj {
    const STRINGS: u8 = 1;
    let l = layout::get();
    // SAFETY: entries lie behind the table's index.
    unsafe {
        let keys: *mut u8 = read(dict, l.dict_keys);
        if read::<u8, _>(keys, l.keys_kind) != STRINGS || read::<usize, _>(dict, l.dict_values) != 0 {
            return std::ptr::null_mut();
        }
        let index = 1usize << read::<u8, _>(keys, l.keys_log2_index_bytes);
        let first = keys.offset(l.keys_indices as isize).add(index);
        let count = read::<isize, _>(keys, l.keys_nentries).max(0) as usize;
        let at = |k: usize| first.add(k * l.unicode_entry_size as usize);
        let found = (0..count).map(at).find(|e| read::<Obj, _>(*e, l.unicode_entry_key) == name);
        let value = found.map_or(std::ptr::null_mut(), |e| e.offset(l.unicode_entry_value as isize).cast::<Obj>());
        if value.is_null() || (*value).is_null() { std::ptr::null_mut() } else { value }
    }
}

/// The items of a tuple.
///
/// # Safety
/// A live tuple that outlives the slice.
#[inline]
pub unsafe fn tuple_slice<'a>(tuple: Obj) -> &'a [Obj] {
    let l = layout::get();
    // SAFETY: a tuple holds `ob_size` items at `tuple_items`.
    unsafe {
        let len: isize = read(tuple, l.ob_size);
        std::slice::from_raw_parts(tuple.cast::<u8>().offset(l.tuple_items as isize).cast(), len.max(0) as usize)
    }
}

/// The items of a list.
///
/// # Safety
/// A live list that outlives the slice and does not change meanwhile.
#[inline]
pub unsafe fn list_slice<'a>(list: Obj) -> &'a [Obj] {
    let l = layout::get();
    // SAFETY: a list holds `ob_size` items behind `ob_item`, which is NULL only when empty.
    unsafe {
        let len: isize = read(list, l.ob_size);
        let items: *const Obj = read(list, l.list_items);
        if items.is_null() { &[] } else { std::slice::from_raw_parts(items, len.max(0) as usize) }
    }
}

/// The bytes of a bytes object.
///
/// # Safety
/// A live bytes object that outlives the slice.
pub unsafe fn bytes_slice<'a>(bytes: Obj) -> &'a [u8] {
    let l = layout::get();
    // SAFETY: a bytes object holds `ob_size` bytes at `bytes_data`.
    unsafe {
        let len: isize = read(bytes, l.ob_size);
        std::slice::from_raw_parts(bytes.cast::<u8>().offset(l.bytes_data as isize), len.max(0) as usize)
    }
}

/// The text of a str; lone surrogates become replacement characters.
///
/// # Safety
/// A live compact str (all that code objects hold are).
pub unsafe fn str_text(s: Obj) -> String {
    let l = layout::get();
    // SAFETY: a compact str holds `length` characters of `kind` bytes right behind its head.
    unsafe {
        let len = read::<isize, _>(s, l.str_length).max(0) as usize;
        let state: u32 = read(s, l.str_state);
        let ascii = state & l.str_state_ascii as u32 != 0;
        let data = s.cast::<u8>().offset(if ascii { l.str_ascii_data } else { l.str_compact_data } as isize);
        let char_at = |c: u32| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER);
        match state >> l.str_state_kind_shift & 7 {
            1 => std::slice::from_raw_parts(data, len).iter().map(|&b| char::from(b)).collect(),
            2 => (0..len).map(|i| char_at(u32::from(data.cast::<u16>().add(i).read()))).collect(),
            4 => (0..len).map(|i| char_at(data.cast::<u32>().add(i).read())).collect(),
            _ => String::new(),
        }
    }
}

/// The number of a str's characters.
///
/// # Safety
/// A live str.
#[inline]
pub unsafe fn str_length(s: Obj) -> usize {
    // SAFETY: every str carries its length.
    unsafe { read::<isize, _>(s, layout::get().str_length) as usize }
}

/// How many bytes a character takes, and the characters.
///
/// # Safety
/// A live exact str; the result is not used after it.
#[inline]
pub unsafe fn str_bytes<'a>(s: Obj) -> (u32, &'a [u8]) {
    let l = layout::get();
    // SAFETY: a compact str holds `length` characters of `kind` bytes right behind its head.
    unsafe {
        let state: u32 = read(s, l.str_state);
        let data = if state & l.str_state_ascii as u32 != 0 { l.str_ascii_data } else { l.str_compact_data };
        let kind = state >> l.str_state_kind_shift & 7;
        (kind, std::slice::from_raw_parts(s.cast::<u8>().offset(data as isize), str_length(s) * kind as usize))
    }
}

/// The character at a position.
///
/// # Safety
/// A live exact str; the position is in range.
pub unsafe fn str_char(s: Obj, position: usize) -> u32 {
    // SAFETY: the caller's string and position.
    let (kind, bytes) = unsafe { str_bytes(s) };
    let at = position * kind as usize;
    let mut word = [0; 4];
    word[..kind as usize].copy_from_slice(&bytes[at..at + kind as usize]);
    u32::from_le_bytes(word)
}

/// Fills a fresh ASCII str.
///
/// # Safety
/// A fresh str of that length, of ASCII characters only, that nobody else has.
pub unsafe fn fill_ascii(s: Obj, text: &[u8]) {
    let l = layout::get();
    // SAFETY: such a str holds its characters, a byte each, right behind its head.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), s.cast::<u8>().offset(l.str_ascii_data as isize), text.len()) }
}

/// The value of an int, if it fits.
///
/// # Safety
/// A live int (or subclass).
#[inline]
pub unsafe fn int_value(o: Obj) -> Option<i64> {
    let l = layout::get();
    // SAFETY: an int holds its tag and `tag >> 3` digits of 30 bits.
    unsafe {
        let tag: usize = read(o, l.long_tag);
        let count = tag >> 3;
        if count <= 1 {
            // The sign field is 0 for positive numbers, 1 for zero, 2 for negative ones.
            return Some((1 - (tag & 3) as i64) * i64::from(read::<u32, _>(o, l.long_digits)));
        }
        if count > 3 {
            return None;
        }
        let mut value = 0i128;
        for i in (0..count).rev() {
            value = value << 30 | i128::from(read::<u32, _>(o, l.long_digits + 4 * i as i32));
        }
        if tag & 3 == 2 {
            value = -value;
        }
        i64::try_from(value).ok()
    }
}

/// The value of an int of up to four digits, or five if it fits.
///
/// # Safety
/// A live int (or subclass).
#[inline]
pub unsafe fn wide_value(o: Obj) -> Option<i128> {
    let l = layout::get();
    // SAFETY: as for `int_value`; the first digit is there in any case, and 0 in zero.
    unsafe {
        let tag: usize = read(o, l.long_tag);
        let count = tag >> 3;
        if count > 4 && (count > 5 || read::<u32, _>(o, l.long_digits + 16) >> 7 != 0) {
            return None;
        }
        let mut value = i128::from(read::<u32, _>(o, l.long_digits));
        for k in 1..count {
            value |= i128::from(read::<u32, _>(o, l.long_digits + 4 * k as i32)) << (30 * k);
        }
        Some(if tag & 3 == 2 { -value } else { value })
    }
}

/// The value of a float.
///
/// # Safety
/// A live float (or subclass).
#[inline]
pub unsafe fn float_value(o: Obj) -> f64 {
    // SAFETY: the caller's float.
    unsafe { read(o, layout::get().float_value) }
}

/// A type's flags (see [`flags`]).
///
/// # Safety
/// A live type.
#[inline]
pub unsafe fn type_flags(ty: Obj) -> u64 {
    // SAFETY: the caller's type.
    unsafe { read(ty, layout::get().tp_flags) }
}

/// A type's version tag; 0: none.
///
/// # Safety
/// A live type.
pub unsafe fn type_version(ty: Obj) -> u32 {
    // SAFETY: the caller's type.
    unsafe { read(ty, layout::get().tp_version_tag) }
}

/// A type's name (`tp_name`, dotted for static types).
///
/// # Safety
/// A live type.
pub unsafe fn type_name(ty: Obj) -> String {
    // SAFETY: `tp_name` is a C string.
    unsafe {
        let name: *const std::ffi::c_char = read(ty, layout::get().tp_name);
        std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// Whether an object is a type.
///
/// # Safety
/// A live object.
pub unsafe fn is_type(o: Obj) -> bool {
    // SAFETY: the caller's object has a type.
    unsafe { type_flags((*o).ob_type) & flags::TYPE != 0 }
}

/// Whether looking a name up in a class runs no Python code: all keys of its own dict and of its bases' are strings.
///
/// # Safety
/// A live class; the GIL is held.
pub unsafe fn has_plain_names(class: Obj) -> bool {
    /// The kind of tables with keys of any type.
    const GENERAL: u8 = 0;
    let l = layout::get();
    // SAFETY: a class has a tuple of bases once it is ready; the dicts of static ones, which may be elsewhere, hold
    // strings.
    unsafe {
        let mro: Obj = read(class, l.tp_mro);
        !mro.is_null()
            && tuple_slice(mro).iter().all(|base| {
                let dict: Obj = if type_flags(*base) & flags::HEAP == 0 { std::ptr::null_mut() } else { read(*base, l.tp_dict) };
                dict.is_null() || read::<u8, _>(read::<*mut u8, _>(dict, l.dict_keys), l.keys_kind) != GENERAL
            })
    }
}
