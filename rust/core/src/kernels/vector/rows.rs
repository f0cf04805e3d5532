//! Patch rows from bands of samples.

use std::mem;

use super::processor::elements::{Constants, SAMPLES};
use super::run::write_run;
use super::sink::{CAN_STREAM, Sink};
use crate::kernels::band::{Band, RowShape};
use crate::kernels::element::{Kind, Store};
use crate::kernels::isa::{Baseline, VectorIsa};
use crate::kernels::scalar;
use crate::kernels::values::{Affine, Values};

/// See [`crate::kernels::rows::write_band`], which has checked that the bands hold all patches.
pub(in crate::kernels) fn write_band<T: Store>(
    isa: VectorIsa,
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
    stream: bool,
) {
    if stream && CAN_STREAM {
        write_patches::<T, true>(isa, bands, shape, values, rows);
    } else {
        write_patches::<T, false>(isa, bands, shape, values, rows);
    }
}

/// The same, where it is known beforehand whether elements go past the cache.
fn write_patches<T: Store, const STREAM: bool>(
    isa: VectorIsa,
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
) {
    let Some(affine) = arithmetic(values).filter(|_| shape.patch >= SAMPLES) else {
        return scalar::write_band(bands, shape, values, rows);
    };
    // SAFETY: the processor has what it is proved to have. Patches are such as the channel takes, with 8 pixels a side
    // at least, and bands hold all of them.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = isa.avx512()
            && with_avx512::Channel::takes(shape.patch)
        {
            let table = &values.table;
            return with_avx512::write_band::<T, STREAM>(avx512, bands, shape, affine, table, rows);
        }
        let isa = isa.baseline();
        with_baseline::write_band::<T, STREAM>(isa, bands, shape, affine, &values.table, rows);
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
    let Some(affine) = arithmetic(values).filter(|_| width >= SAMPLES) else {
        return scalar::write_plane(band, channel, width, values, plane);
    };
    let affine = &affine[channel];
    // SAFETY: the processor has what it is proved to have. Scanlines have eight samples at least, and the band holds
    // all of them.
    unsafe {
        if affine.rescales() {
            write_lines::<T, true>(band, channel, width, affine, plane, stream);
        } else {
            write_lines::<T, false>(band, channel, width, affine, plane, stream);
        }
    }
}

/// The arithmetic that gives the elements of `values`, if there is one.
fn arithmetic<T: Store>(values: &Values<T>) -> Option<[Affine; 3]> {
    if T::KIND == Kind::Uint8 {
        return Some([Affine::IDENTITY; 3]);
    }
    values.affine
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

/// The rows of patches, each of which `$channel` writes, a channel at a time.
macro_rules! kernels {
    ($module:ident, $isa:ident, $channel:path, $features:literal) => {
        mod $module {
            use super::*;
            use crate::kernels::isa::$isa;
            pub(super) use $channel as Channel;

            /// # Safety
            /// Patches such as `Channel::write` asks for; bands that hold all of them.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn write_band<T: Store, const STREAM: bool>(
                isa: $isa,
                bands: &[Band<'_>],
                shape: RowShape,
                affine: [Affine; 3],
                table: &[[T; 256]; 3],
                rows: &mut [T],
            ) {
                let channels = [0, 1, 2].map(|channel| {
                    Channel::new(affine[channel], &table[channel], shape.patch, isa)
                });
                // Where no channel is multiplied first, a kernel does without that.
                let rescales = affine.iter().any(Affine::rescales);
                // SAFETY: the caller's.
                unsafe {
                    match (shape.patch, rescales) {
                        (14, false) => {
                            write_rows::<T, 14, false, STREAM>(bands, shape, &channels, rows)
                        }
                        (14, true) => {
                            write_rows::<T, 14, true, STREAM>(bands, shape, &channels, rows)
                        }
                        (16, false) => {
                            write_rows::<T, 16, false, STREAM>(bands, shape, &channels, rows)
                        }
                        (16, true) => {
                            write_rows::<T, 16, true, STREAM>(bands, shape, &channels, rows)
                        }
                        (_, false) => {
                            write_rows::<T, 0, false, STREAM>(bands, shape, &channels, rows)
                        }
                        (_, true) => {
                            write_rows::<T, 0, true, STREAM>(bands, shape, &channels, rows)
                        }
                    }
                }
            }

            /// Patches of `PATCH` pixels, or of any number if that is 0.
            ///
            /// # Safety
            /// Patches such as `Channel::write` asks for; bands that hold all of them.
            #[target_feature(enable = $features)]
            unsafe fn write_rows<
                T: Store,
                const PATCH: usize,
                const RESCALES: bool,
                const STREAM: bool,
            >(
                bands: &[Band<'_>],
                shape: RowShape,
                channels: &[Channel; 3],
                rows: &mut [T],
            ) {
                let patch = if PATCH == 0 { shape.patch } else { PATCH };
                let (area, columns) = (patch * patch, shape.columns());
                let Some((last, others)) = bands.split_last() else {
                    return;
                };
                let count = rows.len() / columns;
                let mut sink = Sink::new(rows, columns, STREAM);
                for (top, left) in shape.corners().take(count) {
                    let mut out = sink.piece(columns);
                    for (index, channel) in channels.iter().enumerate() {
                        let mut write = |band: &Band<'_>, count: usize| {
                            let (slots, rest) = mem::take(&mut out).split_at_mut(count * area);
                            let first = (3 * top + index) * band.stride() + left;
                            // SAFETY: the patch is such, and the band holds it.
                            unsafe {
                                let samples = band.samples().as_ptr().add(first);
                                let stride = 3 * band.stride();
                                channel.write::<T, PATCH, RESCALES, STREAM>(
                                    samples, stride, patch, slots,
                                );
                            }
                            out = rest;
                        };
                        others.iter().for_each(|band| write(band, 1));
                        // The last frame stands for those that its group lacks.
                        write(last, shape.slots - others.len());
                    }
                    sink.store();
                }
                sink.finish();
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(
    with_baseline,
    Baseline,
    crate::kernels::vector::patch::Channel,
    "avx2,fma,f16c"
);
#[cfg(target_arch = "x86_64")]
kernels!(
    with_avx512,
    Avx512,
    crate::kernels::x86_64::patch::Channel,
    "avx512f,avx512bw,avx512vl,avx512vbmi"
);
#[cfg(target_arch = "aarch64")]
kernels!(
    with_baseline,
    Baseline,
    crate::kernels::vector::patch::Channel,
    "neon"
);
