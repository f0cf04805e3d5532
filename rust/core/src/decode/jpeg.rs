//! JPEG by libjpeg-turbo with its default settings, which are Pillow's: the accurate inverse
//! transform and smooth upsampling of the chroma.

use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor};

use super::{Decoded, Request};
use crate::error::Result;
use crate::memory::Buffer;

/// See [`super::decode`]. Anything that the library warns of makes the file unusual.
pub(super) fn decode(file: &[u8], request: &Request) -> Result<Option<Decoded>> {
    let Ok(mut decompressor) = Decompressor::new() else {
        return Ok(None);
    };
    let Ok(header) = decompressor.read_header(file) else {
        return Ok(None);
    };
    let usual = matches!(
        header.colorspace,
        Colorspace::YCbCr | Colorspace::RGB | Colorspace::Gray
    ) && !header.is_lossless
        && !header.is_arithmetic;
    if !usual || (header.height, header.width) != request.size {
        return Ok(None);
    }
    let scaling = scaling(&header, request.reduced_to);
    if decompressor.set_scaling_factor(scaling).is_err() {
        return Ok(None);
    }
    let DecompressHeader { height, width, .. } = header.scaled(scaling);
    let mut bytes = Buffer::new(3 * height * width, "a decoded image")?;
    let image = Image {
        pixels: &mut bytes[..],
        width,
        pitch: 3 * width,
        height,
        format: PixelFormat::RGB,
    };
    let decoded = decompressor.decompress(file, image).is_ok();
    Ok(decoded.then_some(Decoded {
        bytes,
        height,
        width,
        channels: 3,
    }))
}

/// The smallest scale at which no side is shorter than `least`.
fn scaling(header: &DecompressHeader, least: Option<(usize, usize)>) -> ScalingFactor {
    let Some(least) = least else {
        return ScalingFactor::ONE;
    };
    let reductions = [
        ScalingFactor::ONE_EIGHTH,
        ScalingFactor::ONE_QUARTER,
        ScalingFactor::ONE_HALF,
    ];
    let fits = |scaling: &ScalingFactor| {
        let scaled = header.scaled(*scaling);
        scaled.height >= least.0 && scaled.width >= least.1
    };
    reductions
        .into_iter()
        .find(fits)
        .unwrap_or(ScalingFactor::ONE)
}
