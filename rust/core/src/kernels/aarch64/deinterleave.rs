//! Pixels to planes, and back.

use std::arch::aarch64::*;

use crate::pixels::Bytes;

/// Pixels that are taken at once: a register of each plane.
pub(in crate::kernels) const PIXELS: usize = 16;

/// The samples of a block of pixels, by channel: there is a load that takes three apart.
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
            fours([0, 16, 32, 48].map(|at| vld1q_u8(pixels.add(at))))
        }
    };
    let mut samples = [[0; PIXELS]; 4];
    for (samples, register) in samples.iter_mut().zip(registers) {
        // SAFETY: 16 bytes.
        unsafe { vst1q_u8(samples.as_mut_ptr(), register) };
    }
    samples
}

/// Pixels of four bytes taken apart, in two rounds that leave every second byte:
///
/// ```text
/// a           r0 g0 b0 a0 r1 g1 b1 a1 ...  r3 g3 b3 a3          (16 bytes; b, c and d go on to pixel 15)
/// even        r0 b0 r1 b1 ...  r7 b7      r8 b8 ... r15 b15     (of a and b, of c and d)
/// odd         g0 a0 g1 a1 ...  g7 a7      g8 a8 ... g15 a15
/// red         r0 r1 r2 ... r15                                  (even of even; blue is odd of even)
/// green       g0 g1 g2 ... g15                                  (even of odd; alpha is odd of odd)
/// ```
///
/// There is a load for that too, but where the fourth bytes are not used
/// the compiler makes loads of single bytes of it.
#[target_feature(enable = "neon")]
#[inline]
fn fours([a, b, c, d]: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
    let (even, odd) = (
        [vuzp1q_u8(a, b), vuzp1q_u8(c, d)],
        [vuzp2q_u8(a, b), vuzp2q_u8(c, d)],
    );
    [
        vuzp1q_u8(even[0], even[1]),
        vuzp1q_u8(odd[0], odd[1]),
        vuzp2q_u8(even[0], even[1]),
        vuzp2q_u8(odd[0], odd[1]),
    ]
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
