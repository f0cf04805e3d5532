//! NumPy pixels as core views, without a copy.
#![expect(
    unsafe_code,
    reason = "strided NumPy memory becomes bytes of the core here, and nowhere else"
)]

use numpy::ndarray::Dimension;
use numpy::{PyArray, PyArray3, PyArray4, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use qvl_core::pixels::Bytes;
use qvl_core::{PixelView, memory};

use crate::error::to_python;

/// Views of the frames of a `(T, H, W, C)` array of any strides.
pub(crate) fn frames<'a>(array: &'a Bound<'_, PyArray4<u8>>) -> PyResult<Vec<PixelView<'a>>> {
    let (shape, strides) = (array.shape(), array.strides());
    let (bytes, origin) = spanned_memory(array);
    let mut frames = memory::with_capacity(shape[0], "frames").map_err(to_python)?;
    for frame in 0..shape[0] {
        let view = PixelView::new(
            bytes,
            origin.wrapping_add_signed(frame as isize * strides[0]),
            [shape[1], shape[2], shape[3]],
            [strides[1], strides[2], strides[3]],
        );
        frames.push(view.map_err(to_python)?);
    }
    Ok(frames)
}

/// A view of an `(H, W, C)` array of any strides.
pub(crate) fn image<'a>(array: &'a Bound<'_, PyArray3<u8>>) -> PyResult<PixelView<'a>> {
    let (shape, strides) = (array.shape(), array.strides());
    let (bytes, origin) = spanned_memory(array);
    PixelView::new(
        bytes,
        origin,
        [shape[0], shape[1], shape[2]],
        [strides[0], strides[1], strides[2]],
    )
    .map_err(to_python)
}

/// An array that is kept, and its pixels for a thread that is not attached to Python.
pub(crate) struct KeptImage {
    view: PixelView<'static>,
    _array: Py<PyArray3<u8>>,
}

impl KeptImage {
    pub(crate) fn new(array: Bound<'_, PyArray3<u8>>) -> PyResult<Self> {
        // SAFETY: the pixels live as long as the array, which is kept beside the view, and the view is
        // only handed out for as long as `self` lives.
        let view =
            unsafe { std::mem::transmute::<PixelView<'_>, PixelView<'static>>(image(&array)?) };
        Ok(Self {
            view,
            _array: array.unbind(),
        })
    }

    pub(crate) fn view(&self) -> PixelView<'_> {
        self.view
    }
}

/// The bytes from the lowest to the highest element of `array`, and where among them its first
/// element lies: not at 0 if a stride is negative.
fn spanned_memory<'a, D: Dimension>(array: &'a Bound<'_, PyArray<u8, D>>) -> (Bytes<'a>, usize) {
    if array.len() == 0 {
        return (Bytes::from(&[][..]), 0);
    }
    let (mut below, mut above) = (0usize, 0usize);
    for (length, stride) in array.shape().iter().zip(array.strides()) {
        let reach = (length - 1) * stride.unsigned_abs();
        if *stride < 0 {
            below += reach;
        } else {
            above += reach;
        }
    }
    // SAFETY: NumPy guarantees that every element of an array lies in one allocation that the array
    // keeps alive, and `array` is borrowed for 'a. The lowest element is `below` bytes before the
    // first and the highest `above` bytes after it, so the range lies within that allocation. Only
    // `ndarray.resize(refcheck=False)` frees it under an array that others hold, as its documentation
    // warns.
    let bytes = unsafe {
        let lowest = array.data().sub(below);
        Bytes::from_raw(lowest, below + above + 1)
    };
    (bytes, below)
}
