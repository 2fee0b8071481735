//! Where things lie in the memory of the CPython at hand.
//!
//! One [`Layout`] a version, chosen at run time by [`crate::check::check`]; [`get`] is how everything else
//! reaches it. Offsets are in bytes from the start of the thing named; unless a field's note gives a width,
//! the field is a 64-bit word.

use std::sync::OnceLock;

use crate::opcodes::OpcodeTable;

/// Where the eval breaker lives and what monitoring compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breaker {
    /// CPython 3.12: a 32-bit word of the interpreter (0: nothing to do); the 64-bit monitoring version beside it.
    Interpreter {
        /// Offset of the breaker in the interpreter.
        offset: i32,
        /// Offset of the monitoring version in the interpreter.
        version: i32,
    },
    /// CPython 3.13: a 64-bit word of the thread state whose low bits are events and whose high bits are the
    /// monitoring version. With no event pending it equals the interpreter's version word once the thread has caught up.
    ThreadState {
        /// Offset of the breaker in the thread state.
        offset: i32,
        /// The event bits.
        events: u64,
        /// Offset of the interpreter's own version word.
        version: i32,
    },
}

/// Bits of `tp_flags`.
pub mod flags {
    /// Instances carry inline values (3.13).
    pub const INLINE_VALUES: u64 = 1 << 2;
    /// What a class has whose instances are inline values behind a header of four words (3.13): the values, a managed dict
    /// and weak references, the heap, the collector.
    pub const PLAIN: u64 = INLINE_VALUES | 1 << 3 | MANAGED_DICT | HEAP | GC;
    /// Instances have a managed dict word.
    pub const MANAGED_DICT: u64 = 1 << 4;
    /// The type cannot be changed.
    pub const IMMUTABLE: u64 = 1 << 8;
    /// The type is allocated on the heap.
    pub const HEAP: u64 = 1 << 9;
    /// Patterns take instances for sequences.
    pub const SEQUENCE: u64 = 1 << 5;
    /// Patterns take instances for mappings.
    pub const MAPPING: u64 = 1 << 6;
    /// Instances support vectorcall.
    pub const VECTORCALL: u64 = 1 << 11;
    /// Instances are tracked by the garbage collector.
    pub const GC: u64 = 1 << 14;
    /// A method descriptor: binding may be skipped in calls.
    pub const METHOD_DESCRIPTOR: u64 = 1 << 17;
    /// A subclass of int.
    pub const LONG: u64 = 1 << 24;
    /// A subclass of list.
    pub const LIST: u64 = 1 << 25;
    /// A subclass of tuple.
    pub const TUPLE: u64 = 1 << 26;
    /// A subclass of bytes.
    pub const BYTES: u64 = 1 << 27;
    /// A subclass of str.
    pub const UNICODE: u64 = 1 << 28;
    /// A subclass of dict.
    pub const DICT: u64 = 1 << 29;
    /// A subclass of BaseException.
    pub const BASE_EXCEPTION: u64 = 1 << 30;
    /// A subclass of type.
    pub const TYPE: u64 = 1 << 31;
}

/// Values of a frame's `owner`.
pub mod owner {
    /// On the thread's data stack.
    pub const THREAD: u8 = 0;
    /// In a generator.
    pub const GENERATOR: u8 = 1;
    /// In a frame object.
    pub const FRAME_OBJECT: u8 = 2;
    /// On the C stack: an entry marker without Python code.
    pub const CSTACK: u8 = 3;
}

/// Offsets and facts of one CPython version.
#[derive(Debug)]
pub struct Layout {
    /// Minor version (3.*minor*).
    pub minor: u8,
    /// Bytecode magic number (low 16 bits).
    pub magic: u16,
    /// Opcode numbers, cache sizes and specialisations.
    pub opcodes: &'static OpcodeTable,

