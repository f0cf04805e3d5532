//! Transparent colours to opaque ones.

use std::arch::x86_64::*;

use crate::filter::Reference;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::scalar;

/// Samples that are blended at once.
const SAMPLES: usize = 32;

/// See [`crate::kernels::blend::over_white`].
pub(in crate::kernels) fn over_white(
    isa: Isa,
    colours: &mut [u8],
    alphas: &[u8],
    reference: Reference,
) {
    match (isa.backend(), reference) {
        (Backend::Scalar, _) => {}
        // SAFETY: the processor has AVX2, as it has with AVX-512.
        (_, Reference::Torchvision) => unsafe { as_torchvision(colours, alphas) },
        // SAFETY: as above.
        (_, Reference::Pillow12 | Reference::Pillow13) => unsafe {
            as_pillow(colours, alphas, reference);
        },
    }
}

/// The portable loop, which the compiler makes vectors of.
#[target_feature(enable = "avx2")]
fn as_pillow(colours: &mut [u8], alphas: &[u8], reference: Reference) {
    scalar::over_white(colours, alphas, reference);
}

/// Most pixels are opaque, and their neighbours too: they stay as they are.
#[target_feature(enable = "avx2")]
fn as_torchvision(colours: &mut [u8], alphas: &[u8]) {
    let (blocks, rest) = colours.as_chunks_mut::<SAMPLES>();
    let (alpha_blocks, alpha_rest) = alphas.as_chunks::<SAMPLES>();
    for (colours, alphas) in blocks.iter_mut().zip(alpha_blocks) {
        if alphas.iter().all(|alpha| *alpha == 255) {
            continue;
        }
        let (colours, alphas) = (colours.as_chunks_mut::<8>().0, alphas.as_chunks::<8>().0);
        for (colours, alphas) in colours.iter_mut().zip(alphas) {
            *colours = blended(colours, alphas);
        }
    }
    scalar::over_white(rest, alpha_rest, Reference::Torchvision);
}

/// Eight samples, in the order of operations of the scalar loop.
#[target_feature(enable = "avx2")]
#[inline]
fn blended(colours: &[u8; 8], alphas: &[u8; 8]) -> [u8; 8] {
    let scale = _mm256_set1_ps(scalar::BLEND_SCALE);
    let (colours, alphas) = (
        _mm256_mul_ps(widened(colours), scale),
        _mm256_mul_ps(widened(alphas), scale),
    );
    let white = _mm256_sub_ps(_mm256_set1_ps(1.0), alphas);
    let both = _mm256_add_ps(_mm256_mul_ps(colours, alphas), white);
    let samples = _mm256_cvttps_epi32(_mm256_mul_ps(both, _mm256_set1_ps(scalar::BLEND_UNSCALE)));
    // Fours of the two lanes, packed to the eight lowest bytes.
    let (first, second) = (
        _mm256_castsi256_si128(samples),
        _mm256_extracti128_si256::<1>(samples),
    );
    let words = _mm_packs_epi32(first, second);
    _mm_cvtsi128_si64(_mm_packus_epi16(words, words)).to_le_bytes()
}

#[target_feature(enable = "avx2")]
#[inline]
fn widened(samples: &[u8; 8]) -> __m256 {
    let samples = _mm_cvtsi64_si128(i64::from_le_bytes(*samples));
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(samples))
}
