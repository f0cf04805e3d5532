//! PNG of 8 bits without palette, alpha or animation.

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits};

use super::{Decoded, Request};
use crate::error::Result;
use crate::memory::Buffer;

/// See [`super::decode`].
pub(super) fn decode(file: &[u8], request: &Request) -> Result<Option<Decoded>> {
    // What the decoder may need beside the pixels: some lines of them, and chunks that it reads whole.
    let limits = Limits { bytes: 64 << 20 };
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(false);
    let mut decoder = Decoder::new_with_options(Cursor::new(file), options);
    decoder.set_limits(limits);
    let Ok(mut reader) = decoder.read_info() else {
        return Ok(None);
    };
    let info = reader.info();
    let size = (info.height as usize, info.width as usize);
    let channels = match info.color_type {
        ColorType::Rgb => 3,
        ColorType::Grayscale => 1,
        _ => return Ok(None),
    };
    let usual = info.bit_depth == BitDepth::Eight
        && info.trns.is_none()
        && info.animation_control.is_none()
        && ends_after_pixels(file);
    if !usual || size != request.size {
        return Ok(None);
    }
    let (height, width) = size;
    let Some(length) = reader.output_buffer_size() else {
        return Ok(None);
    };
    let mut bytes = Buffer::new(length, "a decoded image")?;
    let decoded = reader.next_frame(&mut bytes).is_ok();
    Ok(decoded.then_some(Decoded {
        bytes,
        height,
        width,
        channels,
    }))
}

/// Whether nothing but the end follows the pixels. What else may be there is for Pillow, which minds
/// it: transparency, and whatever is not as it should be.
fn ends_after_pixels(file: &[u8]) -> bool {
    const SIGNATURE: usize = 8;
    let mut rest = file.get(SIGNATURE..).unwrap_or_default();
    let mut in_pixels = false;
    // A chunk is the length of its data, its kind, the data and a checksum.
    while let Some((header, data)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *header;
        match (&kind, in_pixels) {
            (b"IDAT", _) => in_pixels = true,
            (_, true) => return &kind == b"IEND",
            _ => {}
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        rest = length
            .checked_add(4)
            .and_then(|length| data.get(length..))
            .unwrap_or_default();
    }
    false
}
