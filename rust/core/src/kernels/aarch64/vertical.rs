//! The vertical pass. Multiply-adds of NEON add no neighbours, so that pairs are taken apart, and each sample is
//! multiplied by a weight of its own.

use std::arch::aarch64::*;

use crate::kernels::Pair;
use crate::kernels::taps::{Taps, Weights};

/// The sums of eight samples.
type Sums = [int32x4_t; 2];

/// Bits after the point that an axis has at most; all of Pillow's have them.
const MOST: u32 = 22;

/// See [`crate::kernels::vertical::Vertical::run`].
///
/// # Safety
/// From `at` on `lines` have as much as `out`, a multiple of 64, and they are as many as the weights.
#[target_feature(enable = "neon")]
pub(in crate::kernels) unsafe fn combine(
    lines: &[&[Pair]],
    weights: Weights<'_>,
    precision: u32,
    at: usize,
    out: &mut [u8],
) {
    // SAFETY: by the contract above. Weights that fit in 16 bits have fewer than MOST, but at scales of 64
    // and more.
    unsafe {
        if precision < MOST {
            // Not more at once: what is taken apart as it is loaded needs as many registers as its sums.
            combine_by::<false, 4>(lines, weights, precision, at, out);
        } else {
            combine_by::<true, 8>(lines, weights, precision, at, out);
        }
    }
}

/// Makes `EIGHTS` times eight samples at once, with weights of 32 bits if they are `WIDE`, of 16 if not.
///
/// # Safety
/// As above.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn combine_by<const WIDE: bool, const EIGHTS: usize>(
    lines: &[&[Pair]],
    weights: Weights<'_>,
    precision: u32,
    at: usize,
    out: &mut [u8],
) {
    let [first, others @ ..] = lines else {
        return out.fill(0);
    };
    for (block, out) in out.chunks_exact_mut(8 * EIGHTS).enumerate() {
        let add = |mut sums: [Sums; EIGHTS], index: usize, line: &[Pair]| {
            for (eight, sums) in sums.iter_mut().enumerate() {
                // SAFETY: there are as many weights as lines, and as many pairs in a line from `at`
                // on as samples in `out`, of which this block is a part.
                unsafe {
                    let pairs = line.as_ptr().add(at + 8 * (block * EIGHTS + eight));
                    *sums = if WIDE {
                        multiply_add_32(*sums, pairs, *weights.whole.get_unchecked(index))
                    } else {
                        multiply_add_16(*sums, pairs, *weights.low.get_unchecked(index))
                    };
                }
            }
            sums
        };
        // Apart, since sums that begin with products need not be set to zero.
        let mut sums = add([[vdupq_n_s32(0); 2]; EIGHTS], 0, first);
        for (index, line) in others.iter().enumerate() {
            sums = add(sums, index + 1, line);
        }
        for (sums, out) in sums.as_chunks().0.iter().zip(out.as_chunks_mut::<16>().0) {
            let samples = if WIDE {
                samples_of_most(*sums)
            } else {
                samples(*sums, precision)
            };
            // SAFETY: 16 bytes.
            unsafe { vst1q_u8(out.as_mut_ptr(), samples) };
        }
    }
}

/// Adds the products of samples and weights of 16 bits.
///
/// # Safety
/// Eight pairs at `pairs`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn multiply_add_16([front, back]: Sums, pairs: *const Pair, taps: Taps) -> Sums {
    // Both in one register, of which a multiply-add takes a lane.
    let taps = vreinterpret_s16_s32(vdup_n_s32(bytemuck::cast(taps)));
    // SAFETY: 8 times 2 numbers of 16 bits.
    let int16x8x2_t(a, b) = unsafe { vld2q_s16(pairs.cast()) };
    let front = vmlal_lane_s16::<0>(front, vget_low_s16(a), taps);
    let back = vmlal_high_lane_s16::<0>(back, a, taps);
    [
        vmlal_lane_s16::<1>(front, vget_low_s16(b), taps),
        vmlal_high_lane_s16::<1>(back, b, taps),
    ]
}

/// Adds the products of samples and weights of 32 bits.
///
/// A pair is the number `a + 2^16 b`. As a whole times the weight of a, it gives `2^16 b` times that too much,
/// which is taken off the weight of b: sums of 32 bits wrap.
///
/// # Safety
/// Eight pairs at `pairs`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn multiply_add_32([front, back]: Sums, pairs: *const Pair, [a, b]: [i32; 2]) -> Sums {
    let b = b.wrapping_sub(a << 16);
    let add = |sums, pairs| {
        let sums = vmlaq_n_s32(sums, pairs, a);
        vmlaq_n_s32(sums, vshrq_n_s32::<16>(pairs), b)
    };
    // SAFETY: 8 times 32 bits.
    let [first, second] = unsafe { [vld1q_s32(pairs.cast()), vld1q_s32(pairs.add(4).cast())] };
    [add(front, first), add(back, second)]
}

/// Sums as samples: rounded and clamped.
///
/// No axis has fewer than 14 bits after the point. All but one of these are cut off first; of the 16 that are
/// kept, clamped, one is enough for rounding, and at most 8 are below those of a sample.
#[target_feature(enable = "neon")]
#[inline]
fn samples([front, back]: [Sums; 2], precision: u32) -> uint8x16_t {
    const CUT: i32 = 13;
    let left = vdupq_n_s16((CUT - precision as i32) as i16);
    let words = |[front, back]: Sums| {
        let words = vqshrun_high_n_s32::<CUT>(vqshrun_n_s32::<CUT>(front), back);
        vrshlq_u16(words, left)
    };
    vqmovn_high_u16(vqmovn_u16(words(front)), words(back))
}

/// The same for [`MOST`] bits after the point, by shifts that are known.
#[target_feature(enable = "neon")]
#[inline]
fn samples_of_most([front, back]: [Sums; 2]) -> uint8x16_t {
    const CUT: i32 = MOST as i32 - 8;
    let words = |[front, back]: Sums| vqshrun_high_n_s32::<CUT>(vqshrun_n_s32::<CUT>(front), back);
    vqrshrn_high_n_u16::<8>(vqrshrn_n_u16::<8>(words(front)), words(back))
}
