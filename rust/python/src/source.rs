//! Images on their way from Python to the core: pixels in memory, a file, or what Python is asked for.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use numpy::PyArray3;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qvl_core::batch::Owner;
use qvl_core::decode::{self, Format};
use qvl_core::parallel::lock;
use qvl_core::resize::{Failure, Pixels, Source, Strips};
use qvl_core::{PixelView, Reference, memory};

use crate::error::to_python;
use crate::pixels::KeptImage;

/// What the header of a file says.
#[pyclass(frozen, module = "qvl_fast._native")]
pub(crate) struct ImageHeader(pub(crate) decode::Header);

#[pymethods]
impl ImageHeader {
    /// Its format, as Pillow calls it.
    #[getter]
    fn format(&self) -> &'static str {
        self.0.format.name()
    }

    /// Scanlines, as stored.
    #[getter]
    fn height(&self) -> usize {
        self.0.height
    }

    /// Pixels of a scanline, as stored.
    #[getter]
    fn width(&self) -> usize {
        self.0.width
    }

    /// 1 for grey, 3 for RGB.
    #[getter]
    fn channels(&self) -> usize {
        self.0.channels
    }

    /// The EXIF orientation, 1 to 8; None if Pillow has to be asked for it.
    #[getter]
    fn orientation(&self) -> Option<u8> {
        self.0.orientation
    }
}

/// What the header of a file says, or None if Pillow has to judge the file.
#[pyfunction]
pub(crate) fn image_header(py: Python<'_>, file: &[u8]) -> Option<ImageHeader> {
    py.detach(|| decode::header(file)).map(ImageHeader)
}

/// Names of the formats that this build decodes itself.
#[pyfunction]
pub(crate) fn decoded_formats() -> Vec<&'static str> {
    Format::available().into_iter().map(Format::name).collect()
}

/// The Python function that has the images of a batch that are not in memory, or not decoded here.
pub(crate) struct Opener {
    open: Py<PyAny>,
    /// `(height, width)` of each frame.
    sizes: Vec<(usize, usize)>,
    /// The number of the first frame of each group.
    firsts: Vec<usize>,
    /// The addresses that no image may lie at.
    out: Range<usize>,
    /// What was opened. Only a thread that is attached may let go of Python's objects, so that these are
    /// the last to refer to them.
    kept: Mutex<Vec<Arc<dyn Send + Sync>>>,
}

impl Opener {
    pub(crate) fn new(
        open: Py<PyAny>,
        sizes: Vec<(usize, usize)>,
        firsts: Vec<usize>,
        out: Range<usize>,
    ) -> Self {
        Self {
            open,
            sizes,
            firsts,
            out,
            kept: Mutex::new(Vec::new()),
        }
    }

    /// Keeps `object` until nobody else does.
    fn keep<T: Send + Sync + 'static>(&self, object: T) -> PyResult<Arc<T>> {
        let object = Arc::new(object);
        let mut kept = lock(&self.kept);
        memory::reserve(&mut kept, 1, "images that were opened").map_err(to_python)?;
        kept.push(Arc::clone(&object) as Arc<dyn Send + Sync>);
        Ok(object)
    }

    /// Lets go of objects that nobody needs any more.
    pub(crate) fn clear(&self, _: Python<'_>) {
        let mut place = 0;
        while let Some(unused) = self.take_unused(&mut place) {
            // Without the lock: what an object does as it goes may let go of Python for a while, and whoever
            // is attached then may want the lock.
            drop(unused);
        }
    }

    /// The first object from `place` on that nobody else has.
    fn take_unused(&self, place: &mut usize) -> Option<Arc<dyn Send + Sync>> {
        let mut kept = lock(&self.kept);
        while Arc::strong_count(kept.get(*place)?) > 1 {
            *place += 1;
        }
        Some(kept.swap_remove(*place))
    }

    /// Refuses pixels that would change while rows are written.
    pub(crate) fn check_overlap(&self, pixels: &PixelView<'_>) -> PyResult<()> {
        let memory = pixels.memory();
        let first = memory.as_ptr().addr();
        if first < self.out.end && self.out.start < first + memory.len() {
            let message = "out shares memory with the image";
            return Err(PyValueError::new_err(message));
        }
        Ok(())
    }
}

impl Owner for Opener {
    type Error = PyErr;

    /// What `open(frame, height, width)` returns: uint8 pixels `(H, W, C)`, or an object whose `lines(first, last)`
    /// returns those of some scanlines, four bytes a pixel. The last is alpha, to be blended as Pillow does it, if
    /// `has_alpha` says so, and otherwise has no meaning.
    fn open(&self, index: usize, frame: usize) -> Result<Source<'_, PyErr>, PyErr> {
        Python::attach(|py| {
            self.clear(py);
            let frame = self.firsts[index] + frame;
            let (height, width) = self.sizes[frame];
            let opened = self.open.bind(py).call1((frame, height, width))?;
            match opened.cast_into::<PyArray3<u8>>() {
                Ok(array) => {
                    let image = KeptImage::new(array)?;
                    self.check_overlap(&image.view())?;
                    Ok(Source::pixels(OpenedImage(self.keep(image)?)))
                }
                Err(other) => {
                    let pieces = other.into_inner();
                    let size = pieces.getattr("size")?.extract()?;
                    let has_alpha = pieces.getattr("has_alpha")?.extract()?;
                    Ok(Source::strips(Pieces {
                        opener: self,
                        pieces: self.keep(pieces.unbind())?,
                        size,
                        has_alpha,
                    }))
                }
            }
        })
    }
}

/// An array that was returned.
struct OpenedImage(Arc<KeptImage>);

impl Pixels for OpenedImage {
    fn view(&self) -> PixelView<'_> {
        self.0.view()
    }
}

/// An image of which Python hands out some scanlines at a time.
struct Pieces<'a> {
    opener: &'a Opener,
    pieces: Arc<Py<PyAny>>,
    size: (usize, usize),
    has_alpha: bool,
}

impl Strips<PyErr> for Pieces<'_> {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn blended_by(&self) -> Option<Reference> {
        // Every version of it does it alike.
        self.has_alpha.then_some(Reference::Pillow13)
    }

    fn strip(&self, lines: Range<usize>) -> Result<Box<dyn Pixels + '_>, Failure<PyErr>> {
        let strip = Python::attach(|py| {
            // The strips before it, whose memory it may get.
            self.opener.clear(py);
            let pieces = self.pieces.bind(py);
            let lines = pieces.call_method1("lines", (lines.start, lines.end))?;
            let strip = KeptImage::new(lines.cast_into::<PyArray3<u8>>()?)?;
            self.opener.keep(strip)
        });
        Ok(Box::new(OpenedImage(strip.map_err(Failure::Owner)?)))
    }
}
