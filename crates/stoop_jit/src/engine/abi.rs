//! The code generator's description of this interpreter, from the CPython crate's layout.

use stoop_codegen::abi::{Abi, Dicts, Expected, InlineValues, Place, Watch};
use stoop_codegen::cranelift::entry::EntryAbi;
use stoop_cpython::capi::{self, PyThreadState};
use stoop_cpython::layout::{self, Breaker};

use super::classes;
use super::entry::QUIET_VERSION;

/// Fills the description. The GIL is held.
pub fn describe(ts: *mut PyThreadState) -> Abi {
    let l = layout::get();
    let inline_values = match l.values_valid {
        None => InlineValues::TaggedPointer { offset: l.managed_dict, first: l.values_first, size: l.values_size },
        Some(valid) => InlineValues::AfterObject {
            basicsize: l.tp_basicsize,
            first: l.values_first,
            valid,
            size: l.values_size,
            capacity: l.values_capacity.expect("a version with a valid byte has a capacity byte"),
            dict: l.managed_dict,
        },
    };
    let (zero, step) = small_ints();
    Abi {
        ob_refcnt: l.ob_refcnt,
        ob_type: l.ob_type,
        tp_version_tag: l.tp_version_tag,
        ob_size: l.ob_size,
        long_tag: l.long_tag,
        long_digits: l.long_digits,
        float_value: l.float_value,
        list_items: l.list_items,
        array_items: l.array_items,
        bytearray_start: l.bytearray_start,
        bytes_data: l.bytes_data,
        dict_used: l.dict_used,
        set_used: l.set_used,
        c_recursion: l.ts_c_recursion_remaining,
        array_descr: l.array_descr,
        cfunction_def: l.cfunction_def,
        cfunction_self: l.cfunction_self,
        arrays: &classes::ARRAYS,
        tuple_items: l.tuple_items,
        str_length: l.str_length,
        str_state: l.str_state,
        str_ascii: l.str_state_ascii,
        str_ascii_data: l.str_ascii_data,
        characters: crate::helpers::strings::characters().as_ptr() as u64,
        range_iter: [l.range_iter_start, l.range_iter_step, l.range_iter_len],
        list_iter: [l.list_iter_index, l.list_iter_seq],
        tuple_iter: [l.tuple_iter_index, l.tuple_iter_seq],
        cell_ref: l.cell_ref,
        func_closure: l.func_closure,
        func_code: l.func_code,
        inline_values,
        dicts: Dicts {
            keys: l.dict_keys,
            log2_index_bytes: l.keys_log2_index_bytes,
            kind: (l.keys_kind, 1),
            count: l.keys_nentries,
            indices: l.keys_indices,
            key: l.unicode_entry_key,
            value: l.unicode_entry_value,
            entry: l.unicode_entry_size,
        },
        heap_keys: l.ht_cached_keys,
        keys_version: l.keys_version,
        frame_locals: l.frame_locals,
        frame_instr: l.frame_instr,
        frame_instr_bias: l.frame_instr_bias,
        frame_stacktop: l.frame_stacktop,
        frame_globals: l.frame_globals,
        frame_f_locals: l.frame_f_locals,
        frame_function: l.frame_function,
        frame_object: l.frame_object,
        eval_breaker: breaker(ts),
        class_types: classes::all(),
        none_object: capi::none() as u64,
        true_object: capi::py_true() as u64,
        false_object: capi::py_false() as u64,
        small_ints: (zero, step, -5, 256),
    }
}

/// Fills the description that entries need.
pub fn describe_entry() -> EntryAbi {
    let l = layout::get();
    EntryAbi {
        ob_refcnt: l.ob_refcnt,
        current_record: l.ts_cframe,
        current_frame: l.ts_current_frame,
        py_recursion: l.ts_py_recursion_remaining,
        c_recursion: l.ts_c_recursion_remaining,
        c_recursion_reserve: super::stack::C_RECURSION_RESERVE,
        stack_top: l.ts_datastack_top,
        stack_limit: l.ts_datastack_limit,
        stack_chunk: l.ts_datastack_chunk,
        chunk_data: l.chunk_data,
        frame_previous: l.frame_previous,
        frame_function: l.frame_function,
        frame_object: l.frame_object,
        frame_locals: l.frame_locals,
    }
}

/// The eval breaker: zero when nothing is asked for.
fn breaker(ts: *mut PyThreadState) -> Watch {
    let l = layout::get();
    match l.breaker {
        Breaker::Interpreter { offset, .. } => {
            // SAFETY: a live thread state.
            let interp: u64 = unsafe { layout::read(ts, l.ts_interp) };
            Watch {
                place: Place::Absolute(interp.wrapping_add(offset as u64)),
                width: 4,
                mask: u64::MAX,
                expected: Expected::Const(0),
            }
        }
        Breaker::ThreadState { offset, events, .. } => {
            Watch { place: Place::ThreadState(offset), width: 8, mask: events, expected: Expected::Const(0) }
        }
    }
}

/// The watches of a safe point: no tool was switched on.
pub fn watches(ts: *mut PyThreadState) -> Vec<Watch> {
    let l = layout::get();
    let expected = Expected::Memory(QUIET_VERSION.as_ptr() as u64);
    let version = match l.breaker {
        Breaker::Interpreter { version, .. } => {
            // SAFETY: a live thread state.
            let interp: u64 = unsafe { layout::read(ts, l.ts_interp) };
            Watch { place: Place::Absolute(interp.wrapping_add(version as u64)), width: 8, mask: u64::MAX, expected }
        }
        Breaker::ThreadState { offset, events, .. } => {
            Watch { place: Place::ThreadState(offset), width: 8, mask: !events, expected }
        }
    };
    vec![version, Watch { place: Place::Frame(l.frame_object), width: 8, mask: u64::MAX, expected: Expected::Const(0) }]
}

/// Address of the cached 0 and the distance between neighbours.
fn small_ints() -> (u64, i32) {
    // SAFETY: small ints are immortal and lie in one array.
    unsafe {
        let zero = capi::PyLong_FromLong(0) as u64;
        let one = capi::PyLong_FromLong(1) as u64;
        (zero, (one - zero) as i32)
    }
}
