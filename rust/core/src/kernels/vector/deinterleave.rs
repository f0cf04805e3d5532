//! Pixels to planes, and back.

use super::processor::blend::blend;
use super::processor::deinterleave::{PIXELS, block, pixels};
use crate::filter::Reference;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::scalar;
use crate::pixels::Bytes;

/// Bytes of the pixels of a block, of four bytes at most.
const BYTES: usize = 4 * PIXELS;

/// See [`crate::kernels::deinterleave::deinterleave`].
pub(in crate::kernels) fn deinterleave<const N: usize>(
    isa: Isa,
    pixels: Bytes<'_>,
    planes: [&mut [u8]; 3],
) {
    if isa.backend() == Backend::Scalar || !matches!(N, 3 | 4) {
        return scalar::deinterleave::<N>(pixels, planes);
    }
    // SAFETY: every vector backend of the processor has these instructions.
    unsafe { blocks::<N>(pixels, planes, |_, _| {}) };
}

/// See [`crate::kernels::blend::over_white`].
pub(in crate::kernels) fn over_white(
    isa: Isa,
    pixels: Bytes<'_>,
    planes: [&mut [u8]; 3],
    reference: Reference,
) {
    if isa.backend() == Backend::Scalar {
        return scalar::over_white(pixels, planes, reference);
    }
    // SAFETY: every vector backend of the processor has these instructions.
    unsafe { blended(pixels, planes, reference) };
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
fn blended(pixels: Bytes<'_>, planes: [&mut [u8]; 3], reference: Reference) {
    blocks::<4>(pixels, planes, |colours, alphas| {
        // Most pixels are opaque, and their neighbours too.
        if *alphas != [255; PIXELS] {
            blend(colours, alphas, reference);
        }
    });
}

/// Takes pixels apart in blocks, whose samples `finish` may change by their fourth bytes while they are in
/// registers.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
#[inline]
fn blocks<const N: usize>(
    pixels: Bytes<'_>,
    mut planes: [&mut [u8]; 3],
    finish: impl Fn(&mut [[u8; PIXELS]; 3], &[u8; PIXELS]),
) {
    let apart = |pixels| {
        let [red, green, blue, fourth] = block::<N>(pixels);
        let mut colours = [red, green, blue];
        finish(&mut colours, &fourth);
        colours
    };
    let whole = pixels.len() / (N * PIXELS);
    let mut left = pixels;
    let [red, green, blue] = planes
        .each_mut()
        .map(|plane| &mut plane.as_chunks_mut().0[..whole]);
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        [*red, *green, *blue] = apart(left.slice(0..N * PIXELS));
        left = left.slice(N * PIXELS..left.len());
    }
    if !left.is_empty() {
        let mut padded = [0; BYTES];
        left.copy_to(&mut padded);
        let colours = apart(padded[..N * PIXELS].into());
        for (plane, samples) in planes.iter_mut().zip(colours) {
            let plane = &mut plane[whole * PIXELS..];
            plane.copy_from_slice(&samples[..plane.len()]);
        }
    }
}

/// See [`crate::kernels::deinterleave::interleave`].
pub(in crate::kernels) fn interleave(isa: Isa, planes: [&[u8]; 3], out: &mut [u8]) {
    if isa.backend() == Backend::Scalar {
        return scalar::interleave(planes, out);
    }
    // SAFETY: every vector backend of the processor has these instructions.
    let whole = unsafe { whole_blocks(planes, out) };
    scalar::interleave(planes.map(|plane| &plane[whole..]), &mut out[3 * whole..]);
}

/// Interleaves all pixels but the last, which make no block, and returns how many that are.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
fn whole_blocks(planes: [&[u8]; 3], out: &mut [u8]) -> usize {
    let [red, green, blue] = planes.map(|plane| plane.as_chunks::<PIXELS>().0);
    let blocks = red.iter().zip(green).zip(blue);
    for (out, ((red, green), blue)) in out.as_chunks_mut().0.iter_mut().zip(blocks) {
        pixels([red, green, blue], out);
    }
    red.len() * PIXELS
}
