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
    unsafe { every::<N>(pixels, planes, |_, _| {}) };
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
    every::<4>(pixels, planes, |colours, alphas| {
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
fn every<const N: usize>(
    pixels: Bytes<'_>,
    mut planes: [&mut [u8]; 3],
    finish: impl Fn(&mut [[u8; PIXELS]; 3], &[u8; PIXELS]),
) {
    let whole = pixels.len() / (N * PIXELS);
    let left = pixels.slice(N * PIXELS * whole..pixels.len());
    let starts = planes.each_mut().map(|plane| plane.as_chunks_mut().0);
    blocks::<N>(pixels, starts.map(|plane| &mut plane[..whole]), &finish);
    if left.is_empty() {
        return;
    }
    let (mut padded, mut samples) = ([0; BYTES], [[0; PIXELS]; 3]);
    left.copy_to(&mut padded);
    let out = samples.each_mut().map(std::slice::from_mut);
    blocks::<N>(padded[..].into(), out, &finish);
    for (plane, samples) in planes.into_iter().zip(samples) {
        let end = &mut plane[PIXELS * whole..];
        end.copy_from_slice(&samples[..end.len()]);
    }
}

/// The same for whole blocks, as many as fit in `planes`.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
fn blocks<const N: usize>(
    mut pixels: Bytes<'_>,
    [red, green, blue]: [&mut [[u8; PIXELS]]; 3],
    finish: &impl Fn(&mut [[u8; PIXELS]; 3], &[u8; PIXELS]),
) {
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let samples = block::<N>(pixels.slice(0..N * PIXELS));
        pixels = pixels.slice(N * PIXELS..pixels.len());
        let mut colours = [samples[0], samples[1], samples[2]];
        finish(&mut colours, &samples[3]);
        [*red, *green, *blue] = colours;
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
