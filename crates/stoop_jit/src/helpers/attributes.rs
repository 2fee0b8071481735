//! Attributes of objects whose class is not known: by a table of what was found before.
//!
//! A row is about a class (by its version, which every change of the class or its bases replaces) and a name. Rows
//! are guesses about where things lie, checked where the version does not vouch for them; whatever has no row goes
//! through the object's own protocol.
//!
//! # Safety
//! Every helper here borrows live objects and needs the GIL.
#![allow(clippy::missing_safety_doc, reason = "the module's heading states it for all")]

use std::cell::UnsafeCell;
use std::ptr::null_mut;

use stoop_cpython::capi::{self, Obj, decref, incref, new_ref, type_of, xdecref};
use stoop_cpython::hashed;
use stoop_cpython::layout::{self, flags, read, write};
use stoop_cpython::objects;
use stoop_cpython::type_ptr;

/// Where an attribute is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Ask the object.
    Elsewhere,
    /// Among the inline values, at this index, or in the object's own dict.
    Inline(u32),
    /// In the dict of its own that the object may have instead of inline values.
    InDict,
    /// The object is a class, and its own or a base's has it: a second table knows.
    OfClass,
    /// It is this object. (A class keeps it alive while it has the version.)
    Value(Obj),
    /// Nowhere: the class has none, and instances have no attributes of their own.
    Nowhere,
    /// In a slot of the object, at this offset.
    Slot(i32),
    /// It is a method of the class, and instances have no attributes.
    Method(Obj),
    /// It is a method of the class, and its name was not among the instances' names when there were so many.
    MethodUnless(Obj, i64),
}

#[derive(Clone, Copy)]
struct Row {
    version: u32,
    /// With a reference of its own: the address alone might become another name's.
    name: Obj,
    place: Place,
}

const ROWS: usize = 1024;

/// One table a kind of access.
pub(super) struct Table(UnsafeCell<[Row; ROWS]>);
// SAFETY: every access is made with the GIL held, which orders them.
unsafe impl Sync for Table {}

const EMPTY: Row = Row { version: 0, name: null_mut(), place: Place::Elsewhere };
static LOADS: Table = Table::new();
static CLASSES: Table = Table::new();
static METHODS: Table = Table::new();
static STORES: Table = Table::new();

impl Table {
    pub(super) const fn new() -> Table {
        Table(UnsafeCell::new([EMPTY; ROWS]))
    }

    /// Where a class has an attribute, if that is known; `find` says where, if not. `None` for classes without version.
    #[inline]
    pub(super) unsafe fn place(&self, class: Obj, name: Obj, find: unsafe fn(Obj, Obj) -> Place) -> Option<Place> {
        // SAFETY: live objects; nobody else touches the table meanwhile.
        unsafe {
            let version: u32 = read(class, layout::get().tp_version_tag);
            let at = (version as usize).wrapping_mul(0x9e37_79b1) ^ (name as usize >> 4);
            let row = self.0.get().cast::<Row>().add(at % ROWS);
            if (*row).version == version && (*row).name == name {
                return Some((*row).place);
            }
            let place = find(class, name);
            if version != 0 && version == read::<u32, _>(class, layout::get().tp_version_tag) {
                let old = (*row).name;
                row.write(Row { version, name: new_ref(name), place });
                xdecref(old);
                return Some(place);
            }
            None
        }
    }
}

/// The address of an object's inline values, if it has them and they count.
#[inline]
pub(super) unsafe fn inline_values(o: Obj) -> Option<*mut Obj> {
    let l = layout::get();
    // SAFETY: asked only for classes whose instances may have inline values.
    unsafe {
        match l.values_valid {
            None => {
                let word: usize = read(o, l.managed_dict);
                (word & 1 != 0).then(|| (word + 1 + l.values_first as usize) as *mut Obj)
            }
            Some(valid) => {
                let values = o.cast::<u8>().offset(read::<isize, _>(type_of(o), l.tp_basicsize));
                (values.offset(valid as isize).read() != 0).then(|| values.offset(l.values_first as isize).cast())
            }
        }
    }
}

