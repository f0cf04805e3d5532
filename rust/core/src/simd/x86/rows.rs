//! Patch rows from bands of pixels.

use std::arch::x86_64::*;

use half::{bf16, f16};

use crate::rows::{Affine, Band, Divisor, RowShape, Values};
use crate::simd::scalar;

/// Element types that this arm writes eight at a time.
pub trait Lanes: Sized {
    /// Whether elements are computed from levels by [`Affine`].
    const COMPUTED: bool;

    /// Stores the elements of eight levels.
    ///
    /// # Safety
    /// AVX2, FMA and F16C, 8 readable bytes at `levels` and 8 writable elements at `out`.
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine);
}

/// Eight levels as float32, normalised.
///
/// # Safety
/// AVX2 and FMA, 8 readable bytes.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn normalised(levels: *const u8, affine: &Affine) -> __m256 {
    // SAFETY: the caller's.
    let levels = unsafe { _mm_loadl_epi64(levels.cast()) };
    let mut values = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(levels));
    if affine.divisor.value != 1.0 {
        values = divided(values, affine.divisor);
    }
    divided(
        _mm256_sub_ps(values, _mm256_set1_ps(affine.mean)),
        affine.std,
    )
}

/// `Divisor::divide`, eight times.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn divided(numbers: __m256, divisor: Divisor) -> __m256 {
    let reciprocal = _mm256_set1_ps(divisor.reciprocal);
    let quotients = _mm256_mul_ps(numbers, reciprocal);
    let missing = _mm256_fnmadd_ps(quotients, _mm256_set1_ps(divisor.value), numbers);
    _mm256_fmadd_ps(missing, reciprocal, quotients)
}

impl Lanes for f32 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine) {
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_ps(out, normalised(levels, affine)) };
    }
}

impl Lanes for f16 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,fma,f16c")]
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

    #[target_feature(enable = "avx2,fma,f16c")]
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

    #[target_feature(enable = "avx2,fma,f16c")]
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
    let affine = match values.affine {
        Some(affine) => affine,
        None if !T::COMPUTED => [Affine::IDENTITY; 3],
        None => return scalar::write_band(bands, shape, values, rows),
    };
    let (_, last) = shape.corner((rows.len() / shape.columns()).saturating_sub(1));
    let lines = shape.merge * shape.patch;
    for band in bands {
        assert!(band.bytes().len() >= 3 * lines * band.stride());
        assert!(last + shape.patch <= band.stride());
    }
    // SAFETY: every `Isa` but the scalar one has AVX2, FMA and F16C. Bands have the
    // lines of a line of blocks and reach as far right as the last patch, which no other exceeds.
    unsafe {
        match shape.patch {
            14 => write_rows::<T, 14>(bands, shape, &affine, rows),
            16 => write_rows::<T, 16>(bands, shape, &affine, rows),
            _ => scalar::write_band(bands, shape, values, rows),
        }
    }
}

/// # Safety
/// AVX2, FMA and F16C; patches of `PATCH` pixels, at least 8; bands that hold all of them.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn write_rows<T: Lanes + Copy, const PATCH: usize>(
    bands: &[Band<'_>],
    shape: RowShape,
    affine: &[Affine; 3],
    rows: &mut [T],
) {
    let area = PATCH * PATCH;
    for (index, row) in rows.chunks_exact_mut(shape.columns()).enumerate() {
        let (top, left) = shape.corner(index);
        for (channel, plane) in row.chunks_exact_mut(shape.slots * area).enumerate() {
            let affine = &affine[channel];
            for (slot, band) in plane.chunks_exact_mut(area).zip(bands) {
                let line = 3 * band.stride();
                let first = top * line + channel * band.stride() + left;
                for (y, run) in slot.chunks_exact_mut(PATCH).enumerate() {
                    let out = run.as_mut_ptr();
                    // SAFETY: the band has `PATCH` levels from `left` on in each plane of a line; a
                    // run has as many elements, and every store ends within them.
                    unsafe {
                        let levels = band.bytes().as_ptr().add(first + y * line);
                        for x in (0..PATCH - 8).step_by(8) {
                            T::store(out.add(x), levels.add(x), affine);
                        }
                        // The last store is moved back to end where the run does.
                        T::store(out.add(PATCH - 8), levels.add(PATCH - 8), affine);
                    }
                }
            }
            // The last frame stands for those that its group lacks.
            for slot in bands.len()..shape.slots {
                plane.copy_within((slot - 1) * area..slot * area, slot * area);
            }
        }
    }
}
