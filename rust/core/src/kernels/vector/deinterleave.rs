//! Pixels to planes, and back.

use super::processor::deinterleave::{PIXELS, block, pixels};
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::scalar;
use crate::pixels::Bytes;

/// Bytes of the pixels of a block, of four bytes at most.
const BYTES: usize = 4 * PIXELS;

/// See [`crate::kernels::deinterleave::deinterleave`].
pub(in crate::kernels) fn deinterleave<const N: usize>(
    isa: Isa,
    pixels: Bytes<'_>,
    planes: [&mut [u8]; N],
) {
    if isa.backend() == Backend::Scalar || !matches!(N, 3 | 4) {
        return scalar::deinterleave(pixels, planes);
    }
    // SAFETY: every vector backend of the processor has these instructions.
    unsafe { blocks(pixels, planes) };
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
fn blocks<const N: usize>(pixels: Bytes<'_>, mut planes: [&mut [u8]; N]) {
    let whole = pixels.len() / (N * PIXELS) * PIXELS;
    for x in (0..whole).step_by(PIXELS) {
        let separate = block::<N>(pixels.slice(N * x..N * (x + PIXELS)));
        for (plane, samples) in planes.iter_mut().zip(separate) {
            plane[x..x + PIXELS].copy_from_slice(&samples);
        }
    }
    let rest = pixels.slice(N * whole..pixels.len());
    if !rest.is_empty() {
        let mut padded = [0; BYTES];
        rest.copy_to(&mut padded);
        let separate = block::<N>(padded[..N * PIXELS].into());
        for (plane, samples) in planes.iter_mut().zip(separate) {
            let plane = &mut plane[whole..];
            let length = plane.len();
            plane.copy_from_slice(&samples[..length]);
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
