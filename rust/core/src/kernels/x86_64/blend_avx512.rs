//! Transparent colours to opaque ones, in registers of AVX-512.

use std::arch::x86_64::*;

use super::deinterleave_vbmi::{Samples, load, store};
use crate::filter::Reference;

/// Blends the colours of a block of pixels, as [`super::blend::blend`] does.
#[target_feature(enable = "avx512f,avx512bw")]
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
            let is = |alpha| _mm512_cmpeq_epi8_mask(alphas, _mm512_set1_epi8(alpha));
            // -1 in 8 bits, then in 16. Of a choice between two factors of 16 bits the compiler would make
            // multiplications of twice the width.
            let own = _mm512_movm_epi8(is(104) | is(127));
            let bias = _mm512_and_si512(own, _mm512_set1_epi8(27));
            let biases = halves(_mm512_add_epi8(_mm512_set1_epi8(26), bias));
            let factors = [
                _mm512_unpacklo_epi8(own, own),
                _mm512_unpackhi_epi8(own, own),
            ]
            .map(|own| _mm512_add_epi16(_mm512_set1_epi16(515), own));
            blend_by(colours, alphas_16, |lacking, half| {
                let biased = _mm512_add_epi16(lacking, biases[half]);
                let part = _mm512_mulhi_epu16(biased, factors[half]);
                _mm512_srli_epi16::<8>(_mm512_adds_epu16(lacking, part))
            });
        }
        Reference::Pillow12 | Reference::Pillow13 => blend_by(colours, alphas_16, |lacking, _| {
            let rounded = _mm512_add_epi16(lacking, _mm512_set1_epi16(128));
            _mm512_mulhi_epu16(rounded, _mm512_set1_epi16(257))
        }),
    }
}

/// What `taken` of (255 - colour) * alpha, in a half of the block, leaves of white.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn blend_by(
    colours: &mut [Samples; 3],
    alphas: [__m512i; 2],
    taken: impl Fn(__m512i, usize) -> __m512i,
) {
    let white = _mm512_set1_epi8(-1);
    for colours in colours {
        let [low, high] = halves(_mm512_xor_si512(load(colours), white));
        let low = taken(_mm512_mullo_epi16(low, alphas[0]), 0);
        let high = taken(_mm512_mullo_epi16(high, alphas[1]), 1);
        store(
            _mm512_xor_si512(_mm512_packus_epi16(low, high), white),
            colours,
        );
    }
}

/// Samples as 16 bits each: the lower half of each lane, and the upper half, which packing puts together again.
#[target_feature(enable = "avx512bw")]
#[inline]
fn halves(samples: __m512i) -> [__m512i; 2] {
    let zero = _mm512_setzero_si512();
    [
        _mm512_unpacklo_epi8(samples, zero),
        _mm512_unpackhi_epi8(samples, zero),
    ]
}
