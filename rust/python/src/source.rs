//! Images on their way from Python to the core: pixels in memory, or a file to decode.

use numpy::PyArray3;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use qvl_core::ImageView;
use qvl_core::decode::{self, Decoded, Format, Request};

use crate::error::to_python;
use crate::pixels::OwnedImage;

/// An image that a thread can read without Python.
pub(crate) enum LoadedImage {
    Array(OwnedImage),
    Decoded { pixels: Decoded, orientation: u8 },
}

impl LoadedImage {
    /// The image at `index` as the Python function `load` has it: pixels `(H, W, C)`, or a file and
    /// what its header says. `load(index, False)` must give pixels.
    ///
    /// Attaches to Python while `load` runs, not while a file is decoded. A reduced size of at least
    /// `reduced_to`, as the image is seen, is taken where given.
    pub(crate) fn load(
        load: &Py<PyAny>,
        index: usize,
        reduced_to: Option<(usize, usize)>,
    ) -> PyResult<Self> {
        let loaded = Python::attach(|py| {
            let loaded = load.bind(py).call1((index, true))?;
            match loaded.cast_into::<PyArray3<u8>>() {
                Ok(array) => OwnedImage::new(array).map(Loaded::Pixels),
                Err(other) => other.into_inner().extract().map(Loaded::File),
            }
        })?;
        let (file, (format, size, orientation)) = match loaded {
            Loaded::File(file) => file,
            Loaded::Pixels(array) => return Ok(Self::Array(array)),
        };
        let sideways = matches!(orientation, 5..=8);
        let request = Request {
            format: named_format(&format)?,
            size,
            reduced_to: reduced_to.map(|(height, width)| match sideways {
                true => (width, height),
                false => (height, width),
            }),
        };
        if let Some(pixels) = decode::decode(&file, &request).map_err(to_python)? {
            return Ok(Self::Decoded {
                pixels,
                orientation,
            });
        }
        Python::attach(|py| {
            let pixels = load.bind(py).call1((index, false))?;
            OwnedImage::new(pixels.cast_into()?).map(Self::Array)
        })
    }

    pub(crate) fn view(&self) -> PyResult<ImageView<'_>> {
        match self {
            Self::Array(array) => Ok(array.view()),
            Self::Decoded {
                pixels,
                orientation,
            } => Ok(pixels.view().map_err(to_python)?.oriented(*orientation)),
        }
    }
}

/// What Python has for an image.
enum Loaded {
    Pixels(OwnedImage),
    /// A file, its format, its height and width as stored, and its EXIF orientation.
    File((PyBackedBytes, (String, (usize, usize), u8))),
}

/// Format, height and width, channels, and the orientation if it is certain.
type ImageHeader = (&'static str, (usize, usize), usize, Option<u8>);

/// What the header of a file says: `(format, (height, width), channels, orientation)`, or None if
/// Pillow has to judge the file. The orientation is None if Pillow has to be asked for it.
#[pyfunction]
pub(crate) fn image_header(file: &[u8]) -> Option<ImageHeader> {
    decode::header(file).map(|header| {
        let size = (header.height, header.width);
        (
            header.format.name(),
            size,
            header.channels,
            header.orientation,
        )
    })
}

/// Names of the formats that this build decodes itself.
#[pyfunction]
pub(crate) fn decoded_formats() -> Vec<&'static str> {
    Format::available().into_iter().map(Format::name).collect()
}

fn named_format(name: &str) -> PyResult<Format> {
    Format::available()
        .into_iter()
        .find(|format| format.name() == name)
        .ok_or_else(|| PyValueError::new_err(format!("no decoder for '{name}' in this build")))
}
