//! What machine code must know of the interpreter it runs in: offsets, addresses, conventions.
//!
//! The engine fills this from the CPython crate; nothing here knows Python.

use std::sync::atomic::{AtomicU64, Ordering};

use stoop_ir::{Class, Element};

/// Byte offsets in dicts and their tables of keys that are all strings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dicts {
    /// `ma_keys` in a dict.
    pub keys: i32,
    /// `dk_log2_index_bytes` in a table (8 bits).
    pub log2_index_bytes: i32,
    /// `dk_kind` in a table (8 bits), and what it is for one of strings only that belongs to one dict.
    pub kind: (i32, i32),
    /// `dk_nentries` in a table.
    pub count: i32,
    /// The index, which the entries follow.
    pub indices: i32,
    /// The key in an entry.
    pub key: i32,
    /// The value in an entry.
    pub value: i32,
    /// Bytes of an entry.
    pub entry: i32,
}

/// Where a memory word that compiled code reads lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At an absolute address.
    Absolute(u64),
    /// At an offset from the thread state.
    ThreadState(i32),
    /// At an offset from the interpreter's frame.
    Frame(i32),
}

/// A condition checked at safe points: `(*place & mask) == expected`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// The word.
    pub place: Place,
    /// Its size in bytes: 1, 4 or 8.
    pub width: u8,
    /// Bits that count.
    pub mask: u64,
    /// What they must be.
    pub expected: Expected,
}

/// The right-hand side of a [`Watch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// A constant.
    Const(u64),
    /// The 64-bit word at this absolute address.
    Memory(u64),
}

/// Where inline attribute values live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InlineValues {
    /// CPython 3.12: the word at `offset` (negative) from the object holds the address of the values array less one
    /// (low bit clear: a dict, or NULL).
    TaggedPointer {
        /// Byte offset of the word from the object.
        offset: i32,
        /// Byte offset of the first value within what the untagged pointer points at.
        first: i32,
        /// Byte offset of the count of values that are set from there. Their indexes lie below it, the first one next
        /// to it.
        size: i32,
    },
    /// CPython 3.13: the values follow the object at its type's basic size.
    AfterObject {
        /// Byte offset of `tp_basicsize` in the type.
        basicsize: i32,
        /// Byte offset of the first value from the start of the values header.
        first: i32,
        /// Byte offset of the "valid" byte from the start of the values header.
        valid: i32,
        /// Byte offset of the count of values that are set.
        size: i32,
        /// Byte offset of how many values there is room for. The indexes of those that are set follow the values.
        capacity: i32,
        /// Byte offset of the word that points at the object's dict, from the object.
        dict: i32,
    },
}

/// What tells `array.array`s apart. The type belongs to a module that may be imported late or never, so the engine
/// fills in what it meets; code is only ever made for classes that were met.
#[derive(Debug, Default)]
pub struct Arrays {
    ty: AtomicU64,
    descriptors: [AtomicU64; Element::ALL.len()],
}

impl Arrays {
    /// Nothing met yet.
    pub const fn new() -> Arrays {
        Arrays { ty: AtomicU64::new(0), descriptors: [const { AtomicU64::new(0) }; Element::ALL.len()] }
    }

    /// The type object's address; 0 before the first array was met.
    pub fn type_address(&self) -> u64 {
        self.ty.load(Ordering::Relaxed)
    }

    /// Notes the type object's address, for good.
    pub fn set_type(&self, address: u64) {
        self.ty.store(address, Ordering::Relaxed);
    }

    /// The address of the item descriptor that all arrays of the class point at; `None` before one was met.
    pub fn descriptor(&self, class: Class) -> Option<u64> {
        let k = Element::ALL.iter().position(|(c, _)| *c == class)?;
        Some(self.descriptors[k].load(Ordering::Relaxed)).filter(|a| *a != 0)
    }

    /// Notes a descriptor's address, for good.
    pub fn set_descriptor(&self, class: Class, address: u64) {
        if let Some(k) = Element::ALL.iter().position(|(c, _)| *c == class) {
            self.descriptors[k].store(address, Ordering::Relaxed);
        }
    }
}

