//! What lowering remembers within a block: list items at hand, and classes that were checked.
//!
//! The IR's passes see `list.item` and `list.setfloat`, not the loads inside them. A list that is updated in
//! place (`a[i] += x`) would have its item found and checked twice.

use cranelift_codegen::ir::Value as CV;
use std::collections::HashMap;
use stoop_ir::{Class, Mem};

/// A value in facts. Constants are made anew in each block, and the same all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Key {
    /// A constant.
    Constant(i64),
    /// Another value.
    Value(CV),
}

/// Facts about machine values; all of them hold at the present point.
#[derive(Default)]
pub(crate) struct Known {
    /// A list's item array.
    arrays: HashMap<Key, CV>,
    /// A list's item at a position.
    items: HashMap<(Key, Key), CV>,
    /// The exact class of an object. An instance of a built-in class never gets another one.
    classes: HashMap<Key, Class>,
}

impl Known {
    /// At a block's start nothing is known.
    pub(crate) fn clear(&mut self) {
        self.arrays.clear();
        self.items.clear();
        self.classes.clear();
    }
    /// After an operation that writes this memory. Dropping a reference may run a finaliser, which may do anything.
    pub(crate) fn forget(&mut self, writes: Mem) {
        if writes.meets(Mem::LIST.or(Mem::REFS)) {
            self.arrays.clear();
            self.items.clear();
        }
    }
    /// The array of a list's items.
    pub(crate) fn array(&self, list: Key) -> Option<CV> {
        self.arrays.get(&list).copied()
    }
    /// Notes the array of a list's items.
    pub(crate) fn set_array(&mut self, list: Key, array: CV) {
        self.arrays.insert(list, array);
    }
    /// A list's item.
    pub(crate) fn item(&self, list: Key, position: Key) -> Option<CV> {
        self.items.get(&(list, position)).copied()
    }
    /// Notes a list's item.
    pub(crate) fn set_item(&mut self, list: Key, position: Key, item: CV) {
        self.items.insert((list, position), item);
    }
    /// Whether an object is known to be an exact instance.
    pub(crate) fn is(&self, object: Key, class: Class) -> bool {
        self.classes.get(&object) == Some(&class)
    }
    /// Notes an object's exact class.
    pub(crate) fn set_class(&mut self, object: Key, class: Class) {
        self.classes.insert(object, class);
    }
}
