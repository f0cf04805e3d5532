//! Pixels to planes, and back.

use super::isa::{Backend, Isa};
use super::scalar;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;
use crate::pixels::Bytes;

/// Writes the first three bytes of every `N` of `pixels`, three or four, each to its plane, which is as long
/// as there are pixels. The last bytes of the last pixel may be missing; their samples are then of no
/// particular value.
#[inline]
pub(crate) fn deinterleave<const N: usize>(isa: Isa, pixels: Bytes<'_>, planes: [&mut [u8]; 3]) {
    let width = pixels.len().div_ceil(N);
    assert!(planes.iter().all(|plane| plane.len() == width));
    match isa.backend() {
        Backend::Scalar => scalar::deinterleave::<N>(pixels, planes),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        Backend::Vector(isa) => vector::deinterleave::<N>(isa, pixels, planes),
    }
}

/// Writes the samples of three planes of one length side by side, as pixels.
pub(crate) fn interleave(isa: Isa, planes: [&[u8]; 3], pixels: &mut [u8]) {
    assert!(planes.iter().all(|plane| 3 * plane.len() == pixels.len()));
    match isa.backend() {
        Backend::Scalar => scalar::interleave(planes, pixels),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        Backend::Vector(isa) => vector::interleave(isa, planes, pixels),
    }
}
