//! Convolution, the same between lines and along them.
//!
//! A convolution takes its taps two at a time. Bytes of tap a and tap b are interleaved and widened
//! to 16 bits, and one multiply-add with their pair of weights gives a 32-bit partial sum:
//!
//! ```text
//! a:  a0 a1 a2 ...        unpacklo(a, b):  a0 b0 a1 b1 ...       (bytes)
//! b:  b0 b1 b2 ...        widened:         a0    b0    a1 ...    (16 bits)
//!                         madd (wa, wb):   a0*wa + b0*wb  ...    (32 bits)
//! ```
//!
//! The unpack instructions work within each half of a register; the pack instructions that narrow
//! the sums do too, in the inverse order, so that bytes come out where they went in.

use std::arch::x86_64::*;

use crate::resize::Pair;

/// Two taps of 32 columns or lines, interleaved and widened to 16 bits.
pub(super) type Words = [__m256i; 4];

/// The bytes of `a` and `b`, interleaved and widened to 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn widen(a: __m256i, b: __m256i) -> Words {
    let zero = _mm256_setzero_si256();
    let (front, back) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
    [
        _mm256_unpacklo_epi8(front, zero),
        _mm256_unpackhi_epi8(front, zero),
        _mm256_unpacklo_epi8(back, zero),
        _mm256_unpackhi_epi8(back, zero),
    ]
}

/// Running sums of 32 bytes, in the order of the unpack instructions.
pub(super) struct Sums<const SPLIT: bool> {
    low: [__m256i; 4],
    high: [__m256i; 4],
}

impl<const SPLIT: bool> Sums<SPLIT> {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn new(precision: u32) -> Self {
        Self {
            low: [_mm256_set1_epi32(1 << (precision - 1)); 4],
            high: [_mm256_setzero_si256(); 4],
        }
    }

    /// Adds two taps times their weights.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn add(&mut self, words: &Words, pair: Pair) {
        let weights = _mm256_set1_epi32(pair.low);
        for (sum, words) in self.low.iter_mut().zip(words) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*words, weights));
        }
        if SPLIT {
            let weights = _mm256_set1_epi32(pair.high);
            for (sum, words) in self.high.iter_mut().zip(words) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*words, weights));
            }
        }
    }

    /// The sums shifted to whole levels and clamped to a byte.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn levels(self, precision: u32) -> __m256i {
        let shift = _mm_cvtsi32_si128(precision as i32);
        let mut levels = self.low;
        for (sum, high) in levels.iter_mut().zip(self.high) {
            if SPLIT {
                let high = _mm256_slli_epi32::<{ Pair::SHIFT as i32 }>(high);
                *sum = _mm256_add_epi32(*sum, high);
            }
            *sum = _mm256_sra_epi32(*sum, shift);
        }
        _mm256_packus_epi16(
            _mm256_packs_epi32(levels[0], levels[1]),
            _mm256_packs_epi32(levels[2], levels[3]),
        )
    }
}