/// Whether the object has no dict beside its inline values: who holds the dict may watch it.
#[inline]
unsafe fn has_no_dict(o: Obj) -> bool {
    let l = layout::get();
    // SAFETY: as for `inline_values`; on 3.12 the tagged word tells.
    unsafe { l.values_valid.is_none() || read::<usize, _>(o, l.managed_dict) == 0 }
}

/// The dict of an object of a class with inline values, if it has one that keeps its values itself, under strings only.
#[inline]
pub(super) unsafe fn own_dict(o: Obj) -> Option<Obj> {
    const STRINGS: u8 = 1;
    let l = layout::get();
    // SAFETY: as for `inline_values`; on 3.12 the word has its low bit set where it points at values.
    unsafe {
        let dict: Obj = read(o, l.managed_dict);
        if dict.is_null() || dict as usize & 1 != 0 || type_of(dict) != type_ptr!(PyDict_Type) {
            return None;
        }
        let keys: *mut u8 = read(dict, l.dict_keys);
        (read::<u8, _>(keys, l.keys_kind) == STRINGS).then_some(dict)
    }
}

/// Where in its own dict an object has a name, and what; `None` if it has no such dict.
///
/// # Safety
/// A live object and an interned name, the GIL held. Runs no Python code.
pub unsafe fn entry_of(o: Obj, name: Obj) -> Option<Option<(u32, Obj)>> {
    let l = layout::get();
    // SAFETY: entries lie behind the table's index.
    unsafe {
        names(type_of(o))?;
        let keys: *mut u8 = read(own_dict(o)?, l.dict_keys);
        let index = 1usize << read::<u8, _>(keys, l.keys_log2_index_bytes);
        let first = keys.offset(l.keys_indices as isize).add(index);
        let at = |k: usize| first.add(k * l.unicode_entry_size as usize);
        let count: i64 = read(keys, l.keys_nentries);
        let found = (0..count as usize).find(|k| read::<Obj, _>(at(*k), l.unicode_entry_key) == name);
        let entry = found.map(|k| (k as u32, read::<Obj, _>(at(k), l.unicode_entry_value)));
        Some(entry.filter(|e| !e.1.is_null()))
    }
}

/// Whether an object's own dict has nothing of a name.
pub unsafe extern "C" fn not_in_dict(o: Obj, name: Obj) -> i32 {
    // SAFETY: asked for classes whose instances may have inline values; a table of strings runs no Python code.
    unsafe {
        let Some(dict) = own_dict(o) else { return 0 };
        // A name has been hashed when it became one.
        match hashed::dict_find(dict, name, read(name, layout::get().str_hash)) {
            hashed::Found::Nothing => 1,
            hashed::Found::There(_) => 0,
            hashed::Found::Unsure => i32::from(capi::PyDict_Contains(dict, name) == 0),
        }
    }
}

/// The names of a class's instances' inline values: first entry, and how many.
pub(super) unsafe fn names(ty: Obj) -> Option<(*mut u8, i64)> {
    const SPLIT: u8 = 2;
    let l = layout::get();
    // SAFETY: a heap type; its cached keys are NULL or a key table.
    unsafe {
        let type_flags: u64 = read(ty, l.tp_flags);
        let wanted = if l.values_valid.is_some() { flags::INLINE_VALUES } else { flags::MANAGED_DICT };
        if type_flags & wanted == 0 || type_flags & flags::HEAP == 0 {
            return None;
        }
        let keys: *mut u8 = read(ty, l.ht_cached_keys);
        if keys.is_null() || read::<u8, _>(keys, l.keys_kind) != SPLIT {
            return None;
        }
        let table = 1usize << read::<u8, _>(keys, l.keys_log2_index_bytes);
        Some((keys.offset(l.keys_indices as isize).add(table), read(keys, l.keys_nentries)))
    }
}

