//! The Arrow C data interface: schemas, arrays and streams in capsules.
//!
//! What is lent stays alive through a count held in each structure's private data; consumers give it back by
//! calling `release`, as the interface asks.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use stoop_bson::arrow::{ArrowArray, ArrowType, Buffer};

const NULLABLE: i64 = 2;
const EIO: c_int = 5;

#[repr(C)]
struct CSchema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *mut *mut CSchema,
    dictionary: *mut CSchema,
    release: Option<unsafe extern "C" fn(*mut CSchema)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct CArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut CArray,
    dictionary: *mut CArray,
    release: Option<unsafe extern "C" fn(*mut CArray)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct CStream {
    get_schema: Option<unsafe extern "C" fn(*mut CStream, *mut CSchema) -> c_int>,
    get_next: Option<unsafe extern "C" fn(*mut CStream, *mut CArray) -> c_int>,
    get_last_error: Option<unsafe extern "C" fn(*mut CStream) -> *const c_char>,
    release: Option<unsafe extern "C" fn(*mut CStream)>,
    private_data: *mut c_void,
}

/// What a lent schema needs to stay alive.
struct SchemaOwner {
    format: CString,
    name: CString,
    children: Vec<*mut CSchema>,
}

/// What a lent array needs to stay alive.
struct ArrayOwner {
    _batch: Arc<ArrowArray>,
    buffers: Vec<*const c_void>,
    children: Vec<*mut CArray>,
}

/// Bytes for buffers without any: consumers dislike null pointers, and ones that are not aligned.
static EMPTY: [u128; 4] = [0; 4];

fn c_string(text: &str) -> CString {
    // No BSON name has a NUL, and no format string.
    CString::new(text).unwrap_or_default()
}

fn export_type(ty: &ArrowType) -> CSchema {
    let children = ty.children.iter().map(|child| Box::into_raw(Box::new(export_type(child)))).collect();
    let mut owner = Box::new(SchemaOwner { format: c_string(&ty.format), name: c_string(&ty.name), children });
    CSchema {
        format: owner.format.as_ptr(),
        name: owner.name.as_ptr(),
        metadata: null(),
        flags: if ty.nullable { NULLABLE } else { 0 },
        n_children: owner.children.len() as i64,
        children: owner.children.as_mut_ptr(),
        dictionary: null_mut(),
        release: Some(release_schema),
        private_data: Box::into_raw(owner).cast(),
    }
}

unsafe extern "C" fn release_schema(schema: *mut CSchema) {
    // SAFETY: called once by the consumer with a structure that `export_type` filled; children not moved out of
    // it are still theirs to release, then their boxes go.
    unsafe {
        let owner = Box::from_raw((*schema).private_data.cast::<SchemaOwner>());
        for &child in &owner.children {
            if let Some(release) = (*child).release {
                release(child);
            }
            drop(Box::from_raw(child));
        }
        (*schema).release = None;
    }
}

fn export_array(batch: &Arc<ArrowArray>, array: &ArrowArray) -> CArray {
    let buffers = array.buffers.iter().map(|buffer| match buffer {
        Buffer::Absent => null(),
        Buffer::Bytes(bytes) if bytes.is_empty() => EMPTY.as_ptr().cast(),
        Buffer::Bytes(bytes) => bytes.as_ptr().cast::<c_void>(),
        Buffer::Offsets(offsets) => offsets.as_ptr().cast(),
        Buffer::LargeOffsets(offsets) => offsets.as_ptr().cast(),
    });
    let buffers = buffers.collect();
    let children = array.children.iter().map(|child| Box::into_raw(Box::new(export_array(batch, child)))).collect();
    let mut owner = Box::new(ArrayOwner { _batch: batch.clone(), buffers, children });
    CArray {
        length: array.length as i64,
        null_count: array.nulls as i64,
        offset: 0,
        n_buffers: owner.buffers.len() as i64,
        n_children: owner.children.len() as i64,
        buffers: owner.buffers.as_mut_ptr(),
        children: owner.children.as_mut_ptr(),
        dictionary: null_mut(),
        release: Some(release_array),
        private_data: Box::into_raw(owner).cast(),
    }
}

unsafe extern "C" fn release_array(array: *mut CArray) {
    // SAFETY: as in `release_schema`.
    unsafe {
        let owner = Box::from_raw((*array).private_data.cast::<ArrayOwner>());
        for &child in &owner.children {
            if let Some(release) = (*child).release {
                release(child);
            }
            drop(Box::from_raw(child));
        }
        (*array).release = None;
    }
}

/// A structure with a release callback of its own.
trait Released {
    const NAME: &'static CStr;
    /// Releases what nobody took.
    ///
    /// # Safety
    /// The structure is one of this file's, and nobody uses it any more.
    unsafe fn release(&mut self);
}

macro_rules! released {
    ($($structure:ty, $name:literal;)*) => {$(
        impl Released for $structure {
            const NAME: &'static CStr = $name;
            unsafe fn release(&mut self) {
                if let Some(release) = self.release {
                    // SAFETY: the callback belongs to this structure, which nobody has released yet.
                    unsafe { release(self) };
                }
            }
        }
    )*};
}

released! {
    CSchema, c"arrow_schema";
    CArray, c"arrow_array";
    CStream, c"arrow_array_stream";
}

