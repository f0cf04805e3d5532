//! Bindings of `qvl_core::rows`.

use std::sync::Mutex;

use half::slice::HalfBitsSliceExt;
use half::{bf16, f16};
use numpy::{PyArray2, PyArray3, PyArray4};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qvl_core::parallel::{self, Failure, Job};
use qvl_core::simd::Isa;
use qvl_core::{Element, Grid, ImageView, Normalization, PatchLayout, Strips};

use crate::error::{about_image, detached, to_python};
use crate::source::LoadedImage;
use crate::{argument, pixels};

/// Turns frames into patch rows of one configuration; see `RowWriter` of the core.
#[pyclass(frozen, module = "qvl_fast._native")]
pub(crate) struct RowWriter {
    layout: PatchLayout,
    writer: TypedWriter,
}

/// The writer for each element type that rows can have.
enum TypedWriter {
    Float32(qvl_core::RowWriter<f32>),
    Float16(qvl_core::RowWriter<f16>),
    Bfloat16(qvl_core::RowWriter<bf16>),
    Uint8(qvl_core::RowWriter<u8>),
}

#[pymethods]
impl RowWriter {
    /// `rescale_factor=None` and `mean_std=None` switch those steps off.
    #[new]
    #[pyo3(signature = (patch_size, temporal_patch_size, merge_size, *, temporal, dtype, reference,
                        rescale_factor, mean_std, isa))]
    #[expect(clippy::too_many_arguments, reason = "keywords on the Python side")]
    fn new(
        patch_size: usize,
        temporal_patch_size: usize,
        merge_size: usize,
        temporal: &str,
        dtype: &str,
        reference: &str,
        rescale_factor: Option<f64>,
        mean_std: Option<([f64; 3], [f64; 3])>,
        isa: &str,
    ) -> PyResult<Self> {
        let layout = PatchLayout {
            patch: patch_size,
            temporal_patch: temporal_patch_size,
            merge: merge_size,
        };
        let temporal = argument::temporal(temporal)?;
        let reference = argument::reference(reference)?;
        let normalization = Normalization {
            rescale_factor,
            mean_std,
        };
        let isa = Isa::named(isa).map_err(to_python)?;
        macro_rules! writer {
            ($variant:ident) => {
                qvl_core::RowWriter::new(layout, temporal, &normalization, reference, isa)
                    .map(TypedWriter::$variant)
                    .map_err(to_python)
            };
        }
        let writer = match dtype {
            "float32" => writer!(Float32),
            "float16" => writer!(Float16),
            "bfloat16" => writer!(Bfloat16),
            "uint8" => writer!(Uint8),
            _ => Err(PyValueError::new_err(format!(
                "dtype must be 'float32', 'float16', 'bfloat16' or 'uint8', got '{dtype}'"
            ))),
        }?;
        Ok(Self { layout, writer })
    }

    /// Elements in a row.
    #[getter]
    fn columns(&self) -> usize {
        match &self.writer {
            TypedWriter::Float32(writer) => writer.columns(),
            TypedWriter::Float16(writer) => writer.columns(),
            TypedWriter::Bfloat16(writer) => writer.columns(),
            TypedWriter::Uint8(writer) => writer.columns(),
        }
    }

    /// The grid `(t, h, w)` of frames that have been resized to `(height, width)`.
    fn grid(&self, frames: usize, height: usize, width: usize) -> PyResult<(usize, usize, usize)> {
        let grid = self.layout.grid(frames, height, width);
        grid.map(Into::into).map_err(to_python)
    }

    /// Resizes still images to their targets `(height, width)` and writes their rows to `out`, one
    /// after another, on up to `num_threads` threads.
    ///
    /// An image that is not given as an array, uint8 `(H, W, C)` with 1, 3 or 4 channels and any
    /// strides, is what `load(index, True)` returns: such an array, or `(file, (format, (height, width),
    /// orientation))` for a file of one of `decoded_formats` with its size as stored. If it cannot be
    /// decoded here, `load(index, False)` is asked for the array. `load` is called by several threads.
    /// With `reduced`, a JPEG may be decoded at a fraction of its size that is no smaller than its
    /// target.
    ///
    /// An exception about an image has its index in the attribute `index`.
    #[pyo3(signature = (images, load, targets, out, *, num_threads, reduced))]
    #[expect(clippy::too_many_arguments, reason = "keywords on the Python side")]
    fn write_images(
        &self,
        py: Python<'_>,
        images: Vec<Option<Bound<'_, PyArray3<u8>>>>,
        load: Py<PyAny>,
        targets: Vec<(usize, usize)>,
        out: &Bound<'_, PyAny>,
        num_threads: usize,
        reduced: bool,
    ) -> PyResult<()> {
        macro_rules! write_images {
            ($writer:expr, $elements:expr) => {
                write_images(
                    py,
                    $writer,
                    &images,
                    load,
                    &targets,
                    out,
                    num_threads,
                    reduced,
                    $elements,
                )
            };
        }
        match &self.writer {
            TypedWriter::Float32(writer) => write_images!(writer, |out| out),
            TypedWriter::Float16(writer) => write_images!(writer, |out| out),
            TypedWriter::Bfloat16(writer) => {
                write_images!(writer, <[u16]>::reinterpret_cast_mut)
            }
            TypedWriter::Uint8(writer) => write_images!(writer, |out| out),
        }
    }

    /// Resizes frames to `(height, width)`, writes their rows to `out` and returns the grid
    /// `(t, h, w)`.
    ///
    /// `frames` is uint8 `(T, H, W, C)` with 1, 3 or 4 channels and any strides. `out` holds exactly
    /// the rows of the grid, C-contiguous, of the writer's type; bfloat16 is written to uint16.
    fn write(
        &self,
        py: Python<'_>,
        frames: &Bound<'_, PyArray4<u8>>,
        height: usize,
        width: usize,
        out: &Bound<'_, PyAny>,
    ) -> PyResult<(usize, usize, usize)> {
        let frames = argument::reading("frames", frames)?;
        let frames = pixels::frames(&frames)?;
        let target = (height, width);
        let grid = match &self.writer {
            TypedWriter::Float32(writer) => write(py, writer, &frames, target, out, |out| out),
            TypedWriter::Float16(writer) => write(py, writer, &frames, target, out, |out| out),
            TypedWriter::Bfloat16(writer) => {
                let bits = <[u16]>::reinterpret_cast_mut;
                write(py, writer, &frames, target, out, bits)
            }
            TypedWriter::Uint8(writer) => write(py, writer, &frames, target, out, |out| out),
        }?;
        Ok(grid.into())
    }
}