/// Layouts and addresses.
#[derive(Clone, Debug)]
pub struct Abi {
    /// `ob_refcnt` (the low 32 bits; negative as i32 means immortal).
    pub ob_refcnt: i32,
    /// `ob_type`.
    pub ob_type: i32,
    /// `tp_version_tag` in a type (32 bits).
    pub tp_version_tag: i32,
    /// Dicts' tables.
    pub dicts: Dicts,
    /// `ht_cached_keys` in a heap type: the keys its instances share.
    pub heap_keys: i32,
    /// `dk_version` in such keys (32 bits).
    pub keys_version: i32,
    /// Size of variable-sized objects (list, tuple): `ob_size`.
    pub ob_size: i32,
    /// `long_value.lv_tag`: low 3 bits sign (0 positive, 1 zero, 2 negative), the rest the digit count.
    pub long_tag: i32,
    /// First 30-bit digit.
    pub long_digits: i32,
    /// `ob_fval`.
    pub float_value: i32,
    /// `ob_item` of a list (pointer to items).
    pub list_items: i32,
    /// `ob_item` of an `array.array` (pointer to items).
    pub array_items: i32,
    /// `ob_start` of a bytearray (pointer to its bytes).
    pub bytearray_start: i32,
    /// First byte of a bytes object.
    pub bytes_data: i32,
    /// `ma_used` of a dict.
    pub dict_used: i32,
    /// `used` of a set.
    pub set_used: i32,
    /// `c_recursion_remaining` of the thread state (32 bits).
    pub c_recursion: i32,
    /// `ob_descr` of an `array.array`.
    pub array_descr: i32,
    /// `m_ml` of a built-in function or method.
    pub cfunction_def: i32,
    /// `m_self` of a built-in function or method.
    pub cfunction_self: i32,
    /// What tells arrays apart.
    pub arrays: &'static Arrays,
    /// First item of a tuple.
    pub tuple_items: i32,
    /// `length` of a str.
    pub str_length: i32,
    /// `state` of a str (32 bits).
    pub str_state: i32,
    /// The bit in there that says that all characters are ASCII.
    pub str_ascii: i32,
    /// Where such a str's characters begin, a byte each.
    pub str_ascii_data: i32,
    /// Address of a table of the strs of the first 256 characters, which are immortal.
    pub characters: u64,
    /// `start`, `step`, `len` (three longs) of a range iterator.
    pub range_iter: [i32; 3],
    /// `it_index`, `it_seq` of a list iterator.
    pub list_iter: [i32; 2],
    /// `it_index`, `it_seq` of a tuple iterator.
    pub tuple_iter: [i32; 2],
    /// `ob_ref` of a cell.
    pub cell_ref: i32,
    /// `func_closure` and `func_code` of a function.
    pub func_closure: i32,
    /// `func_code` of a function.
    pub func_code: i32,
    /// Inline attribute values.
    pub inline_values: InlineValues,
    /// `localsplus` in the frame.
    pub frame_locals: i32,
    /// The saved instruction pointer in the frame.
    pub frame_instr: i32,
    /// Units from where the interpreter goes on with a frame to the saved instruction pointer.
    pub frame_instr_bias: i32,
    /// The number of slots in use, in the frame (32 bits).
    pub frame_stacktop: i32,
    /// `f_globals` in the frame.
    pub frame_globals: i32,
    /// `f_locals` in the frame.
    pub frame_f_locals: i32,
    /// `f_funcobj` in the frame.
    pub frame_function: i32,
    /// `frame_obj` in the frame.
    pub frame_object: i32,
    /// The eval breaker and the bits that ask for attention.
    pub eval_breaker: Watch,
    /// Addresses of the exact built-in types.
    pub class_types: Vec<(Class, u64)>,
    /// Address of `None`.
    pub none_object: u64,
    /// Address of `True`.
    pub true_object: u64,
    /// Address of `False`.
    pub false_object: u64,
    /// The cached small ints: address of the int 0, bytes between neighbours, smallest, largest.
    pub small_ints: (u64, i32, i64, i64),
}
