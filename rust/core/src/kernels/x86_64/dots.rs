//! Sums of products of neighbours, as [`crate::kernels::vector`] takes them where windows are long.

use std::arch::x86_64::*;

use crate::kernels::taps::LOW_BITS;
use crate::kernels::vector::TAPS;
use crate::kernels::{Pair, scalar};

/// Red, green and blue, and a number of no meaning.
pub(in crate::kernels) type Totals = __m128i;

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn zero() -> __m256i {
    _mm256_setzero_si256()
}

/// Sixteen samples in 16 bits each.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn widened(samples: &[u8; TAPS]) -> __m256i {
    // SAFETY: 16 bytes.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(samples.as_ptr().cast()) })
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn multiply_add(
    sums: __m256i,
    samples: __m256i,
    weights: &[i16; TAPS],
) -> __m256i {
    // SAFETY: 16 times 2 bytes.
    let weights = unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) };
    _mm256_add_epi32(sums, _mm256_madd_epi16(samples, weights))
}

/// The same in one instruction.
#[target_feature(enable = "avx2,avx512vl,avx512vnni")]
#[inline]
pub(in crate::kernels) fn multiply_accumulate(
    sums: __m256i,
    samples: __m256i,
    weights: &[i16; TAPS],
) -> __m256i {
    // SAFETY: 16 times 2 bytes.
    let weights = unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) };
    _mm256_dpwssd_epi32(sums, samples, weights)
}

/// The sums of each register, and nothing of meaning in the last place.
///
/// ```text
/// r, g     r0+r1 r2+r3 g0+g1 g2+g3 | ..    (horizontal additions work within lanes)
/// b, b     b0+b1 b2+b3 b0+b1 b2+b3 | ..
/// both     r0..3 g0..3 b0..3 b0..3 | r4..7 g4..7 b4..7 b4..7
/// ```
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn totals([red, green, blue]: [__m256i; 3]) -> Totals {
    let both = _mm256_hadd_epi32(_mm256_hadd_epi32(red, green), _mm256_hadd_epi32(blue, blue));
    _mm_add_epi32(
        _mm256_castsi256_si128(both),
        _mm256_extracti128_si256::<1>(both),
    )
}

/// Totals of lower halves of weights and of upper ones, together.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn join(low: Totals, high: Totals) -> Totals {
    _mm_add_epi32(low, _mm_slli_epi32::<{ LOW_BITS as i32 }>(high))
}

/// Totals of scanlines a and b as pairs: rounded to whole samples, clamped and side by side.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn pairs(a: Totals, b: Totals, precision: u32) -> [Pair; 4] {
    let half = _mm_set1_epi32(scalar::half(precision));
    let shift = _mm_cvtsi32_si128(precision as i32);
    let sample = |total: Totals| {
        let rounded = _mm_sra_epi32(_mm_add_epi32(total, half), shift);
        let positive = _mm_max_epi32(rounded, _mm_setzero_si128());
        _mm_min_epi32(positive, _mm_set1_epi32(255))
    };
    let both = _mm_or_si128(sample(a), _mm_slli_epi32::<16>(sample(b)));
    let mut pairs = [[0; 2]; 4];
    // SAFETY: 16 bytes.
    unsafe { _mm_storeu_si128(pairs.as_mut_ptr().cast(), both) };
    pairs
}
