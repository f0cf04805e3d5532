//! The lines of a PNG file.

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits, Reader};

use crate::decode::{Header, LineError, Outcome};
use crate::error::Result;
use crate::memory::Buffer;

/// Where the lines of a file come from.
pub(in crate::decode) enum Lines<'file> {
    /// In order.
    InOrder(Box<Reader<Cursor<&'file [u8]>>>),
    /// Interlaced files are decoded whole. `next` is where the next line begins.
    Whole { pixels: Buffer<u8>, next: usize },
}

impl<'file> Lines<'file> {
    /// None if the file is not what its header says, or an interlaced one is damaged.
    pub(in crate::decode) fn open(file: &'file [u8], header: &Header) -> Result<Option<Self>> {
        let mut options = DecodeOptions::default();
        options.set_ignore_adler32(false);
        options.set_ignore_text_chunk(true);
        options.set_ignore_iccp_chunk(true);
        let mut decoder = Decoder::new_with_options(Cursor::new(file), options);
        // What the decoder may need: some lines, and chunks that it reads whole.
        decoder.set_limits(Limits { bytes: 64 << 20 });
        let Ok(mut reader) = decoder.read_info() else {
            return Ok(None);
        };
        let info = reader.info();
        let channels = match info.color_type {
            ColorType::Rgb => 3,
            ColorType::Grayscale => 1,
            _ => return Ok(None),
        };
        let size = (info.height as usize, info.width as usize, channels);
        let is_usual = info.bit_depth == BitDepth::Eight
            && info.trns.is_none()
            && info.animation_control.is_none()
            && size == (header.height, header.width, header.channels);
        if !is_usual {
            return Ok(None);
        }
        if !info.interlaced {
            return Ok(Some(Self::InOrder(Box::new(reader))));
        }
        let Some(length) = reader.output_buffer_size() else {
            return Ok(None);
        };
        let mut pixels = Buffer::new(length, "a decoded image")?;
        let decoded = reader.next_frame(&mut pixels).is_ok();
        Ok(decoded.then_some(Self::Whole { pixels, next: 0 }))
    }

    /// Decodes the next lines, of `length` bytes each, to `out`; with the `last` ones, reads what is
    /// left of the pixels' data.
    pub(in crate::decode) fn read(&mut self, out: &mut [u8], length: usize, last: bool) -> Outcome {
        match self {
            Self::InOrder(reader) => {
                for line in out.chunks_exact_mut(length) {
                    reader.read_row(line).map_err(|_| LineError::Damaged)?;
                }
                if last {
                    // It takes the end of the data to know that there is no further row.
                    reader.read_row(&mut []).map_err(|_| LineError::Damaged)?;
                }
            }
            Self::Whole { pixels, next } => {
                let end = *next + out.len();
                out.copy_from_slice(&pixels[*next..end]);
                *next = end;
            }
        }
        Ok(())
    }

    /// Passes over the next `count` lines of `length` bytes each.
    pub(in crate::decode) fn skip(&mut self, count: usize, length: usize) -> Outcome {
        match self {
            Self::InOrder(reader) => {
                for _ in 0..count {
                    reader.next_row().map_err(|_| LineError::Damaged)?;
                }
            }
            Self::Whole { next, .. } => *next += count * length,
        }
        Ok(())
    }
}
