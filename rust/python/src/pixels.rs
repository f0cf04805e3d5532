//! NumPy pixels as core views, without a copy.
#![expect(
    unsafe_code,
    reason = "strided NumPy memory becomes a byte slice here, and nowhere else"
)]

use numpy::ndarray::Dimension;
use numpy::{
    PyArray3, PyArrayMethods, PyReadonlyArray, PyReadonlyArray3, PyReadonlyArray4,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use qvl_core::ImageView;

use crate::error::to_python;

/// Views of the frames of a `(T, H, W, C)` array of any strides.
pub(crate) fn frames<'a>(array: &'a PyReadonlyArray4<'_, u8>) -> PyResult<Vec<ImageView<'a>>> {
    let (shape, strides) = (array.shape(), array.strides());
    let (bytes, origin) = spanned_memory(array);
    (0..shape[0])
        .map(|frame| {
            ImageView::new(
                bytes,
                origin.wrapping_add_signed(frame as isize * strides[0]),
                [shape[1], shape[2], shape[3]],
                [strides[1], strides[2], strides[3]],
            )
            .map_err(to_python)
        })
        .collect()
}

/// A view of an `(H, W, C)` array of any strides.
pub(crate) fn image<'a>(array: &'a PyReadonlyArray3<'_, u8>) -> PyResult<ImageView<'a>> {
    let (shape, strides) = (array.shape(), array.strides());
    let (bytes, origin) = spanned_memory(array);
    ImageView::new(
        bytes,
        origin,
        [shape[0], shape[1], shape[2]],
        [strides[0], strides[1], strides[2]],
    )
    .map_err(to_python)
}

/// A view of an array that it keeps alive, for a thread that is not attached to Python.
pub(crate) struct OwnedImage {
    view: ImageView<'static>,
    array: Option<Py<PyArray3<u8>>>,
}

impl OwnedImage {
    pub(crate) fn new(array: Bound<'_, PyArray3<u8>>) -> PyResult<Self> {
        let borrowed = array.try_readonly()?;
        // SAFETY: the pixels live as long as the array, which is kept beside the view, and the view
        // is only handed out for as long as `self` lives.
        let view =
            unsafe { std::mem::transmute::<ImageView<'_>, ImageView<'static>>(image(&borrowed)?) };
        drop(borrowed);
        Ok(Self {
            view,
            array: Some(array.unbind()),
        })
    }

    pub(crate) fn view(&self) -> ImageView<'_> {
        self.view
    }
}

impl Drop for OwnedImage {
    fn drop(&mut self) {
        // At once: PyO3 would put it off until some thread is attached.
        Python::attach(|py| drop(self.array.take().map(|array| array.into_bound(py))));
    }
}

/// The bytes from the lowest to the highest element of `array`, and where among them its first
/// element lies: not at 0 if a stride is negative.
fn spanned_memory<'a, D: Dimension>(array: &'a PyReadonlyArray<'_, u8, D>) -> (&'a [u8], usize) {
    if array.len() == 0 {
        return (&[], 0);
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
    // first and the highest `above` bytes after it, so the range lies within that allocation. The
    // readonly borrow excludes writers that use rust-numpy. Other Python code may still write
    // to the pixels while we read; they are only ever used as values and as indices into tables of
    // 256 entries, so the worst that follows is wrong pixels.
    let bytes = unsafe {
        let lowest = array.data().sub(below);
        std::slice::from_raw_parts(lowest, below + above + 1)
    };
    (bytes, below)
}
