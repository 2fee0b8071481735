/* Prints the body of a version's `Layout` table (src/v3_NN/layout.rs).
 *
 * How to: cc -I$PREFIX/include/python3.NN -I$PREFIX/include/python3.NN/internal offsets.c -o offsets && ./offsets
 * with the headers of the exact CPython the table is for; paste the output between the braces.
 */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <stdio.h>
#include "internal/pycore_ceval.h"
#include "internal/pycore_code.h"
#include "internal/pycore_dict.h"
#include "internal/pycore_frame.h"
#include "internal/pycore_function.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_list.h"
#include "internal/pycore_long.h"
#include "internal/pycore_moduleobject.h"
#include "internal/pycore_object.h"
#include "internal/pycore_range.h"
#include "internal/pycore_runtime.h"
#include "internal/pycore_tuple.h"

#define NEW (PY_VERSION_HEX >= 0x030d0000)
typedef struct _PyInterpreterFrame Frame;
typedef struct _ts Thread;
typedef struct _is Interp;

#define AT(name, type, field) printf("    " #name ": %d,\n", (int)offsetof(type, field));
#define NUM(name, value) printf("    " #name ": %lld,\n", (long long)(value));
#define SIZE(name, type) NUM(name, sizeof(type))

/* The state word with only `ascii`, or only the lowest bit of `kind`, set. */
static unsigned state_bits(int ascii)
{
    PyASCIIObject str = {0};
    unsigned word;
    str.state.ascii = ascii;
    str.state.kind = !ascii;
    memcpy(&word, &str.state, sizeof(word));
    return word;
}

