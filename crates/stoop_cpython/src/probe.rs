//! Probes: what the layout says, against what public API says, on live objects.

use std::ffi::{CStr, CString, c_int, c_long};

use crate::capi::*;
use crate::check::evaluator;
use crate::decode::{Units, decode};
use crate::frame;
use crate::layout::{Breaker, Layout, at, owner, read};
use crate::objects::{float_value, int_value, is_type, str_text, tuple_slice, type_flags, type_version};
use crate::opcodes::Opcode;
use crate::type_ptr;

/// `Py_file_input`.
const FILE_INPUT: c_int = 257;

/// What is run to have something to look at.
const SAMPLE: &CStr = c"
def sample(a, b=2, *, c=3):
    k = a
    def inner():
        return k
    for i in range(b):
        a = a + i
    return a, inner
class Sample:
    def __init__(self):
        self.first = sample
        self.second = 2
    def method(self):
        return self
class Slots:
    __slots__ = ('one', 'two')
one = Sample()
bound = one.method
closure = sample(1)[1]
def make():
    yield 1
generator = make()
next(generator)
weak = __import__('_weakref').ref(generator)
fresh = make()
outer = (lambda g: (yield from g))(make())
next(outer)
ranges = iter(range(10, 20, 3))
next(ranges)
lists = iter([one, 2, 3])
next(lists)
tuples = iter((one, 2, 3))
next(tuples)
";

type Probe = Result<(), String>;

