//! Memory of Python objects as slices.

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// A buffer that is held as long as this lives.
pub struct Buffer {
    view: Box<ffi::Py_buffer>,
}

// SAFETY: a held buffer's memory stays where it is whatever thread looks at it; it is released with the GIL held.
unsafe impl Send for Buffer {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// The memory of an object, contiguous; its format is not asked for, as NumPy has none for dates.
    pub fn of(object: &Bound<'_, PyAny>, writable: bool) -> PyResult<Buffer> {
        let mut view = Box::new(ffi::Py_buffer::new());
        let flags = if writable { ffi::PyBUF_WRITABLE } else { ffi::PyBUF_SIMPLE };
        // SAFETY: the GIL is held (there is a Bound), the view is fresh.
        let status = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut *view, flags) };
        if status != 0 {
            return Err(PyErr::take(object.py()).unwrap_or_else(|| PyBufferError::new_err("no buffer")));
        }
        Ok(Buffer { view })
    }

    /// The bytes. What other threads write into them meanwhile is their affair: nothing here trusts what it
    /// read before.
    pub fn bytes(&self) -> &[u8] {
        if self.view.len <= 0 || self.view.buf.is_null() {
            return &[];
        }
        // SAFETY: a held buffer has `len` readable bytes at `buf` until it is released.
        unsafe { std::slice::from_raw_parts(self.view.buf.cast(), self.view.len as usize) }
    }

    /// The bytes, to write to; of a buffer that was asked for as writable.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        assert_eq!(self.view.readonly, 0, "a read-only buffer");
        if self.view.len <= 0 || self.view.buf.is_null() {
            return &mut [];
        }
        // SAFETY: as in `bytes`; it is writable, and the caller of the extension gives it to nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.view.buf.cast(), self.view.len as usize) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        Python::attach(|_| {
            // SAFETY: filled by PyObject_GetBuffer, released once, the GIL held.
            unsafe { ffi::PyBuffer_Release(&mut *self.view) }
        });
    }
}
