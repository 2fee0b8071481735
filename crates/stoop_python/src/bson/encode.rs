//! Rows into documents, for Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use stoop_bson::encode::{EncodeError, Input, Objects, encode as encode_rows};
use stoop_bson::encode_columns::{ColumnIn, Extents, Form, encode as encode_rows_of};
use stoop_bson::error::grouped;
use stoop_bson::schema::{Kind, Unit};

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
    answer(py, encoded)
}

fn answer(py: Python<'_>, encoded: Result<Vec<u8>, EncodeError>) -> PyResult<Bound<'_, PyBytes>> {
    encoded.map(|bytes| PyBytes::new(py, &bytes)).map_err(|error| {
        let field = if error.path.is_empty() { String::new() } else { format!("field \"{}\": ", error.path) };
        PyValueError::new_err(format!("row {}: {field}{}", grouped(error.row as u64), error.problem))
    })
}

/// A column as Python gives it: (name, form, number, offset, validity, values' offsets or size, values, columns inside).
struct Given {
    name: String,
    form: Form,
    offset: usize,
    validity: Option<Buffer>,
    /// The size of one offset, or of one value.
    size: usize,
    extents: Option<Buffer>,
    values: Option<Buffer>,
    children: Vec<Given>,
}

impl Given {
    fn of(column: &Bound<'_, PyAny>) -> PyResult<Given> {
        let column = column.cast::<PyTuple>()?;
        let (name, form, number): (String, String, i64) =
            (column.get_item(0)?.extract()?, column.get_item(1)?.extract()?, column.get_item(2)?.extract()?);
        let buffer = |item: usize| {
            let item = column.get_item(item)?;
            if item.is_none() { Ok(None) } else { Buffer::of(&item, false).map(Some) }
        };
        let children = column.get_item(8)?.try_iter()?.map(|child| Given::of(&child?)).collect::<PyResult<_>>()?;
        let size = number.unsigned_abs() as usize;
        let ticks = |unit| Form::Time(size, unit);
        let form = match form.as_str() {
            "int" => Form::Int(size),
            "uint" => Form::Uint(size),
            "float" => Form::Float(size),
            "bool" => Form::Bool,
            "D" => ticks(Unit::Days),
            "s" => ticks(Unit::Seconds),
            "ms" => ticks(Unit::Milliseconds),
            "us" => ticks(Unit::Microseconds),
            "ns" => ticks(Unit::Nanoseconds),
            "timestamp" => Form::Timestamp,
            "objectid" => Form::ObjectId,
            "hex" => Form::HexId,
            "text" => Form::Text,
            "binary" => Form::Binary(number as u8),
            "raw" => Form::Raw,
            "decimal" => Form::Decimal,
            "scaled" => Form::Scaled(number as i32),
            "null" => Form::Null,
            "list" => Form::List,
            "fixed_list" => Form::FixedList(size.min(i32::MAX as usize)),
            "document" => Form::Document,
            other => return Err(PyValueError::new_err(format!("no form is called {other:?}"))),
        };
        // What the slices below divide and multiply by.
        let is_good = match form {
            Form::Int(size) | Form::Uint(size) => matches!(size, 1 | 2 | 4 | 8),
            Form::Float(size) | Form::Time(size, _) => matches!(size, 4 | 8),
            _ => true,
        };
        if !is_good || name.contains('\0') {
            return Err(PyValueError::new_err(format!("field {name:?}: a size of {number}, or a name with NUL")));
        }
        let (offset, size): (usize, usize) = (column.get_item(3)?.extract()?, column.get_item(5)?.extract()?);
        if offset >> 48 != 0 || size >> 31 != 0 {
            return Err(PyValueError::new_err(format!("field {name:?}: an offset of {offset}, or a size of {size}")));
        }
        Ok(Given { name, form, offset, validity: buffer(4)?, size, extents: buffer(6)?, values: buffer(7)?, children })
    }

    fn column(&self) -> ColumnIn<'_> {
        let extents = match &self.extents {
            None => Extents::Fixed(self.size),
            Some(buffer) if self.size == 4 => Extents::Short(buffer.bytes()),
            Some(buffer) => Extents::Long(buffer.bytes()),
        };
        ColumnIn {
            name: self.name.clone(),
            form: self.form.clone(),
            offset: self.offset,
            validity: self.validity.as_ref().map(Buffer::bytes),
            extents,
            values: self.values.as_ref().map_or(&[], Buffer::bytes),
            children: self.children.iter().map(Given::column).collect(),
        }
    }
}

/// Encodes rows of columns, in the layout of Arrow, as documents, back to back.
///
/// A column is (name, form, number, offset, validity, size, offsets, values, columns inside).
#[pyfunction]
#[pyo3(signature = (columns, *, first, rows, keep_nulls=false))]
pub fn encode_columns<'py>(
    py: Python<'py>,
    columns: &Bound<'py, PyAny>,
    first: usize,
    rows: usize,
    keep_nulls: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let given = columns.try_iter()?.map(|column| Given::of(&column?)).collect::<PyResult<Vec<_>>>()?;
    let columns: Vec<ColumnIn> = given.iter().map(Given::column).collect();
    let encoded = py.detach(|| encode_rows_of(&columns, first..first.saturating_add(rows), keep_nulls));
    answer(py, encoded)
}
