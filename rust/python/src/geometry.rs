//! Bindings of `qvl_core::geometry`.

use pyo3::prelude::*;
use qvl_core::geometry::utilities;

use crate::argument::Integer;
use crate::error::to_python;

/// The size an image is resized to before it is cut into patches.
///
/// Both sides become multiples of ``factor``; the area comes to lie within ``min_pixels`` and
/// ``max_pixels`` where rounding allows; the aspect ratio is kept as closely as that allows. Sides
/// are rounded half to even and the result is not checked against the budget again, so that of a
/// thin image may leave it. Semantics: ``smart_resize`` of the Qwen2-VL image processor in
/// transformers.
///
/// Args:
///     height: height of the image in pixels.
///     width: width of the image in pixels.
///     factor: ``patch_size * merge_size``; 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
///     min_pixels: least area in pixels.
///     max_pixels: largest area in pixels.
///
/// Returns:
///     ``(height, width)`` in pixels.
///
/// Raises:
///     ValueError: an argument is not positive, ``min_pixels`` exceeds ``max_pixels``, or one side
///         is more than 200 times the other.
///     TypeError: an argument is not an integer.
#[pyfunction]
#[pyo3(
    signature = (height, width, factor=Integer::Value(28), min_pixels=Integer::Value(3136),
                 max_pixels=Integer::Value(1_003_520)),
    text_signature = "(height, width, factor=28, min_pixels=3136, max_pixels=1003520)"
)]
pub(crate) fn smart_resize(
    height: Integer<'_>,
    width: Integer<'_>,
    factor: Integer<'_>,
    min_pixels: Integer<'_>,
    max_pixels: Integer<'_>,
) -> PyResult<(i64, i64)> {
    qvl_core::smart_resize(
        height.named("height")?,
        width.named("width")?,
        factor.named("factor")?,
        min_pixels.named("min_pixels")?,
        max_pixels.named("max_pixels")?,
    )
    .map_err(to_python)
}

/// The size `(height, width)` that the Qwen utilities resize an image to.
#[pyfunction]
pub(crate) fn utilities_smart_resize(
    height: Integer<'_>,
    width: Integer<'_>,
    factor: Integer<'_>,
    min_pixels: f64,
    max_pixels: f64,
) -> PyResult<(i64, i64)> {
    let (height, width) = (height.named("height")?, width.named("width")?);
    utilities::smart_resize(
        height,
        width,
        factor.named("factor")?,
        min_pixels,
        max_pixels,
    )
    .map_err(to_python)
}

/// The largest area that the Qwen utilities leave each of the frames of a video.
#[pyfunction]
pub(crate) fn utilities_frame_pixels(
    frames: Integer<'_>,
    min_pixels: f64,
    max_pixels: f64,
    total_pixels: f64,
) -> PyResult<f64> {
    utilities::frame_pixels(
        frames.named("frames")?,
        min_pixels,
        max_pixels,
        total_pixels,
    )
    .map_err(to_python)
}
