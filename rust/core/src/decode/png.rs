//! PNG of 8 bits without palette, alpha or animation.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Limits};

use super::{Decoded, Request};
use crate::error::Result;
use crate::memory::Buffer;

/// See [`super::decode`].
pub(super) fn decode(file: &[u8], request: &Request) -> Result<Option<Decoded>> {
    // What the decoder may need beside the pixels: some lines of them, and chunks that it reads whole.
    let limits = Limits { bytes: 64 << 20 };
    let Ok(mut reader) = Decoder::new_with_limits(Cursor::new(file), limits).read_info() else {
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
        && info.animation_control.is_none();
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
