//! The engine's records as the dictionaries that `python/stoop/_stoop.pyi` describes.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use stoop_jit::stats::{CodeStats, Exit, ProcessStats, Region};

use crate::settings;

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn list<'py, T>(
    py: Python<'py>,
    rows: &[T],
    one: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for row in rows {
        list.append(one(py, row)?)?;
    }
    Ok(list)
}

fn exit<'py>(py: Python<'py>, exit: &Exit) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("reason", &exit.text)?;
    dict.set_item("line", exit.line)?;
    dict.set_item("count", exit.count)?;
    Ok(dict)
}

fn region<'py>(py: Python<'py>, region: &Region) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("kind", region.kind.text())?;
    dict.set_item("first_line", region.first_line)?;
    dict.set_item("last_line", region.last_line)?;
    dict.set_item("state", if region.valid { "compiled" } else { "dropped" })?;
    dict.set_item("reason", (!region.valid).then_some("something changed that it relied on"))?;
    dict.set_item("compile_seconds", seconds(region.compile_us))?;
    dict.set_item("code_bytes", region.code_bytes)?;
    dict.set_item("entries", region.entries)?;
    dict.set_item("exits", list(py, &region.exits, exit)?)?;
    dict.set_item("assumptions", &region.assumptions)?;
    Ok(dict)
}

/// One function's record.
pub fn function<'py>(py: Python<'py>, code: &CodeStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &code.name)?;
    dict.set_item("filename", &code.filename)?;
    dict.set_item("line", code.line)?;
    dict.set_item("state", code.state.text())?;
    dict.set_item("reason", &code.reason)?;
    dict.set_item("regions", list(py, &code.regions, region)?)?;
    Ok(dict)
}

/// The process's record.
pub fn process<'py>(py: Python<'py>, stats: &ProcessStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("enabled", stats.enabled)?;
    dict.set_item("functions", list(py, &stats.functions, function)?)?;
    dict.set_item("compile_seconds", seconds(stats.compile_us))?;
    dict.set_item("code_bytes", stats.code_bytes)?;
    dict.set_item("code_budget", settings::code_budget(py)?)?;
    let counters = PyDict::new(py);
    for (name, count) in &stats.counters {
        counters.set_item(name, count)?;
    }
    dict.set_item("counters", counters)?;
    Ok(dict)
}

/// The name of the stage before the first pass, among the engine's.
const BUILT: &str = "build";

/// The text of a stage; of all passes for "passes". An unknown stage is a sentence with the known ones.
pub fn stage(stages: &[(String, String)], wanted: &str) -> Result<String, String> {
    let is_code = |name: &str| matches!(name, BUILT | "clif" | "asm");
    if wanted == "passes" {
        let passes = stages.iter().filter(|(name, _)| !is_code(name));
        return Ok(passes.map(|(name, text)| format!("; after {name}\n{text}\n")).collect());
    }
    let name = if wanted == "ir" { BUILT } else { wanted };
    // A pass may run several times: its last result is what counts.
    if let Some((_, text)) = stages.iter().rev().find(|(stage, _)| stage == name) {
        return Ok(text.clone());
    }
    let mut known = vec!["bytecode", "ir", "passes"];
    for (stage, _) in stages {
        if stage != BUILT && !known.contains(&stage.as_str()) {
            known.push(stage);
        }
    }
    Err(format!("unknown stage '{wanted}'; known stages: {}", known.join(", ")))
}
