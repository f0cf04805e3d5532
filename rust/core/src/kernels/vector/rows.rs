//! Patch rows from bands of samples.

use std::array;

use bytemuck::{Pod, cast_mut};

use super::processor::elements::{Constants, SAMPLES, bfloat16, float16, float32};
use super::sink::Sink;
use crate::kernels::band::{Band, RowShape};
use crate::kernels::element::{Kind, Store};
use crate::kernels::isa::{Baseline, VectorIsa};
use crate::kernels::scalar;
use crate::kernels::values::{Affine, Values};
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86_64::lookup::Lookup;

/// Bytes of samples that are copied at once.
const COPIED: usize = 16;

/// See [`crate::kernels::rows::write_band`], which has checked that the bands hold all patches.
pub(in crate::kernels) fn write_band<T: Store>(
    isa: VectorIsa,
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
    stream: bool,
) {
    let Some((affine, rescales)) = arithmetic(values).filter(|_| shape.patch >= SAMPLES) else {
        return scalar::write_band(bands, shape, values, rows);
    };
    let channels =
        array::from_fn(|channel| Channel::new(isa, affine[channel], &values.table[channel]));
    // SAFETY: the processor has what it is proved to have. Patches have eight samples at least, and bands hold all
    // of them.
    unsafe {
        match (shape.patch, rescales) {
            (14, false) => write_rows::<T, 14, false>(bands, shape, &channels, rows, stream),
            (14, true) => write_rows::<T, 14, true>(bands, shape, &channels, rows, stream),
            (16, false) => write_rows::<T, 16, false>(bands, shape, &channels, rows, stream),
            (16, true) => write_rows::<T, 16, true>(bands, shape, &channels, rows, stream),
            (_, false) => write_rows::<T, 0, false>(bands, shape, &channels, rows, stream),
            (_, true) => write_rows::<T, 0, true>(bands, shape, &channels, rows, stream),
        }
    }
}

/// See [`crate::kernels::rows::write_plane`], which has checked that the band holds the plane.
pub(in crate::kernels) fn write_plane<T: Store>(
    _: Baseline,
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
    // SAFETY: the processor has what it is proved to have. Scanlines have eight samples at least, and the band holds
    // all of them.
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
        _ if T::KIND == Kind::Uint8 => [Affine::IDENTITY; 3],
        affine => affine?,
    };
    let rescales = |affine: &Affine| affine.scale != Affine::IDENTITY.scale;
    Some((affine, affine.iter().any(rescales)))
}

/// # Safety
/// Scanlines of at least 8 pixels; a band that holds them.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn write_lines<T: Store, const RESCALES: bool>(
    band: Band<'_>,
    channel: usize,
    width: usize,
    affine: &Affine,
    plane: &mut [T],
    stream: bool,
) {
    let constants = Constants::new(affine);
    let lines = plane.len() / width;
    let mut sink = Sink::new(plane, width, stream);
    for y in 0..lines {
        let samples = &band.plane(y, channel)[..width];
        // SAFETY: as many samples as elements.
        unsafe { write_run::<T, RESCALES>(samples.as_ptr(), &constants, sink.piece(width)) };
        sink.store();
    }
    sink.finish();
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
    let write = |x: usize| {
        // SAFETY: eight elements from `x` on end within the run, and as many samples with them.
        let (samples, out) = unsafe { (&*samples.add(x).cast(), &mut *out.add(x).cast()) };
        store::<T, RESCALES>(samples, constants, out);
    };
    for x in (0..last).step_by(SAMPLES) {
        write(x);
    }
    // The last store is moved back to end where the run does.
    write(last);
}

/// Stores the elements of eight samples.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
#[inline]
fn store<T: Store, const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [T; SAMPLES],
) {
    match T::KIND {
        Kind::Uint8 => *cast_mut(out) = *samples,
        Kind::Float32 => float32::<RESCALES>(samples, constants, cast_mut(out)),
        Kind::Float16 => float16::<RESCALES>(samples, constants, cast_mut(out)),
        Kind::Bfloat16 => bfloat16::<RESCALES>(samples, constants, cast_mut(out)),
    }
}

