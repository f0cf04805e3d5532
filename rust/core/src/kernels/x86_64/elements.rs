//! Samples to elements of rows, eight at a time.

use std::arch::x86_64::*;
use std::{array, convert};

use half::{bf16, f16};

use crate::kernels::values::Affine;
use crate::kernels::vector::{SAMPLES, Store};

/// [`Affine`] in registers.
#[derive(Debug, Clone, Copy)]
pub struct Constants {
    scale: [__m256; 2],
    mean: __m256,
    inverse_std: [__m256; 2],
}

impl Constants {
    /// The same for every lane.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(in crate::kernels) fn new(affine: &Affine) -> Self {
        Self::by_lane(|_| *affine)
    }

    /// Those of each lane.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(super) fn by_lane(affine: impl Fn(usize) -> Affine) -> Self {
        let affines: [Affine; SAMPLES] = array::from_fn(affine);
        let register = |number: fn(&Affine) -> f32| {
            let [a, b, c, d, e, f, g, h] = affines.each_ref().map(number);
            _mm256_setr_ps(a, b, c, d, e, f, g, h)
        };
        Self {
            scale: [
                register(|affine| affine.scale.high),
                register(|affine| affine.scale.low),
            ],
            mean: register(|affine| affine.mean),
            inverse_std: [
                register(|affine| affine.inverse_std.high),
                register(|affine| affine.inverse_std.low),
            ],
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

/// Float16 to nearest even.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn halves(values: __m256) -> __m128i {
    _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values)
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
fn upper_halves(values: __m256) -> __m128i {
    let bits = _mm256_castps_si256(values);
    let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    let upper = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, bias));
    let packed = _mm256_packus_epi32(upper, upper);
    _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(packed))
}

/// An element type that takes float32 values: what `$convert` makes of them is what `$store` and `$stream` store.
macro_rules! computed {
    ($element:ty, $convert:expr, $store:ident, $stream:ident) => {
        impl Store for $element {
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
                    $store(
                        out.cast(),
                        $convert(normalised::<RESCALES>(samples, constants)),
                    )
                };
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            #[inline]
            unsafe fn stream<const RESCALES: bool>(
                out: *mut Self,
                samples: *const u8,
                constants: &Constants,
            ) {
                // SAFETY: by the trait's contract.
                unsafe {
                    $stream(
                        out.cast(),
                        $convert(normalised::<RESCALES>(samples, constants)),
                    )
                };
            }
        }
    };
}

computed!(f32, convert::identity, _mm256_storeu_ps, _mm256_stream_ps);
computed!(f16, halves, _mm_storeu_si128, _mm_stream_si128);
computed!(bf16, upper_halves, _mm_storeu_si128, _mm_stream_si128);

impl Store for u8 {
    const COMPUTED: bool = false;

    #[inline]
    unsafe fn store<const RESCALES: bool>(out: *mut Self, samples: *const u8, _: &Constants) {
        // SAFETY: by the trait's contract.
        unsafe { samples.copy_to_nonoverlapping(out, SAMPLES) };
    }

    #[inline]
    unsafe fn stream<const RESCALES: bool>(out: *mut Self, samples: *const u8, _: &Constants) {
        // SAFETY: by the trait's contract.
        unsafe { _mm_stream_si64(out.cast(), samples.cast::<i64>().read_unaligned()) };
    }
}
