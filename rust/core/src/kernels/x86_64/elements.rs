//! Samples to elements of two bytes, eight at a time.

use std::arch::x86_64::*;

use bytemuck::cast_mut;
use half::{bf16, f16};

pub(in crate::kernels) use super::floats::with_avx2::Constants;

/// Samples that become elements at once.
pub(in crate::kernels) const SAMPLES: usize = 8;

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(in crate::kernels) fn float16<const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [f16; SAMPLES],
) {
    let values = constants.normalised::<RESCALES>(samples);
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
    let bits = _mm256_castps_si256(constants.normalised::<RESCALES>(samples));
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