/// Writes the rows of images, one after another, to `out`; see [`RowWriter::write_images`].
#[expect(clippy::too_many_arguments, reason = "keywords on the Python side")]
fn write_images<S: numpy::Element, T: Element>(
    py: Python<'_>,
    writer: &qvl_core::RowWriter<T>,
    images: &[Option<Bound<'_, PyArray3<u8>>>],
    load: Py<PyAny>,
    targets: &[(usize, usize)],
    out: &Bound<'_, PyAny>,
    num_threads: usize,
    reduced: bool,
    elements: fn(&mut [S]) -> &mut [T],
) -> PyResult<()> {
    let mut out = argument::writing("out", out.cast::<PyArray2<S>>()?)?;
    let out = elements(argument::contiguous(&mut out)?);
    let arrays = images.iter().enumerate().map(|(index, array)| {
        let reading = |array| argument::reading("image", array);
        let array = array.as_ref().map(reading).transpose();
        array.map_err(|error| about_image(py, index, error))
    });
    let arrays = arrays.collect::<PyResult<Vec<_>>>()?;
    let images = arrays
        .iter()
        .map(|array| array.as_ref().map(pixels::image).transpose())
        .collect::<PyResult<Vec<_>>>()?;
    let parts = writer.split(targets, out).map_err(to_python)?;
    let parts: Vec<_> = parts
        .into_iter()
        .map(|part| Mutex::new(Some(part)))
        .collect();
    let strips = targets.iter().map(|target| writer.most_strips(*target));
    let threads = num_threads.min(strips.sum());
    // The largest first, so that no thread is left alone with one that has to be decoded.
    let mut order: Vec<_> = (0..targets.len()).collect();
    if threads > 1 {
        order.sort_by_key(|index| std::cmp::Reverse(targets[*index].0 * targets[*index].1));
    }
    let open = |number: usize| {
        let index = order[number];
        let target = targets[index];
        let source = match images[index] {
            Some(view) => Source::Memory(view),
            None => Source::Loaded(LoadedImage::load(&load, index, reduced.then_some(target))?),
        };
        // A job is opened once, so its part is there.
        let part = parts[index].lock().ok().and_then(|mut part| part.take());
        let strips = Strips::new(
            writer,
            &[source.view()?],
            target,
            part.unwrap_or_default(),
            threads,
        );
        Ok(ImageJob {
            source,
            strips: strips.map_err(to_python)?,
        })
    };
    let interrupted = || Python::attach(|py| py.check_signals());
    let result = py.detach(|| parallel::run_jobs(threads, targets.len(), open, interrupted));
    result.map_err(|failure| match failure {
        Failure::Job(number, error) => about_image(py, order[number], error),
        Failure::Interrupted(error) => error,
    })
}

/// One image of a batch.
struct ImageJob<'a, T> {
    source: Source<'a>,
    strips: Strips<'a, T>,
}

enum Source<'a> {
    Memory(ImageView<'a>),
    Loaded(LoadedImage),
}

impl Source<'_> {
    fn view(&self) -> PyResult<ImageView<'_>> {
        match self {
            Self::Memory(view) => Ok(*view),
            Self::Loaded(image) => image.view(),
        }
    }
}

impl<T: Element> Job for ImageJob<'_, T> {
    type Error = PyErr;

    fn step(&self) -> Option<PyResult<()>> {
        match self.source.view() {
            Ok(view) => Some(self.strips.write_next(&[view])?.map_err(to_python)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// Writes to `out`, an array of `S` in C order whose elements hold a `T` each.
fn write<S: numpy::Element, T: Element>(
    py: Python<'_>,
    writer: &qvl_core::RowWriter<T>,
    frames: &[ImageView<'_>],
    target: (usize, usize),
    out: &Bound<'_, PyAny>,
    elements: fn(&mut [S]) -> &mut [T],
) -> PyResult<Grid> {
    let mut out = argument::writing("out", out.cast::<PyArray2<S>>()?)?;
    let out = elements(argument::contiguous(&mut out)?);
    detached(py, || writer.write(frames, target, out))
}
