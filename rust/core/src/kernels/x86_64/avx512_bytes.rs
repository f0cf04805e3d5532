//! A register of AVX-512 whose multiply-adds take four bytes of samples at a time, and four of weights (VNNI).

use std::arch::x86_64::*;

pub(in crate::kernels) use super::avx512::{
    BYTES, begin, load, load_samples, pair_up, shift, splat, store_pairs,
};
use crate::kernels::taps::DIGIT_BITS;

/// Samples in the order of `pattern`, as bytes.
///
/// ```text
/// register   s0 s1 s2 s3 s4 ... s63               (bytes)
/// pattern     1  2  3  4 |  3  4  5  6 | ...      (the four taps of column 0, of column 1, ...)
/// result     s1 s2 s3 s4 | s3 s4 s5 s6 | ...
/// ```
#[target_feature(enable = "avx512vbmi")]
#[inline]
pub(in crate::kernels) fn pick(samples: __m512i, pattern: __m512i) -> __m512i {
    _mm512_permutexvar_epi8(pattern, samples)
}

/// In every 32 bits the sum of `sums` and of four products of an unsigned byte and a signed one.
#[target_feature(enable = "avx512vnni")]
#[inline]
pub(in crate::kernels) fn multiply_add(
    sums: __m512i,
    samples: __m512i,
    weights: __m512i,
) -> __m512i {
    _mm512_dpbusd_epi32(sums, samples, weights)
}

/// Sums of lower digits of weights and of upper ones, together.
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn join(low: __m512i, high: __m512i) -> __m512i {
    _mm512_add_epi32(low, _mm512_slli_epi32::<DIGIT_BITS>(high))
}
