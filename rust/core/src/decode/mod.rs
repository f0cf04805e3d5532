//! Files to pixels, for the formats and modes in which the result is certain to be Pillow's.
//!
//! Whatever else a file is, or whatever is odd about it, is for Pillow to judge: the answer is then
//! None, not an error.

mod jpeg;
mod orientation;
mod png;

use crate::error::Result;

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

/// A file turned out not to be what its header promised. Pillow may read it, or say what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file is damaged")]
pub struct Damaged;

/// The lines of a file from top to bottom, decoded as they are asked for.
///
/// It keeps a few lines of pixels, but for the files that do not hold their lines in order: of an
/// interlaced PNG it keeps all pixels, of a progressive JPEG all coefficients.
pub struct Scanlines<'file> {
    decoder: Decoder<'file>,
    height: usize,
    width: usize,
    channels: usize,
    /// Lines that were read or passed over.
    done: usize,
    is_damaged: bool,
}

enum Decoder<'file> {
    #[cfg(feature = "jpeg")]
    Jpeg(jpeg::Lines<'file>),
    Png(png::Lines<'file>),
}

impl<'file> Scanlines<'file> {
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
                Self::new(Decoder::Jpeg(lines), shape)
            })),
            #[cfg(not(feature = "jpeg"))]
            Format::Jpeg => Ok(None),
            Format::Png => Ok(png::Lines::open(file, header)?.map(|lines| {
                let shape = [header.height, header.width, header.channels];
                Self::new(Decoder::Png(lines), shape)
            })),
        }
    }

    fn new(decoder: Decoder<'file>, [height, width, channels]: [usize; 3]) -> Self {
        Self {
            decoder,
            height,
            width,
            channels,
            done: 0,
            is_damaged: false,
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
    /// [`Damaged`]: neither these lines nor those before are certain to be Pillow's. Every later
    /// call fails too.
    ///
    /// # Panics
    /// If `out` is not whole lines, or more than are left.
    pub fn read(&mut self, out: &mut [u8]) -> std::result::Result<(), Damaged> {
        let length = self.width * self.channels;
        let count = out.len() / length;
        assert_eq!(out.len(), count * length, "whole lines of {length} bytes");
        self.advance(count, |decoder, is_last| match decoder {
            #[cfg(feature = "jpeg")]
            Decoder::Jpeg(lines) => lines.read(out, count),
            Decoder::Png(lines) => lines.read(out, length, is_last),
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
    pub fn skip(&mut self, count: usize) -> std::result::Result<(), Damaged> {
        // libjpeg gets context wrong after lines that were read, and does not look at the codes of
        // the last lines.
        assert!(
            self.done == 0 && count < self.height,
            "to skip {count} lines"
        );
        let length = self.width * self.channels;
        self.advance(count, |decoder, _| match decoder {
            #[cfg(feature = "jpeg")]
            Decoder::Jpeg(lines) => lines.skip(count),
            Decoder::Png(lines) => lines.skip(count, length),
        })
    }

    /// Moves on by `count` lines with what `decode` does to the decoder, told whether they are the
    /// last.
    fn advance(
        &mut self,
        count: usize,
        decode: impl FnOnce(&mut Decoder<'file>, bool) -> std::result::Result<(), Damaged>,
    ) -> std::result::Result<(), Damaged> {
        let left = self.height - self.done;
        assert!(count <= left, "{count} lines of {left} that are left");
        if self.is_damaged {
            return Err(Damaged);
        }
        if count == 0 {
            // The decoders read what follows the last line once.
            return Ok(());
        }
        self.done += count;
        let outcome = decode(&mut self.decoder, count == left);
        self.is_damaged = outcome.is_err();
        outcome
    }
}