    // Objects.
    /// Reference count of an object (64 bits; the low 32, negative as `i32`, mean immortal).
    pub ob_refcnt: i32,
    /// Type of an object.
    pub ob_type: i32,
    /// Item count of a variable-sized object.
    pub ob_size: i32,
    /// Size of a bare object head.
    pub object_size: i32,
    // Types.
    /// `tp_name` (C string).
    pub tp_name: i32,
    /// `tp_basicsize`.
    pub tp_basicsize: i32,
    /// `tp_itemsize`.
    pub tp_itemsize: i32,
    /// `tp_dealloc`.
    pub tp_dealloc: i32,
    /// `tp_traverse`.
    pub tp_traverse: i32,
    /// `tp_clear`.
    pub tp_clear: i32,
    /// `tp_vectorcall_offset`.
    pub tp_vectorcall_offset: i32,
    /// `tp_as_number`.
    pub tp_as_number: i32,
    /// `tp_as_sequence`.
    pub tp_as_sequence: i32,
    /// `tp_as_mapping`.
    pub tp_as_mapping: i32,
    /// `tp_hash`.
    pub tp_hash: i32,
    /// `tp_call`.
    pub tp_call: i32,
    /// `tp_getattro`.
    pub tp_getattro: i32,
    /// `tp_setattro`.
    pub tp_setattro: i32,
    /// `tp_flags` (64 bits; see [`flags`]).
    pub tp_flags: i32,
    /// `tp_richcompare`.
    pub tp_richcompare: i32,
    /// `tp_iter`.
    pub tp_iter: i32,
    /// `tp_as_async`: NULL or the slots of the asynchronous protocols.
    pub tp_as_async: i32,
    /// `tp_iternext`.
    pub tp_iternext: i32,
    /// `tp_base`.
    pub tp_base: i32,
    /// `tp_dict` (NULL for static built-in types: use the C API there).
    pub tp_dict: i32,
    /// `tp_descr_get`.
    pub tp_descr_get: i32,
    /// `tp_descr_set`.
    pub tp_descr_set: i32,
    /// `tp_dictoffset`.
    pub tp_dictoffset: i32,
    /// `tp_init`.
    pub tp_init: i32,
    /// `tp_alloc`.
    pub tp_alloc: i32,
    /// `tp_new`.
    pub tp_new: i32,
    /// `tp_free`.
    pub tp_free: i32,
    /// `tp_del`.
    pub tp_del: i32,
    /// `tp_finalize`.
    pub tp_finalize: i32,
    /// `tp_mro` (a tuple).
    pub tp_mro: i32,
    /// `tp_version_tag` (32 bits; 0 means none).
    pub tp_version_tag: i32,
    /// `tp_vectorcall`.
    pub tp_vectorcall: i32,
    /// `tp_watched` (one bit a watcher).
    pub tp_watched: i32,
    /// `ht_cached_keys` of a heap type: the shared keys of its instances.
    pub ht_cached_keys: i32,
    /// Cached `__getitem__` function of a heap type.
    pub ht_cache_getitem: i32,
    // Built-in values.
    /// An int's tag word: low 3 bits sign (0 positive, 1 zero, 2 negative), the rest the digit count.
    pub long_tag: i32,
    /// An int's first 30-bit digit.
    pub long_digits: i32,
    /// Size of a one-digit int.
    pub long_size: i32,
    /// A float's double.
    pub float_value: i32,
    /// A list's pointer to its items.
    pub list_items: i32,
    /// A list's allocated item count.
    pub list_allocated: i32,
    /// An `array.array`'s pointer to its items.
    pub array_items: i32,
    /// An `array.array`'s pointer to its item descriptor, which starts with the typecode (8 bits).
    pub array_descr: i32,
    /// Bytes an item, in such a descriptor (32 bits).
    pub array_descr_itemsize: i32,
    /// `tp_basicsize` of `array.array`.
    pub array_basicsize: isize,
    /// A tuple's first item.
    pub tuple_items: i32,
    /// First byte of a bytes object.
    pub bytes_data: i32,
    /// A str's length.
    pub str_length: i32,
    /// A str's cached hash (-1: not computed).
    pub str_hash: i32,
    /// A str's 32-bit state word.
    pub str_state: i32,
    /// The "ascii" bit in the state word.
    pub str_state_ascii: i32,
    /// Position of the 3-bit "kind" (bytes a character) in the state word.
    pub str_state_kind_shift: i32,
    /// First character of a compact ASCII str.
    pub str_ascii_data: i32,
    /// First character of another compact str.
    pub str_compact_data: i32,
    /// `start` of a range iterator (C long).
    pub range_iter_start: i32,
    /// `step` of a range iterator (C long).
    pub range_iter_step: i32,
    /// Items left in a range iterator (C long).
    pub range_iter_len: i32,
    /// Next index of a list iterator.
    pub list_iter_index: i32,
    /// List of a list iterator (NULL once exhausted).
    pub list_iter_seq: i32,
    /// Next index of a tuple iterator.
    pub tuple_iter_index: i32,
    /// Tuple of a tuple iterator (NULL once exhausted).
    pub tuple_iter_seq: i32,
    /// `start` of a slice.
    pub slice_start: i32,
    /// `stop` of a slice.
    pub slice_stop: i32,
    /// `step` of a slice.
    pub slice_step: i32,
    /// Content of a cell (NULL when empty).
    pub cell_ref: i32,
    // Callables, descriptors, modules.
    /// A function's globals.
    pub func_globals: i32,
    /// A function's builtins.
    pub func_builtins: i32,
    /// A function's name.
    pub func_name: i32,
    /// A function's qualified name.
    pub func_qualname: i32,
    /// A function's code object.
    pub func_code: i32,
    /// A function's defaults (tuple or NULL).
    pub func_defaults: i32,
    /// A function's keyword defaults (dict or NULL).
    pub func_kwdefaults: i32,
    /// A function's closure (tuple of cells or NULL).
    pub func_closure: i32,
    /// A function's `__dict__` (or NULL).
    pub func_dict: i32,
    /// A function's vectorcall pointer.
    pub func_vectorcall: i32,
    /// A function's 32-bit version (0: none).
    pub func_version: i32,
    /// Function of a bound method.
    pub method_func: i32,
    /// Instance of a bound method.
    pub method_self: i32,
    /// `PyMethodDef` of a built-in function.
    pub cfunction_def: i32,
    /// `self` of a built-in function.
    pub cfunction_self: i32,
    /// Vectorcall of a built-in function.
    pub cfunction_vectorcall: i32,
    /// C function of a `PyMethodDef`.
    pub methoddef_meth: i32,
    /// `METH_*` flags of a `PyMethodDef` (32 bits).
    pub methoddef_flags: i32,
    /// Owner type of a descriptor.
    pub descr_type: i32,
    /// `PyMethodDef` of a method descriptor.
    pub methoddescr_def: i32,
    /// Vectorcall of a method descriptor.
    pub methoddescr_vectorcall: i32,
    /// `PyMemberDef` of a member descriptor (slots).
    pub memberdescr_member: i32,
    /// A module's dict.
    pub module_dict: i32,
    /// A generator's list of weak references.
    pub gen_weakrefs: i32,
    /// A generator's name and qualified name.
    pub gen_name: i32,
    /// The embedded frame of a generator.
    pub gen_frame: i32,
    /// A generator's frame state (8 bits).
    pub gen_frame_state: i32,
    /// What a generator handles: the exception, then the address of what is handled outside.
    pub gen_exc_state: i32,
    /// The frame state of a generator that has not started, that of one suspended at a `yield`, and that of one suspended
    /// in a `yield from` or `await`.
    pub gen_states: [i8; 3],
    // Dicts.
    /// Item count of a dict.
    pub dict_used: i32,
    /// Version word of a dict (its low bits name watchers).
    pub dict_version_tag: i32,
    /// Keys of a dict.
    pub dict_keys: i32,
    /// Values of a split dict (NULL: combined).
    pub dict_values: i32,
    /// Log2 of the hash table's size (8 bits).
    pub keys_log2_size: i32,
    /// Log2 of the hash table's size in bytes (8 bits).
    pub keys_log2_index_bytes: i32,
    /// 0 general, 1 str keys only, 2 split (8 bits).
    pub keys_kind: i32,
    /// Keys version (32 bits; 0: none).
    pub keys_version: i32,
    /// Entries still free.
    pub keys_usable: i32,
    /// Entries used.
    pub keys_nentries: i32,
    /// The hash table; entries follow it.
    pub keys_indices: i32,
    /// Key of an entry of a str-keys table.
    pub unicode_entry_key: i32,
    /// Value of an entry of a str-keys table.
    pub unicode_entry_value: i32,
    /// Size of an entry of a str-keys table.
    pub unicode_entry_size: i32,
    /// Hash of the key of an entry of a general table.
    pub general_entry_hash: i32,
    /// Key of an entry of a general table.
    pub general_entry_key: i32,
    /// Value of an entry of a general table.
    pub general_entry_value: i32,
    /// Size of an entry of a general table.
    pub general_entry_size: i32,
    /// Item count of a set.
    pub set_used: i32,
    /// Size of a set's table less one.
    pub set_mask: i32,
    /// A set's table of entries of 16 bytes: key, hash.
    pub set_table: i32,
    /// Address of a bytearray's first byte.
    pub bytearray_start: i32,
    /// First value in a values array.
    pub values_first: i32,
    /// "Valid" byte of a values array (3.13).
    pub values_valid: Option<i32>,
    /// Capacity byte of a values array (3.13).
    pub values_capacity: Option<i32>,
    /// Byte that counts a values array's values. Their indexes, a byte each, follow the values (3.13), or lie below this
    /// byte, downwards (3.12).
    pub values_size: i32,
    /// The managed-dict word, from the object (negative).
    pub managed_dict: i32,
    // Code objects.
    /// `co_consts` (a tuple).
    pub co_consts: i32,
    /// `co_names` (a tuple).
    pub co_names: i32,
    /// `co_exceptiontable` (bytes).
    pub co_exceptiontable: i32,
    /// `co_flags` (32 bits).
    pub co_flags: i32,
    /// `co_argcount` (32 bits).
    pub co_argcount: i32,
    /// `co_posonlyargcount` (32 bits).
    pub co_posonlyargcount: i32,
    /// `co_kwonlyargcount` (32 bits).
    pub co_kwonlyargcount: i32,
    /// `co_stacksize` (32 bits).
    pub co_stacksize: i32,
    /// `co_firstlineno` (32 bits).
    pub co_firstlineno: i32,
    /// `co_nlocalsplus` (32 bits).
    pub co_nlocalsplus: i32,
    /// `co_framesize`, in words (32 bits).
    pub co_framesize: i32,
    /// `co_nlocals` (32 bits).
    pub co_nlocals: i32,
    /// `co_ncellvars` (32 bits).
    pub co_ncellvars: i32,
    /// `co_nfreevars` (32 bits).
    pub co_nfreevars: i32,
    /// `co_version` (32 bits).
    pub co_version: i32,
    /// Names of all locals (tuple).
    pub co_localsplusnames: i32,
    /// Kinds of all locals (bytes).
    pub co_localspluskinds: i32,
    /// `co_filename`.
    pub co_filename: i32,
    /// `co_name`.
    pub co_name: i32,
    /// `co_qualname`.
    pub co_qualname: i32,
    /// `co_linetable` (bytes).
    pub co_linetable: i32,
    /// Instrumentation version the code is up to date with (64 bits).
    pub co_instrumentation_version: i32,
    /// Monitoring data (or NULL).
    pub co_monitoring: i32,
    /// First traceable code unit (32 bits).
    pub co_firsttraceable: i32,
    /// The code units.
    pub co_code_adaptive: i32,
    /// Tools with local events, a byte an event, in the monitoring data.
    pub mon_local_tools: i32,
    /// Tools active for the code, a byte an event, in the monitoring data.
    pub mon_active_tools: i32,
    /// Bytes that count in each of the two.
    pub mon_local_tools_len: i32,
    /// Pointer to line instrumentation, an entry a unit (or NULL).
    pub mon_lines: i32,
    /// Pointer to opcodes under INSTRUMENTED_INSTRUCTION, a byte a unit (or NULL).
    pub mon_instruction_opcodes: i32,
    /// Size of a line entry.
    pub mon_line_size: i32,
    /// Original opcode in a line entry.
    pub mon_line_opcode: i32,
    // Frames.
    /// Code object (3.13: or None) of a frame.
    pub frame_code: i32,
    /// Saved instruction pointer of a frame.
    pub frame_instr: i32,
    /// Units to add to the unit to resume at, to get the saved pointer (0, or -1 on 3.12).
    pub frame_instr_bias: i32,
    /// Calling frame.
    pub frame_previous: i32,
    /// Function object of a frame.
    pub frame_function: i32,
    /// Globals of a frame (borrowed).
    pub frame_globals: i32,
    /// Builtins of a frame (borrowed).
    pub frame_builtins: i32,
    /// Locals mapping of a frame (or NULL).
    pub frame_f_locals: i32,
    /// Frame object (or NULL).
    pub frame_object: i32,
    /// Index of the operand stack's top from localsplus (32 bits).
    pub frame_stacktop: i32,
    /// `return_offset` (16 bits).
    pub frame_return_offset: i32,
    /// `owner` (8 bits; see [`owner`]).
    pub frame_owner: i32,
    /// `localsplus`.
    pub frame_locals: i32,
    /// Words of a frame before `localsplus`.
    pub frame_specials: i32,
    /// Calling frame object (or NULL) of a frame object.
    pub frameobject_back: i32,
    /// Interpreter frame of a frame object.
    pub frameobject_frame: i32,
    /// `f_trace` of a frame object.
    pub frameobject_trace: i32,
    /// `f_lineno` of a frame object (32 bits).
    pub frameobject_lineno: i32,
    /// Names and values of a frame object that are no locals of its code (a dict or NULL), where there is such a field.
    pub frameobject_extra: Option<i32>,
    /// Start of the frame that a frame object itself can hold.
    pub frameobject_data: i32,
    // Threads.
    /// Next thread state.
    pub ts_next: i32,
    /// Interpreter of a thread.
    pub ts_interp: i32,
    /// Pointer to the C frame record that holds the current frame (3.12 only).
    pub ts_cframe: Option<i32>,
    /// Current frame: in the thread state, or in the record `ts_cframe` points to.
    pub ts_current_frame: i32,
    /// Where the eval breaker and the monitoring version live.
    pub breaker: Breaker,
    /// `py_recursion_remaining` (32 bits).
    pub ts_py_recursion_remaining: i32,
    /// `py_recursion_limit` (32 bits).
    pub ts_py_recursion_limit: i32,
    /// How many frames are noted where coroutines are made (32 bits).
    pub ts_coroutine_origin: i32,
    /// `c_recursion_remaining` (32 bits).
    pub ts_c_recursion_remaining: i32,
    /// `tracing` (32 bits).
    pub ts_tracing: i32,
    /// `what_event` (32 bits).
    pub ts_what_event: i32,
    /// `c_profilefunc`.
    pub ts_c_profilefunc: i32,
    /// `c_tracefunc`.
    pub ts_c_tracefunc: i32,
    /// The exception being raised (or NULL).
    pub ts_current_exception: i32,
    /// Top of the handled-exceptions stack; its first word is the exception.
    pub ts_exc_info: i32,
    /// Asynchronous exception to raise (or NULL).
    pub ts_async_exc: i32,
    /// `thread_id` (64 bits).
    pub ts_thread_id: i32,
    /// `native_thread_id` (64 bits).
    pub ts_native_thread_id: i32,
    /// Unique id of a thread state (64 bits).
    pub ts_id: i32,
    /// Current data-stack chunk.
    pub ts_datastack_chunk: i32,
    /// Data-stack top.
    pub ts_datastack_top: i32,
    /// Data-stack limit.
    pub ts_datastack_limit: i32,
    /// Previous chunk.
    pub chunk_previous: i32,
    /// Size of a chunk in bytes.
    pub chunk_size: i32,
    /// Words in use below the chunk above.
    pub chunk_top: i32,
    /// First word of a chunk.
    pub chunk_data: i32,
    // Interpreters.
    /// Newest thread state.
    pub interp_threads_head: i32,
    /// Frame evaluator.
    pub interp_eval_frame: i32,
    /// Tools with global events, a byte an event.
    pub interp_tools: i32,
    /// Names of the monitoring tools, a pointer a tool.
    pub interp_tool_names: i32,
    /// Events in `interp_tools`.
    pub interp_tools_len: i32,
    /// The cached built-in `len`.
    pub interp_len: i32,
    /// The cached built-in `isinstance`.
    pub interp_isinstance: i32,
    /// The cached `list.append` descriptor.
    pub interp_list_append: i32,
}

