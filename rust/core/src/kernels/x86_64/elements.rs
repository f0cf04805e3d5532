//! Samples to elements of rows, eight at a time.

use std::arch::x86_64::*;

use half::{bf16, f16};

use crate::kernels::values::{Affine, Factor};
use crate::kernels::vector::Store;

/// [`Affine`] in registers.
#[derive(Debug, Clone, Copy)]
pub struct Constants {
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

/// Eight samples as float32, normalised: [`Affine::apply`].
///
/// # Safety
/// 8 readable bytes.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn normalised<const RESCALES: bool>(samples: *const u8, constants: &Constants) -> __m256 {
    // SAFETY: by the contract above.
    let samples = unsafe { _mm_loadl_epi64(samples.cast()) };
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

impl Store for f32 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn store<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    ) {
        // SAFETY: by the trait's contract.
        unsafe { _mm256_storeu_ps(out, normalised::<RESCALES>(samples, constants)) };
    }
}

impl Store for f16 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn store<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    ) {
        // SAFETY: by the trait's contract.
        unsafe {
            let values = normalised::<RESCALES>(samples, constants);
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values);
            _mm_storeu_si128(out.cast(), halves);
        }
    }
}

impl Store for bf16 {
    const COMPUTED: bool = true;

    /// The upper half of the bits of each value, after adding just under half of its last place, and the
    /// rest of that half if the last place is odd. Samples normalise to no NaN.
    ///
    /// ```text
    /// packed       v0-3 v0-3 | v4-7 v4-7      (fours of 16 bits; packing works within lanes)
    /// in order     v0-3 v4-7
    /// ```
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn store<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    ) {
        // SAFETY: by the trait's contract.
        let bits = unsafe { _mm256_castps_si256(normalised::<RESCALES>(samples, constants)) };
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        let upper = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, bias));
        let packed = _mm256_packus_epi32(upper, upper);
        let in_order = _mm256_permute4x64_epi64::<0b10_00>(packed);
        // SAFETY: by the trait's contract.
        unsafe { _mm_storeu_si128(out.cast(), _mm256_castsi256_si128(in_order)) };
    }
}
