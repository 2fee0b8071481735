//! Functions that compiled code calls: one a row of [`Helper`]'s table.
//!
//! Conventions (who owns what, how failure shows) stand in the table. Where a row is exactly a function of
//! the C API, its address is handed out as it is; the others live in one file a topic:
//!
//! - [`numbers`]: arithmetic on unboxed values, without Python;
//! - [`boxes`]: boxing, and writing unboxed values into slots that hold boxes;
//! - [`pools`]: numbers made and dropped;
//! - [`operators`]: operators, slices, formatting;
//! - [`attributes`]: attributes, by what was found before;
//! - [`optional`]: attributes that an object may lack;
//! - [`names`]: globals, imports, and the rest about attributes;
//! - [`calls`]: calls and functions;
//! - [`consumers`]: builtins that consume generators;
//! - [`containers`]: iteration, displays, updates;
//! - [`hashed`]: looking into dicts and sets without Python code;
//! - [`instances`]: making instances of classes;
//! - [`matching`]: class and mapping patterns;
//! - [`exceptions`]: raising, handlers, context managers;
//! - [`strings`]: characters, comparisons, appending;
//! - [`reserve`]: what is kept for when there is no memory.
//!
//! A Rust panic in a helper aborts the process (`extern "C"` sees to that); helpers with code that could
//! panic run in [`contained`], which makes it a `SystemError` instead.

use std::panic::{AssertUnwindSafe, catch_unwind};

use stoop_codegen::runtime::Helper;
use stoop_cpython::{capi, generator, handled};

use crate::engine::homes;

pub mod attributes;
pub mod boxes;
pub mod calls;
pub mod consumers;
pub mod containers;
mod delegates;
pub mod exceptions;
mod ffi;
pub mod hashed;
pub mod heaps;
pub mod instances;
pub mod matching;
pub mod names;
pub mod numbers;
pub mod operators;
pub mod optional;
pub mod pools;
pub mod reserve;
pub mod strings;
mod wide;

