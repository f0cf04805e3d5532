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
        *colours = blended(colours, alphas);
    }
    scalar::over_white(rest, alpha_rest, Reference::Torchvision);
}

/// Samples in the order of operations of the scalar loop, eight at a time.
///
/// ```text
/// sums       a: a0 a1 | b: b0 b1 | c: c0 c1 | d: d0 d1        (fours in the lanes 0 and 1)
/// packed     a0 b0 c0 d0 | a1 b1 c1 d1                        (packing works within lanes)
/// in order   a0 a1 b0 b1 | c0 c1 d0 d1
/// ```
#[target_feature(enable = "avx2")]
#[inline]
fn blended(colours: &[u8; SAMPLES], alphas: &[u8; SAMPLES]) -> [u8; SAMPLES] {
    let scale = _mm256_set1_ps(scalar::BLEND_SCALE);
    let mut eights = [_mm256_setzero_si256(); SAMPLES / 8];
    let samples = colours.as_chunks().0.iter().zip(alphas.as_chunks().0);
    for (eight, (colours, alphas)) in eights.iter_mut().zip(samples) {
        let colours = _mm256_mul_ps(widened(colours), scale);
        let alphas = _mm256_mul_ps(widened(alphas), scale);
        let white = _mm256_sub_ps(_mm256_set1_ps(1.0), alphas);
        let both = _mm256_add_ps(_mm256_mul_ps(colours, alphas), white);
        let unscaled = _mm256_mul_ps(both, _mm256_set1_ps(scalar::BLEND_UNSCALE));
        *eight = _mm256_cvttps_epi32(unscaled);
    }
    let [a, b, c, d] = eights;
    let packed = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let mut samples = [0; SAMPLES];
    super::avx2::store(_mm256_permutevar8x32_epi32(packed, order), &mut samples);
    samples
}

#[target_feature(enable = "avx2")]
#[inline]
fn widened(samples: &[u8; 8]) -> __m256 {
    // SAFETY: 8 bytes.
    let samples = unsafe { _mm_loadl_epi64(samples.as_ptr().cast()) };
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(samples))
}
