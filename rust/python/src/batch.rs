//! Bindings of `qvl_core::batch`.

use std::ops::Range;

use half::slice::HalfBitsSliceExt;
use numpy::{PyArray2, PyArray3, PyReadonlyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use qvl_core::Element;
use qvl_core::batch::{self, Image, Input, Stop};
use qvl_core::decode::Header;
use qvl_core::geometry::Grid;
use qvl_core::resize::Failure;

use crate::error::{about_item, to_python};
use crate::rows::{RowWriter, TypedWriter};
use crate::source::{ImageHeader, Opener};
use crate::{argument, pixels};

/// Images and videos whose rows are written in one call.
///
/// Frames are added in order, and [`Batch::end`] makes an item of those that were added since the last.
#[pyclass(module = "qvl_fast._native")]
pub(crate) struct Batch {
    writer: Py<RowWriter>,
    frames: Vec<Frame>,
    groups: Vec<Group>,
    grids: Vec<Grid>,
}

struct Frame {
    source: FrameSource,
    size: (usize, usize),
}

/// Frames that share rows.
struct Group {
    frames: Range<usize>,
    target: (usize, usize),
    /// The number of the image or video.
    item: usize,
}

enum FrameSource {
    Pixels(Py<PyArray3<u8>>),
    File {
        bytes: PyBackedBytes,
        header: Header,
        orientation: u8,
    },
    Opened,
}

#[pymethods]
impl Batch {
    #[new]
    fn new(writer: Py<RowWriter>) -> Self {
        Self {
            writer,
            frames: Vec::new(),
            groups: Vec::new(),
            grids: Vec::new(),
        }
    }

    /// Adds a frame in memory, uint8 `(H, W, C)` with 1, 3 or 4 channels and any strides; returns its size.
    fn add_pixels(&mut self, image: Bound<'_, PyArray3<u8>>) -> PyResult<(usize, usize)> {
        let size = pixels::image(&image)?.size();
        Ok(self.add(size, FrameSource::Pixels(image.unbind())))
    }

    /// Adds a file that is decoded here, with its header and its EXIF orientation; returns the size.
    fn add_file(
        &mut self,
        file: PyBackedBytes,
        header: &Bound<'_, ImageHeader>,
        orientation: u8,
    ) -> (usize, usize) {
        let header = header.get().0;
        let source = FrameSource::File {
            bytes: file,
            header,
            orientation,
        };
        self.add(batch::oriented(&header, orientation), source)
    }

    /// Adds a frame of `height` by `width` pixels that is opened when its turn comes; returns its size.
    fn add_opened(&mut self, height: usize, width: usize) -> (usize, usize) {
        self.add((height, width), FrameSource::Opened)
    }

    /// Makes an image of the frame, or a video of the frames, that were added since the last, to be resized
    /// to `(height, width)`.
    fn end(&mut self, height: usize, width: usize) -> PyResult<()> {
        let first = self.groups.last().map_or(0, |group| group.frames.end);
        let frames = first..self.frames.len();
        let writer = self.writer.get();
        let grid = writer.layout.grid(frames.len(), height, width);
        let grid = grid.map_err(to_python)?;
        writer
            .check_group(frames.len().min(writer.layout.temporal_patch))
            .map_err(to_python)?;
        let item = self.grids.len();
        let starts = frames.clone().step_by(writer.layout.temporal_patch);
        self.groups.extend(starts.map(|start| Group {
            frames: start..frames.end.min(start + writer.layout.temporal_patch),
            target: (height, width),
            item,
        }));
        self.grids.push(grid);
        Ok(())
    }

    /// The grid `(t, h, w)` of each image or video.
    #[getter]
    fn grids(&self) -> Vec<(usize, usize, usize)> {
        self.grids.iter().map(|grid| (*grid).into()).collect()
    }

    /// Rows of all of them.
    #[getter]
    fn rows(&self) -> usize {
        self.grids.iter().map(|grid| grid.patches()).sum()
    }

    /// Writes the rows of all items, one after another, to `out`, on up to `num_threads` threads.
    ///
    /// `open(frame, height, width)` is asked for the frames, by their number in the batch, that are opened when
    /// their turn comes, and for files that turn out damaged or unusual; by several threads. It returns uint8 pixels `(H, W, C)`, or an object
    /// with their `size` whose `lines(first, last)` returns some scanlines of four bytes a pixel. With
    /// `reduced`, a JPEG may be decoded at a fraction of its size that is no smaller than its target.
    ///
    /// An exception about an image or video has its index in the attribute `index`.
    #[pyo3(signature = (out, open, *, num_threads, reduced))]
    fn write(
        &self,
        py: Python<'_>,
        out: &Bound<'_, PyAny>,
        open: Py<PyAny>,
        num_threads: usize,
        reduced: bool,
    ) -> PyResult<()> {
        macro_rules! write {
            ($writer:expr, $elements:expr) => {
                self.write_typed(py, $writer, out, open, num_threads, reduced, $elements)
            };
        }
        match &self.writer.get().writer {
            TypedWriter::Float32(writer) => write!(writer, |out| out),
            TypedWriter::Float16(writer) => write!(writer, |out| out),
            TypedWriter::Bfloat16(writer) => write!(writer, <[u16]>::reinterpret_cast_mut),
            TypedWriter::Uint8(writer) => write!(writer, |out| out),
        }
    }
}

impl Batch {
    fn add(&mut self, size: (usize, usize), source: FrameSource) -> (usize, usize) {
        self.frames.push(Frame { source, size });
        size
    }

    /// See [`Batch::write`]; `elements` turns what NumPy has into what the writer writes.
    #[expect(clippy::too_many_arguments, reason = "keywords on the Python side")]
    fn write_typed<S: numpy::Element, T: Element>(
        &self,
        py: Python<'_>,
        writer: &qvl_core::RowWriter<T>,
        out: &Bound<'_, PyAny>,
        open: Py<PyAny>,
        num_threads: usize,
        reduced: bool,
        elements: fn(&mut [S]) -> &mut [T],
    ) -> PyResult<()> {
        let mut out = argument::writing("out", out.cast::<PyArray2<S>>()?)?;
        let out = elements(argument::contiguous(&mut out)?);
        let memory = out.as_ptr_range();
        let sizes = self.frames.iter().map(|frame| frame.size).collect();
        let firsts = self.groups.iter().map(|group| group.frames.start).collect();
        let opener = Opener::new(open, sizes, firsts, memory.start.addr()..memory.end.addr());
        let mut borrowed = Vec::new();
        let mut inputs = Vec::with_capacity(self.frames.len());
        for group in &self.groups {
            for frame in &self.frames[group.frames.clone()] {
                let input = input(py, frame, reduced, &opener, &mut borrowed);
                inputs.push(input.map_err(|error| about_item(py, group.item, error))?);
            }
        }
        let images = self.groups.iter().map(|group| Image {
            frames: &inputs[group.frames.clone()],
            target: group.target,
        });
        let images: Vec<_> = images.collect();
        let interrupted = || Python::attach(|py| py.check_signals());
        let written =
            py.detach(|| batch::write(writer, &images, &opener, out, num_threads, interrupted));
        opener.clear(py);
        written.map_err(|stop| match stop {
            Stop::Image(index, failure) => {
                let error = match failure {
                    Failure::Core(error) => to_python(error),
                    Failure::Owner(error) => error,
                    // Damaged files are asked of the owner.
                    Failure::Damaged => PyValueError::new_err("image is damaged"),
                };
                about_item(py, self.groups[index].item, error)
            }
            Stop::Core(error) => to_python(error),
            Stop::Interrupted(error) => error,
        })
    }
}

/// What the core reads a frame from. Arrays that it reads are kept in `borrowed`.
fn input<'a, 'py: 'a>(
    py: Python<'py>,
    frame: &'a Frame,
    reduced: bool,
    opener: &Opener,
    borrowed: &mut Vec<PyReadonlyArray3<'py, u8>>,
) -> PyResult<Input<'a>> {
    Ok(match &frame.source {
        FrameSource::Pixels(array) => {
            let array = array.bind(py);
            borrowed.push(argument::reading("image", array)?);
            let view = pixels::image(array)?;
            opener.check_overlap(&view)?;
            Input::Pixels(view)
        }
        FrameSource::File {
            bytes,
            header,
            orientation,
        } => Input::File {
            bytes,
            header: *header,
            orientation: *orientation,
            reduced,
        },
        FrameSource::Opened => Input::Owner { size: frame.size },
    })
}
