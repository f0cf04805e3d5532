//! Samples to elements of rows, eight at a time.

use std::arch::x86_64::*;

use bytemuck::cast_mut;
use half::{bf16, f16};

use crate::kernels::values::{Affine, Factor};

/// Samples that become elements at once.
pub(in crate::kernels) const SAMPLES: usize = 8;

/// [`Affine`] in registers.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Constants {
    scale: [__m256; 2],
    mean: __m256,
    inverse_std: [__m256; 2],
}

impl Constants {
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(in crate::kernels) fn new(affine: &Affine) -> Self {
        let factor = |factor: Factor| [_mm256_set1_ps(factor.high), _mm256_set1_ps(factor.low)];
        Self {
            scale: factor(affine.scale),
            mean: _mm256_set1_ps(affine.mean),
            inverse_std: factor(affine.inverse_std),
        }
    }
}

/// Eight samples as float32, normalised: [`Affine::apply`], which rescales if `RESCALES`.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn normalised<const RESCALES: bool>(samples: &[u8; SAMPLES], constants: &Constants) -> __m256 {
    // SAFETY: 8 bytes.
    let samples = unsafe { _mm_loadl_epi64(samples.as_ptr().cast()) };
    let mut values = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(samples));
    if RESCALES {
        values = times(values, constants.scale);
    }
    times(_mm256_sub_ps(values, constants.mean), constants.inverse_std)
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn times(numbers: __m256, [high, low]: [__m256; 2]) -> __m256 {
    _mm256_fmadd_ps(numbers, high, _mm256_mul_ps(numbers, low))
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(in crate::kernels) fn float32<const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [f32; SAMPLES],
) {
    // SAFETY: 8 times 4 bytes.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), normalised::<RESCALES>(samples, constants)) };
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(in crate::kernels) fn float16<const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [f16; SAMPLES],
) {
    let values = normalised::<RESCALES>(samples, constants);
    store_halves(
        _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values),
        cast_mut(out),
    );
}

/// The upper half of the bits of each value, after adding just under half of its last place, and the
/// rest of that half if the last place is odd. Samples normalise to no NaN.
///
/// ```text
/// packed       v0-3 v0-3 | v4-7 v4-7      (fours of 16 bits; packing works within lanes)
/// in order     v0-3 v4-7
/// ```
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(in crate::kernels) fn bfloat16<const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [bf16; SAMPLES],
) {
    let bits = _mm256_castps_si256(normalised::<RESCALES>(samples, constants));
    let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    let upper = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, bias));
    let packed = _mm256_packus_epi32(upper, upper);
    let in_order = _mm256_permute4x64_epi64::<0b10_00>(packed);
    store_halves(_mm256_castsi256_si128(in_order), cast_mut(out));
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store_halves(register: __m128i, out: &mut [u16; SAMPLES]) {
    // SAFETY: 8 times 2 bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), register) };
}
