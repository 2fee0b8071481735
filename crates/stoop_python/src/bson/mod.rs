//! `stoop._stoop.bson`: the decoder for Python. Glue only; the crate `stoop_bson` does the work.

mod arrow;
mod buffer;
mod encode;
mod scan;
mod schema;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use stoop_bson::arrow::ArrowType;
use stoop_bson::batch::{self, OnError, Origin, Outcome};
use stoop_bson::columns::{self, InColumns, Spec};
use stoop_bson::element::Type;
use stoop_bson::error::DecodeError;
use stoop_bson::parallel::{self, Options};
use stoop_bson::plan::{InRows, Plan};
use stoop_bson::rows::{Objects, Rows};

use arrow::{Batch, Stream};
use buffer::Buffer;

/// BSON to arrays.
#[pymodule(submodule, name = "bson")]
pub mod module {
    #[pymodule_export]
    use super::encode::{encode, encode_columns};
    #[pymodule_export]
    use super::scan::Scanner;
    #[pymodule_export]
    use super::{Batch, Decoder, Stream, count, split, stream, validate};
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

/// Checks every byte of all documents; how many there are.
#[pyfunction]
fn validate(py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
    let input = Buffer::of(buffer, false)?;
    let bytes = input.bytes();
    let done = detached(py, bytes.len(), || stoop_bson::validate::validate_all(bytes));
    done.map_err(|(document, offset, fault)| {
        raise(py, &DecodeError { document: document as u64, offset: offset as u64, fault: *fault })
    })
}

/// Lends batches, from any iterable, as one Arrow stream.
#[pyfunction]
fn stream(decoder: &Bound<'_, Decoder>, batches: &Bound<'_, PyAny>) -> PyResult<Stream> {
    arrow::stream(decoder.borrow().ty.clone(), batches)
}

/// Below this many bytes letting other threads run costs more than the work.
const SMALL: usize = 16 << 10;

/// Does work that needs no Python, without the GIL where there is enough of it.
fn detached<R: Send>(py: Python<'_>, bytes: usize, work: impl FnOnce() -> R + Send) -> R {
    if bytes < SMALL { work() } else { py.detach(work) }
}

/// Asking for signals means waiting for the GIL where other threads run Python: not more often than this.
const PATIENCE: Duration = Duration::from_millis(50);

thread_local! {
    /// When this thread last had the GIL.
    static ASKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Lets handlers of signals run now and then; whether one raised, which is then this thread's exception.
fn interrupted() -> bool {
    if ASKED.get().is_some_and(|asked| asked.elapsed() < PATIENCE) {
        return false;
    }
    let raised = Python::attach(|py| py.check_signals().map_err(|error| error.restore(py)).is_err());
    ASKED.set(Some(Instant::now()));
    raised
}

/// A schema made ready; decodes any number of buffers.
#[pyclass(module = "stoop._stoop.bson")]
struct Decoder {
    plan: Plan,
    specs: Vec<Spec>,
    ty: Arc<ArrowType>,
    rows: bool,
    itemsize: usize,
    mask_itemsize: usize,
    on_error: OnError,
    threads: usize,
    /// The fields of the schema that are objects.
    object_fields: Vec<usize>,
    /// The values of the last call, a list each.
    objects: Vec<Objects>,
    last_rows: usize,
    /// Documents left out so far.
    #[pyo3(get)]
    skipped: usize,
}

impl Decoder {
    fn options(&self, document: u64, offset: u64) -> Options {
        Options { on_error: self.on_error, threads: self.threads, origin: Origin { document, offset } }
    }

    /// Raises or lists what went wrong.
    fn report<'py>(&mut self, py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyList>> {
        self.skipped += outcome.skipped;
        if outcome.overflow {
            return Err(arrow::too_large());
        }
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
        Ok(errors)
    }
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
        let rows = match layout {
            "rows" => true,
            "columns" => false,
            other => return Err(PyValueError::new_err(format!("layout={other:?} is neither \"rows\" nor \"columns\""))),
        };
        let on_error = match on_error {
            "raise" => OnError::Raise,
            "skip" => OnError::Skip,
            "collect" => OnError::Collect,
            other => {
                let text = format!("on_error={other:?} is none of \"raise\", \"skip\", \"collect\"");
                return Err(PyValueError::new_err(text));
            }
        };
        let mut schema = schema::schema(schema, rows)?;
        let mut specs = Vec::new();
        let mut places = InRows::default();
        let plan = if rows {
            InRows::check(&schema, itemsize, mask_itemsize).map_err(PyValueError::new_err)?;
            Plan::new(&schema, &mut places)
        } else {
            specs = columns::number(&mut schema);
            Plan::new(&schema, &mut InColumns)
        };
        let mut plan = plan.map_err(PyValueError::new_err)?;
        plan.validate = validate;
        // The plan goes through the fields as a tree of names; the objects' numbers follow it.
        let number = |path: &Vec<String>| schema.fields.iter().position(|field| field.path == *path).unwrap_or(usize::MAX);
        let object_fields = places.objects.iter().map(number).collect();
        let ty = Arc::new(stoop_bson::arrow::batch_type(&specs));
        Ok(Decoder {
            plan,
            specs,
            ty,
            rows,
            itemsize,
            mask_itemsize,
            on_error,
            threads,
            object_fields,
            objects: Vec::new(),
            last_rows: 0,
            skipped: 0,
        })
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
        if !self.rows {
            return Err(PyTypeError::new_err("this decoder makes columns: call decode"));
        }
        let input = Buffer::of(buffer, false)?;
        let mut output = Buffer::of(out, true)?;
        let mut masks = mask.map(|mask| Buffer::of(mask, true)).transpose()?;
        if masks.is_none() && self.mask_itemsize > 0 {
            return Err(PyValueError::new_err("the schema has masks, and no mask was given"));
        }
        let bytes = input.bytes();
        let options = self.options(document, offset);
        let (outcome, objects) = detached(py, bytes.len(), || {
            let mut rows = Rows {
                out: output.bytes_mut(),
                mask: masks.as_mut().map_or(&mut [], |mask| mask.bytes_mut()),
                size: self.itemsize,
                mask_size: self.mask_itemsize,
                objects: vec![Objects::default(); self.object_fields.len()],
            };
            let outcome = parallel::rows(&self.plan, bytes, &mut rows, options);
            (outcome, rows.objects)
        });
        if outcome.full {
            return Err(PyValueError::new_err("the output has no room for all documents"));
        }
        self.objects = objects;
        self.last_rows = outcome.rows;
        let errors = self.report(py, &outcome)?;
        Ok((outcome.rows, errors))
    }

