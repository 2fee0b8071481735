//! `stoop._stoop.bson`: the decoder for Python. Glue only; the crate `stoop_bson` does the work.

mod buffer;
mod schema;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use stoop_bson::batch::{self, OnError, Origin};
use stoop_bson::error::DecodeError;
use stoop_bson::plan::{InRows, Plan};
use stoop_bson::rows::{Objects, Rows};

use buffer::Buffer;

/// BSON to arrays.
#[pymodule(submodule, name = "bson")]
pub mod module {
    #[pymodule_export]
    use super::{Decoder, count, split};
}

/// The exception of an error, of the class that `stoop.bson` shows.
fn raise(py: Python<'_>, error: &DecodeError) -> PyErr {
    let made = || {
        let class = py.import("stoop.bson._errors")?.getattr("BSONDecodeError")?;
        class.call1((
            error.to_string(),
            error.document,
            error.offset,
            &error.fault.path,
            &error.fault.expected,
            &error.fault.found,
        ))
    };
    match made() {
        Ok(exception) => PyErr::from_value(exception),
        Err(other) => other,
    }
}

/// The number of documents in a buffer, and of their bytes.
#[pyfunction]
#[pyo3(signature = (buffer, partial=false))]
fn count(py: Python<'_>, buffer: &Bound<'_, PyAny>, partial: bool) -> PyResult<(usize, usize)> {
    let input = Buffer::of(buffer, false)?;
    let counted = py.detach(|| batch::count(input.bytes(), partial));
    counted.map_err(|error| raise(py, &error))
}

/// Where each document starts, and where the last ends.
#[pyfunction]
fn split(py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    let input = Buffer::of(buffer, false)?;
    let starts = py.detach(|| batch::split(input.bytes()));
    starts.map_err(|error| raise(py, &error))
}

/// A schema made ready; decodes any number of buffers.
#[pyclass(module = "stoop._stoop.bson")]
struct Decoder {
    plan: Plan,
    itemsize: usize,
    mask_itemsize: usize,
    on_error: OnError,
    objects: usize,
    /// Documents left out so far.
    #[pyo3(get)]
    skipped: usize,
}

#[pymethods]
impl Decoder {
    #[new]
    #[pyo3(signature = (schema, *, layout="rows", itemsize=0, mask_itemsize=0, on_error="raise", threads=0, validate=false))]
    fn new(
        schema: &Bound<'_, PyAny>,
        layout: &str,
        itemsize: usize,
        mask_itemsize: usize,
        on_error: &str,
        threads: usize,
        validate: bool,
    ) -> PyResult<Decoder> {
        let _ = (threads, validate);
        if layout != "rows" {
            return Err(PyValueError::new_err(format!("layout={layout:?} is neither \"rows\" nor \"columns\"")));
        }
        let on_error = match on_error {
            "raise" => OnError::Raise,
            "skip" => OnError::Skip,
            "collect" => OnError::Collect,
            other => {
                let text = format!("on_error={other:?} is none of \"raise\", \"skip\", \"collect\"");
                return Err(PyValueError::new_err(text));
            }
        };
        let mut places = InRows { size: itemsize, mask_size: mask_itemsize, objects: 0 };
        let plan = Plan::new(&schema::schema(schema, true)?, &mut places).map_err(PyValueError::new_err)?;
        Ok(Decoder { plan, itemsize, mask_itemsize, on_error, objects: places.objects, skipped: 0 })
    }

    /// Decodes all documents of a buffer into rows.
    #[pyo3(signature = (buffer, out, mask=None, *, document=0, offset=0))]
    fn decode_into<'py>(
        &mut self,
        py: Python<'py>,
        buffer: &Bound<'py, PyAny>,
        out: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
        document: u64,
        offset: u64,
    ) -> PyResult<(usize, Bound<'py, PyList>)> {
        let input = Buffer::of(buffer, false)?;
        let mut output = Buffer::of(out, true)?;
        let mut masks = mask.map(|mask| Buffer::of(mask, true)).transpose()?;
        let origin = Origin { document, offset };
        // Malformed documents are the decoder's to report; they need no rows.
        let documents = py.detach(|| match batch::count(input.bytes(), false) {
            Ok((documents, _)) => documents,
            Err(error) => error.document as usize,
        });
        let room = |size: usize, buffer: &Buffer| documents.checked_mul(size).is_some_and(|size| size <= buffer.bytes().len());
        if !room(self.itemsize, &output) || masks.as_ref().is_some_and(|mask| !room(self.mask_itemsize, mask)) {
            return Err(PyValueError::new_err(format!("the output has no room for {documents} rows")));
        }
        let outcome = py.detach(|| {
            let mut rows = Rows {
                out: output.bytes_mut(),
                mask: masks.as_mut().map_or(&mut [], |mask| mask.bytes_mut()),
                size: self.itemsize,
                mask_size: self.mask_itemsize,
                objects: vec![Objects::default(); self.objects],
            };
            batch::rows(&self.plan, input.bytes(), &mut rows, self.on_error, origin)
        });
        self.skipped += outcome.skipped;
        if self.on_error == OnError::Raise
            && let Some(error) = outcome.errors.first()
        {
            return Err(raise(py, error));
        }
        let errors = PyList::empty(py);
        for error in &outcome.errors {
            let fault = &error.fault;
            errors.append((error.document, error.offset, &fault.path, &fault.expected, &fault.found, error.to_string()))?;
        }
        Ok((outcome.rows, errors))
    }
}
