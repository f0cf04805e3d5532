//! Registers of the vertical pass. Pairs are taken apart as they are loaded, eight at a time, and each sample
//! is multiplied by one of two weights: what is summed is whole from the first.

use std::arch::aarch64::*;

pub(in crate::kernels) use super::neon::{join, shift};
use crate::kernels::Pair;

/// Samples that are made at once.
pub(in crate::kernels) const BYTES: usize = 32;
/// Pairs that are loaded at once.
pub(in crate::kernels) const SUMS: usize = 8;

/// Eight sums.
type Sums = [int32x4_t; 2];

/// Two weights side by side, and the same again.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn splat(taps: i32) -> int16x4_t {
    vreinterpret_s16_s32(vdup_n_s32(taps))
}

/// Sums that begin at `value`.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn begin(value: i32) -> Sums {
    [vdupq_n_s32(value); 2]
}

/// The samples of scanlines a and b.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn load_pairs(pairs: &[Pair; SUMS]) -> int16x8x2_t {
    // SAFETY: 8 times 2 numbers of 16 bits.
    unsafe { vld2q_s16(pairs.as_ptr().cast()) }
}

#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn store([front, back]: [uint8x16_t; 2], bytes: &mut [u8; BYTES]) {
    // SAFETY: 2 times 16 bytes.
    unsafe {
        vst1q_u8(bytes.as_mut_ptr(), front);
        vst1q_u8(bytes.as_mut_ptr().add(16), back);
    }
}

/// Adds the products of scanline a and the first weight, and of b and the second, to `sums`.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn multiply_add(
    [front, back]: Sums,
    int16x8x2_t(a, b): int16x8x2_t,
    taps: int16x4_t,
) -> Sums {
    let front = vmlal_lane_s16::<0>(front, vget_low_s16(a), taps);
    let back = vmlal_high_lane_s16::<0>(back, a, taps);
    [
        vmlal_lane_s16::<1>(front, vget_low_s16(b), taps),
        vmlal_high_lane_s16::<1>(back, b, taps),
    ]
}

/// Sums as samples: shifted, clamped and in their order.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn pack([a, b, c, d]: [Sums; 4], shift: int32x4_t) -> [uint8x16_t; 2] {
    let words = |[front, back]: Sums| {
        let front = vqmovun_s32(vshlq_s32(front, shift));
        vqmovun_high_s32(front, vshlq_s32(back, shift))
    };
    let bytes = |front, back| vqmovn_high_u16(vqmovn_u16(words(front)), words(back));
    [bytes(a, b), bytes(c, d)]
}
