//! The vertical pass. Multiply-adds of NEON add no neighbours: the two products of a pair are summed apart where
//! weights have 16 bits, and made one by one where they have 32.

use std::arch::{aarch64::*, asm};

use super::neon;
use crate::kernels::Pair;
use crate::kernels::taps::{Taps, Weights};

/// Bits after the point that an axis has at most; all of Pillow's have them.
const MOST: u32 = 22;

/// Combines what `lines` have from `at` on, `NARROW` times four samples at once, or `MANY` times where weights have
/// 32 bits.
///
/// # Safety
/// From `at` on `lines` have as much as `out`, a multiple of both, and they are as many as the weights.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) unsafe fn combine<'a, const NARROW: usize, const MANY: usize>(
    lines: impl Iterator<Item = &'a [Pair]> + Clone,
    weights: Weights<'_>,
    precision: u32,
    at: usize,
    out: &mut [u8],
) {
    let zero = vdupq_n_s32(0);
    // Sums take 16 registers either way, which leaves room for what is loaded.
    // SAFETY: lines and weights are as many, and long enough for `out`. Weights that fit in 16 bits have fewer than
    // MOST, but at scales of 64 and more.
    unsafe {
        if precision < MOST {
            combine_by::<_, _, _, NARROW>(
                (lines, weights.low),
                at,
                out,
                [zero; 2],
                |taps| taps_16(taps),
                |sums, pairs, taps| neon::multiply_add(sums, vreinterpretq_u8_s32(pairs), taps),
                |sums| samples(sums, precision),
            );
        } else {
            combine_by::<_, _, _, MANY>(
                (lines, weights.whole),
                at,
                out,
                zero,
                |taps| taps_32(taps),
                |sum, pairs, taps| multiply_add_32(sum, pairs, taps),
                |sums| samples_of_most(sums),
            );
        }
    }
}

/// Makes `FOURS` times four samples at once. Of `lines`, with the weights of each, `multiply_add` adds four pairs
/// at a time to sums, which begin at `zero`.
///
/// # Safety
/// From `at` on `lines` have as much as `out`, a multiple of what is made at once.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn combine_by<'a, Weights: Copy, Taps: Copy, Sums: Copy, const FOURS: usize>(
    (mut lines, weights): (impl Iterator<Item = &'a [Pair]> + Clone, &[Weights]),
    at: usize,
    out: &mut [u8],
    zero: Sums,
    taps: impl Fn(Weights) -> Taps,
    multiply_add: impl Fn(Sums, int32x4_t, Taps) -> Sums,
    samples: impl Fn([Sums; 4]) -> uint8x16_t,
) {
    let (Some(first), [first_weights, weights @ ..]) = (lines.next(), weights) else {
        return out.fill(0);
    };
    for (x, out) in (at..)
        .step_by(4 * FOURS)
        .zip(out.chunks_exact_mut(4 * FOURS))
    {
        let add = |mut sums: [Sums; FOURS], line: &[Pair], weights| {
            let taps = taps(weights);
            for (four, sums) in sums.iter_mut().enumerate() {
                // SAFETY: a line has as many pairs from `at` on as there are samples in the whole output, of
                // which those from `x` on are these.
                let pairs = unsafe { vld1q_s32(line.as_ptr().add(x + 4 * four).cast()) };
                *sums = multiply_add(*sums, pairs, taps);
            }
            sums
        };
        // Apart, since sums that begin with products need not be set to zero.
        let mut sums = add([zero; FOURS], first, *first_weights);
        for (line, weights) in lines.clone().zip(weights) {
            sums = add(sums, line, *weights);
        }
        for (sums, out) in sums.as_chunks().0.iter().zip(out.as_chunks_mut::<16>().0) {
            // SAFETY: 16 bytes.
            unsafe { vst1q_u8(out.as_mut_ptr(), samples(*sums)) };
        }
    }
}

/// Two weights of 16 bits, four times.
#[target_feature(enable = "neon")]
#[inline]
fn taps_16(weights: Taps) -> uint8x16_t {
    let mut taps = neon::splat(bytemuck::cast(weights));
    // That the halves of this register are alike is hidden from the compiler: it would multiply by the lower one
    // only, and move the upper halves of pairs down for that.
    // SAFETY: no instruction.
    unsafe { asm!("/* {0:v} */", inlateout(vreg) taps, options(nomem, nostack, preserves_flags)) };
    taps
}

/// Two weights of 32 bits as [`multiply_add_32`] takes them.
#[target_feature(enable = "neon")]
#[inline]
fn taps_32(weights: [i32; 2]) -> int32x2_t {
    let weights = vreinterpret_s32_s64(vdup_n_s64(bytemuck::cast(weights)));
    let excess = vreinterpret_s32_s64(vdup_n_s64(bytemuck::cast([0, 1 << 16])));
    vmls_lane_s32::<0>(weights, excess, weights)
}

/// Adds the products of four pairs and weights of 32 bits.
///
/// A pair is the number `a + 2^16 b`. As a whole times the weight of a, it gives `2^16 b` times that too much,
/// which [`taps_32`] takes off the weight of b: sums of 32 bits wrap.
#[target_feature(enable = "neon")]
#[inline]
fn multiply_add_32(sum: int32x4_t, pairs: int32x4_t, taps: int32x2_t) -> int32x4_t {
    let sum = vmlaq_lane_s32::<0>(sum, pairs, taps);
    vmlaq_lane_s32::<1>(sum, vshrq_n_s32::<16>(pairs), taps)
}

/// Sums as samples: rounded and clamped.
///
/// No axis has fewer than 14 bits after the point. All but one of these are cut off first; of the 16 that are
/// kept, clamped, one is enough for rounding, and at most 8 are below those of a sample.
#[target_feature(enable = "neon")]
#[inline]
fn samples(sums: [neon::Sums; 4], precision: u32) -> uint8x16_t {
    const CUT: i32 = 13;
    let left = vdupq_n_s16((CUT - precision as i32) as i16);
    let [a, b, c, d] = sums.map(|[front, back]| vpaddq_s32(front, back));
    let words = |front, back| {
        let words = vqshrun_high_n_s32::<CUT>(vqshrun_n_s32::<CUT>(front), back);
        vrshlq_u16(words, left)
    };
    vqmovn_high_u16(vqmovn_u16(words(a, b)), words(c, d))
}

/// The same for [`MOST`] bits after the point, by shifts that are known.
#[target_feature(enable = "neon")]
#[inline]
fn samples_of_most([a, b, c, d]: [int32x4_t; 4]) -> uint8x16_t {
    const CUT: i32 = MOST as i32 - 8;
    let words = |front, back| vqshrun_high_n_s32::<CUT>(vqshrun_n_s32::<CUT>(front), back);
    vqrshrn_high_n_u16::<8>(vqrshrn_n_u16::<8>(words(a, b)), words(c, d))
}
