//! Patch rows from bands of pixels.

use std::arch::x86_64::*;

use half::{bf16, f16};

use crate::rows::{Affine, Band, RowShape, Values};
use crate::simd::scalar;

/// Element types that this arm writes eight at a time.
pub trait Lanes: Sized {
    /// Whether elements are computed from levels by [`Affine`].
    const COMPUTED: bool;

    /// Stores the elements of eight levels.
    ///
    /// # Safety
    /// AVX2 and F16C, 8 readable bytes at `levels` and 8 writable elements at `out`.
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine);
}

/// Eight levels as float32, normalised.
///
/// # Safety
/// AVX2, 8 readable bytes.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn normalised(levels: *const u8, affine: &Affine) -> __m256 {
    // SAFETY: the caller's.
    let levels = unsafe { _mm_loadl_epi64(levels.cast()) };
    let mut values = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(levels));
    if affine.divisor != 1.0 {
        values = _mm256_div_ps(values, _mm256_set1_ps(affine.divisor));
    }
    let centred = _mm256_sub_ps(values, _mm256_set1_ps(affine.mean));
    _mm256_div_ps(centred, _mm256_set1_ps(affine.std))
}

impl Lanes for f32 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine) {
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_ps(out, normalised(levels, affine)) };
    }
}

impl Lanes for f16 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine) {
        // SAFETY: the caller's.
        unsafe {
            let values = normalised(levels, affine);
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values);
            _mm_storeu_si128(out.cast(), halves);
        }
    }
}

impl Lanes for bf16 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine) {
        // The upper half of the bits, after adding just under half of its last place, and the rest
        // of that half if the last place is odd. Levels normalise to no NaN.
        // SAFETY: the caller's.
        let bits = unsafe { _mm256_castps_si256(normalised(levels, affine)) };
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        let upper = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, bias));
        let packed = _mm256_packus_epi32(upper, upper);
        let joined = _mm256_permute4x64_epi64::<0b10_00>(packed);
        // SAFETY: the caller's.
        unsafe { _mm_storeu_si128(out.cast(), _mm256_castsi256_si128(joined)) };
    }
}

impl Lanes for u8 {
    const COMPUTED: bool = false;

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, _: &Affine) {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(levels, out, 8) };
    }
}

/// See [`crate::simd::write_band`].
pub(in crate::simd) fn write_band<T: Lanes + Copy>(
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
) {
    const IDENTITY: Affine = Affine {
        divisor: 1.0,
        mean: 0.0,
        std: 1.0,
    };
    let affine = match values.affine {
        Some(affine) => affine,
        None if !T::COMPUTED => [IDENTITY; 3],
        None => return scalar::write_band(bands, shape, values, rows),
    };
    if shape.patch < 8 {
        return scalar::write_band(bands, shape, values, rows);
    }
    // SAFETY: `Isa::Avx2` exists only where the processor has AVX2 and F16C.
    unsafe { write_rows(bands, shape, &affine, rows) };
}

/// # Safety
/// AVX2 and F16C, and patches of at least 8 pixels.
#[target_feature(enable = "avx2,f16c")]
unsafe fn write_rows<T: Lanes + Copy>(
    bands: &[Band<'_>],
    shape: RowShape,
    affine: &[Affine; 3],
    rows: &mut [T],
) {
    let patch = shape.patch;
    // One store after another, the last moved back to end where the run of pixels does.
    let full = patch / 8;
    let tail = patch - 8;
    for (index, row) in rows.chunks_exact_mut(shape.columns()).enumerate() {
        let (top, left) = shape.corner(index);
        for (channel, plane) in row
            .chunks_exact_mut(shape.slots * patch * patch)
            .enumerate()
        {
            let affine = &affine[channel];
            for (slot, band) in plane.chunks_exact_mut(patch * patch).zip(bands) {
                for (y, run) in slot.chunks_exact_mut(patch).enumerate() {
                    let levels = &band.plane(top + y, channel)[left..left + patch];
                    let (out, levels) = (run.as_mut_ptr(), levels.as_ptr());
                    // SAFETY: both have `patch` elements, and every store ends within them.
                    unsafe {
                        for x in 0..full {
                            T::store(out.add(8 * x), levels.add(8 * x), affine);
                        }
                        T::store(out.add(tail), levels.add(tail), affine);
                    }
                }
            }
            // The last frame stands for those that its group lacks.
            for slot in bands.len()..shape.slots {
                let written = slot * patch * patch;
                plane.copy_within(written - patch * patch..written, written);
            }
        }
    }
}