    /// Decodes all documents of a buffer into rows. `room` is called with the number of rows needed, and answers with
    /// memory for them and for their masks, as often as that number turns out to be higher: it keeps the rows there are.
    /// How many there are in the end.
    fn decode_all<'py>(&mut self, py: Python<'py>, buffer: &Bound<'py, PyAny>, room: &Bound<'py, PyAny>) -> PyResult<usize> {
        if !self.rows || !self.object_fields.is_empty() || self.on_error != OnError::Raise {
            return Err(PyTypeError::new_err("decode_all is for rows without objects, and raises"));
        }
        let input = Buffer::of(buffer, false)?;
        let (mut rest, mut rows, mut sure) = (input.bytes(), 0, false);
        let (mut document, mut offset) = (0, 0);
        ASKED.set(Some(Instant::now()));
        loop {
            let options = self.options(document, offset);
            let cut = detached(py, rest.len(), || parallel::cut(rest, options, sure));
            let (out, mask): (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>) = room.call1((rows + cut.rows,))?.extract()?;
            let mut output = Buffer::of(&out, true)?;
            let mut masks = mask.map(|mask| Buffer::of(&mask, true)).transpose()?;
            if masks.is_none() && self.mask_itemsize > 0 {
                return Err(PyValueError::new_err("the schema has masks, and no mask was given"));
            }
            let outcome = detached(py, rest.len(), || {
                let out = output.bytes_mut().get_mut(rows * self.itemsize..).unwrap_or(&mut []);
                let mask = masks.as_mut().map_or(&mut [][..], |mask| mask.bytes_mut());
                let mask = mask.get_mut(rows * self.mask_itemsize..).unwrap_or(&mut []);
                let (size, mask_size) = (self.itemsize, self.mask_itemsize);
                let mut rows = Rows { out, mask, size, mask_size, objects: Vec::new() };
                parallel::rows_of(&self.plan, &cut, &mut rows, options, interrupted)
            });
            if outcome.stopped {
                return Err(PyErr::take(py).unwrap_or_else(|| PyKeyboardInterrupt::new_err(())));
            }
            rows += outcome.rows;
            if !outcome.full {
                self.report(py, &outcome)?;
                return Ok(rows);
            }
            if sure && outcome.before.0 == 0 {
                return Err(PyValueError::new_err("the output has no room for all documents"));
            }
            sure = true;
            document += outcome.before.0 as u64;
            offset += outcome.before.1 as u64;
            rest = &rest[outcome.before.1..];
        }
    }

    /// The objects of the last call to `decode_into`, a list for each field that has any, by its number.
    fn take_objects<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let taken = PyDict::new(py);
        for (field, objects) in self.object_fields.iter().zip(std::mem::take(&mut self.objects)) {
            let list = PyList::empty(py);
            for (row, value) in objects.iter() {
                debug_assert_eq!(row, list.len());
                match value {
                    None => list.append(py.None())?,
                    Some((ty, value)) if Type(ty) == Type::STRING => {
                        // The decoder has checked it.
                        list.append(String::from_utf8_lossy(&value[4..value.len() - 1]))?;
                    }
                    Some((ty, value)) => list.append((ty, PyBytes::new(py, value)))?,
                }
                if list.len() == self.last_rows {
                    break;
                }
            }
            taken.set_item(field, list)?;
        }
        Ok(taken)
    }

    /// Decodes all documents of a buffer into batches of columns.
    #[pyo3(signature = (buffer, *, document=0, offset=0))]
    fn decode<'py>(
        &mut self,
        py: Python<'py>,
        buffer: &Bound<'py, PyAny>,
        document: u64,
        offset: u64,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        if self.rows {
            return Err(PyTypeError::new_err("this decoder makes rows: call decode_into"));
        }
        let input = Buffer::of(buffer, false)?;
        let bytes = input.bytes();
        let options = self.options(document, offset);
        let (batches, outcome) = detached(py, bytes.len(), || {
            let (batches, outcome) = parallel::columns(&self.plan, &self.specs, bytes, options);
            let batches: Vec<_> = batches.into_iter().map(|(columns, rows)| stoop_bson::arrow::batch(columns, rows)).collect();
            (batches, outcome)
        });
        let list = PyList::empty(py);
        for array in batches {
            list.append(Batch { ty: self.ty.clone(), array: Arc::new(array) }.into_pyobject(py)?)?;
        }
        let errors = self.report(py, &outcome)?;
        Ok((list, errors))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arrow::type_capsule(py, &self.ty)
    }
}
