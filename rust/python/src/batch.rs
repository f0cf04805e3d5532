//! Bindings of `qvl_core::batch`.

use half::slice::HalfBitsSliceExt;
use numpy::{PyArray2, PyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use qvl_core::Element;
use qvl_core::batch::{self, Image, Input, Stop};
use qvl_core::decode::Header;
use qvl_core::geometry::{Grid, Plan};
use qvl_core::resize::Failure;

use crate::error::{about_image, to_python};
use crate::layout::Layout;
use crate::rows::{RowWriter, TypedWriter};
use crate::source::{ImageHeader, Opener};
use crate::{argument, pixels};

/// Still images whose rows are written in one call.
///
/// Images are added in order, each with the layout that says what becomes of it.
#[pyclass(module = "qvl_fast._native")]
pub(crate) struct Batch {
    writer: Py<RowWriter>,
    entries: Vec<Entry>,
    grids: Vec<Grid>,
}

struct Entry {
    source: EntrySource,
    size: (usize, usize),
    plan: Plan,
}

enum EntrySource {
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
            entries: Vec::new(),
            grids: Vec::new(),
        }
    }

    /// Adds an image in memory, uint8 `(H, W, C)` with 1, 3 or 4 channels and any strides.
    fn add_pixels(&mut self, image: Bound<'_, PyArray3<u8>>, layout: &Layout) -> PyResult<()> {
        let size = pixels::image(&image)?.size();
        self.add(size, EntrySource::Pixels(image.unbind()), layout)
    }

    /// Adds a file that is decoded here, with its header and its EXIF orientation.
    fn add_file(
        &mut self,
        file: PyBackedBytes,
        header: &Bound<'_, ImageHeader>,
        orientation: u8,
        layout: &Layout,
    ) -> PyResult<()> {
        let header = header.get().0;
        let source = EntrySource::File {
            bytes: file,
            header,
            orientation,
        };
        self.add(batch::oriented(&header, orientation), source, layout)
    }

    /// Adds an image of `height` by `width` pixels that is opened when its turn comes.
    fn add_opened(&mut self, height: usize, width: usize, layout: &Layout) -> PyResult<()> {
        self.add((height, width), EntrySource::Opened, layout)
    }

    /// The grid `(tiles, h, w)` of each image.
    #[getter]
    fn grids(&self) -> Vec<(usize, usize, usize)> {
        self.grids.iter().map(|grid| (*grid).into()).collect()
    }

    /// `(height, width)` of each image.
    #[getter]
    fn sizes(&self) -> Vec<(usize, usize)> {
        self.entries.iter().map(|entry| entry.size).collect()
    }

    /// Rows of all images.
    #[getter]
    fn rows(&self) -> usize {
        self.grids.iter().map(|grid| grid.patches()).sum()
    }

    /// Writes the rows of all images, one after another, to `out`, on up to `num_threads` threads. If they are
    /// `padded`, each image has as many rows as that, of which those beyond its own are zeros.
    ///
    /// `open(index, height, width)` is asked for the images that are opened when their turn comes, and for files that
    /// turn out damaged or unusual; by several threads. It returns uint8 pixels `(H, W, C)`, or an object
    /// with their `size` whose `lines(first, last)` returns some scanlines of four bytes a pixel. With
    /// `reduced`, a JPEG may be decoded at a fraction of its size that is no smaller than its target.
    ///
    /// An exception about an image has its index in the attribute `index`.
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
    fn add(&mut self, size: (usize, usize), source: EntrySource, layout: &Layout) -> PyResult<()> {
        let plan = layout.plan(size.0, size.1);
        let cut = plan.and_then(|plan| self.writer.get().cut(plan));
        let (plan, grid) = cut.map_err(to_python)?;
        self.entries.push(Entry { source, size, plan });
        self.grids.push(grid);
        Ok(())
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
        let sizes = self.entries.iter().map(|entry| entry.size).collect();
        let opener = Opener::new(open, sizes, memory.start.addr()..memory.end.addr());
        let Options {
            num_threads,
            reduced,
            padded,
        } = options;
        let mut borrowed = Vec::new();
        let mut images = Vec::with_capacity(self.entries.len());
        for (index, entry) in self.entries.iter().enumerate() {
            let blame = |error| about_image(py, index, error);
            let input = match &entry.source {
                EntrySource::Pixels(array) => {
                    let array = array.bind(py);
                    borrowed.push(argument::reading("image", array).map_err(blame)?);
                    let view = pixels::image(array).map_err(blame)?;
                    opener.check_overlap(&view).map_err(blame)?;
                    Input::Pixels(view)
                }
                EntrySource::File {
                    bytes,
                    header,
                    orientation,
                } => Input::File {
                    bytes,
                    header: *header,
                    orientation: *orientation,
                    reduced,
                },
                EntrySource::Opened => Input::Owner { size: entry.size },
            };
            let padding = padded.map_or(0, |rows| rows.saturating_sub(self.grids[index].patches()));
            images.push(Image {
                input,
                plan: entry.plan,
                padding,
            });
        }
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
                about_image(py, index, error)
            }
            Stop::Core(error) => to_python(error),
            Stop::Interrupted(error) => error,
        })
    }
}
