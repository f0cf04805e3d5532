//! The one mapping from core errors to Python exceptions.

use pyo3::exceptions::{PyException, PyMemoryError, PyValueError};
use pyo3::prelude::*;
use qvl_core::Error;

/// Detaches from Python, runs `work`, and maps its error.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> qvl_core::Result<T> + Send,
) -> PyResult<T> {
    py.detach(work).map_err(to_python)
}

/// The Python exception for a core error.
pub(crate) fn to_python(error: Error) -> PyErr {
    match error {
        Error::Invalid { .. } => PyValueError::new_err(error.to_string()),
        Error::Memory { .. } => PyMemoryError::new_err(error.to_string()),
    }
}

/// `error` with the place of the image or video that it is about in its attribute `index`, unless it is no
/// `Exception` but what ends a program.
pub(crate) fn about_item(py: Python<'_>, index: usize, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyException>(py) {
        return error;
    }
    match error.value(py).setattr("index", index) {
        Ok(()) => error,
        Err(refused) => refused,
    }
}