pub(super) unsafe fn index_of(ty: Obj, name: Obj) -> Option<u32> {
    let l = layout::get();
    // SAFETY: the entries are those of the class's own keys, whose names are interned, as ours is.
    unsafe {
        let (first, count) = names(ty)?;
        (0..count as usize)
            .find(|k| read::<Obj, _>(first.add(k * l.unicode_entry_size as usize), l.unicode_entry_key) == name)
            .map(|k| k as u32)
    }
}

/// The offset of a slot (`__slots__`), if that is what a class attribute is.
unsafe fn slot_of(ty: Obj, descriptor: Obj, writing: bool) -> Option<i32> {
    const OBJECT_EX: i32 = 16;
    const READ_ONLY: i32 = 1;
    let l = layout::get();
    // SAFETY: a member descriptor has a PyMemberDef: name, type, offset, flags.
    unsafe {
        if type_of(descriptor) != type_ptr!(PyMemberDescr_Type) || capi::PyType_IsSubtype(ty, read(descriptor, l.descr_type)) == 0
        {
            return None;
        }
        let member: *mut u8 = read(descriptor, l.memberdescr_member);
        let (kind, offset, member_flags): (i32, isize, i32) = (read(member, 8), read(member, 16), read(member, 24));
        let allowed = if writing { member_flags & READ_ONLY == 0 } else { member_flags & !READ_ONLY == 0 };
        (kind == OBJECT_EX && allowed).then_some(offset as i32)
    }
}

/// Whether the class of a class's attribute may change: any object may be, or stop being, a descriptor then, and no class
/// that has it gets another version.
unsafe fn may_turn(attribute: Obj) -> bool {
    // SAFETY: a live object or NULL.
    unsafe { !attribute.is_null() && objects::type_flags(type_of(attribute)) & flags::IMMUTABLE == 0 }
}

/// Whether compiled code can ask for the version of an object's class.
unsafe fn has_version(o: Obj) -> bool {
    // SAFETY: a live object.
    unsafe {
        let of = type_of(o);
        objects::type_version(of) != 0 || capi::PyUnstable_Type_AssignVersionTag(of) != 0
    }
}

unsafe fn find_load(ty: Obj, name: Obj) -> Place {
    let l = layout::get();
    // SAFETY: a live type.
    unsafe {
        if !objects::has_plain_names(ty) {
            return Place::Elsewhere;
        }
        let descriptor = capi::_PyType_Lookup(ty, name);
        let getattro: usize = read(ty, l.tp_getattro);
        if getattro == read(type_ptr!(PyType_Type), l.tp_getattro) && descriptor.is_null() {
            return Place::OfClass;
        }
        if getattro != capi::PyObject_GenericGetAttr as *const () as usize || may_turn(descriptor) {
            return Place::Elsewhere;
        }
        if !descriptor.is_null() && read::<usize, _>(type_of(descriptor), l.tp_descr_set) != 0 {
            return slot_of(ty, descriptor, false).map_or(Place::Elsewhere, Place::Slot);
        }
        index_of(ty, name).map_or_else(|| in_dict(ty), Place::Inline)
    }
}

/// Where attributes are that a class's shared keys do not know.
pub(super) unsafe fn in_dict(ty: Obj) -> Place {
    // SAFETY: a live type.
    if unsafe { names(ty) }.is_some() { Place::InDict } else { Place::Elsewhere }
}

unsafe fn find_in_class(class: Obj, name: Obj) -> Place {
    // SAFETY: as above.
    unsafe {
        if !objects::has_plain_names(class) {
            return Place::Elsewhere;
        }
        let value = capi::_PyType_Lookup(class, name);
        if !value.is_null() && is_itself(value) { Place::Value(value) } else { Place::Elsewhere }
    }
}

