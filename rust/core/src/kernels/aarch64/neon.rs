//! Registers of the horizontal pass: 16 bytes, among all of which bytes can be chosen.
//!
//! Multiply-adds of NEON widen, and add no neighbours: the two products of a pair of taps are summed apart, in
//! two registers for the pairs of one, until [`pair_up`] adds them.

use std::arch::aarch64::*;

use crate::kernels::Pair;
use crate::kernels::taps::LOW_BITS;

/// Bytes of a register.
pub(in crate::kernels) const BYTES: usize = 16;
/// Columns that are computed at once; pairs in a register.
pub(in crate::kernels) const SUMS: usize = 4;
/// Samples that become pairs at once.
pub(in crate::kernels) const WIDENED: usize = 64;

/// The sums of four columns, of even taps and of odd ones:
///
/// ```text
/// taps       e0 o0 e1 o1 e2 o2 e3 o3      (16 bits)
/// sums       e0 o0 e1 o1 | e2 o2 e3 o3    (32 bits, in two registers)
/// ```
pub(in crate::kernels) type Sums = [int32x4_t; 2];

#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn splat(value: i32) -> uint8x16_t {
    vreinterpretq_u8_s32(vdupq_n_s32(value))
}

/// Sums that begin at `value`, which is not negative.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn begin(value: i32) -> Sums {
    [vreinterpretq_s32_s64(vdupq_n_s64(i64::from(value))); 2]
}

/// What sums are shifted by to become samples.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn shift(precision: u32) -> int32x4_t {
    vdupq_n_s32(-(precision as i32))
}

#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn load(bytes: &[u8; BYTES]) -> uint8x16_t {
    // SAFETY: 16 bytes, of any alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn store_pairs(register: uint8x16_t, pairs: &mut [Pair; SUMS]) {
    // SAFETY: 4 times 4 bytes.
    unsafe { vst1q_u8(pairs.as_mut_ptr().cast(), register) };
}

/// 16 bytes from one place.
///
/// # Safety
/// 16 readable bytes at `samples + offset`.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) unsafe fn load_samples(
    samples: *const u8,
    [offset, _]: [u32; 2],
) -> uint8x16_t {
    // SAFETY: 16 bytes from the offset on.
    unsafe { vld1q_u8(samples.add(offset as usize)) }
}

/// Samples in the order of `pattern`, widened: where its byte is 0x80, zero.
///
/// ```text
/// register   s0 s1 s2 s3 s4 ...                   (bytes)
/// pattern     1 80  2 80 | 3 80  4 80 | ...       (the two taps of column 0, of column 1, ...)
/// result     s1    s2    | s3    s4   | ...       (16 bits)
/// ```
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn pick(samples: uint8x16_t, pattern: uint8x16_t) -> uint8x16_t {
    vqtbl1q_u8(samples, pattern)
}

/// Adds the products of 16 bits to `sums`.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn multiply_add(
    [front, back]: Sums,
    words: uint8x16_t,
    weights: uint8x16_t,
) -> Sums {
    let (words, weights) = (vreinterpretq_s16_u8(words), vreinterpretq_s16_u8(weights));
    [
        vmlal_s16(front, vget_low_s16(words), vget_low_s16(weights)),
        vmlal_high_s16(back, words, weights),
    ]
}

/// Sums of lower halves of weights and of upper ones, together.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn join(low: Sums, high: Sums) -> Sums {
    let both = |low, high| vaddq_s32(low, vshlq_n_s32::<{ LOW_BITS as i32 }>(high));
    [both(low[0], high[0]), both(low[1], high[1])]
}

/// Sums of both products, in units of samples.
#[target_feature(enable = "neon")]
#[inline]
fn whole([front, back]: Sums, shift: int32x4_t) -> int32x4_t {
    vshlq_s32(vpaddq_s32(front, back), shift)
}

/// Sums of scanlines a and b as pairs: shifted to whole samples, clamped and side by side.
///
/// ```text
/// a            a0 ..    a1 ..      (32 bits, of which the lower 16 matter)
/// b            b0 ..    b1 ..
/// inserted     a0 b0    a1 b1      (16 bits)
/// ```
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn pair_up(a: Sums, b: Sums, shift: int32x4_t) -> uint8x16_t {
    let both = vreinterpretq_s16_s32(vsliq_n_s32::<16>(whole(a, shift), whole(b, shift)));
    let positive = vmaxq_s16(both, vdupq_n_s16(0));
    vreinterpretq_u8_s16(vminq_s16(positive, vdupq_n_s16(255)))
}

/// Samples of scanlines a and b as pairs.
///
/// ```text
/// a           a0 a1 a2 ... a15                              (bytes, of which there are four registers)
/// b           b0 b1 b2 ... b15
/// zipped      a0 b0 a1 b1 ... a7 b7      a8 b8 ... a15 b15
/// widened     a0 b0 a1 b1 a2 b2 a3 b3    a4 b4 ... a7 b7    ...      (16 bits, in four registers)
/// ```
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn widen(a: &[u8; WIDENED], b: &[u8; WIDENED], out: &mut [Pair; WIDENED]) {
    let samples = a.as_chunks().0.iter().zip(b.as_chunks().0);
    for ((a, b), out) in samples.zip(out.as_chunks_mut::<BYTES>().0) {
        let (a, b) = (load(a), load(b));
        let (front, back) = (vzip1q_u8(a, b), vzip2q_u8(a, b));
        let widened = [
            vmovl_u8(vget_low_u8(front)),
            vmovl_high_u8(front),
            vmovl_u8(vget_low_u8(back)),
            vmovl_high_u8(back),
        ];
        for (pairs, out) in widened.into_iter().zip(out.as_chunks_mut().0) {
            store_pairs(vreinterpretq_u8_u16(pairs), out);
        }
    }
}
