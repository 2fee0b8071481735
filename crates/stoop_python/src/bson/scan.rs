//! The scanner for Python.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use stoop_bson::batch::Origin;
use stoop_bson::scan::{Field, Range, Scan};

use super::buffer::Buffer;

/// What documents hold, added up over any number of buffers.
#[pyclass(module = "stoop._stoop.bson")]
pub struct Scanner {
    scan: Scan,
}

#[pymethods]
impl Scanner {
    #[new]
    fn new() -> Scanner {
        Scanner { scan: Scan::default() }
    }

    /// Looks at a buffer's documents, at most `limit`; the number of bytes they have.
    #[pyo3(signature = (buffer, limit=None, *, document=0, offset=0))]
    fn add(
        &mut self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        limit: Option<u64>,
        document: u64,
        offset: u64,
    ) -> PyResult<usize> {
        let input = Buffer::of(buffer, false)?;
        let scan = &mut self.scan;
        let origin = Origin { document, offset };
        let added = py.detach(|| scan.add(input.bytes(), limit.unwrap_or(u64::MAX), origin));
        added.map_err(|error| super::raise(py, &error))
    }

    /// Documents looked at.
    #[getter]
    fn documents(&self) -> u64 {
        self.scan.documents
    }

    /// The fields in the order of their first sight, a dictionary each.
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for field in &self.scan.fields {
            list.append(row(py, field)?)?;
        }
        Ok(list)
    }
}

fn row<'py>(py: Python<'py>, field: &Field) -> PyResult<Bound<'py, PyDict>> {
    let types = PyDict::new(py);
    for (ty, count) in field.seen() {
        types.set_item(ty.name(), count)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("path", PyTuple::new(py, &field.path)?)?;
    dict.set_item("present", field.present)?;
    dict.set_item("types", types)?;
    dict.set_item("characters", range(field.characters))?;
    dict.set_item("end_with_nul", field.end_with_nul)?;
    dict.set_item("bytes", range(field.bytes))?;
    dict.set_item("integers", range(field.integers))?;
    dict.set_item("items", range(field.items))?;
    dict.set_item("decimals", field.decimals)?;
    dict.set_item("fractions", field.fractions)?;
    dict.set_item("not_finite", field.not_finite)?;
    dict.set_item("subtypes", PyList::new(py, &field.subtypes)?)?;
    Ok(dict)
}

fn range<T>(range: Option<Range<T>>) -> Option<(T, T)> {
    range.map(|Range { min, max }| (min, max))
}
