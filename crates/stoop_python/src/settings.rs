//! Options from Python, and switching the engine on with them.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList};

use stoop_jit::engine::api::{self, Config};
use stoop_jit::engine::sampler::Settings;
use stoop_jit::options::{self, Options, Value};

/// The options in force: `None` until they are first asked for, when the environment is read.
static IN_FORCE: Mutex<Option<Options>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Options>> {
    IN_FORCE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The options so far: defaults under the environment, where Python itself heeds it.
fn current(py: Python<'_>) -> PyResult<Options> {
    if let Some(options) = &*lock() {
        return Ok(options.clone());
    }
    let mut options = Options::default();
    let flags = py.import("sys")?.getattr("flags")?;
    if !flags.getattr("ignore_environment")?.is_truthy()? {
        options.set_from_environment().map_err(|e| PyValueError::new_err(e.to_string()))?;
    }
    Ok(options)
}

/// A value from Python.
fn value(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(switch) = object.cast::<PyBool>() {
        return Ok(Value::Switch(switch.is_true()));
    }
    if let Ok(number) = object.extract::<i64>() {
        return Ok(Value::Number(number));
    }
    if let Ok(text) = object.extract::<String>() {
        return Ok(Value::Text(text));
    }
    let kind = object.get_type().name()?.to_string();
    Err(PyTypeError::new_err(format!("option '{name}': expected a bool, int or str, not {kind}")))
}

fn object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Switch(v) => v.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(v) => v.into_pyobject(py)?.into_any(),
        Value::Text(v) => v.into_pyobject(py)?.into_any(),
    })
}

/// Switches the engine on with these options over the ones in force.
pub fn enable(given: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = given.py();
    let mut wanted = current(py)?;
    for (name, object) in given.iter() {
        let name: String = name.extract()?;
        wanted.set(&name, &value(&name, &object)?).map_err(|e| PyValueError::new_err(e.to_string()))?;
    }
    if api::is_enabled() && lock().as_ref() == Some(&wanted) {
        return Ok(());
    }
    let config = config(&wanted);
    // SAFETY: the GIL is held; importing this module has checked the layout and the interpreter.
    unsafe { api::enable(config) }.map_err(PyRuntimeError::new_err)?;
    let unwritable = unwritable(&wanted);
    *lock() = Some(wanted);
    watch_the_process(py)?;
    for sentence in unwritable {
        PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &CString::new(sentence)?, 1)?;
    }
    Ok(())
}

/// What is asked for and will not be written, a sentence each. The program runs all the same.
fn unwritable(options: &Options) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut journal = File::options();
    if !options.journal.is_empty()
        && let Err(e) = journal.create(true).append(true).open(&options.journal)
    {
        sentences.push(format!("option 'journal': there will be none: '{}': {e}", options.journal));
    }
    if !options.jitdump.is_empty() && !Path::new(&options.jitdump).is_dir() {
        sentences.push(format!("option 'jitdump': there will be none: '{}' is not a directory", options.jitdump));
    }
    sentences
}

fn config(options: &Options) -> Config {
    Config {
        settings: Settings {
            interval: Duration::from_millis(options.sample_interval_ms.unsigned_abs()),
            threshold: u32::try_from(options.threshold).unwrap_or(u32::MAX),
            functions: options.functions,
            osr: options.osr,
        },
        compile_share: u32::try_from(options.compile_share).unwrap_or(100),
        budget: usize::try_from(options.budget_mb).unwrap_or(usize::MAX >> 20) << 20,
        passes_off: options.passes_off(),
        verify: options.verify,
        max_recompiles: u32::try_from(options.max_recompiles).unwrap_or(u32::MAX),
        perf_map: options.perf_map,
        jitdump: options.jitdump.clone(),
        journal: options.journal.clone(),
        force_exit: u32::try_from(options.force_exit).ok().filter(|n| *n > 0),
    }
}

/// Has the engine told when the process forks, and before the interpreter goes.
fn watch_the_process(py: Python<'_>) -> PyResult<()> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if std::mem::replace(&mut *done, true) {
        return Ok(());
    }
    // The engine's thread stops before a fork: the child must not inherit a lock that it holds, and CPython warns
    // of forks in processes with several threads.
    let kwargs = PyDict::new(py);
    kwargs.set_item("before", wrap_pyfunction!(before_fork, py)?)?;
    kwargs.set_item("after_in_parent", wrap_pyfunction!(after_fork_in_parent, py)?)?;
    kwargs.set_item("after_in_child", wrap_pyfunction!(after_fork, py)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&kwargs))?;
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(shutdown, py)?,))?;
    Ok(())
}

#[pyfunction]
fn after_fork_in_parent() {
    api::after_fork_in_parent();
}

#[pyfunction]
fn after_fork() {
    api::after_fork();
}

#[pyfunction]
fn before_fork() {
    api::before_fork();
}

#[pyfunction]
fn shutdown() {
    api::shutdown();
}

/// The options in force, by name.
pub fn in_force(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in current(py)?.values() {
        dict.set_item(name, object(py, &value)?)?;
    }
    Ok(dict)
}

/// The table of options.
pub fn table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for row in options::rows() {
        let dict = PyDict::new(py);
        dict.set_item("name", row.name)?;
        dict.set_item("default", object(py, &row.default)?)?;
        dict.set_item("unit", row.unit)?;
        dict.set_item("help", row.help)?;
        list.append(dict)?;
    }
    Ok(list)
}

/// The budget for machine code, in bytes.
pub fn code_budget(py: Python<'_>) -> PyResult<usize> {
    Ok(config(&current(py)?).budget)
}
