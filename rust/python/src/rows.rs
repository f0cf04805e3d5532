//! Bindings of `qvl_core::rows`.

use std::ops::Range;

use half::slice::HalfBitsSliceExt;
use half::{bf16, f16};
use numpy::{PyArray2, PyArray4};
use pyo3::prelude::*;
use qvl_core::batch::Item;
use qvl_core::filter::Filter;
use qvl_core::geometry::video::{Bound as SizeBound, VideoFit};
use qvl_core::geometry::{Cut, Plan};
use qvl_core::{Element, Grid, Isa, Normalization, PatchLayout, PixelView, Reference};

use crate::argument::Integer;
use crate::error::{detached, to_python};
use crate::{argument, pixels};

/// Turns frames into patch rows of one configuration; see `RowWriter` of the core.
#[pyclass(frozen, module = "qvl_fast._native")]
pub(crate) struct RowWriter {
    pub(crate) layout: PatchLayout,
    pub(crate) writer: TypedWriter,
}

/// The writer for each element type that rows can have.
pub(crate) enum TypedWriter {
    Float32(qvl_core::RowWriter<f32>),
    Float16(qvl_core::RowWriter<f16>),
    Bfloat16(qvl_core::RowWriter<bf16>),
    Uint8(qvl_core::RowWriter<u8>),
}

/// Does the same with the writer of each element type.
macro_rules! each {
    ($writers:expr, $writer:ident => $result:expr) => {
        match $writers {
            TypedWriter::Float32($writer) => $result,
            TypedWriter::Float16($writer) => $result,
            TypedWriter::Bfloat16($writer) => $result,
            TypedWriter::Uint8($writer) => $result,
        }
    };
}

#[pymethods]
impl RowWriter {
    /// `rescale_factor=None` and `mean_std=None` switch those steps off. With a `tile`, `(height, width)`, rows are
    /// whole tiles. `margin` is the colour that images are padded with before they are resized by `resample`,
    /// the name of a filter. With `channels_last` the columns of a patch are y, x, channel, frame.
    #[new]
    #[pyo3(signature = (patch_size, temporal_patch_size, merge_size, *, temporal, dtype, reference,
                        rescale_factor, mean_std, isa, tile, resample, margin, channels_last))]
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
        tile: Option<(usize, usize)>,
        resample: &str,
        margin: [u8; 3],
        channels_last: bool,
    ) -> PyResult<Self> {
        let layout = PatchLayout {
            patch: patch_size,
            temporal_patch: temporal_patch_size,
            merge: merge_size,
        };
        let temporal = argument::temporal(temporal)?;
        let reference = Reference::named(reference).map_err(to_python)?;
        let normalization = Normalization {
            rescale_factor,
            mean_std,
        };
        let isa = Isa::named(isa).map_err(to_python)?;
        let filter = Filter::named(resample).map_err(to_python)?;
        macro_rules! writer {
            ($variant:ident) => {
                match tile {
                    Some(tile) => qvl_core::RowWriter::tiles(tile, &normalization, reference, isa),
                    None => {
                        qvl_core::RowWriter::new(layout, temporal, &normalization, reference, isa)
                    }
                }
                .and_then(|writer| writer.with_margin(margin).with_filter(filter))
                .map(|writer| writer.with_channels_last(channels_last))
                .map(TypedWriter::$variant)
                .map_err(to_python)
            };
        }
        let writer = match dtype {
            "float32" => writer!(Float32),
            "float16" => writer!(Float16),
            "bfloat16" => writer!(Bfloat16),
            "uint8" => writer!(Uint8),
            _ => {
                let names = "'float32', 'float16', 'bfloat16' or 'uint8'";
                Err(argument::unknown("dtype", names, dtype))
            }
        }?;
        Ok(Self { layout, writer })
    }

    /// Elements in a row.
    #[getter]
    fn columns(&self) -> usize {
        each!(&self.writer, writer => writer.columns())
    }

    /// The size `(height, width)` that the frames of a video are resized to, and the name of the setting that
    /// decided it, if one did: `"min_pixels"`, `"max_pixels"` or `"max_video_tokens"`.
    ///
    /// `pixels` is the least and the largest number of pixels of a frame or of the clip, as `budget` says;
    /// `tokens` is what a frame is capped by.
    #[pyo3(signature = (frames, height, width, *, budget, pixels, tokens))]
    fn video_target(
        &self,
        frames: Integer<'_>,
        height: Integer<'_>,
        width: Integer<'_>,
        budget: &str,
        pixels: Option<(i64, i64)>,
        tokens: Option<i64>,
    ) -> PyResult<((usize, usize), Option<&'static str>)> {
        let fit = VideoFit {
            layout: self.layout,
            budget: argument::budget(budget)?,
            pixels,
            tokens,
        };
        let size = (height.named("height")?, width.named("width")?);
        let (size, bound) = fit
            .target(frames.named("frames")?, size)
            .map_err(to_python)?;
        let bound = bound.map(|bound| match bound {
            SizeBound::Least => "min_pixels",
            SizeBound::Most => "max_pixels",
            SizeBound::Tokens => "max_video_tokens",
        });
        Ok((size, bound))
    }

    /// The grid `(t, h, w)` of frames that have been resized to `(height, width)`.
    fn grid(&self, frames: usize, height: usize, width: usize) -> PyResult<(usize, usize, usize)> {
        let grid = self.layout.grid(frames, height, width);
        grid.map(Into::into).map_err(to_python)
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
        let _borrowed = argument::reading("frames", frames)?;
        let frames = pixels::frames(frames)?;
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

impl RowWriter {
    /// See [`Item::new`].
    pub(crate) fn item(&self, frames: Range<usize>, plan: Plan) -> qvl_core::Result<Item> {
        each!(&self.writer, writer => Item::new(writer, frames, plan))
    }

    /// What its rows are.
    pub(crate) fn cut(&self) -> Cut {
        each!(&self.writer, writer => writer.cut())
    }
}

/// Writes to `out`, an array of `S` in C order whose elements hold a `T` each.
fn write<S: numpy::Element, T: Element>(
    py: Python<'_>,
    writer: &qvl_core::RowWriter<T>,
    frames: &[PixelView<'_>],
    target: (usize, usize),
    out: &Bound<'_, PyAny>,
    elements: fn(&mut [S]) -> &mut [T],
) -> PyResult<Grid> {
    let mut out = argument::writing("out", out.cast::<PyArray2<S>>()?)?;
    let out = elements(argument::contiguous(&mut out)?);
    detached(py, || writer.write(frames, target, out))
}
