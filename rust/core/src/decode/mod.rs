//! Files to pixels, for the formats and modes in which the result is certain to be Pillow's.
//!
//! Whatever else a file is, or whatever is odd about it, is for Pillow to judge: the answer is then
//! None, not an error.

#[cfg(feature = "jpeg")]
mod jpeg;
mod png;

use crate::error::Result;
use crate::image::ImageView;
use crate::memory::Buffer;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG, grey or colour.
    Jpeg,
    /// PNG of 8 bits, grey or RGB.
    Png,
}

impl Format {
    /// Every format that this build decodes.
    pub fn available() -> Vec<Self> {
        let mut formats = vec![Self::Png];
        if cfg!(feature = "jpeg") {
            formats.push(Self::Jpeg);
        }
        formats
    }

    /// Its name, as Pillow has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
        }
    }
}

/// Decoded pixels.
#[derive(Debug)]
pub struct Decoded {
    bytes: Buffer<u8>,
    height: usize,
    width: usize,
    channels: usize,
}

impl Decoded {
    /// The pixels, packed.
    pub fn view(&self) -> Result<ImageView<'_>> {
        let (line, pixel) = (self.width * self.channels, self.channels);
        let shape = [self.height, self.width, self.channels];
        ImageView::new(&self.bytes, 0, shape, [line as isize, pixel as isize, 1])
    }
}

/// What is known of a file before it is decoded, and asked of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The file's format.
    pub format: Format,
    /// Height and width that its header gives.
    pub size: (usize, usize),
    /// A JPEG may be decoded at a half, a quarter or an eighth of its size, if both sides stay at
    /// least this long. The pixels are then not those of the whole image resized.
    pub reduced_to: Option<(usize, usize)>,
}

/// The pixels of a file, or None if it is not as requested or in any way unusual.
pub fn decode(file: &[u8], request: &Request) -> Result<Option<Decoded>> {
    match request.format {
        #[cfg(feature = "jpeg")]
        Format::Jpeg => jpeg::decode(file, request),
        #[cfg(not(feature = "jpeg"))]
        Format::Jpeg => Ok(None),
        Format::Png => png::decode(file, request),
    }
}