/// Whether what a class has is what its attribute is.
#[inline]
unsafe fn is_itself(value: Obj) -> bool {
    // SAFETY: a live object.
    unsafe {
        let of = type_of(value);
        of == type_ptr!(PyFunction_Type) || read::<usize, _>(of, layout::get().tp_descr_get) == 0
    }
}

unsafe fn find_store(ty: Obj, name: Obj) -> Place {
    let l = layout::get();
    // SAFETY: as above.
    unsafe {
        let plainly = read::<usize, _>(ty, l.tp_setattro) == capi::PyObject_GenericSetAttr as *const () as usize;
        if !plainly || !objects::has_plain_names(ty) {
            return Place::Elsewhere;
        }
        let descriptor = capi::_PyType_Lookup(ty, name);
        if may_turn(descriptor) {
            return Place::Elsewhere;
        }
        if !descriptor.is_null() && read::<usize, _>(type_of(descriptor), l.tp_descr_set) != 0 {
            return slot_of(ty, descriptor, true).map_or(Place::Elsewhere, Place::Slot);
        }
        index_of(ty, name).map_or_else(|| in_dict(ty), Place::Inline)
    }
}

unsafe fn find_method(ty: Obj, name: Obj) -> Place {
    let l = layout::get();
    // SAFETY: as above.
    unsafe {
        let plainly = read::<usize, _>(ty, l.tp_getattro) == capi::PyObject_GenericGetAttr as *const () as usize;
        if !plainly || !objects::has_plain_names(ty) {
            return Place::Elsewhere;
        }
        let method = capi::_PyType_Lookup(ty, name);
        if method.is_null() || read::<u64, _>(type_of(method), l.tp_flags) & flags::METHOD_DESCRIPTOR == 0 {
            return Place::Elsewhere;
        }
        if let Some((_, count)) = names(ty) {
            return if index_of(ty, name).is_none() { Place::MethodUnless(method, count) } else { Place::Elsewhere };
        }
        let has_dict = read::<isize, _>(ty, l.tp_dictoffset) != 0 || read::<u64, _>(ty, l.tp_flags) & flags::MANAGED_DICT != 0;
        if has_dict { Place::Elsewhere } else { Place::Method(method) }
    }
}

/// Where compiled code finds an attribute of an instance, while its class has its present version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Among the inline values, at this index.
    Field(u32),
    /// In a slot of the object, at this offset.
    Slot(i32),
    /// In the dict of its own that the object has.
    InDict,
    /// It is this object, which the class has; and the instance has none of that name while its class's shared keys
    /// have this version (0: it never has; the greatest number: while its own dict has none). While its own class has its
    /// present version, too, if that can be changed.
    Value(Obj, u32),
    /// What this function returns for the instance.
    Property(Obj),
}

/// Where instances of a class have an attribute. `method`: it is about to be called. `dict`: they have dicts of their own
/// instead of inline values.
///
/// # Safety
/// A live class and an interned name, the GIL held. Runs no Python code.
pub unsafe fn find_for_code(ty: Obj, name: Obj, method: bool, dict: bool) -> Option<Found> {
    let l = layout::get();
    // SAFETY: as documented.
    unsafe {
        if read::<usize, _>(ty, l.tp_getattro) != capi::PyObject_GenericGetAttr as *const () as usize {
            return None;
        }
        let value = capi::_PyType_Lookup(ty, name);
        if value.is_null() {
            return if dict { names(ty).map(|_| Found::InDict) } else { index_of(ty, name).map(Found::Field) };
        }
        let of = type_of(value);
        if of == type_ptr!(PyProperty_Type) {
            let getter = capi::PyObject_GetAttrString(value, c"fget".as_ptr());
            if getter.is_null() {
                capi::PyErr_Clear();
                return None;
            }
            // The property keeps it.
            decref(getter);
            return (type_of(getter) == type_ptr!(PyFunction_Type)).then_some(Found::Property(getter));
        }
        if read::<usize, _>(of, l.tp_descr_set) != 0 {
            return slot_of(ty, value, false).map(Found::Slot);
        }
        if let Some(k) = index_of(ty, name).filter(|_| !dict) {
            return (!may_turn(value)).then_some(Found::Field(k));
        }
        if may_turn(value) && !has_version(value) {
            return None;
        }
        let is_method = read::<u64, _>(of, l.tp_flags) & flags::METHOD_DESCRIPTOR != 0;
        let is_plain = read::<usize, _>(of, l.tp_descr_get) == 0;
        if if method { !is_method } else { !is_plain } {
            return None;
        }
        if dict {
            return names(ty).map(|_| Found::Value(value, u32::MAX));
        }
        if names(ty).is_some() {
            let keys: *mut u8 = read(ty, l.ht_cached_keys);
            let version: u32 = read(keys, l.keys_version);
            return (version != 0).then_some(Found::Value(value, version));
        }
        let has_dict = read::<isize, _>(ty, l.tp_dictoffset) != 0 || read::<u64, _>(ty, l.tp_flags) & flags::MANAGED_DICT != 0;
        (!has_dict).then_some(Found::Value(value, 0))
    }
}

