//! Patch rows from bands of samples.

use std::slice;

use super::processor::elements::Constants;
use crate::kernels::band::{Band, RowShape};
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::scalar;
use crate::kernels::values::{Affine, Values};
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86_64::stream;

/// Samples that become elements at once.
pub(in crate::kernels) const SAMPLES: usize = 8;

/// Bytes of samples that are copied at once.
const COPIED: usize = 16;

/// Element types that are stored eight at a time.
pub trait Store: Sized {
    /// Whether elements are computed from samples, rather than the samples themselves.
    const COMPUTED: bool;

    /// Stores the elements of eight samples, normalised by `constants` if they are computed, and rescaled
    /// before that if `RESCALES`.
    ///
    /// # Safety
    /// A processor with a vector backend; 8 readable bytes at `samples` and 8 writable elements at `out`.
    unsafe fn store<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    );

    /// The same past the cache.
    ///
    /// # Safety
    /// As above, with `out` at a multiple of the size of eight elements.
    #[cfg(target_arch = "x86_64")]
    unsafe fn stream<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    );
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
    // SAFETY: every vector backend of the processor has these instructions. Patches have eight samples
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
    stream: bool,
) {
    let Some((affine, rescales)) = arithmetic(values).filter(|_| width >= SAMPLES) else {
        return scalar::write_plane(band, channel, width, values, plane);
    };
    // SAFETY: every vector backend of the processor has these instructions. Scanlines have eight samples
    // at least, and the band holds all of them.
    unsafe {
        if rescales {
            write_lines::<T, true>(band, channel, width, &affine[channel], plane, stream);
        } else {
            write_lines::<T, false>(band, channel, width, &affine[channel], plane, stream);
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
/// Scanlines of at least 8 pixels; a band that holds them.
#[cfg_attr(
    target_arch = "aarch64",
    expect(unused_variables, reason = "its stores do not bypass the cache")
)]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn write_lines<T: Store + Copy, const RESCALES: bool>(
    band: Band<'_>,
    channel: usize,
    width: usize,
    affine: &Affine,
    plane: &mut [T],
    stream: bool,
) {
    let line = |index: usize| &band.plane(index, channel)[..width];
    #[cfg(target_arch = "x86_64")]
    if stream && let Some(mut passing) = stream::Passing::new(plane, width, &[*affine], plane.len())
    {
        passing.write::<T, RESCALES>(plane, |index, samples| samples.copy_from_slice(line(index)));
        return;
    }
    let constants = Constants::new(affine);
    for (index, run) in plane.chunks_exact_mut(width).enumerate() {
        // SAFETY: as many samples as elements.
        unsafe { write_run::<T, RESCALES>(line(index).as_ptr(), &constants, run) };
    }
}

/// # Safety
/// As many samples as elements, eight or more.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
#[inline]
unsafe fn write_run<T: Store, const RESCALES: bool>(
    samples: *const u8,
    constants: &Constants,
    run: &mut [T],
) {
    let (out, last) = (run.as_mut_ptr(), run.len() - SAMPLES);
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
#[cfg_attr(
    target_arch = "aarch64",
    expect(unused_variables, reason = "its stores do not bypass the cache")
)]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn write_rows<T: Store + Copy, const PATCH: usize, const RESCALES: bool>(
    bands: &[Band<'_>],
    shape: RowShape,
    affine: &[Affine; 3],
    rows: &mut [T],
    stream: bool,
) {
    let columns = shape.columns();
    let copy = |index: usize, row: &mut [u8]| {
        // SAFETY: by the contract above, for the patch at this corner.
        unsafe { copy_row::<PATCH>(bands, shape, shape.corner(index), row) };
    };
    #[cfg(target_arch = "x86_64")]
    if stream && let Some(mut passing) = stream::Passing::new(rows, columns, affine, columns / 3) {
        passing.write::<T, RESCALES>(rows, copy);
        return;
    }
    let constants = affine.each_ref().map(|affine| Constants::new(affine));
    for (index, row) in rows.chunks_exact_mut(columns).enumerate() {
        if T::COMPUTED {
            let corner = shape.corner(index);
            // SAFETY: by the contract above, for the patch at this corner.
            unsafe { write_row::<T, PATCH, RESCALES>(bands, shape, &constants, corner, row) };
        } else {
            // SAFETY: elements that are samples are bytes.
            copy(index, unsafe {
                slice::from_raw_parts_mut(row.as_mut_ptr().cast(), columns)
            });
        }
    }
}

/// The frames of a group, of which the last stands for those that it lacks.
fn frames<'a>(bands: &'a [Band<'a>], slots: usize) -> impl Iterator<Item = &'a Band<'a>> {
    (0..slots).map(|slot| &bands[slot.min(bands.len() - 1)])
}

/// Writes from the first element to the last, those of frames that a group lacks too: a processor writes
/// whole lines of its cache as they are, without reading them first, where they are filled one after another.
///
/// # Safety
/// Patches of at least 8 pixels; bands that hold the one at `top` and `left`.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
#[inline]
unsafe fn write_row<T: Store, const PATCH: usize, const RESCALES: bool>(
    bands: &[Band<'_>],
    shape: RowShape,
    constants: &[Constants; 3],
    (top, left): (usize, usize),
    row: &mut [T],
) {
    let patch = if PATCH == 0 { shape.patch } else { PATCH };
    let area = patch * patch;
    for (channel, plane) in row.chunks_exact_mut(shape.slots * area).enumerate() {
        let constants = &constants[channel];
        for (slot, band) in plane.chunks_exact_mut(area).zip(frames(bands, shape.slots)) {
            let line = 3 * band.stride();
            let first = top * line + channel * band.stride() + left;
            for (y, run) in slot.chunks_exact_mut(patch).enumerate() {
                // SAFETY: the band has `patch` samples from `left` on in each plane of a scanline, and a run
                // has as many elements.
                unsafe {
                    let samples = band.samples().as_ptr().add(first + y * line);
                    write_run::<T, RESCALES>(samples, constants, run);
                }
            }
        }
    }
}

/// The samples of a patch in the order of its row. All but the last run of each frame are copied in pieces
/// that may reach into the next.
///
/// # Safety
/// Patches of at least 8 pixels; bands that hold the one at `top` and `left`.
#[inline]
unsafe fn copy_row<const PATCH: usize>(
    bands: &[Band<'_>],
    shape: RowShape,
    (top, left): (usize, usize),
    row: &mut [u8],
) {
    let patch = if PATCH == 0 { shape.patch } else { PATCH };
    assert!(row.len() == 3 * shape.slots * patch * patch);
    let mut out = row.as_mut_ptr();
    for channel in 0..3 {
        for band in frames(bands, shape.slots) {
            let line = 3 * band.stride();
            let first = top * line + channel * band.stride() + left;
            for y in 0..patch {
                let is_last = channel == 2 && y == patch - 1;
                // SAFETY: the band has `patch` samples from `left` on in each plane of a scanline. A piece reaches
                // less than 16 samples beyond those, and no more than there are in a run of at least 8. That
                // is within the next run, and within the band, where the next plane follows.
                unsafe {
                    let samples = band.samples().as_ptr().add(first + y * line);
                    if is_last {
                        samples.copy_to_nonoverlapping(out, patch);
                    } else {
                        for x in (0..patch).step_by(COPIED) {
                            samples.add(x).copy_to_nonoverlapping(out.add(x), COPIED);
                        }
                    }
                    out = out.add(patch);
                }
            }
        }
    }
}