/// Fails with the name of what does not hold.
fn that(holds: bool, what: &str) -> Probe {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// A reference that is dropped with its holder.
struct Owned(Obj);

impl Owned {
    fn new(object: Obj) -> Result<Owned, String> {
        if object.is_null() { Err("an object for probing cannot be made".into()) } else { Ok(Owned(object)) }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: an owned reference, GIL held.
        unsafe { decref(self.0) }
    }
}

/// Probes every layout.
///
/// # Safety
/// GIL held; `l` has been set as the process's layout.
pub(crate) unsafe fn probe(l: &'static Layout) -> Probe {
    // SAFETY: each probe reads objects of the type it made.
    unsafe {
        values(l)?;
        let names = Owned::new(PyDict_New())?;
        PyDict_SetItemString(names.0, c"__builtins__".as_ptr(), PyEval_GetBuiltins());
        Owned::new(PyRun_String(SAMPLE.as_ptr(), FILE_INPUT, names.0, names.0))?;
        types(l, names.0)?;
        functions(l, names.0)?;
        code_objects(l, names.0)?;
        dicts(l, names.0)?;
        attributes(l, names.0)?;
        iterators(l, names.0)?;
        threads(l)?;
        interpreter(l)?;
        frames(l, names.0)
    }
}

/// A name of the sample, borrowed.
unsafe fn named(names: Obj, name: &str) -> Result<Obj, String> {
    let text = CString::new(name).map_err(|_| "a name with NUL".to_owned())?;
    // SAFETY: the sample's namespace.
    let found = unsafe { PyDict_GetItemString(names, text.as_ptr()) };
    if found.is_null() { Err(format!("the sample has no {name}")) } else { Ok(found) }
}

/// An attribute as an int.
unsafe fn number(object: Obj, name: &CStr) -> i64 {
    // SAFETY: public API.
    unsafe {
        let value = PyObject_GetAttrString(object, name.as_ptr());
        if value.is_null() {
            PyErr_Clear();
            return i64::MIN;
        }
        let result = PyLong_AsLong(value);
        decref(value);
        result
    }
}

/// Whether an attribute is this very object.
unsafe fn same(object: Obj, name: &CStr, expected: Obj) -> bool {
    // SAFETY: public API.
    unsafe {
        let value = PyObject_GetAttrString(object, name.as_ptr());
        if value.is_null() {
            PyErr_Clear();
            return false;
        }
        let same = value == expected;
        decref(value);
        same
    }
}

unsafe fn values(l: &Layout) -> Probe {
    // SAFETY: fresh objects of known types.
    unsafe {
        let float = Owned::new(PyFloat_FromDouble(1234.5))?;
        that((*float.0).ob_type == type_ptr!(PyFloat_Type), "an object's type")?;
        that((*float.0).ob_refcnt == 1, "an object's reference count")?;
        that(float_value(float.0) == 1234.5, "a float's value")?;
        for value in [0i64, 7, -7, (5 << 30) | 7, -((5 << 30) | 7), i64::MAX, i64::MIN] {
            let int = Owned::new(PyLong_FromLongLong(value))?;
            that(int_value(int.0) == Some(value), "an int's digits")?;
        }
        let list = Owned::new(PyList_New(3))?;
        for i in 0..3 {
            PyList_SetItem(list.0, i, new_ref(none()));
        }
        let items: *const Obj = read(list.0, l.list_items);
        that(read::<isize, _>(list.0, l.ob_size) == 3, "a list's size")?;
        that(read::<isize, _>(list.0, l.list_allocated) >= 3, "a list's allocation")?;
        that(*items.add(2) == none(), "a list's items")?;
        let tuple = Owned::new(PyList_AsTuple(list.0))?;
        that(tuple_slice(tuple.0) == [none(); 3], "a tuple's items")?;
        for text in [c"plain", c"caf\xc3\xa9", c"\xe2\x82\xac", c"\xf0\x9f\x90\xa6!"] {
            let string = Owned::new(PyUnicode_FromString(text.as_ptr()))?;
            that(str_text(string.0) == text.to_string_lossy(), "a str's characters")?;
            that(read::<isize, _>(string.0, l.str_length) == PyObject_Length(string.0), "a str's length")?;
        }
        let bytes = Owned::new(PyBytes_FromStringAndSize(c"abc".as_ptr(), 3))?;
        that(crate::objects::bytes_slice(bytes.0) == b"abc", "a bytes object's content")?;
        let cell = Owned::new(PyCell_New(float.0))?;
        that(read::<Obj, _>(cell.0, l.cell_ref) == float.0, "a cell's content")?;
        let slice = Owned::new(PySlice_New(float.0, list.0, tuple.0))?;
        that(read::<Obj, _>(slice.0, l.slice_start) == float.0, "a slice's start")?;
        that(read::<Obj, _>(slice.0, l.slice_stop) == list.0, "a slice's stop")?;
        that(read::<Obj, _>(slice.0, l.slice_step) == tuple.0, "a slice's step")
    }
}

unsafe fn types(l: &Layout, names: Obj) -> Probe {
    // SAFETY: types, some of them heap types.
    unsafe {
        let class = named(names, "Sample")?;
        for ty in [class, type_ptr!(PyList_Type), type_ptr!(PyLong_Type), type_ptr!(PyFunction_Type)] {
            that(type_flags(ty) == PyType_GetFlags(ty), "a type's flags")?;
            that(read::<i64, _>(ty, l.tp_basicsize) == number(ty, c"__basicsize__"), "a type's basic size")?;
            that(read::<i64, _>(ty, l.tp_itemsize) == number(ty, c"__itemsize__"), "a type's item size")?;
            that(read::<i64, _>(ty, l.tp_dictoffset) == number(ty, c"__dictoffset__"), "a type's dict offset")?;
            that(same(ty, c"__base__", read(ty, l.tp_base)), "a type's base")?;
            that(same(ty, c"__mro__", read(ty, l.tp_mro)), "a type's MRO")?;
            that(is_type(ty), "the type flag of types")?;
        }
        const CLEAR: i32 = 51;
        const TRAVERSE: i32 = 71;
        let function = type_ptr!(PyFunction_Type);
        that(read::<usize, _>(function, l.tp_traverse) == PyType_GetSlot(function, TRAVERSE) as usize, "a type's tp_traverse")?;
        that(read::<usize, _>(function, l.tp_clear) == PyType_GetSlot(function, CLEAR) as usize, "a type's tp_clear")?;
        PyUnstable_Type_AssignVersionTag(class);
        that(type_version(class) != 0, "a type's version tag")?;
        PyType_Modified(class);
        that(type_version(class) == 0, "a type's version tag when modified")?;
        let alloc: usize = read(class, l.tp_alloc);
        that(alloc == PyType_GenericAlloc as *const () as usize, "a type's tp_alloc")?;
        let getattro: usize = read(class, l.tp_getattro);
        that(getattro == PyObject_GenericGetAttr as *const () as usize, "a type's tp_getattro")?;
        let setattro: usize = read(class, l.tp_setattro);
        that(setattro == PyObject_GenericSetAttr as *const () as usize, "a type's tp_setattro")
    }
}

unsafe fn functions(l: &Layout, names: Obj) -> Probe {
    // SAFETY: a function, a bound method, a built-in and a method descriptor.
    unsafe {
        let function = named(names, "sample")?;
        let word = |offset: i32| read::<Obj, _>(function, offset);
        that(word(l.func_code) == PyFunction_GetCode(function), "a function's code")?;
        that(word(l.func_globals) == names, "a function's globals")?;
        that(same(function, c"__builtins__", word(l.func_builtins)), "a function's builtins")?;
        that(same(function, c"__defaults__", word(l.func_defaults)), "a function's defaults")?;
        that(same(function, c"__kwdefaults__", word(l.func_kwdefaults)), "a function's keyword defaults")?;
        that(same(function, c"__name__", word(l.func_name)), "a function's name")?;
        that(same(function, c"__qualname__", word(l.func_qualname)), "a function's qualified name")?;
        let vectorcall: Option<VectorcallFn> = read(function, l.func_vectorcall);
        let reported = PyVectorcall_Function(function);
        that(
            vectorcall.map(|f| f as *const ()) == reported.map(|f| f as *const ()) && vectorcall.is_some(),
            "a function's vectorcall",
        )?;
        let closure = named(names, "closure")?;
        that(same(closure, c"__closure__", read(closure, l.func_closure)), "a function's closure")?;
        let bound = named(names, "bound")?;
        that(same(bound, c"__func__", read(bound, l.method_func)), "a bound method's function")?;
        that(read::<Obj, _>(bound, l.method_self) == named(names, "one")?, "a bound method's instance")?;
        let append = Owned::new(PyObject_GetAttrString(type_ptr!(PyList_Type), c"append".as_ptr()))?;
        that(read::<Obj, _>(append.0, l.descr_type) == type_ptr!(PyList_Type), "a descriptor's type")?;
        let def: *const PyMethodDef = read(append.0, l.methoddescr_def);
        that(!def.is_null() && CStr::from_ptr((*def).ml_name) == c"append", "a method descriptor's definition")?;
        that((*def).ml_flags == METH_O, "a method definition's flags")?;
        let len = PyDict_GetItemString(PyEval_GetBuiltins(), c"len".as_ptr());
        if !len.is_null() && (*len).ob_type == type_ptr!(PyCFunction_Type) {
            let def: *const PyMethodDef = read(len, l.cfunction_def);
            that(!def.is_null() && CStr::from_ptr((*def).ml_name) == c"len", "a built-in's definition")?;
        }
        let member = Owned::new(PyObject_GetAttrString(named(names, "Slots")?, c"two".as_ptr()))?;
        // PyMemberDef: name, type, offset.
        let def: *const u8 = read(member.0, l.memberdescr_member);
        that(read::<isize, _>(def, 16) == l.object_size as isize + 8, "a slot's offset")?;
        let sys = Owned::new(PyImport_ImportModule(c"sys".as_ptr()))?;
        that(read::<Obj, _>(sys.0, l.module_dict) == PyModule_GetDict(sys.0), "a module's dict")
    }
}

unsafe fn code_objects(l: &'static Layout, names: Obj) -> Probe {
    // SAFETY: code objects of the sample.
    unsafe {
        for name in ["sample", "closure", "make"] {
            let code = PyFunction_GetCode(named(names, name)?);
            let word = |offset: i32| read::<Obj, _>(code, offset);
            let int = |offset: i32| i64::from(read::<i32, _>(code, offset));
            for (field, offset) in [
                (c"co_flags", l.co_flags),
                (c"co_argcount", l.co_argcount),
                (c"co_posonlyargcount", l.co_posonlyargcount),
                (c"co_kwonlyargcount", l.co_kwonlyargcount),
                (c"co_stacksize", l.co_stacksize),
                (c"co_firstlineno", l.co_firstlineno),
                (c"co_nlocals", l.co_nlocals),
            ] {
                that(int(offset) == number(code, field), &format!("a code object's {}", field.to_string_lossy()))?;
            }
            for (field, offset) in [
                (c"co_consts", l.co_consts),
                (c"co_names", l.co_names),
                (c"co_exceptiontable", l.co_exceptiontable),
                (c"co_filename", l.co_filename),
                (c"co_name", l.co_name),
                (c"co_qualname", l.co_qualname),
                (c"co_linetable", l.co_linetable),
            ] {
                that(same(code, field, word(offset)), &format!("a code object's {}", field.to_string_lossy()))?;
            }
            let slots = i64::from(l.frame_specials) + int(l.co_nlocalsplus) + int(l.co_stacksize);
            that(int(l.co_framesize) == slots, "a frame's size")?;
            that(tuple_slice(word(l.co_localsplusnames)).len() as i64 == int(l.co_nlocalsplus), "the locals' names")?;
            let adaptive = Owned::new(PyObject_GetAttrString(code, c"_co_code_adaptive".as_ptr()))?;
            let units = Units::new(code, l);
            let bytes = crate::objects::bytes_slice(adaptive.0);
            that(bytes.len() == 2 * units.len as usize, "a code object's length")?;
            let equal =
                bytes.chunks_exact(2).enumerate().all(|(unit, b)| units.word(unit as u32) == u16::from_le_bytes([b[0], b[1]]));
            that(equal, "a code object's instructions")?;
            let info = decode(code).map_err(|e| e.to_string())?;
            let first = info.instrs.iter().find(|i| i.op_unit == info.first_traceable);
            that(first.is_some_and(|i| i.op == Opcode::Resume), "a code object's first traceable unit")?;
            let last = info.instrs.last().map(|i| i.next);
            that(last == Some(info.units), "the size of the inline caches")?;
        }
        Ok(())
    }
}

unsafe fn dicts(l: &Layout, names: Obj) -> Probe {
    // SAFETY: a dict of str keys and a general one.
    unsafe {
        let function = named(names, "sample")?;
        let dict = Owned::new(PyDict_New())?;
        PyDict_SetItemString(dict.0, c"key".as_ptr(), function);
        that(read::<isize, _>(dict.0, l.dict_used) == 1, "a dict's size")?;
        that(read::<usize, _>(dict.0, l.dict_values) == 0, "a dict's values")?;
        let keys: *mut u8 = read(dict.0, l.dict_keys);
        that(read::<u8, _>(keys, l.keys_kind) == 1, "the kind of a dict's keys")?;
        that(read::<isize, _>(keys, l.keys_nentries) == 1, "a dict's entries")?;
        let entry = first_entry(l, keys);
        that(read::<Obj, _>(entry, l.unicode_entry_value) == function, "a dict entry's value")?;
        that(str_text(read(entry, l.unicode_entry_key)) == "key", "a dict entry's key")?;
        let general = Owned::new(PyDict_New())?;
        PyDict_SetItem(general.0, none(), function);
        let keys: *mut u8 = read(general.0, l.dict_keys);
        that(read::<u8, _>(keys, l.keys_kind) == 0, "the kind of a general dict's keys")?;
        let entry = first_entry(l, keys);
        that(read::<Obj, _>(entry, l.general_entry_key) == none(), "a general dict entry's key")?;
        that(read::<Obj, _>(entry, l.general_entry_value) == function, "a general dict entry's value")?;
        let hash = PyObject_Hash(none());
        that(read::<isize, _>(entry, l.general_entry_hash) == hash, "a general dict entry's hash")?;
        let set = Owned::new(PySet_New(general.0))?;
        that(read::<isize, _>(set.0, l.set_used) == 1, "a set's size")?;
        let mask: usize = read(set.0, l.set_mask);
        that(mask == 7, "the size of a set's table")?;
        let table: *mut u8 = read(set.0, l.set_table);
        let entry = table.add(16 * (hash as usize & mask));
        that(read::<Obj, _>(entry, 0) == none() && read::<isize, _>(entry, 8) == hash, "a set's entry")?;
        let array = Owned::new(PyByteArray_FromStringAndSize(c"abc".as_ptr(), 3))?;
        that(read::<*mut u8, _>(array.0, l.bytearray_start).read() == b'a', "a bytearray's start")
    }
}

/// The entries of a keys object.
unsafe fn first_entry(l: &Layout, keys: *mut u8) -> *mut u8 {
    // SAFETY: entries follow the hash table.
    unsafe {
        let bytes = 1usize << read::<u8, _>(keys, l.keys_log2_index_bytes);
        keys.offset(l.keys_indices as isize).add(bytes)
    }
}

unsafe fn attributes(l: &Layout, names: Obj) -> Probe {
    // SAFETY: a fresh instance of the sample's class, whose attributes nobody has made a dict of.
    unsafe {
        let class = named(names, "Sample")?;
        let instance = Owned::new(PyObject_CallNoArgs(class))?;
        let keys: *mut u8 = read(class, l.ht_cached_keys);
        that(!keys.is_null() && read::<u8, _>(keys, l.keys_kind) == 2, "a class's shared keys")?;
        that(str_text(read(first_entry(l, keys), l.unicode_entry_key)) == "first", "a class's first shared key")?;
        let values: *mut u8 = if let Some(valid) = l.values_valid {
            let values = instance.0.cast::<u8>().offset(read::<isize, _>(class, l.tp_basicsize));
            that(read::<u8, _>(values, valid) == 1, "the valid mark of inline values")?;
            values
        } else {
            let word: usize = read(instance.0, l.managed_dict);
            that(word & 1 == 1, "the mark of inline values")?;
            (word + 1) as *mut u8
        };
        that(crate::instances::learn(l, instance.0), "how a class frees its instances")?;
        that(read::<u8, _>(values, l.values_size) == 2, "the count of inline values")?;
        that(read::<Obj, _>(values, l.values_first) == named(names, "sample")?, "an instance's inline values")
    }
}

unsafe fn iterators(l: &Layout, names: Obj) -> Probe {
    // SAFETY: iterators of the sample, each one step in.
    unsafe {
        let range = named(names, "ranges")?;
        that((*range).ob_type == type_ptr!(PyRangeIter_Type), "a range iterator's type")?;
        that(read::<c_long, _>(range, l.range_iter_start) == 13, "a range iterator's start")?;
        that(read::<c_long, _>(range, l.range_iter_step) == 3, "a range iterator's step")?;
        that(read::<c_long, _>(range, l.range_iter_len) == 3, "a range iterator's length")?;
        let list = named(names, "lists")?;
        that(read::<isize, _>(list, l.list_iter_index) == 1, "a list iterator's index")?;
        let items: Obj = read(list, l.list_iter_seq);
        that((*items).ob_type == type_ptr!(PyList_Type), "a list iterator's list")?;
        let tuple = named(names, "tuples")?;
        that(read::<isize, _>(tuple, l.tuple_iter_index) == 1, "a tuple iterator's index")?;
        let items: Obj = read(tuple, l.tuple_iter_seq);
        that((*items).ob_type == type_ptr!(PyTuple_Type), "a tuple iterator's tuple")?;
        let generator = named(names, "generator")?;
        let frame: *mut Frame = at(generator, l.gen_frame);
        that(frame::owned_by(frame) == owner::GENERATOR, "a generator's frame")?;
        that(same(generator, c"gi_code", frame::code(frame)), "a generator's code")?;
        for (name, state) in [(c"fresh", 0), (c"generator", 1), (c"outer", 2)] {
            let o = named(names, name.to_str().unwrap_or_default())?;
            that(read::<i8, _>(o, l.gen_frame_state) == l.gen_states[state], "a generator's state")?;
            that(read::<[usize; 2], _>(o, l.gen_exc_state) == [0; 2], "what a generator handles")?;
            that(same(o, c"__name__", read(o, l.gen_name)), "a generator's name")?;
            that(same(o, c"__qualname__", read(o, l.gen_name + 8)), "a generator's qualified name")?;
            that((read::<usize, _>(o, l.gen_weakrefs) != 0) == (state == 1), "a generator's weak references")?;
        }
        let (fresh, made) = (named(names, "fresh")?, named(names, "make")?);
        that(crate::fresh_generator::makes_generators(frame::code(at(fresh, l.gen_frame))), "a generator's code")?;
        let again = Owned::new(crate::fresh_generator::call(PyThreadState_Get(), made, &[]).unwrap_or(std::ptr::null_mut()))?;
        let words = |o: Obj| {
            let n = (l.gen_frame + l.frame_locals - l.gen_weakrefs) as usize / 8;
            std::slice::from_raw_parts(at::<u64, _>(o, l.gen_weakrefs), n)
        };
        // Bytes that nobody reads may differ.
        let parts = [l.gen_name, l.gen_name + 8, l.gen_frame + l.frame_code, l.gen_frame + l.frame_function].into_iter().chain([
            l.gen_frame + l.frame_globals,
            l.gen_frame + l.frame_builtins,
            l.gen_frame + l.frame_instr,
        ]);
        for part in parts {
            let k = ((part - l.gen_weakrefs) / 8) as usize;
            that(words(fresh)[k] == words(again.0)[k], "a fresh generator")?;
        }
        let outer = named(names, "outer")?;
        that(crate::generator::delegate(outer).is_some(), "a generator's delegate")
    }
}

unsafe fn threads(l: &Layout) -> Probe {
    // SAFETY: the calling thread's state.
    unsafe {
        let ts = PyThreadState_Get();
        that(read::<*mut PyInterpreterState, _>(ts, l.ts_interp) == PyThreadState_GetInterpreter(ts), "a thread's interpreter")?;
        that(read::<*mut PyThreadState, _>(ts, l.ts_next) == PyThreadState_Next(ts), "a thread's successor")?;
        that(read::<u64, _>(ts, l.ts_id) == PyThreadState_GetID(ts), "a thread's id")?;
        that(read::<std::ffi::c_ulong, _>(ts, l.ts_thread_id) == PyThread_get_thread_ident(), "a thread's system id")?;
        let sys = Owned::new(PyImport_ImportModule(c"sys".as_ptr()))?;
        let set = |depth: std::ffi::c_long| {
            Owned::new(PyObject_CallMethod(sys.0, c"set_coroutine_origin_tracking_depth".as_ptr(), c"l".as_ptr(), depth))
        };
        let origin: i32 = read(ts, l.ts_coroutine_origin);
        set(std::ffi::c_long::from(origin) + 3)?;
        let changed: i32 = read(ts, l.ts_coroutine_origin);
        set(origin.into())?;
        that(changed == origin + 3, "how coroutines' origins are noted")?;
        let limit: i32 = read(ts, l.ts_py_recursion_limit);
        that(limit == Py_GetRecursionLimit(), "the recursion limit")?;
        that(read::<i32, _>(ts, l.ts_py_recursion_remaining) <= limit, "the recursion count")?;
        let nested: i32 = read(ts, l.ts_c_recursion_remaining);
        let entered = Py_EnterRecursiveCall(c"".as_ptr()) == 0;
        let deeper: i32 = read(ts, l.ts_c_recursion_remaining);
        if entered {
            Py_LeaveRecursiveCall();
        }
        that(entered && deeper == nested - 1, "the C recursion count")?;
        PyErr_SetString(PyExc_ValueError, c"probe".as_ptr());
        let exception: Obj = read(ts, l.ts_current_exception);
        let raised = Owned::new(PyErr_GetRaisedException())?;
        that(exception == raised.0, "the raised exception")?;
        let handled: *const Obj = read(ts, l.ts_exc_info);
        that(!handled.is_null(), "the handled exception")?;
        that(read::<usize, _>(ts, l.ts_async_exc) == 0, "the asynchronous exception")?;
        let chunk: *const u8 = read(ts, l.ts_datastack_chunk);
        if chunk.is_null() {
            return Ok(());
        }
        let top: usize = read(ts, l.ts_datastack_top);
        let limit: usize = read(ts, l.ts_datastack_limit);
        that(limit == chunk as usize + read::<usize, _>(chunk, l.chunk_size), "the data stack's limit")?;
        that(top <= limit && top >= chunk as usize + l.chunk_data as usize, "the data stack's top")
    }
}

/// A pending call that only shows in the eval breaker.
unsafe extern "C" fn nothing(_: *mut std::ffi::c_void) -> c_int {
    0
}

unsafe fn interpreter(l: &Layout) -> Probe {
    // SAFETY: the current interpreter.
    unsafe {
        let interp = PyInterpreterState_Get();
        that(
            read::<*mut PyThreadState, _>(interp, l.interp_threads_head) == PyInterpreterState_ThreadHead(interp),
            "the threads' list",
        )?;
        // NULL stands for the default evaluator.
        let raw: *const std::ffi::c_void = read(interp, l.interp_eval_frame);
        let shown = _PyInterpreterState_GetEvalFrameFunc(interp);
        that(raw == shown || raw.is_null() && shown == evaluator(), "the evaluator")?;

        for (name, offset) in [(c"len", l.interp_len), (c"isinstance", l.interp_isinstance)] {
            let cached: Obj = read(interp, offset);
            that(!cached.is_null() && (*cached).ob_type == type_ptr!(PyCFunction_Type), "the cached built-ins")?;
            let def: *const PyMethodDef = read(cached, l.cfunction_def);
            that(CStr::from_ptr((*def).ml_name) == name, "the cached built-ins")?;
        }
        let append = Owned::new(PyObject_GetAttrString(type_ptr!(PyList_Type), c"append".as_ptr()))?;
        that(read::<Obj, _>(interp, l.interp_list_append) == append.0, "the cached list.append")?;
        if Py_AddPendingCall(nothing, std::ptr::null_mut()) == 0 {
            that(crate::monitoring::pending(PyThreadState_Get()), "the eval breaker")?;
        }
        match l.breaker {
            Breaker::Interpreter { version, .. } => {
                // Versions start at 1 and grow by one a change of events.
                that(read::<u64, _>(interp, version) < 1 << 32, "the monitoring version")
            }
            Breaker::ThreadState { offset, events, version } => {
                let mine: u64 = read(PyThreadState_Get(), offset);
                let newest: u64 = read(interp, version);
                that(newest & events == 0 && mine & !events <= newest, "the monitoring version")
            }
        }
    }
}

unsafe fn frames(l: &Layout, names: Obj) -> Probe {
    // SAFETY: the calling thread's chain; a frame of our own is pushed and popped again at once.
    unsafe {
        let ts = PyThreadState_Get();
        let shown = PyEval_GetFrame();
        let complete = frame::frames(ts).find(|&f| frame::is_complete(f));
        that(shown.is_null() == complete.is_none(), "the current frame")?;
        if let Some(f) = complete {
            let code = Owned::new(PyFrame_GetCode(shown))?;
            that(frame::code(f) == code.0, "the current frame's code")?;
            that(frame::frame_object(f) == shown, "a frame's frame object")?;
            that(frame::globals(f) == PyEval_GetGlobals(), "a frame's globals")?;
            that(frame::builtins(f) == PyEval_GetBuiltins(), "a frame's builtins")?;
            that(PyFrame_GetLasti(shown) == 2 * frame::saved_unit(f), "a frame's instruction pointer")?;
            that(read::<*mut Frame, _>(shown, l.frameobject_frame) == f, "a frame object's frame")?;
        }
        let function = named(names, "sample")?;
        let before = frame::current(ts);
        let pushed = frame::push_frame(ts, function);
        that(!pushed.is_null() && frame::previous(pushed) == before, "a pushed frame")?;
        let object = PyThreadState_GetFrame(ts);
        let good = !object.is_null() && read::<*mut Frame, _>(object, l.frameobject_frame) == pushed;
        let line = if good { number(object, c"f_lineno") } else { -1 };
        frame::pop_frame(ts, pushed);
        that(good && frame::current(ts) == before, "a popped frame")?;
        let object = Owned(object);
        that(line == number(PyFunction_GetCode(function), c"co_firstlineno"), "a pushed frame's line")?;
        let back = PyFrame_GetBack(object.0);
        that(back == shown, "a popped frame's caller")?;
        xdecref(back);
        let code = Owned::new(PyFrame_GetCode(object.0))?;
        that(code.0 == PyFunction_GetCode(function), "a popped frame's code")
    }
}
