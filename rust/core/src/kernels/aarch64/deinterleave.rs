//! Pixels to planes, and back.

use std::arch::aarch64::*;

use crate::pixels::Bytes;

/// Pixels that are taken at once: a register of each plane.
pub(in crate::kernels) const PIXELS: usize = 16;

/// The samples of a block of pixels, by channel: there are loads that take three or four apart.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn block<const N: usize>(pixels: Bytes<'_>) -> [[u8; PIXELS]; 4] {
    let pixels = pixels.slice(0..N * PIXELS).as_ptr();
    // SAFETY: 16 pixels of three bytes, or of four; each byte is read once.
    let registers = unsafe {
        if N == 3 {
            let uint8x16x3_t(red, green, blue) = vld3q_u8(pixels);
            [red, green, blue, vdupq_n_u8(0)]
        } else {
            let uint8x16x4_t(red, green, blue, fourth) = vld4q_u8(pixels);
            [red, green, blue, fourth]
        }
    };
    let mut samples = [[0; PIXELS]; 4];
    for (samples, register) in samples.iter_mut().zip(registers) {
        // SAFETY: 16 bytes.
        unsafe { vst1q_u8(samples.as_mut_ptr(), register) };
    }
    samples
}

/// The pixels of a block of samples.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn pixels(planes: [&[u8; PIXELS]; 3], out: &mut [u8; 3 * PIXELS]) {
    // SAFETY: 16 bytes each, and three times as many.
    unsafe {
        let [red, green, blue] = planes.map(|plane| vld1q_u8(plane.as_ptr()));
        vst3q_u8(out.as_mut_ptr(), uint8x16x3_t(red, green, blue));
    }
}
