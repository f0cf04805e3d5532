//! Patch rows from bands of samples.

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::{mem, slice};

use half::{bf16, f16};

use crate::kernels::band::{Band, RowShape};
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::scalar;
use crate::kernels::values::{Affine, Factor, Values};
use crate::memory;

/// Samples that become elements at once.
const SAMPLES: usize = 8;

/// Bytes that bypass the cache at once.
const STREAMED: usize = 32;

/// Element types that are stored eight at a time.
pub trait Store: Sized {
    /// Whether elements are computed from samples, rather than the samples themselves.
    const COMPUTED: bool;

    /// Stores the elements of eight samples, normalised by `constants` if they are computed, and rescaled
    /// before that if `RESCALES`.
    ///
    /// # Safety
    /// AVX2, FMA and F16C; 8 readable bytes at `samples` and 8 writable elements at `out`.
    unsafe fn store<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    );
}

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
    fn new(affine: &Affine) -> Self {
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

impl Store for u8 {
    const COMPUTED: bool = false;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn store<const RESCALES: bool>(out: *mut Self, samples: *const u8, _: &Constants) {
        // SAFETY: by the trait's contract.
        unsafe { std::ptr::copy_nonoverlapping(samples, out, SAMPLES) };
    }
}

/// See [`crate::kernels::rows::write_band`], which has checked that the bands hold all patches.
pub(in crate::kernels) fn write_band<T: Store + Copy>(
    isa: Isa,
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
    stream: bool,
) {
    let Some((affine, rescales)) =
        arithmetic(values).filter(|_| shape.patch >= SAMPLES && isa.backend() != Backend::Scalar)
    else {
        return scalar::write_band(bands, shape, values, rows);
    };
    // SAFETY: the processor has AVX2, FMA and F16C, as it has with AVX-512. Patches have eight samples
    // at least, and bands hold all of them.
    unsafe {
        match (shape.patch, rescales) {
            (14, false) => write_rows::<T, 14, false>(bands, shape, &affine, rows, stream),
            (14, true) => write_rows::<T, 14, true>(bands, shape, &affine, rows, stream),
            (16, false) => write_rows::<T, 16, false>(bands, shape, &affine, rows, stream),
            (16, true) => write_rows::<T, 16, true>(bands, shape, &affine, rows, stream),
            (_, false) => write_rows::<T, 0, false>(bands, shape, &affine, rows, stream),
            (_, true) => write_rows::<T, 0, true>(bands, shape, &affine, rows, stream),
        }
    }
}

/// See [`crate::kernels::rows::write_plane`], which has checked that the band holds the plane.
pub(in crate::kernels) fn write_plane<T: Store + Copy>(
    band: Band<'_>,
    channel: usize,
    width: usize,
    values: &Values<T>,
    plane: &mut [T],
) {
    let Some((affine, rescales)) = arithmetic(values).filter(|_| width >= SAMPLES) else {
        return scalar::write_plane(band, channel, width, values, plane);
    };
    // SAFETY: the processor has AVX2, FMA and F16C, as it has with AVX-512. Scanlines have eight samples at
    // least, and the band holds all of them.
    unsafe {
        let constants = Constants::new(&affine[channel]);
        for (y, run) in plane.chunks_exact_mut(width).enumerate() {
            let samples = &band.plane(y, channel)[..width];
            if rescales {
                write_run::<T, true>(samples, &constants, run);
            } else {
                write_run::<T, false>(samples, &constants, run);
            }
        }
    }
}

/// The arithmetic that gives the elements of `values`, if there is one, and whether it rescales.
fn arithmetic<T: Store>(values: &Values<T>) -> Option<([Affine; 3], bool)> {
    let affine = match values.affine {
        _ if !T::COMPUTED => [Affine::IDENTITY; 3],
        affine => affine?,
    };
    let rescales = |affine: &Affine| affine.scale != Affine::IDENTITY.scale;
    Some((affine, affine.iter().any(rescales)))
}

/// # Safety
/// As many samples as elements, eight or more.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn write_run<T: Store, const RESCALES: bool>(
    samples: &[u8],
    constants: &Constants,
    run: &mut [T],
) {
    let (samples, out, last) = (samples.as_ptr(), run.as_mut_ptr(), run.len() - SAMPLES);
    // SAFETY: by the contract above; every store ends within the run.
    unsafe {
        for x in (0..last).step_by(SAMPLES) {
            T::store::<RESCALES>(out.add(x), samples.add(x), constants);
        }
        // The last store is moved back to end where the run does.
        T::store::<RESCALES>(out.add(last), samples.add(last), constants);
    }
}