/// What compiled code takes an attribute of a class for, while the class has its present version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OfClass {
    /// This object, while its own class has its present version, too, if that can be changed.
    Value(Obj),
    /// This function, bound to the class.
    Bound(Obj),
}

/// What an attribute of a class (an instance of `type` itself) is.
///
/// # Safety
/// As for [`find_for_code`].
pub unsafe fn find_of_class(class: Obj, name: Obj) -> Option<OfClass> {
    let l = layout::get();
    // SAFETY: as documented; the attribute keeps what it wraps.
    unsafe {
        let meta = capi::_PyType_Lookup(type_ptr!(PyType_Type), name);
        if !meta.is_null() && read::<usize, _>(type_of(meta), l.tp_descr_set) != 0 {
            return None;
        }
        let value = if objects::has_plain_names(class) { capi::_PyType_Lookup(class, name) } else { std::ptr::null_mut() };
        if value.is_null() {
            return None;
        }
        let of = type_of(value);
        if of == type_ptr!(PyFunction_Type) || read::<usize, _>(of, l.tp_descr_get) == 0 {
            return (!may_turn(value) || has_version(value)).then_some(OfClass::Value(value));
        }
        let bound = of == type_ptr!(PyClassMethod_Type);
        if !bound && of != type_ptr!(PyStaticMethod_Type) {
            return None;
        }
        let function = capi::PyObject_GetAttrString(value, c"__func__".as_ptr());
        if function.is_null() {
            capi::PyErr_Clear();
            return None;
        }
        decref(function);
        let plain = type_of(function) == type_ptr!(PyFunction_Type);
        plain.then_some(if bound { OfClass::Bound(function) } else { OfClass::Value(function) })
    }
}

/// Where storing an attribute into instances of a class puts it: [`Found::Field`] or [`Found::Slot`].
///
/// # Safety
/// As for [`find_for_code`].
pub unsafe fn find_store_for_code(ty: Obj, name: Obj) -> Option<Found> {
    // SAFETY: as documented.
    match unsafe { find_store(ty, name) } {
        Place::Inline(k) => Some(Found::Field(k)),
        Place::Slot(offset) => Some(Found::Slot(offset)),
        Place::Elsewhere
        | Place::InDict
        | Place::OfClass
        | Place::Nowhere
        | Place::Value(_)
        | Place::Method(_)
        | Place::MethodUnless(..) => None,
    }
}

