//! Bindings of `qvl_core::resize`.

use numpy::{PyArray3, PyUntypedArrayMethods};
use pyo3::prelude::*;
use qvl_core::{Isa, Reference};

use crate::{argument, error, pixels};

/// Resizes one image into `out`, uint8 `(height, width, 3)`, C-contiguous.
///
/// `image` is uint8 `(H, W, C)` with 1, 3 or 4 channels and any strides.
#[pyfunction]
pub(crate) fn resize_into(
    py: Python<'_>,
    image: &Bound<'_, PyArray3<u8>>,
    out: &Bound<'_, PyArray3<u8>>,
    reference: &str,
    isa: &str,
) -> PyResult<()> {
    let reference = Reference::named(reference).map_err(error::to_python)?;
    let isa = Isa::named(isa).map_err(error::to_python)?;
    let _borrowed = argument::reading("image", image)?;
    let image = pixels::image(image)?;
    let mut out = argument::writing("out", out)?;
    let target = (out.shape()[0], out.shape()[1]);
    let out = argument::contiguous(&mut out)?;
    error::detached(py, || qvl_core::resize(&image, target, reference, isa, out))
}

/// Names of the instruction sets that this processor can run, the fastest last.
#[pyfunction]
pub(crate) fn available_isas() -> Vec<&'static str> {
    Isa::available().into_iter().map(Isa::name).collect()
}
