//! Files to pixels, for the formats and modes in which the result is certain to be Pillow's.
//!
//! Whatever else a file is, or whatever is odd about it, is for Pillow to judge: the answer is then
//! None, not an error.

mod jpeg;
mod orientation;
mod png;

use crate::error::{Error, Result};

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

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its format. The first image of an MPO file is a JPEG.
    pub format: Format,
    /// Lines of pixels, as stored.
    pub height: usize,
    /// Pixels of a line, as stored.
    pub width: usize,
    /// 1 for grey (Pillow's mode L), 3 for RGB.
    pub channels: usize,
    /// The EXIF orientation, from 1 to 8. None if Pillow has to be asked, which may refuse the file
    /// for what it finds.
    pub orientation: Option<u8>,
    /// Whether passing over scanlines takes less than decoding them, as for a JPEG in one scan.
    pub skips: bool,
}

/// What the header of a file says, or None if Pillow has to judge the file.
///
/// Pillow opens a file with a header and an orientation, and finds the same. It may still refuse to
/// for its number of pixels: `PIL.Image.MAX_IMAGE_PIXELS` is the caller's to apply.
///
/// It takes the time of reading through the file once and of decompressing 64 MiB of texts at most, whatever
/// the pixels, and no memory depends on the file.
pub fn header(file: &[u8]) -> Option<Header> {
    match file {
        [0xFF, ..] => jpeg::header(file),
        _ => png::header(file),
    }
}

/// Why lines were not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A file turned out not to be what its header promised. Pillow may read it, or say what is wrong.
    #[error("the file is damaged")]
    Damaged,
    /// [`Error::Memory`].
    #[error(transparent)]
    Core(#[from] Error),
}

type Outcome = std::result::Result<(), LineError>;

/// The lines of a file from top to bottom, decoded as they are asked for.
///
/// It keeps a few lines of pixels, but for the files that do not hold their lines in order: of an
/// interlaced PNG it keeps all pixels, of a progressive JPEG all coefficients.
pub struct Decoder<'file> {
    lines: Lines<'file>,
    height: usize,
    width: usize,
    channels: usize,
    /// Lines that were read or passed over.
    done: usize,
    failed: Option<LineError>,
}

enum Lines<'file> {
    #[cfg(feature = "jpeg")]
    Jpeg(jpeg::Lines<'file>),
    Png(png::Lines<'file>),
}

impl<'file> Decoder<'file> {
    /// The lines of `file`, whose `header` was read before.
    ///
    /// A JPEG is decoded at the smallest of a half, a quarter or an eighth of its size at which no
    /// side is shorter than `reduced_to`, if given: (height, width) as stored. The pixels are then
    /// not those of the whole image resized.
    ///
    /// Returns None if the file is unusual or damaged, or this build does not decode its format.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    #[cfg_attr(
        not(feature = "jpeg"),
        expect(unused_variables, reason = "only JPEG is reduced")
    )]
    pub fn open(
        file: &'file [u8],
        header: &Header,
        reduced_to: Option<(usize, usize)>,
    ) -> Result<Option<Self>> {
        match header.format {
            #[cfg(feature = "jpeg")]
            Format::Jpeg => Ok(jpeg::Lines::open(file, header, reduced_to)?.map(|lines| {
                let shape = lines.shape();
                Self::new(Lines::Jpeg(lines), shape)
            })),
            #[cfg(not(feature = "jpeg"))]
            Format::Jpeg => Ok(None),
            Format::Png => Ok(png::Lines::open(file, header)?.map(|lines| {
                let shape = [header.height, header.width, header.channels];
                Self::new(Lines::Png(lines), shape)
            })),
        }
    }

    fn new(lines: Lines<'file>, [height, width, channels]: [usize; 3]) -> Self {
        Self {
            lines,
            height,
            width,
            channels,
            done: 0,
            failed: None,
        }
    }

    /// Lines, at the size that the file is decoded at.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels of a line.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 for grey, 3 for RGB.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Decodes the next lines to `out`, packed: as many as it has room for.
    ///
    /// With the last line all else that belongs to the image is read: it is not whole before.
    ///
    /// # Errors
    /// [`LineError::Damaged`]: neither these lines nor those before are certain to be Pillow's. Every
    /// later call fails too, as after [`LineError::Core`].
    ///
    /// # Panics
    /// If `out` is not whole lines, or more than are left.
    pub fn read(&mut self, out: &mut [u8]) -> Outcome {
        let length = self.width * self.channels;
        let count = out.len() / length;
        assert_eq!(out.len(), count * length, "whole lines of {length} bytes");
        self.advance(count, |lines, is_last| match lines {
            #[cfg(feature = "jpeg")]
            Lines::Jpeg(lines) => lines.read(out, count),
            Lines::Png(lines) => lines.read(out, length, is_last),
        })
    }

    /// Passes over the first `count` lines, before any is read. The others are those of a whole image.
    ///
    /// Of a JPEG in one scan only the codes are read: the lines' damage is found, their pixels are not
    /// computed.
    ///
    /// # Errors
    /// As for [`Self::read`].
    ///
    /// # Panics
    /// If a line has been read or passed over, or if none would be left.
    pub fn skip(&mut self, count: usize) -> Outcome {
        // libjpeg gets context wrong after lines that were read, and does not look at the codes of
        // the last lines.
        assert!(
            self.done == 0 && count < self.height,
            "to skip {count} lines"
        );
        let length = self.width * self.channels;
        self.advance(count, |lines, _| match lines {
            #[cfg(feature = "jpeg")]
            Lines::Jpeg(lines) => lines.skip(count),
            Lines::Png(lines) => lines.skip(count, length),
        })
    }

    /// Moves on by `count` lines with what `decode` does, told whether they are the last.
    fn advance(
        &mut self,
        count: usize,
        decode: impl FnOnce(&mut Lines<'file>, bool) -> Outcome,
    ) -> Outcome {
        let left = self.height - self.done;
        assert!(count <= left, "{count} lines of {left} that are left");
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if count == 0 {
            // The decoders read what follows the last line once.
            return Ok(());
        }
        self.done += count;
        let outcome = decode(&mut self.lines, count == left);
        self.failed = outcome.clone().err();
        outcome
    }
}