int main(void)
{
    /* objects */
    AT(ob_refcnt, PyObject, ob_refcnt)
    AT(ob_type, PyObject, ob_type)
    AT(ob_size, PyVarObject, ob_size)
    SIZE(object_size, PyObject)
    /* types */
    AT(tp_name, PyTypeObject, tp_name)
    AT(tp_basicsize, PyTypeObject, tp_basicsize)
    AT(tp_itemsize, PyTypeObject, tp_itemsize)
    AT(tp_dealloc, PyTypeObject, tp_dealloc)
    AT(tp_vectorcall_offset, PyTypeObject, tp_vectorcall_offset)
    AT(tp_as_number, PyTypeObject, tp_as_number)
    AT(tp_as_sequence, PyTypeObject, tp_as_sequence)
    AT(tp_as_mapping, PyTypeObject, tp_as_mapping)
    AT(tp_hash, PyTypeObject, tp_hash)
    AT(tp_call, PyTypeObject, tp_call)
    AT(tp_getattro, PyTypeObject, tp_getattro)
    AT(tp_setattro, PyTypeObject, tp_setattro)
    AT(tp_flags, PyTypeObject, tp_flags)
    AT(tp_richcompare, PyTypeObject, tp_richcompare)
    AT(tp_iter, PyTypeObject, tp_iter)
    AT(tp_iternext, PyTypeObject, tp_iternext)
    AT(tp_base, PyTypeObject, tp_base)
    AT(tp_dict, PyTypeObject, tp_dict)
    AT(tp_descr_get, PyTypeObject, tp_descr_get)
    AT(tp_descr_set, PyTypeObject, tp_descr_set)
    AT(tp_dictoffset, PyTypeObject, tp_dictoffset)
    AT(tp_init, PyTypeObject, tp_init)
    AT(tp_alloc, PyTypeObject, tp_alloc)
    AT(tp_new, PyTypeObject, tp_new)
    AT(tp_mro, PyTypeObject, tp_mro)
    AT(tp_version_tag, PyTypeObject, tp_version_tag)
    AT(tp_vectorcall, PyTypeObject, tp_vectorcall)
    AT(tp_watched, PyTypeObject, tp_watched)
    AT(ht_cached_keys, PyHeapTypeObject, ht_cached_keys)
    AT(ht_cache_getitem, PyHeapTypeObject, _spec_cache.getitem)
    /* built-in values */
    AT(long_tag, PyLongObject, long_value.lv_tag)
    AT(long_digits, PyLongObject, long_value.ob_digit)
    SIZE(long_size, PyLongObject)
    AT(float_value, PyFloatObject, ob_fval)
    AT(list_items, PyListObject, ob_item)
    AT(list_allocated, PyListObject, allocated)
    /* Modules/arraymodule.c keeps its structs to itself */
    NUM(array_items, 24)
    NUM(array_descr, 40)
    NUM(array_descr_itemsize, 4)
    NUM(array_basicsize, 64)
    AT(tuple_items, PyTupleObject, ob_item)
    AT(bytes_data, PyBytesObject, ob_sval)
    AT(str_length, PyASCIIObject, length)
    AT(str_hash, PyASCIIObject, hash)
    AT(str_state, PyASCIIObject, state)
    NUM(str_state_ascii, state_bits(1))
    NUM(str_state_kind_shift, __builtin_ctz(state_bits(0)))
    SIZE(str_ascii_data, PyASCIIObject)
    SIZE(str_compact_data, PyCompactUnicodeObject)
    AT(range_iter_start, _PyRangeIterObject, start)
    AT(range_iter_step, _PyRangeIterObject, step)
    AT(range_iter_len, _PyRangeIterObject, len)
    AT(list_iter_index, _PyListIterObject, it_index)
    AT(list_iter_seq, _PyListIterObject, it_seq)
    AT(tuple_iter_index, _PyTupleIterObject, it_index)
    AT(tuple_iter_seq, _PyTupleIterObject, it_seq)
    AT(slice_start, PySliceObject, start)
    AT(slice_stop, PySliceObject, stop)
    AT(slice_step, PySliceObject, step)
    AT(cell_ref, PyCellObject, ob_ref)
    /* callables, descriptors, modules */
    AT(func_globals, PyFunctionObject, func_globals)
    AT(func_builtins, PyFunctionObject, func_builtins)
    AT(func_name, PyFunctionObject, func_name)
    AT(func_qualname, PyFunctionObject, func_qualname)
    AT(func_code, PyFunctionObject, func_code)
    AT(func_defaults, PyFunctionObject, func_defaults)
    AT(func_kwdefaults, PyFunctionObject, func_kwdefaults)
    AT(func_closure, PyFunctionObject, func_closure)
    AT(func_dict, PyFunctionObject, func_dict)
    AT(func_vectorcall, PyFunctionObject, vectorcall)
    AT(func_version, PyFunctionObject, func_version)
    AT(method_func, PyMethodObject, im_func)
    AT(method_self, PyMethodObject, im_self)
    AT(cfunction_def, PyCFunctionObject, m_ml)
    AT(cfunction_self, PyCFunctionObject, m_self)
    AT(cfunction_vectorcall, PyCFunctionObject, vectorcall)
    AT(methoddef_meth, PyMethodDef, ml_meth)
    AT(methoddef_flags, PyMethodDef, ml_flags)
    AT(descr_type, PyDescrObject, d_type)
    AT(methoddescr_def, PyMethodDescrObject, d_method)
    AT(methoddescr_vectorcall, PyMethodDescrObject, vectorcall)
    AT(memberdescr_member, PyMemberDescrObject, d_member)
    AT(module_dict, PyModuleObject, md_dict)
    AT(gen_frame, PyGenObject, gi_iframe)
    AT(gen_frame_state, PyGenObject, gi_frame_state)
    /* dicts */
    AT(dict_used, PyDictObject, ma_used)
    AT(dict_version_tag, PyDictObject, ma_version_tag)
    AT(dict_keys, PyDictObject, ma_keys)
    AT(dict_values, PyDictObject, ma_values)
    AT(keys_log2_size, PyDictKeysObject, dk_log2_size)
    AT(keys_log2_index_bytes, PyDictKeysObject, dk_log2_index_bytes)
    AT(keys_kind, PyDictKeysObject, dk_kind)
    AT(keys_version, PyDictKeysObject, dk_version)
    AT(keys_usable, PyDictKeysObject, dk_usable)
    AT(keys_nentries, PyDictKeysObject, dk_nentries)
    AT(keys_indices, PyDictKeysObject, dk_indices)
    AT(unicode_entry_key, PyDictUnicodeEntry, me_key)
    AT(unicode_entry_value, PyDictUnicodeEntry, me_value)
    SIZE(unicode_entry_size, PyDictUnicodeEntry)
    AT(general_entry_hash, PyDictKeyEntry, me_hash)
    AT(general_entry_key, PyDictKeyEntry, me_key)
    AT(general_entry_value, PyDictKeyEntry, me_value)
    SIZE(general_entry_size, PyDictKeyEntry)
    AT(set_used, PySetObject, used)
    AT(set_mask, PySetObject, mask)
    AT(set_table, PySetObject, table)
    AT(bytearray_start, PyByteArrayObject, ob_start)
    AT(values_first, PyDictValues, values)
#if NEW
    printf("    values_valid: Some(%d),\n", (int)offsetof(PyDictValues, valid));
    printf("    values_capacity: Some(%d),\n", (int)offsetof(PyDictValues, capacity));
    printf("    values_size: %d,\n", (int)offsetof(PyDictValues, size));
    NUM(managed_dict, MANAGED_DICT_OFFSET)
#else
    printf("    values_valid: None,\n    values_capacity: None,\n    values_size: -2,\n");
    NUM(managed_dict, -3 * (int)sizeof(PyObject *))
#endif
    /* code objects */
    AT(co_consts, PyCodeObject, co_consts)
    AT(co_names, PyCodeObject, co_names)
    AT(co_exceptiontable, PyCodeObject, co_exceptiontable)
    AT(co_flags, PyCodeObject, co_flags)
    AT(co_argcount, PyCodeObject, co_argcount)
    AT(co_posonlyargcount, PyCodeObject, co_posonlyargcount)
    AT(co_kwonlyargcount, PyCodeObject, co_kwonlyargcount)
    AT(co_stacksize, PyCodeObject, co_stacksize)
    AT(co_firstlineno, PyCodeObject, co_firstlineno)
    AT(co_nlocalsplus, PyCodeObject, co_nlocalsplus)
    AT(co_framesize, PyCodeObject, co_framesize)
    AT(co_nlocals, PyCodeObject, co_nlocals)
    AT(co_ncellvars, PyCodeObject, co_ncellvars)
    AT(co_nfreevars, PyCodeObject, co_nfreevars)
    AT(co_version, PyCodeObject, co_version)
    AT(co_localsplusnames, PyCodeObject, co_localsplusnames)
    AT(co_localspluskinds, PyCodeObject, co_localspluskinds)
    AT(co_filename, PyCodeObject, co_filename)
    AT(co_name, PyCodeObject, co_name)
    AT(co_qualname, PyCodeObject, co_qualname)
    AT(co_linetable, PyCodeObject, co_linetable)
    AT(co_instrumentation_version, PyCodeObject, _co_instrumentation_version)
    AT(co_monitoring, PyCodeObject, _co_monitoring)
    AT(co_firsttraceable, PyCodeObject, _co_firsttraceable)
    AT(co_code_adaptive, PyCodeObject, co_code_adaptive)
    AT(mon_local_tools, _PyCoMonitoringData, local_monitors.tools)
    AT(mon_active_tools, _PyCoMonitoringData, active_monitors.tools)
    NUM(mon_local_tools_len, _PY_MONITORING_LOCAL_EVENTS)
    AT(mon_lines, _PyCoMonitoringData, lines)
    AT(mon_instruction_opcodes, _PyCoMonitoringData, per_instruction_opcodes)
    SIZE(mon_line_size, _PyCoLineInstrumentationData)
    AT(mon_line_opcode, _PyCoLineInstrumentationData, original_opcode)
    /* frames */
#if NEW
    AT(frame_code, Frame, f_executable)
    AT(frame_instr, Frame, instr_ptr)
    NUM(frame_instr_bias, 0)
#else
    AT(frame_code, Frame, f_code)
    AT(frame_instr, Frame, prev_instr)
    NUM(frame_instr_bias, -1)
#endif
    AT(frame_previous, Frame, previous)
    AT(frame_function, Frame, f_funcobj)
    AT(frame_globals, Frame, f_globals)
    AT(frame_builtins, Frame, f_builtins)
    AT(frame_f_locals, Frame, f_locals)
    AT(frame_object, Frame, frame_obj)
    AT(frame_stacktop, Frame, stacktop)
    AT(frame_return_offset, Frame, return_offset)
    AT(frame_owner, Frame, owner)
    AT(frame_locals, Frame, localsplus)
    NUM(frame_specials, FRAME_SPECIALS_SIZE)
    AT(frameobject_back, PyFrameObject, f_back)
    AT(frameobject_frame, PyFrameObject, f_frame)
    AT(frameobject_trace, PyFrameObject, f_trace)
    AT(frameobject_lineno, PyFrameObject, f_lineno)
    AT(frameobject_data, PyFrameObject, _f_frame_data)
    /* threads */
    AT(ts_next, Thread, next)
    AT(ts_interp, Thread, interp)
#if NEW
    printf("    ts_cframe: None,\n");
    AT(ts_current_frame, Thread, current_frame)
    printf("    breaker: Breaker::ThreadState { offset: %d, events: 0x%x, version: %d },\n",
           (int)offsetof(Thread, eval_breaker), _PY_EVAL_EVENTS_MASK,
           (int)offsetof(Interp, ceval.instrumentation_version));
#else
    printf("    ts_cframe: Some(%d),\n", (int)offsetof(Thread, cframe));
    AT(ts_current_frame, _PyCFrame, current_frame)
    printf("    breaker: Breaker::Interpreter { offset: %d, version: %d },\n",
           (int)offsetof(Interp, ceval.eval_breaker), (int)offsetof(Interp, monitoring_version));
#endif
    AT(ts_py_recursion_remaining, Thread, py_recursion_remaining)
    AT(ts_py_recursion_limit, Thread, py_recursion_limit)
    AT(ts_c_recursion_remaining, Thread, c_recursion_remaining)
    AT(ts_tracing, Thread, tracing)
    AT(ts_what_event, Thread, what_event)
    AT(ts_c_profilefunc, Thread, c_profilefunc)
    AT(ts_c_tracefunc, Thread, c_tracefunc)
    AT(ts_current_exception, Thread, current_exception)
    AT(ts_exc_info, Thread, exc_info)
    AT(ts_async_exc, Thread, async_exc)
    AT(ts_thread_id, Thread, thread_id)
    AT(ts_native_thread_id, Thread, native_thread_id)
    AT(ts_id, Thread, id)
    AT(ts_datastack_chunk, Thread, datastack_chunk)
    AT(ts_datastack_top, Thread, datastack_top)
    AT(ts_datastack_limit, Thread, datastack_limit)
    AT(chunk_previous, _PyStackChunk, previous)
    AT(chunk_size, _PyStackChunk, size)
    AT(chunk_top, _PyStackChunk, top)
    AT(chunk_data, _PyStackChunk, data)
    /* interpreters */
    AT(interp_threads_head, Interp, threads.head)
    AT(interp_eval_frame, Interp, eval_frame)
    AT(interp_tools, Interp, monitors.tools)
    AT(interp_tool_names, Interp, monitoring_tool_names)
    NUM(interp_tools_len, _PY_MONITORING_UNGROUPED_EVENTS)
    AT(interp_len, Interp, callable_cache.len)
    AT(interp_isinstance, Interp, callable_cache.isinstance)
    AT(interp_list_append, Interp, callable_cache.list_append)
    return 0;
}
