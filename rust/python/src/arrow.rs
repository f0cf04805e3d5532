//! The memory of a Pillow image as an array, without a copy.
#![expect(
    unsafe_code,
    reason = "the C structures of Arrow's data interface are read here, and nowhere else"
)]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::slice;

use numpy::PyArray3;
use numpy::ndarray::ArrayView3;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

/// `struct ArrowSchema` of the Arrow C data interface.
#[repr(C)]
struct ArrowSchema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *const *const ArrowSchema,
    dictionary: *const ArrowSchema,
    release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    private_data: *mut c_void,
}

/// `struct ArrowArray` of the same.
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

/// A writable array uint8 `(height, width, 4)` over the pixels of a Pillow image in a mode of four bytes, as
/// RGB is one too. `schema` and `array` are what its `__arrow_c_array__` returns: a list of four unsigned
/// bytes, called by the mode, for each pixel, none of which is missing.
#[pyfunction]
pub(crate) fn arrow_pixels<'py>(
    schema: Bound<'py, PyCapsule>,
    array: Bound<'py, PyCapsule>,
    mode: &str,
    height: usize,
    width: usize,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let refused = |name: &str| {
        let message = format!("{name} is not that of an {mode} image of {height}x{width} pixels");
        PyValueError::new_err(message)
    };
    let described: NonNull<ArrowSchema> = pointer(&schema, c"arrow_schema", "schema")?;
    let held: NonNull<ArrowArray> = pointer(&array, c"arrow_array", "array")?;
    // SAFETY: capsules of these names hold these structures, which live as long as the capsules do, and
    // nobody writes to them meanwhile.
    let (described, held) = unsafe { (described.as_ref(), held.as_ref()) };
    if !described.is_of(mode) {
        return Err(refused("schema"));
    }
    let pixels = held.pixels(height, width).ok_or_else(|| refused("array"))?;
    // SAFETY: the bytes are `height * width * 4`, initialised by Pillow, and live as long as the
    // capsule, which the array keeps.
    Ok(unsafe {
        let view = ArrayView3::from_shape_ptr([height, width, 4], pixels.as_ptr());
        PyArray3::borrow_from_array(&view, array.into_any())
    })
}

/// What a capsule called `name` points to.
fn pointer<T>(capsule: &Bound<'_, PyCapsule>, name: &CStr, argument: &str) -> PyResult<NonNull<T>> {
    let pointer = capsule.pointer_checked(Some(name)).map_err(|_| {
        let message = format!("{argument} must be a capsule called {name:?}");
        PyValueError::new_err(message)
    })?;
    Ok(pointer.cast())
}

/// The one child of a structure that has so many.
///
/// # Safety
/// There are as many pointers at `children`, each to a structure that is there for `'a`.
unsafe fn only<'a, T>(count: i64, children: *const *const T) -> Option<&'a T> {
    if count != 1 || children.is_null() {
        return None;
    }
    // SAFETY: by the contract above.
    unsafe { (*children).as_ref() }
}

impl ArrowSchema {
    /// Whether it is one that Pillow gives an image of `mode`. The capsule that it is in must be alive.
    fn is_of(&self, mode: &str) -> bool {
        if !self.is(c"+w:4") {
            return false;
        }
        // SAFETY: a structure that has not been released has the children that it says.
        let samples = unsafe { only(self.n_children, self.children) };
        samples.is_some_and(|samples| {
            samples.is(c"C") && samples.n_children == 0 && samples.is_called(mode)
        })
    }

    /// Whether it has not been released and describes `format`, in which nothing may be missing.
    fn is(&self, format: &CStr) -> bool {
        self.release.is_some()
            && self.flags == 0
            && self.dictionary.is_null()
            // SAFETY: the format of a structure that has not been released is a string.
            && unsafe { holds(self.format, format.to_bytes()) }
    }

    /// Whether it has this name; one that has been released must not be asked.
    fn is_called(&self, name: &str) -> bool {
        // SAFETY: the name of a structure that has not been released is a string, or null.
        unsafe { holds(self.name, name.as_bytes()) }
    }
}

/// Whether `text` is a string, equal to `expected`.
///
/// # Safety
/// It is a string or null.
unsafe fn holds(text: *const c_char, expected: &[u8]) -> bool {
    // SAFETY: by the contract above.
    !text.is_null() && unsafe { CStr::from_ptr(text) }.to_bytes() == expected
}

impl ArrowArray {
    /// The samples of `height` by `width` pixels of four bytes, if it holds exactly those. The capsule that
    /// it is in must be alive, and its schema that of a list of four bytes.
    fn pixels(&self, height: usize, width: usize) -> Option<NonNull<u8>> {
        let pixels = height.checked_mul(width)?;
        // Of a list of a fixed length there is one buffer: what is missing.
        if !self.is_whole(pixels) || self.n_buffers != 1 {
            return None;
        }
        // SAFETY: a structure that has not been released has the children that it says.
        let samples = unsafe { only(self.n_children, self.children) }?;
        // Of numbers there are two: what is missing, and the numbers.
        if !samples.is_whole(pixels.checked_mul(4)?)
            || samples.n_buffers != 2
            || samples.n_children != 0
            || samples.buffers.is_null()
        {
            return None;
        }
        // SAFETY: a structure that has not been released has the buffers that it says.
        let buffers = unsafe { slice::from_raw_parts(samples.buffers, 2) };
        NonNull::new(buffers[1].cast_mut().cast())
    }

    /// Whether it has not been released and has so many elements, from the first on and all of them there.
    fn is_whole(&self, length: usize) -> bool {
        self.release.is_some()
            && usize::try_from(self.length) == Ok(length)
            && self.offset == 0
            && self.null_count == 0
            && self.dictionary.is_null()
    }
}