static CURRENT: OnceLock<&'static Layout> = OnceLock::new();

/// Sets the layout for the process; the first call wins.
pub fn set(layout: &'static Layout) {
    let _ = CURRENT.set(layout);
}

/// The layout of the running interpreter.
///
/// # Panics
/// Before [`crate::check::check`] has succeeded: a caller's bug, since nothing of CPython may be touched then.
#[inline]
pub fn get() -> &'static Layout {
    CURRENT.get().expect("stoop_cpython::check::check() has not succeeded yet")
}

static V3_12: Layout = crate::v3_12::layout::LAYOUT;
static V3_13: Layout = crate::v3_13::layout::LAYOUT;

/// The table for CPython 3.`minor`, if supported.
pub fn for_minor(minor: u8) -> Option<&'static Layout> {
    match minor {
        12 => Some(&V3_12),
        13 => Some(&V3_13),
        _ => None,
    }
}

/// A version whose layout is known while Rust code is compiled, for what must be fast.
pub trait Version {
    /// The layout.
    const LAYOUT: Layout;
}

/// CPython 3.12.
#[derive(Clone, Copy, Debug)]
pub struct Of312;

impl Version for Of312 {
    const LAYOUT: Layout = crate::v3_12::layout::LAYOUT;
}

/// CPython 3.13.
#[derive(Clone, Copy, Debug)]
pub struct Of313;

