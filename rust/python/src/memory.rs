//! Bindings of `qvl_core::memory`: buffers as arrays that give them back when they die.
#![expect(
    unsafe_code,
    reason = "an array over the memory of a buffer is made here, and nowhere else"
)]

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytemuck::Pod;
use half::f16;
use numpy::ndarray::{ArrayView, Dimension, IntoDimension};
use numpy::{Element, PyArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use qvl_core::memory::{self, Buffer};
use qvl_core::process::OfProcess;
use qvl_core::resize::release_tables;

use crate::error::to_python;

const CAPSULE: &CStr = c"qvl_fast.buffer";

/// ``in_use_bytes``, ``idle_bytes``, ``idle_limit_bytes``, ``fresh`` and ``recycled``.
#[pyfunction]
pub(crate) fn memory_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    settle_limit(py)?;
    let stats = memory::stats();
    let entries = PyDict::new(py);
    entries.set_item("in_use_bytes", stats.in_use)?;
    entries.set_item("idle_bytes", stats.idle)?;
    entries.set_item("idle_limit_bytes", memory::limit())?;
    entries.set_item("fresh", stats.fresh)?;
    entries.set_item("recycled", stats.recycled)?;
    Ok(entries)
}

/// Gives memory that waits for a result back to the system, and returns its bytes. Tables that wait for the next image
/// of their size go first: theirs may be among it.
#[pyfunction]
pub(crate) fn release_memory(py: Python<'_>) -> usize {
    py.detach(|| {
        release_tables();
        memory::release()
    })
}

/// Sets how many bytes may wait, None for as many as by default, and returns how many may, which can be fewer.
#[pyfunction]
pub(crate) fn set_memory_limit(py: Python<'_>, bytes: Option<usize>) -> usize {
    let bytes = bytes.unwrap_or(memory::DEFAULT_LIMIT);
    py.detach(|| memory::set_limit(bytes));
    memory::limit()
}

/// Has `qvl_fast.memory` set the limit of a process before its first result is made: only then, and only
/// in Python, is it known what the process is for.
fn settle_limit(py: Python<'_>) -> PyResult<()> {
    static SETTLED: OfProcess<AtomicBool> = OfProcess::new();
    let is_settled = SETTLED.get(|_| AtomicBool::new(false));
    if !is_settled.load(Relaxed) {
        py.import("qvl_fast.memory")?.call_method0("settle_limit")?;
        is_settled.store(true, Relaxed);
    }
    Ok(())
}

/// An array of no particular values, ``"float32"``, ``"float16"``, ``"uint16"`` or ``"uint8"``.
#[pyfunction]
pub(crate) fn empty<'py>(
    py: Python<'py>,
    shape: Vec<usize>,
    dtype: &str,
) -> PyResult<Bound<'py, PyAny>> {
    settle_limit(py)?;
    let length = shape
        .iter()
        .fold(1usize, |all, side| all.saturating_mul(*side));
    macro_rules! empty {
        ($element:ty) => {{
            let buffer = Buffer::<$element>::new(length, "the result").map_err(to_python)?;
            into_array(py, buffer, &shape[..])?.into_any()
        }};
    }
    Ok(match dtype {
        "float32" => empty!(f32),
        "float16" => empty!(f16),
        "uint16" => empty!(u16),
        "uint8" => empty!(u8),
        _ => {
            return Err(PyValueError::new_err(format!(
                "dtype is unknown, got '{dtype}'"
            )));
        }
    })
}

/// A writable array of `shape` over the elements of `buffer`, which it owns.
pub(crate) fn into_array<T: Element + Pod, I: IntoDimension>(
    py: Python<'_>,
    mut buffer: Buffer<T>,
    shape: I,
) -> PyResult<Bound<'_, PyArray<T, I::Dim>>> {
    settle_limit(py)?;
    let shape = shape.into_dimension();
    check_shape::<T>(shape.slice())?;
    assert_eq!(shape.size(), buffer.len());
    // A buffer's elements stay where they are when it is moved.
    let elements = buffer.as_mut_ptr();
    let owner = PyCapsule::new_with_value(py, buffer, CAPSULE)?;
    // SAFETY: `elements` are as many as the shape has, in C order and initialised, and live as long
    // as the capsule, which the array keeps. Nothing else refers to them.
    Ok(unsafe {
        let view = ArrayView::from_shape_ptr(shape, elements);
        PyArray::borrow_from_array(&view, owner.into_any())
    })
}

/// Refuses a shape that NumPy has no array of: it looks at the sides other than 0 even of one without elements.
fn check_shape<T>(shape: &[usize]) -> PyResult<()> {
    /// Of the numpy crate, whose arrays have no more.
    const MOST_AXES: usize = 32;
    let bytes = shape
        .iter()
        .filter(|side| **side > 0)
        .try_fold(size_of::<T>(), |bytes, side| bytes.checked_mul(*side));
    if shape.len() > MOST_AXES || bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        let message = format!("shape must be one that an array can have, got {shape:?}");
        return Err(PyValueError::new_err(message));
    }
    Ok(())
}