/// `o.name`.
pub unsafe extern "C" fn load_attr(o: Obj, name: Obj) -> Obj {
    // SAFETY: places are those of the object's class.
    unsafe {
        let value = match LOADS.place(type_of(o), name, find_load) {
            Some(Place::OfClass) => match CLASSES.place(o, name, find_in_class) {
                Some(Place::Value(value)) if is_itself(value) => value,
                _ => null_mut(),
            },
            Some(Place::Inline(k)) => match inline_values(o) {
                Some(v) => *v.add(k as usize),
                None => own_dict(o).map_or(null_mut(), |dict| capi::PyDict_GetItem(dict, name)),
            },
            Some(Place::InDict) => own_dict(o).map_or(null_mut(), |dict| capi::PyDict_GetItem(dict, name)),
            Some(Place::Slot(offset)) => read(o, offset),
            _ => null_mut(),
        };
        if value.is_null() {
            return capi::PyObject_GetAttr(o, name);
        }
        incref(value);
        value
    }
}

/// The unbound method, with `*slf` the object, where the attribute is a method of the type; else the bound
/// attribute, with `*slf` NULL.
pub unsafe extern "C" fn load_method(o: Obj, name: Obj, slf: *mut Obj) -> Obj {
    // SAFETY: the caller's objects and place.
    unsafe {
        let found = match METHODS.place(type_of(o), name, find_method) {
            Some(Place::Method(method)) => method,
            Some(Place::MethodUnless(method, count))
                if (inline_values(o).is_some() && names(type_of(o)).is_some_and(|n| n.1 == count))
                    || not_in_dict(o, name) != 0 =>
            {
                method
            }
            _ => null_mut(),
        };
        if !found.is_null() {
            slf.write(o);
            incref(found);
            return found;
        }
        let mut method = null_mut();
        let unbound = capi::_PyObject_GetMethod(o, name, &mut method);
        slf.write(if unbound == 1 { o } else { null_mut() });
        method
    }
}

/// Sets what an object's own dict, of strings only, has under a name.
unsafe fn store_in(dict: Obj, name: Obj, value: Obj) -> i32 {
    // SAFETY: live objects; looking a str up among strs runs no Python code. The former value is dropped last.
    unsafe {
        if let Some(hash) = hashed::plain_hash(name)
            && let hashed::Found::There(place) = hashed::dict_find(dict, name, hash)
        {
            match hashed::dict_set(dict, name, value, place) {
                -1 => return -1,
                0 => return 0,
                1 => {}
                former => {
                    decref(former as Obj);
                    return 0;
                }
            }
        }
        capi::PyDict_SetItem(dict, name, value)
    }
}

/// `o.name = value`.
pub unsafe extern "C" fn store_attr(o: Obj, name: Obj, value: Obj) -> i32 {
    // SAFETY: as above. A value that was not there before is left to the object: the order of names is kept.
    unsafe {
        let found = STORES.place(type_of(o), name, find_store);
        let place = match found {
            Some(Place::Inline(k)) if has_no_dict(o) => inline_values(o).map_or(null_mut(), |v| v.add(k as usize)),
            Some(Place::Slot(offset)) => o.cast::<u8>().offset(offset as isize).cast::<Obj>(),
            _ => null_mut(),
        };
        if place.is_null() || (*place).is_null() {
            let in_dict = matches!(found, Some(Place::Inline(_) | Place::InDict));
            // Other classes have no word for a dict: what lies there is not theirs.
            let dict = if in_dict && inline_values(o).is_none() { own_dict(o) } else { None };
            return match dict {
                Some(dict) => store_in(dict, name, value),
                None => capi::PyObject_SetAttr(o, name, value),
            };
        }
        let old = *place;
        write(place, 0, new_ref(value));
        decref(old);
        0
    }
}

/// `super(class, o).name`, where `class` and `o` are what `super()` would find for itself.
pub unsafe extern "C" fn super_attr(super_: Obj, class: Obj, o: Obj, name: Obj) -> Obj {
    // SAFETY: the caller's objects.
    unsafe {
        let args = [class, o];
        let found = capi::PyObject_Vectorcall(super_, args.as_ptr(), args.len(), null_mut());
        if found.is_null() {
            return found;
        }
        let value = capi::PyObject_GetAttr(found, name);
        decref(found);
        value
    }
}
