//! Python arguments as core types, refused by name and value.

use std::convert::Infallible;

use numpy::ndarray::Dimension;
use numpy::{
    Element, PyArray, PyArrayMethods, PyReadonlyArray, PyReadwriteArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use qvl_core::Temporal;
use qvl_core::geometry::video::Budget;

/// An argument that should be an integer. Extraction always succeeds, so that the refusal can name
/// the argument, which PyO3's own conversion does not.
pub(crate) enum Integer<'py> {
    Value(i64),
    /// What is none, and what its conversion raised.
    Other(Bound<'py, PyAny>, PyErr),
}

impl<'py> FromPyObject<'_, 'py> for Integer<'py> {
    type Error = Infallible;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(match object.extract() {
            Ok(value) => Self::Value(value),
            Err(error) => Self::Other(object.to_owned(), error),
        })
    }
}

impl Integer<'_> {
    /// The value of a size, or an error that calls the argument `name`.
    pub(crate) fn named(self, name: &str) -> PyResult<i64> {
        self.between("1 and 2**53", name)
    }

    /// The value of what must be between `ends`, which are no wider than those of 64 bits.
    pub(crate) fn between(self, ends: &str, name: &str) -> PyResult<i64> {
        let (object, error) = match self {
            Self::Value(value) => return Ok(value),
            Self::Other(object, error) => (object, error),
        };
        let py = object.py();
        Err(if error.is_instance_of::<PyOverflowError>(py) {
            PyValueError::new_err(format!(
                "{name} must be between {ends}, got {}",
                object.repr()?
            ))
        } else if object.hasattr("__index__")? {
            error
        } else {
            PyTypeError::new_err(format!("{name} must be an integer, got {}", object.repr()?))
        })
    }
}

/// Whether rows hold a still image once or for every frame.
pub(crate) fn temporal(name: &str) -> PyResult<Temporal> {
    match name {
        "full" => Ok(Temporal::Full),
        "compact" => Ok(Temporal::Compact),
        _ => Err(unknown("temporal", "'full' or 'compact'", name)),
    }
}

/// What the pixels of a video's budget are of.
pub(crate) fn budget(name: &str) -> PyResult<Budget> {
    match name {
        "frame" => Ok(Budget::Frame),
        "clip" => Ok(Budget::Clip),
        _ => Err(unknown("budget", "'frame' or 'clip'", name)),
    }
}

/// An error for a name that is none of `names`.
pub(crate) fn unknown(argument: &str, names: &str, name: &str) -> PyErr {
    PyValueError::new_err(format!("{argument} must be {names}, got '{name}'"))
}

/// The array called `name`, to read.
pub(crate) fn reading<'py, T: Element, D: Dimension>(
    name: &str,
    array: &Bound<'py, PyArray<T, D>>,
) -> PyResult<PyReadonlyArray<'py, T, D>> {
    array.try_readonly().map_err(|_| in_use(name))
}

/// The array called `name`, to write to.
pub(crate) fn writing<'py, T: Element, D: Dimension>(
    name: &str,
    array: &Bound<'py, PyArray<T, D>>,
) -> PyResult<PyReadwriteArray<'py, T, D>> {
    array.try_readwrite().map_err(|_| in_use(name))
}

fn in_use(name: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{name} shares memory with what another call is reading or writing"
    ))
}

/// The elements of `out`, an array in C order.
pub(crate) fn contiguous<'a, T: Element, D: Dimension>(
    out: &'a mut PyReadwriteArray<'_, T, D>,
) -> PyResult<&'a mut [T]> {
    let refused = || PyValueError::new_err("out must be C-contiguous and aligned");
    if !out.is_c_contiguous() {
        return Err(refused());
    }
    out.as_slice_mut().map_err(|_| refused())
}