/// The address of a helper; `None` for the rows that the engine itself implements.
pub fn address(helper: Helper) -> Option<u64> {
    let address = match helper {
        Helper::SideExit
        | Helper::RaiseExit
        | Helper::Poll
        | Helper::Recheck
        | Helper::FirstInlined
        | Helper::RoomForInlined
        | Helper::PopInlined => return None,
        Helper::SyncInt => boxes::sync_int as *const () as usize,
        Helper::SyncFloat => boxes::sync_float as *const () as usize,
        Helper::SyncRef => boxes::sync_ref as *const () as usize,
        Helper::FindHome => homes::find as *const () as usize,
        Helper::MakeHome => homes::make as *const () as usize,
        Helper::Dealloc => pools::destroy as *const () as usize,
        Helper::DeallocTold => pools::destroy_told as *const () as usize,
        Helper::BoxInt => reserve::box_int as *const () as usize,
        Helper::BoxUInt => reserve::box_uint as *const () as usize,
        Helper::IntLow => wide::low as *const () as usize,
        Helper::BoxFloat => reserve::box_float as *const () as usize,
        Helper::UnboxInt => boxes::unbox_int as *const () as usize,
        Helper::IntPow => numbers::int_pow as *const () as usize,
        Helper::FloatFloorDiv => numbers::float_floor_div as *const () as usize,
        Helper::FloatMod => numbers::float_mod as *const () as usize,
        Helper::FloatPow => numbers::float_pow as *const () as usize,
        Helper::NumBinary => numbers::num_binary as *const () as usize,
        Helper::NumCompare => numbers::num_compare as *const () as usize,
        Helper::MathSin => numbers::sin as *const () as usize,
        Helper::MathCos => numbers::cos as *const () as usize,
        Helper::MathTan => numbers::tan as *const () as usize,
        Helper::MathAsin => numbers::asin as *const () as usize,
        Helper::MathAcos => numbers::acos as *const () as usize,
        Helper::MathAtan => numbers::atan as *const () as usize,
        Helper::MathSinh => numbers::sinh as *const () as usize,
        Helper::MathCosh => numbers::cosh as *const () as usize,
        Helper::MathTanh => numbers::tanh as *const () as usize,
        Helper::MathExp => numbers::exp as *const () as usize,
        Helper::MathLog => numbers::log as *const () as usize,
        Helper::MathLog2 => numbers::log2 as *const () as usize,
        Helper::MathLog10 => numbers::log10 as *const () as usize,
        Helper::ListSetFloat => boxes::list_set_float as *const () as usize,
        Helper::ListSetInt => boxes::list_set_int as *const () as usize,
        Helper::ListAppend => containers::list_append as *const () as usize,
        Helper::ListPop => containers::list_pop as *const () as usize,
        Helper::ListInsert => containers::list_insert as *const () as usize,
        Helper::ListSlice => containers::list_slice as *const () as usize,
        Helper::SlotSetFloat => boxes::slot_set_float as *const () as usize,
        Helper::SlotSetInt => boxes::slot_set_int as *const () as usize,
        Helper::NewObject => instances::new_object as *const () as usize,
        Helper::InitResult => instances::init_result as *const () as usize,
        Helper::NewRangeIter => boxes::new_range_iter as *const () as usize,
        Helper::RangeLen => boxes::range_len as *const () as usize,
        Helper::PyBinary => operators::binary as *const () as usize,
        Helper::PyInplace => operators::inplace as *const () as usize,
        Helper::PyUnary => operators::unary as *const () as usize,
        Helper::PyCompare => operators::compare as *const () as usize,
        Helper::PyCompareBool => operators::compare_bool as *const () as usize,
        Helper::PyToBool => capi::PyObject_IsTrue as *const () as usize,
        Helper::PyContains => operators::contains as *const () as usize,
        Helper::PyGetItem => hashed::get_item as *const () as usize,
        Helper::PySetItem => capi::PyObject_SetItem as *const () as usize,
        Helper::PyDelItem => capi::PyObject_DelItem as *const () as usize,
        Helper::PyGetSlice => operators::get_slice as *const () as usize,
        Helper::PySetSlice => operators::set_slice as *const () as usize,
        Helper::PyLoadAttr => attributes::load_attr as *const () as usize,
        Helper::PyLoadMethod => attributes::load_method as *const () as usize,
        Helper::NotInDict => attributes::not_in_dict as *const () as usize,
        Helper::PyStoreAttr => attributes::store_attr as *const () as usize,
        Helper::PyDelAttr => names::del_attr as *const () as usize,
        Helper::PyLoadGlobal => names::load_global as *const () as usize,
        Helper::PyStoreGlobal => names::store_global as *const () as usize,
        Helper::PyDelGlobal => names::del_global as *const () as usize,
        Helper::PyLoadName => names::load_name as *const () as usize,
        Helper::PyStoreName => names::store_name as *const () as usize,
        Helper::PyCall => calls::call as *const () as usize,
        Helper::PyCallEx => calls::call_ex as *const () as usize,
        Helper::PyGetIter => capi::PyObject_GetIter as *const () as usize,
        Helper::Reveal => generator::reveal_now as *const () as usize,
        Helper::PyNewGenerator => delegates::new_generator as *const () as usize,
        Helper::PyYieldFromIter => delegates::yield_from_iter as *const () as usize,
        Helper::PyAwaitable => delegates::awaitable as *const () as usize,
        Helper::IterNext => hashed::iter_next as *const () as usize,
        Helper::PyIterNext => containers::iter_next_address(),
        Helper::PyUnpack => containers::unpack as *const () as usize,
        Helper::PyFormat => operators::format as *const () as usize,
        Helper::PyConvert => operators::convert as *const () as usize,
        Helper::Land => handled::catch as *const () as usize,
        Helper::PushHandled => handled::push as *const () as usize,
        Helper::PopHandled => handled::pop as *const () as usize,
        Helper::ForgetFrame => handled::forget as *const () as usize,
        Helper::ExcMatches => exceptions::matches as *const () as usize,
        Helper::IsHeld => handled::is_held as *const () as usize,
        Helper::MayBeWritten => handled::may_be_written as *const () as usize,
        Helper::PyUnpackEx => containers::unpack_ex as *const () as usize,
        Helper::PySuperAttr => attributes::super_attr as *const () as usize,
        Helper::PyEnter => exceptions::enter as *const () as usize,
        Helper::PyRaise => exceptions::raise as *const () as usize,
        Helper::StrItem => strings::str_item as *const () as usize,
        Helper::StrOrd => strings::str_ord as *const () as usize,
        Helper::StrChr => strings::str_chr as *const () as usize,
        Helper::StrEqual => strings::str_equal as *const () as usize,
        Helper::StrOrder => strings::str_order as *const () as usize,
        Helper::StrIn => strings::str_in as *const () as usize,
        Helper::StrAppend => strings::str_append as *const () as usize,
        Helper::MatchClass => matching::match_class as *const () as usize,
        Helper::MatchKeys => matching::match_keys as *const () as usize,
        Helper::LoadBuildClass => matching::load_build_class as *const () as usize,
        Helper::Concat => containers::concat as *const () as usize,
        Helper::PyGetAttrOr => optional::get_attr_or as *const () as usize,
        Helper::PyHasAttr => optional::has_attr as *const () as usize,
        Helper::Equal => hashed::equal as *const () as usize,
        Helper::Truth => operators::truth as *const () as usize,
        Helper::StrOf => strings::str_of as *const () as usize,
        Helper::Slice => strings::slice as *const () as usize,
        Helper::IsInstance => hashed::is_instance as *const () as usize,
        Helper::DictFind => hashed::find as *const () as usize,
        Helper::DictFindTuple => hashed::find_tuple as *const () as usize,
        Helper::NoKey => hashed::no_key as *const () as usize,
        Helper::DictSet => hashed::dict_set as *const () as usize,
        Helper::SetAdd => hashed::set_add as *const () as usize,
        Helper::Contains => hashed::contains as *const () as usize,
        Helper::ItemsLen => hashed::items_len as *const () as usize,
        Helper::NativeCall => calls::call_native as *const () as usize,
        Helper::AfterCall => calls::after_call as *const () as usize,
        Helper::MatchKind => containers::match_kind as *const () as usize,
        Helper::PyDictMerge => containers::dict_merge as *const () as usize,
        Helper::PyImport => names::import as *const () as usize,
        Helper::PyImportFrom => names::import_from as *const () as usize,
        Helper::BuildTuple => containers::build_tuple as *const () as usize,
        Helper::BuildList => containers::build_list as *const () as usize,
        Helper::BuildMap => containers::build_map as *const () as usize,
        Helper::BuildSet => containers::build_set as *const () as usize,
        Helper::BuildString => containers::build_string as *const () as usize,
        Helper::BuildSlice => containers::build_slice as *const () as usize,
        Helper::MakeCell => capi::PyCell_New as *const () as usize,
        Helper::MakeFunction => calls::make_function as *const () as usize,
        Helper::SetFunctionAttr => calls::set_function_attr as *const () as usize,
        Helper::PyListExtend => containers::list_extend as *const () as usize,
        Helper::PySetAdd => capi::PySet_Add as *const () as usize,
        Helper::PySetUpdate => capi::_PySet_Update as *const () as usize,
        Helper::PyMapAdd => capi::PyDict_SetItem as *const () as usize,
        Helper::PyDictUpdate => containers::dict_update as *const () as usize,
        Helper::PyListToTuple => capi::PyList_AsTuple as *const () as usize,
        Helper::PyLen => capi::PyObject_Size as *const () as usize,
    };
    Some(address as u64)
}

/// Runs a helper's body; a panic becomes a `SystemError` and the failure value.
///
/// # Safety
/// The GIL is held.
unsafe fn contained<T>(failure: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(_) => {
            // SAFETY: the GIL is held (caller's duty); the text is a C string.
            unsafe { capi::PyErr_SetString(capi::PyExc_SystemError, c"Stoop: a runtime helper panicked".as_ptr()) };
            failure
        }
    }
}