impl Version for Of313 {
    const LAYOUT: Layout = crate::v3_13::layout::LAYOUT;
}

/// Reads a value at a byte offset.
///
/// # Safety
/// `base + offset` must be readable and hold a `T`.
#[inline(always)]
pub unsafe fn read<T: Copy, B>(base: *const B, offset: i32) -> T {
    // SAFETY: the caller's duty.
    unsafe { base.cast::<u8>().offset(offset as isize).cast::<T>().read_unaligned() }
}

/// Writes a value at a byte offset.
///
/// # Safety
/// `base + offset` must be writable and hold a `T`; a replaced reference is the caller's to drop.
#[inline(always)]
pub unsafe fn write<T: Copy, B>(base: *mut B, offset: i32, value: T) {
    // SAFETY: the caller's duty.
    unsafe { base.cast::<u8>().offset(offset as isize).cast::<T>().write_unaligned(value) }
}

/// A pointer to a field.
///
/// # Safety
/// `base + offset` must lie in the same object.
#[inline(always)]
pub unsafe fn at<T, B>(base: *mut B, offset: i32) -> *mut T {
    // SAFETY: the caller's duty.
    unsafe { base.cast::<u8>().offset(offset as isize).cast::<T>() }
}

/// Calls a function generic over [`Version`] as the running interpreter wants it, or yields it as a pointer:
/// `of_version!(f(x))`, `of_version!(f as *const ())`.
#[macro_export]
macro_rules! of_version {
    ($f:ident($($argument:expr),*)) => {
        match $crate::layout::get().minor {
            12 => $f::<$crate::layout::Of312>($($argument),*),
            _ => $f::<$crate::layout::Of313>($($argument),*),
        }
    };
    ($f:ident as $pointer:ty) => {
        match $crate::layout::get().minor {
            12 => $f::<$crate::layout::Of312> as $pointer,
            _ => $f::<$crate::layout::Of313> as $pointer,
        }
    };
}
