//! The extension module `stoop._stoop`: glue between Python and the engine, without logic of its own.
//!
//! `python/stoop/_stoop.pyi` states its functions; `python/stoop/__init__.py` is what people import.

mod bson;
mod records;
mod settings;

use pyo3::exceptions::{PyImportError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use stoop_cpython::capi::Obj;
use stoop_cpython::inspect;
use stoop_jit::engine::api;
use stoop_jit::{dump, stats};

#[global_allocator]
static HEAP: stoop_jit::heap::Heap = stoop_jit::heap::Heap;

/// A Python object as the engine knows it.
fn raw(object: &Bound<'_, PyAny>) -> Obj {
    object.as_ptr().cast()
}

/// The code object behind a Python function (the package makes sure that it is one).
fn code_of(function: &Bound<'_, PyAny>) -> PyResult<Obj> {
    let plain = function.cast::<pyo3::types::PyFunction>()?;
    // SAFETY: an exact function, alive while it is borrowed.
    Ok(unsafe { inspect::function_code(raw(plain.as_any())) })
}

/// The engine of CPython's own extension module; everything here needs `check` to have passed.
#[pymodule]
mod _stoop {
    use super::*;
    #[pymodule_export]
    use super::{
        compile, decode_text, dis, disable, dump_native, enable, info, is_enabled, never, options, options_table, stats_row,
    };

    #[pymodule_export]
    use super::bson::module;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // SAFETY: the GIL is held, in an initialised interpreter.
        unsafe { stoop_cpython::check::check() }.map_err(PyImportError::new_err)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// Switches the engine on.
#[pyfunction]
fn enable(options: &Bound<'_, PyDict>) -> PyResult<()> {
    settings::enable(options)
}

/// Switches the engine off.
#[pyfunction]
fn disable() {
    api::disable();
}

/// Whether the engine is on.
#[pyfunction]
fn is_enabled() -> bool {
    api::is_enabled()
}

/// The options in force, by name.
#[pyfunction]
fn options(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    settings::in_force(py)
}

/// Every option there is.
#[pyfunction]
fn options_table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    settings::table(py)
}

/// Compiles a function now; the sentence that says why not, where it cannot.
#[pyfunction]
fn compile(function: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    code_of(function)?;
    // SAFETY: a live function, the GIL held.
    Ok(unsafe { api::compile(raw(function)) }.err())
}

/// Keeps a function interpreted.
#[pyfunction]
fn never(function: &Bound<'_, PyAny>) -> PyResult<()> {
    code_of(function)?;
    // SAFETY: a live function, the GIL held.
    unsafe { api::never(raw(function)) };
    Ok(())
}

/// What was done to a function.
#[pyfunction]
fn info<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: a live function's code object, the GIL held.
    let code = unsafe { stats::code(code_of(function)?) };
    records::function(function.py(), &code)
}

/// What was done in this process.
#[pyfunction(name = "stats")]
fn stats_row(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    records::process(py, &stats::process())
}

/// The text of a function at a stage: "ir", "passes", a pass's name, "clif" or "asm".
#[pyfunction]
fn dis(function: &Bound<'_, PyAny>, stage: &str) -> PyResult<String> {
    code_of(function)?;
    // SAFETY: a live function, the GIL held.
    let stages = unsafe { api::stages(raw(function)) }.map_err(PyRuntimeError::new_err)?;
    records::stage(&stages, stage).map_err(PyValueError::new_err)
}

/// Writes a function's machine code as an object file.
#[pyfunction]
fn dump_native(function: &Bound<'_, PyAny>, path: &str) -> PyResult<()> {
    // SAFETY: the GIL is held.
    let file = unsafe { dump::object_file(code_of(function)?) }.map_err(PyRuntimeError::new_err)?;
    std::fs::write(path, file).map_err(|e| PyOSError::new_err(format!("{path}: {e}")))
}

/// A code object as decoded, an instruction a line: for tests against `dis`.
#[pyfunction(name = "_decode_text")]
fn decode_text(code: &Bound<'_, PyAny>) -> PyResult<String> {
    let code = code.cast::<pyo3::types::PyCode>()?;
    // SAFETY: a live code object, the GIL held.
    Ok(unsafe { stoop_cpython::decode::decode_text(raw(code.as_any())) })
}
