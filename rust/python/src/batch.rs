//! Bindings of `qvl_core::batch`.

use std::ops::Range;

use half::slice::HalfBitsSliceExt;
use numpy::{PyArray2, PyArray3, PyReadonlyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use qvl_core::batch::{self, Image, Input, Item, Stop};
use qvl_core::decode::Header;
use qvl_core::geometry::{Pass, Plan};
use qvl_core::resize::Failure;
use qvl_core::{Element, memory};

use crate::error::{about_item, to_python};
use crate::layout::Layout;
use crate::rows::{RowWriter, TypedWriter};
use crate::source::{ImageHeader, Opener};
use crate::{argument, pixels};

/// Images and videos whose rows are written in one call.
///
/// Frames are added in order, and [`Batch::end`] and [`Batch::end_laid_out`] make an item of those that were
/// added since the last.
#[pyclass(module = "qvl_fast._native")]
pub(crate) struct Batch {
    writer: Py<RowWriter>,
    frames: Vec<Frame>,
    groups: Vec<Group>,
    items: Vec<Item>,
}

struct Frame {
    source: FrameSource,
    size: (usize, usize),
}

/// Frames that share rows.
struct Group {
    frames: Range<usize>,
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
            items: Vec::new(),
        }
    }

    /// Adds a frame in memory, uint8 `(H, W, C)` with 1, 3 or 4 channels and any strides; returns its size.
    fn add_pixels(&mut self, image: Bound<'_, PyArray3<u8>>) -> PyResult<(usize, usize)> {
        let size = pixels::image(&image)?.size();
        self.add(size, FrameSource::Pixels(image.unbind()))
    }

    /// Adds a file that is decoded here, with its header and its EXIF orientation; returns the size.
    fn add_file(
        &mut self,
        file: PyBackedBytes,
        header: &Bound<'_, ImageHeader>,
        orientation: u8,
    ) -> PyResult<(usize, usize)> {
        let header = header.get().0;
        let source = FrameSource::File {
            bytes: file,
            header,
            orientation,
        };
        self.add(batch::oriented(&header, orientation), source)
    }

    /// Adds a frame of `height` by `width` pixels that is opened when its turn comes; returns its size.
    fn add_opened(&mut self, height: usize, width: usize) -> PyResult<(usize, usize)> {
        self.add((height, width), FrameSource::Opened)
    }

    /// Makes a video of the frames that were added since the last, to be resized to `(height, width)`.
    fn end(&mut self, height: usize, width: usize) -> PyResult<()> {
        self.close(|size| Ok(Plan::of(Pass::resize(size, (height, width)))))
    }

    /// Makes an image of the frame, or a video of the frames, that were added since the last; `layout` says what
    /// becomes of each.
    fn end_laid_out(&mut self, layout: &Layout) -> PyResult<()> {
        self.close(|(height, width)| layout.plan(height, width))
    }

    /// `(height, width)` of the first frame of each image or video.
    #[getter]
    fn sizes(&self) -> PyResult<Vec<(usize, usize)>> {
        let firsts = self.items.iter().map(|item| item.frames.start);
        collect(firsts.map(|first| self.frames[first].size))
    }

    /// The grid `(t, h, w)` of each image or video; the tiles of an image count as groups of frames.
    #[getter]
    fn grids(&self) -> PyResult<Vec<(usize, usize, usize)>> {
        collect(self.items.iter().map(|item| item.grid().into()))
    }

    /// Rows of all of them.
    #[getter]
    fn rows(&self) -> usize {
        self.items.iter().map(|item| item.grid().patches()).sum()
    }

    /// Writes the rows of all items, one after another, to `out`, on up to `num_threads` threads.
    ///
    /// `open(frame, height, width)` is asked for the frames, by their number in the batch, that are opened when
    /// their turn comes, and for files that turn out damaged or unusual; by several threads. It returns uint8
    /// pixels `(H, W, C)`, or an object with their `size` whose `lines(first, last)` returns some scanlines of
    /// four bytes a pixel. With `reduced`, a JPEG may be decoded at a fraction of its size that is no smaller
    /// than its target.
    ///
    /// If they are `padded`, each image has as many rows as that, of which those beyond its own are zeros.
    ///
    /// An exception about an image or video has its index in the attribute `index`.
    #[pyo3(signature = (out, open, *, num_threads, reduced, padded=None))]
    fn write(
        &self,
        py: Python<'_>,
        out: &Bound<'_, PyAny>,
        open: Py<PyAny>,
        num_threads: usize,
        reduced: bool,
        padded: Option<usize>,
    ) -> PyResult<()> {
        let options = Options {
            num_threads,
            reduced,
            padded,
        };
        macro_rules! write {
            ($writer:expr, $elements:expr) => {
                self.write_typed(py, $writer, out, open, options, $elements)
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

/// How the rows of a batch are written.
#[derive(Clone, Copy)]
struct Options {
    num_threads: usize,
    reduced: bool,
    padded: Option<usize>,
}

impl Batch {
    /// Makes an item of the frames that were added since the last, of which `plan` knows what becomes by their size.
    fn close(
        &mut self,
        plan: impl FnOnce((usize, usize)) -> qvl_core::Result<Plan>,
    ) -> PyResult<()> {
        let first = self.items.last().map_or(0, |item| item.frames.end);
        let Some(Frame { size, .. }) = self.frames.get(first) else {
            return Err(PyValueError::new_err("an item must have a frame, got none"));
        };
        let frames = first..self.frames.len();
        let item = plan(*size).and_then(|plan| self.writer.get().item(frames, plan));
        let item = item.map_err(to_python)?;
        let number = self.items.len();
        let groups = item.groups().map(|frames| Group {
            frames,
            item: number,
        });
        reserve(&mut self.groups, groups.len())?;
        reserve(&mut self.items, 1)?;
        self.groups.extend(groups);
        self.items.push(item);
        Ok(())
    }

    fn add(&mut self, size: (usize, usize), source: FrameSource) -> PyResult<(usize, usize)> {
        reserve(&mut self.frames, 1)?;
        self.frames.push(Frame { source, size });
        Ok(size)
    }

    /// See [`Batch::write`]; `elements` turns what NumPy has into what the writer writes.
    fn write_typed<S: numpy::Element, T: Element>(
        &self,
        py: Python<'_>,
        writer: &qvl_core::RowWriter<T>,
        out: &Bound<'_, PyAny>,
        open: Py<PyAny>,
        options: Options,
        elements: fn(&mut [S]) -> &mut [T],
    ) -> PyResult<()> {
        let mut out = argument::writing("out", out.cast::<PyArray2<S>>()?)?;
        let out = elements(argument::contiguous(&mut out)?);
        let memory = out.as_ptr_range();
        let sizes = collect(self.frames.iter().map(|frame| frame.size))?;
        let firsts = collect(self.groups.iter().map(|group| group.frames.start))?;
        let opener = Opener::new(open, sizes, firsts, memory.start.addr()..memory.end.addr());
        let Options {
            num_threads,
            reduced,
            padded,
        } = options;
        // As many arrays as frames, at most.
        let (mut borrowed, mut inputs) = (Vec::new(), Vec::new());
        reserve(&mut borrowed, self.frames.len())?;
        reserve(&mut inputs, self.frames.len())?;
        for group in &self.groups {
            for frame in &self.frames[group.frames.clone()] {
                let input = input(py, frame, reduced, &opener, &mut borrowed);
                inputs.push(input.map_err(|error| about_item(py, group.item, error))?);
            }
        }
        let images = self.groups.iter().map(|group| {
            let item = &self.items[group.item];
            Image {
                frames: &inputs[group.frames.clone()],
                plan: item.plan,
                padding: padded.map_or(0, |rows| rows.saturating_sub(item.plan.grid().patches())),
            }
        });
        let images = collect(images)?;
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

/// Makes room for so many `more` parts of a batch.
fn reserve<T>(parts: &mut Vec<T>, more: usize) -> PyResult<()> {
    memory::reserve(parts, more, PARTS).map_err(to_python)
}

/// All `parts` of a batch.
fn collect<T>(parts: impl ExactSizeIterator<Item = T>) -> PyResult<Vec<T>> {
    memory::collect(parts, PARTS).map_err(to_python)
}

const PARTS: &str = "the images of a batch";

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
            let view = pixels::image(array)?;
            opener.check_overlap(&view)?;
            borrowed.push(argument::reading("image", array)?);
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
