//! Rows into documents, for Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use stoop_bson::encode::{Input, Objects, encode as encode_rows};
use stoop_bson::error::grouped;
use stoop_bson::schema::Kind;

use super::buffer::Buffer;
use super::schema;

/// Encodes the rows of an array as documents, back to back.
///
/// `objects` has, by the index of an object field in the schema, `None` or (type byte, value) for each row.
#[pyfunction]
#[pyo3(signature = (schema, array, mask=None, *, itemsize, mask_itemsize=0, rows, objects=None))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub fn encode<'py>(
    py: Python<'py>,
    schema: &Bound<'py, PyAny>,
    array: &Bound<'py, PyAny>,
    mask: Option<&Bound<'py, PyAny>>,
    itemsize: usize,
    mask_itemsize: usize,
    rows: usize,
    objects: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let schema = schema::schema(schema, true)?;
    let mut columns = Objects::new();
    for (index, _) in schema.fields.iter().enumerate().filter(|(_, field)| field.kind == Kind::Object) {
        let column = objects.and_then(|objects| objects.get_item(index).transpose()).transpose()?;
        columns.push(column.map(|column| column.extract()).transpose()?.unwrap_or_default());
    }
    let data = Buffer::of(array, false)?;
    let mask = mask.map(|mask| Buffer::of(mask, false)).transpose()?;
    let encoded = py.detach(|| {
        let mask = mask.as_ref().map_or(&[][..], Buffer::bytes);
        encode_rows(&schema, &Input { data: data.bytes(), itemsize, mask, mask_itemsize, rows, objects: &columns })
    });
    match encoded {
        Ok(bytes) => Ok(PyBytes::new(py, &bytes)),
        Err(error) => {
            let field = if error.path.is_empty() { String::new() } else { format!("field \"{}\": ", error.path) };
            Err(PyValueError::new_err(format!("row {}: {field}{}", grouped(error.row as u64), error.problem)))
        }
    }
}
