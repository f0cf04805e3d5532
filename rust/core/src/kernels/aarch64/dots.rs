//! Sums of products, as [`crate::kernels::vector`] takes them where windows are long.

use std::arch::aarch64::*;

use crate::kernels::taps::LOW_BITS;
use crate::kernels::vector::TAPS;
use crate::kernels::{Pair, scalar};

/// Red, green and blue, and a number of no meaning.
pub(in crate::kernels) type Totals = int32x4_t;

#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn zero() -> int32x4_t {
    vdupq_n_s32(0)
}

/// Sixteen samples in 16 bits each.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn widened(samples: &[u8; TAPS]) -> [int16x8_t; 2] {
    // SAFETY: 16 bytes.
    let samples = unsafe { vld1q_u8(samples.as_ptr()) };
    let (front, back) = (vmovl_u8(vget_low_u8(samples)), vmovl_high_u8(samples));
    [vreinterpretq_s16_u16(front), vreinterpretq_s16_u16(back)]
}

/// Adds the products of sixteen samples to four sums.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn multiply_add(
    mut sums: int32x4_t,
    samples: [int16x8_t; 2],
    weights: &[i16; TAPS],
) -> int32x4_t {
    for (samples, weights) in samples.into_iter().zip(weights.as_chunks::<8>().0) {
        // SAFETY: 8 times 2 bytes.
        let weights = unsafe { vld1q_s16(weights.as_ptr()) };
        sums = vmlal_s16(sums, vget_low_s16(samples), vget_low_s16(weights));
        sums = vmlal_high_s16(sums, samples, weights);
    }
    sums
}

/// The sums of each register, and nothing of meaning in the last place.
///
/// ```text
/// r, g     r0+r1 r2+r3 g0+g1 g2+g3
/// b, b     b0+b1 b2+b3 b0+b1 b2+b3
/// both     r0..3 g0..3 b0..3 b0..3
/// ```
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn totals([red, green, blue]: [int32x4_t; 3]) -> Totals {
    vpaddq_s32(vpaddq_s32(red, green), vpaddq_s32(blue, blue))
}

/// Totals of lower halves of weights and of upper ones, together.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn join(low: Totals, high: Totals) -> Totals {
    vaddq_s32(low, vshlq_n_s32::<{ LOW_BITS as i32 }>(high))
}

/// Totals of scanlines a and b as pairs: rounded to whole samples, clamped and side by side.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn pairs(a: Totals, b: Totals, precision: u32) -> [Pair; 4] {
    let half = vdupq_n_s32(scalar::half(precision));
    let shift = vdupq_n_s32(-(precision as i32));
    let sample = |total: Totals| {
        let rounded = vshlq_s32(vaddq_s32(total, half), shift);
        vminq_s32(vmaxq_s32(rounded, vdupq_n_s32(0)), vdupq_n_s32(255))
    };
    let both = vsliq_n_s32::<16>(sample(a), sample(b));
    let mut pairs = [[0; 2]; 4];
    // SAFETY: 4 times 4 bytes.
    unsafe { vst1q_s32(pairs.as_mut_ptr().cast(), both) };
    pairs
}
