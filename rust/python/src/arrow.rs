//! The memory of a Pillow image as an array, without a copy.
#![expect(
    unsafe_code,
    reason = "the C structure of Arrow's data interface is read here, and nowhere else"
)]

use std::ffi::{CStr, c_void};

use numpy::PyArray3;
use numpy::ndarray::ArrayView3;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

const CAPSULE: &CStr = c"arrow_array";

/// `struct ArrowArray` of the Arrow C data interface.
#[repr(C)]
struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *const *const c_void,
    children: *const *const ArrowArray,
    dictionary: *const ArrowArray,
    release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    private_data: *mut c_void,
}

/// A writable array uint8 `(height, width, 4)` over the pixels that a Pillow image of four bytes a
/// pixel exports as `capsule`, the second that its `__arrow_c_array__` returns.
#[pyfunction]
pub(crate) fn arrow_pixels<'py>(
    capsule: Bound<'py, PyCapsule>,
    height: usize,
    width: usize,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let refused = || PyValueError::new_err("capsule does not hold the pixels of such an image");
    let array = capsule.pointer_checked(Some(CAPSULE))?.cast::<ArrowArray>();
    let bytes = height
        .checked_mul(width)
        .and_then(|pixels| pixels.checked_mul(4));
    // SAFETY: a capsule of this name holds an ArrowArray, which lives as long as the capsule does.
    // Until it is released, which sets `release` to null, its `children` are `n_children` pointers to
    // arrays and the `buffers` of an array of primitive type are two, of which the second holds
    // `offset + length` elements. We only read.
    let pixels = unsafe {
        let array = array.as_ref();
        if array.release.is_none() || array.n_children != 1 || array.offset != 0 {
            return Err(refused());
        }
        let values = &**array.children;
        if values.offset != 0
            || values.n_buffers != 2
            || usize::try_from(values.length).ok() != bytes
        {
            return Err(refused());
        }
        (*values.buffers.add(1)).cast::<u8>()
    };
    if pixels.is_null() {
        return Err(refused());
    }
    // SAFETY: the bytes are `height * width * 4`, initialised by Pillow, and live as long as the
    // capsule, which the array keeps.
    Ok(unsafe {
        let view = ArrayView3::from_shape_ptr([height, width, 4], pixels);
        PyArray3::borrow_from_array(&view, capsule.into_any())
    })
}
