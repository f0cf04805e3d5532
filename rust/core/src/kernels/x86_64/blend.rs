//! Transparent colours to opaque ones.

use std::arch::x86_64::*;

use super::deinterleave::{Samples, load, store};
use crate::filter::Reference;

/// Blends the colours of a block of pixels, as the portable loop does and by the same arithmetic.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn blend(
    colours: &mut [Samples; 3],
    alphas: &Samples,
    reference: Reference,
) {
    let alphas = load(alphas);
    let alphas_16 = halves(alphas);
    match reference {
        Reference::Torchvision => {
            let is = |alpha| _mm256_cmpeq_epi8(alphas, _mm256_set1_epi8(alpha));
            // -1 for the alphas that have numbers of their own, in 8 bits; unpacked with itself, in 16. Their
            // numbers are chosen by it, and lie in the order of the halves of the block:
            //
            //     alphas     a0 a1 ... a15 | a16 ... a31       (bytes, in the lanes 0 and 1)
            //     factors    a0 a1 ...  a7 | a16 ... a23       (16 bits)
            //                a8 ...    a15 | a24 ... a31
            let own = _mm256_or_si256(is(104), is(127));
            let biases = halves(_mm256_blendv_epi8(
                _mm256_set1_epi8(26),
                _mm256_set1_epi8(53),
                own,
            ));
            let factors = [
                _mm256_unpacklo_epi8(own, own),
                _mm256_unpackhi_epi8(own, own),
            ]
            .map(|own| _mm256_add_epi16(_mm256_set1_epi16(515), own));
            blend_by(colours, alphas_16, |lacking, half| {
                let biased = _mm256_add_epi16(lacking, biases[half]);
                let part = _mm256_mulhi_epu16(biased, factors[half]);
                _mm256_srli_epi16::<8>(_mm256_adds_epu16(lacking, part))
            });
        }
        Reference::Pillow12 | Reference::Pillow13 => blend_by(colours, alphas_16, |lacking, _| {
            let rounded = _mm256_add_epi16(lacking, _mm256_set1_epi16(128));
            _mm256_mulhi_epu16(rounded, _mm256_set1_epi16(257))
        }),
    }
}

/// What `taken` of (255 - colour) * alpha, in a half of the block, leaves of white.
#[target_feature(enable = "avx2")]
#[inline]
fn blend_by(
    colours: &mut [Samples; 3],
    alphas: [__m256i; 2],
    taken: impl Fn(__m256i, usize) -> __m256i,
) {
    let white = _mm256_set1_epi8(-1);
    for colours in colours {
        let [low, high] = halves(_mm256_xor_si256(load(colours), white));
        let low = taken(_mm256_mullo_epi16(low, alphas[0]), 0);
        let high = taken(_mm256_mullo_epi16(high, alphas[1]), 1);
        store(
            _mm256_xor_si256(_mm256_packus_epi16(low, high), white),
            colours,
        );
    }
}

/// Samples as 16 bits each: the lower half of each lane, and the upper half, which packing puts together again.
///
/// ```text
/// samples      s0 s1 ... s15 | s16 ... s31       (bytes, in the lanes 0 and 1)
/// lower        s0 s1 ...  s7 | s16 ... s23       (16 bits)
/// upper        s8 ...    s15 | s24 ... s31
/// ```
#[target_feature(enable = "avx2")]
#[inline]
fn halves(samples: __m256i) -> [__m256i; 2] {
    let zero = _mm256_setzero_si256();
    [
        _mm256_unpacklo_epi8(samples, zero),
        _mm256_unpackhi_epi8(samples, zero),
    ]
}