fn capsule<T: Released>(py: Python<'_>, structure: T) -> PyResult<Bound<'_, PyAny>> {
    let pointer = Box::into_raw(Box::new(structure));
    // SAFETY: a live pointer, a static name, a destructor that knows both; NULL is an error that is set.
    unsafe {
        let capsule = ffi::PyCapsule_New(pointer.cast(), T::NAME.as_ptr(), Some(drop_capsule::<T>));
        Bound::from_owned_ptr_or_err(py, capsule)
    }
}

unsafe extern "C" fn drop_capsule<T: Released>(capsule: *mut ffi::PyObject) {
    // SAFETY: called once, on a capsule of `capsule::<T>`; a consumer that took the structure has set its
    // release to null.
    unsafe {
        let pointer = ffi::PyCapsule_GetPointer(capsule, T::NAME.as_ptr()).cast::<T>();
        if pointer.is_null() {
            ffi::PyErr_Clear();
            return;
        }
        (*pointer).release();
        drop(Box::from_raw(pointer));
    }
}

/// A schema in a capsule.
pub fn type_capsule<'py>(py: Python<'py>, ty: &ArrowType) -> PyResult<Bound<'py, PyAny>> {
    capsule(py, export_type(ty))
}

/// A batch of rows; what speaks the Arrow C data interface takes it without copying.
#[pyclass(module = "stoop._stoop.bson", frozen)]
pub struct Batch {
    /// Its type.
    pub ty: Arc<ArrowType>,
    /// Its columns.
    pub array: Arc<ArrowArray>,
}

#[pymethods]
impl Batch {
    #[getter]
    fn num_rows(&self) -> usize {
        self.array.length
    }

    /// Bytes of all buffers.
    #[getter]
    fn nbytes(&self) -> usize {
        fn bytes(array: &ArrowArray) -> usize {
            let own = array.buffers.iter().map(|buffer| match buffer {
                Buffer::Absent => 0,
                Buffer::Bytes(bytes) => bytes.len(),
                Buffer::Offsets(offsets) => offsets.len() * 4,
                Buffer::LargeOffsets(offsets) => offsets.len() * 8,
            });
            own.sum::<usize>() + array.children.iter().map(bytes).sum::<usize>()
        }
        bytes(&self.array)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        type_capsule(py, &self.ty)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        // The interface lets a producer give its own schema where it does not cast.
        let _ = requested_schema;
        Ok((type_capsule(py, &self.ty)?, capsule(py, export_array(&self.array, &self.array))?))
    }
}

/// Batches one after the other, from any iterable; asked for when the consumer wants them.
#[pyclass(module = "stoop._stoop.bson")]
pub struct Stream {
    /// The type of all.
    pub ty: Arc<ArrowType>,
    /// Where they come from; gone when a consumer has taken them.
    pub batches: Option<Py<PyIterator>>,
}

struct StreamOwner {
    ty: Arc<ArrowType>,
    batches: Py<PyIterator>,
    error: CString,
}

#[pymethods]
impl Stream {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        type_capsule(py, &self.ty)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &mut self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = requested_schema;
        let batches = self.batches.take().ok_or_else(|| PyValueError::new_err("this stream has been read already"))?;
        let owner = Box::new(StreamOwner { ty: self.ty.clone(), batches, error: CString::default() });
        let stream = CStream {
            get_schema: Some(stream_schema),
            get_next: Some(stream_next),
            get_last_error: Some(stream_error),
            release: Some(release_stream),
            private_data: Box::into_raw(owner).cast(),
        };
        capsule(py, stream)
    }
}

unsafe extern "C" fn stream_schema(stream: *mut CStream, out: *mut CSchema) -> c_int {
    // SAFETY: a stream of ours that is not released, and room for a schema.
    unsafe {
        let owner = &*(*stream).private_data.cast::<StreamOwner>();
        out.write(export_type(&owner.ty));
    }
    0
}

unsafe extern "C" fn stream_next(stream: *mut CStream, out: *mut CArray) -> c_int {
    // SAFETY: as in `stream_schema`; consumers call from one thread at a time.
    let owner = unsafe { &mut *(*stream).private_data.cast::<StreamOwner>() };
    let next = Python::attach(|py| -> PyResult<Option<CArray>> {
        match owner.batches.bind(py).clone().next() {
            None => Ok(None),
            Some(batch) => {
                let batch = batch?;
                let batch = batch.cast::<Batch>()?.get();
                Ok(Some(export_array(&batch.array, &batch.array)))
            }
        }
    });
    let (array, status) = match next {
        Ok(Some(array)) => (array, 0),
        Ok(None) => (released_array(), 0),
        Err(error) => {
            owner.error = c_string(&error.to_string().replace('\0', " "));
            (released_array(), EIO)
        }
    };
    // SAFETY: the consumer gives room for an array.
    unsafe { out.write(array) };
    status
}

/// An array that is none: the end of a stream.
fn released_array() -> CArray {
    CArray {
        length: 0,
        null_count: 0,
        offset: 0,
        n_buffers: 0,
        n_children: 0,
        buffers: null_mut(),
        children: null_mut(),
        dictionary: null_mut(),
        release: None,
        private_data: null_mut(),
    }
}

unsafe extern "C" fn stream_error(stream: *mut CStream) -> *const c_char {
    // SAFETY: as in `stream_schema`; the text stays until the next call.
    unsafe { (*(*stream).private_data.cast::<StreamOwner>()).error.as_ptr() }
}

unsafe extern "C" fn release_stream(stream: *mut CStream) {
    // SAFETY: called once; the iterator needs the GIL to go.
    unsafe {
        let owner = Box::from_raw((*stream).private_data.cast::<StreamOwner>());
        (*stream).release = None;
        Python::attach(|_| drop(owner));
    }
}

/// A stream of an iterable's batches.
pub fn stream(ty: Arc<ArrowType>, batches: &Bound<'_, PyAny>) -> PyResult<Stream> {
    Ok(Stream { ty, batches: Some(batches.try_iter()?.unbind()) })
}

/// Columns that outgrew their offsets.
pub fn too_large() -> PyErr {
    PyMemoryError::new_err("a column has more than 2 GiB of text or binary, or items, in one batch")
}