/// Patches of `PATCH` pixels, or of any number if that is 0.
///
/// # Safety
/// Patches of at least 8 pixels; bands that hold all of them.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn write_rows<T: Store + Copy, const PATCH: usize, const RESCALES: bool>(
    bands: &[Band<'_>],
    shape: RowShape,
    affine: &[Affine; 3],
    rows: &mut [T],
    stream: bool,
) {
    let constants = [0, 1, 2].map(|channel| Constants::new(&affine[channel]));
    let columns = shape.columns();
    let write = |first: usize, rows: &mut [T]| {
        for (index, row) in rows.chunks_exact_mut(columns).enumerate() {
            let (top, left) = shape.corner(first + index);
            // SAFETY: by the contract above, for the patch at this corner.
            unsafe { write_row::<T, PATCH, RESCALES>(bands, shape, &constants, top, left, row) };
        }
    };
    let Some(mut cached) = Cached::new(rows, columns).filter(|_| stream) else {
        return write(0, rows);
    };
    let count = cached.rows;
    for (index, rows) in rows.chunks_mut(count * columns).enumerate() {
        write(index * count, cached.elements(rows.len()));
        cached.stream(rows);
    }
    // Whoever reads the rows next may be another thread.
    _mm_sfence();
}

/// A few rows in the cache, on their way to memory past it.
///
/// A store of part of a cache line makes the processor read the line first. Rows that are made here and
/// then stored whole lines at a time spare it that.
struct Cached<T> {
    registers: Vec<__m256i>,
    /// Rows that fill whole registers.
    rows: usize,
    elements: PhantomData<T>,
}

impl<T: Copy> Cached<T> {
    /// None if registers of `rows` do not lie as streaming stores need them, or there is no memory.
    fn new(rows: &[T], columns: usize) -> Option<Self> {
        let row_bytes = columns * size_of::<T>();
        let count = [1, 2, 4, 8, 16, 32]
            .into_iter()
            .find(|count| (count * row_bytes).is_multiple_of(STREAMED))?;
        let aligned = rows.as_ptr().addr().is_multiple_of(STREAMED)
            && size_of_val(rows).is_multiple_of(STREAMED);
        if !aligned {
            return None;
        }
        // SAFETY: any bits are a register.
        let zero = unsafe { mem::zeroed() };
        let registers = memory::filled(count * row_bytes / STREAMED, zero, "a few rows");
        Some(Self {
            registers: registers.ok()?,
            rows: count,
            elements: PhantomData,
        })
    }

    /// The first `count` elements.
    fn elements(&mut self, count: usize) -> &mut [T] {
        assert!(count * size_of::<T>() <= size_of_val(&self.registers[..]));
        // SAFETY: the registers have as many bytes, are aligned for every element and are initialised, as
        // elements of rows are by any bits; `T` is one of those.
        unsafe { slice::from_raw_parts_mut(self.registers.as_mut_ptr().cast(), count) }
    }

    /// Copies as many elements as there are in `rows` to them, past the cache.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn stream(&self, rows: &mut [T]) {
        let count = size_of_val(rows) / STREAMED;
        let out = rows.as_mut_ptr().cast::<__m256i>();
        for (index, register) in self.registers[..count].iter().enumerate() {
            // SAFETY: rows are whole registers, and aligned, as `new` found.
            unsafe { _mm256_stream_si256(out.add(index), *register) };
        }
    }
}

/// # Safety
/// Patches of at least 8 pixels; bands that hold the one at `top` and `left`.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn write_row<T: Store + Copy, const PATCH: usize, const RESCALES: bool>(
    bands: &[Band<'_>],
    shape: RowShape,
    constants: &[Constants; 3],
    top: usize,
    left: usize,
    row: &mut [T],
) {
    let patch = if PATCH == 0 { shape.patch } else { PATCH };
    let area = patch * patch;
    for (channel, plane) in row.chunks_exact_mut(shape.slots * area).enumerate() {
        let constants = &constants[channel];
        for (slot, band) in plane.chunks_exact_mut(area).zip(bands) {
            let line = 3 * band.stride();
            let first = top * line + channel * band.stride() + left;
            for (y, run) in slot.chunks_exact_mut(patch).enumerate() {
                let out = run.as_mut_ptr();
                // SAFETY: the band has `patch` samples from `left` on in each plane of a scanline; a
                // run has as many elements, and every store ends within them.
                unsafe {
                    let samples = band.samples().as_ptr().add(first + y * line);
                    for x in (0..patch - SAMPLES).step_by(SAMPLES) {
                        T::store::<RESCALES>(out.add(x), samples.add(x), constants);
                    }
                    // The last store is moved back to end where the run does.
                    let last = patch - SAMPLES;
                    T::store::<RESCALES>(out.add(last), samples.add(last), constants);
                }
            }
        }
        // The last frame stands for those that its group lacks.
        for slot in bands.len()..shape.slots {
            plane.copy_within((slot - 1) * area..slot * area, slot * area);
        }
    }
}