/// How samples of one channel become elements.
struct Channel {
    affine: Affine,
    #[cfg(target_arch = "x86_64")]
    lookup: Option<Lookup>,
}

impl Channel {
    #[cfg(target_arch = "x86_64")]
    fn new<T: Pod>(isa: VectorIsa, affine: Affine, table: &[T; 256]) -> Self {
        let lookup = isa.avx512().and_then(|avx512| Lookup::new(table, avx512));
        Self { affine, lookup }
    }

    #[cfg(target_arch = "aarch64")]
    fn new<T: Pod>(_: VectorIsa, affine: Affine, _: &[T; 256]) -> Self {
        Self { affine }
    }

    /// Writes the elements of a patch of `PATCH` pixels, or of `patch` if that is 0, whose lines are `stride`
    /// samples apart.
    ///
    /// # Safety
    /// A patch of at least 8 pixels; all of its samples, and room for as many elements.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
    #[inline]
    unsafe fn write<T: Store, const PATCH: usize, const RESCALES: bool>(
        &self,
        samples: &[u8],
        stride: usize,
        patch: usize,
        out: &mut [T],
    ) {
        let patch = if PATCH == 0 { patch } else { PATCH };
        #[cfg(target_arch = "x86_64")]
        if let Some(lookup) = &self.lookup
            && Lookup::takes(samples, stride, patch)
        {
            // SAFETY: who has a table has proved that the processor has AVX-512.
            return unsafe { lookup.write_lines(samples, stride, patch, out) };
        }
        let constants = Constants::new(&self.affine);
        for (y, run) in out.chunks_exact_mut(patch).enumerate() {
            // SAFETY: a line has as many samples as a run of the patch has elements.
            unsafe { write_run::<T, RESCALES>(samples.as_ptr().add(y * stride), &constants, run) };
        }
    }
}

/// Patches of `PATCH` pixels, or of any number if that is 0.
///
/// # Safety
/// Patches of at least 8 pixels; bands that hold all of them.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn write_rows<T: Store, const PATCH: usize, const RESCALES: bool>(
    bands: &[Band<'_>],
    shape: RowShape,
    channels: &[Channel; 3],
    rows: &mut [T],
    stream: bool,
) {
    let columns = shape.columns();
    let count = rows.len() / columns;
    let mut sink = Sink::new(rows, columns, stream);
    for index in 0..count {
        let corner = shape.corner(index);
        // SAFETY: bands hold all patches, and so the one at this corner; elements that are samples are bytes.
        unsafe {
            if T::KIND != Kind::Uint8 {
                for (index, channel) in channels.iter().enumerate() {
                    let plane = sink.piece(columns / 3);
                    write_plane_of_row::<T, PATCH, RESCALES>(
                        bands, shape, channel, corner, index, plane,
                    );
                    sink.store();
                }
            } else {
                let row = bytemuck::cast_slice_mut(sink.piece(columns));
                copy_row::<PATCH>(bands, shape, corner, row);
                sink.store();
            }
        }
    }
    sink.finish();
}

/// One channel of a row, in each of its frames.
///
/// # Safety
/// Patches of at least 8 pixels; bands that hold the one at `top` and `left`.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
#[inline]
unsafe fn write_plane_of_row<T: Store, const PATCH: usize, const RESCALES: bool>(
    bands: &[Band<'_>],
    shape: RowShape,
    channel: &Channel,
    (top, left): (usize, usize),
    index: usize,
    plane: &mut [T],
) {
    let patch = if PATCH == 0 { shape.patch } else { PATCH };
    let area = patch * patch;
    for (slot, band) in plane.chunks_exact_mut(area).zip(bands) {
        let line = 3 * band.stride();
        let first = top * line + index * band.stride() + left;
        // SAFETY: the band has `patch` samples from `left` on in each plane of a scanline.
        unsafe {
            let samples = &band.samples()[first..];
            channel.write::<T, PATCH, RESCALES>(samples, line, patch, slot);
        }
    }
    // The last frame stands for those that its group lacks.
    for slot in bands.len()..shape.slots {
        plane.copy_within((slot - 1) * area..slot * area, slot * area);
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
        for slot in 0..shape.slots {
            // The last frame stands for those that its group lacks.
            let band = bands[slot.min(bands.len() - 1)];
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
