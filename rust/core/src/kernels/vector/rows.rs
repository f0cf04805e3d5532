//! Patch rows from bands of samples.

use std::mem;

use super::processor::elements::{Constants, SAMPLES};
use super::run::write_run;
use super::sink::Sink;
#[cfg(target_arch = "x86_64")]
use crate::kernels::band::Lines;
use crate::kernels::band::{Band, RowShape};
use crate::kernels::element::{Kind, Store};
use crate::kernels::isa::{Baseline, VectorIsa};
use crate::kernels::scalar;
use crate::kernels::values::{Affine, Values};

/// The side of a patch, in pixels, up to which its lines are brought side by side before they become float32, as stores had
/// better not cross cache lines. AVX-512 takes no larger ones.
#[cfg(target_arch = "x86_64")]
const SHORT: usize = 16;

/// The samples of such a patch, in as few cache lines as they take.
#[cfg(target_arch = "x86_64")]
#[repr(align(64))]
pub(in crate::kernels) struct Samples(pub(in crate::kernels) [u8; SHORT * SHORT]);

/// See [`crate::kernels::rows::write_band`], which has checked that the bands hold all patches.
pub(in crate::kernels) fn write_band<T: Store>(
    isa: VectorIsa,
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
    stream: bool,
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
            return with_avx512::write_band(avx512, bands, shape, affine, table, rows, stream);
        }
        let isa = isa.baseline();
        with_baseline::write_band(isa, bands, shape, affine, &values.table, rows, stream);
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
    let lines = (0..plane.len() / width).map(|y| band.plane(y, channel)[..width].as_ptr());
    #[cfg(target_arch = "x86_64")]
    if T::KIND == Kind::Float32 {
        let plane = bytemuck::cast_slice_mut(plane);
        // SAFETY: as many samples as elements.
        unsafe {
            if stream {
                write_floats::<RESCALES, true>(lines, width, &constants, plane);
            } else {
                write_floats::<RESCALES, false>(lines, width, &constants, plane);
            }
        }
        return;
    }
    let mut sink = Sink::new(plane, width, stream);
    for line in lines {
        // SAFETY: as many samples as elements.
        unsafe { write_run::<T, RESCALES>(line, &constants, sink.piece(width)) };
        sink.store();
    }
    sink.finish();
}

/// # Safety
/// Lines of `width` samples, which are 8 at least.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn write_floats<const RESCALES: bool, const STREAM: bool>(
    lines: impl Iterator<Item = *const u8>,
    width: usize,
    constants: &Constants,
    plane: &mut [f32],
) {
    use crate::kernels::x86_64::floats::with_avx2::FloatWriter;
    let mut writer = FloatWriter::<STREAM>::new(plane);
    for line in lines {
        // SAFETY: such a line.
        unsafe { writer.write::<RESCALES>(constants, line, width) };
    }
    writer.finish();
}

/// The rows of patches, a channel at a time: `$channel` writes them. On x86-64 it brings samples side by side for float32,
/// which the `FloatWriter` of `$floats` writes. ARM, which keeps the elements of both frames in registers, would take
/// nearly twice the instructions for that.
macro_rules! kernels {
    ($module:ident, $isa:ident, $channel:path, $features:literal $(, $floats:path)?) => {
        mod $module {
            use super::*;
            use crate::kernels::isa::$isa;
            pub(super) use $channel as Channel;
            $(use $floats as floats;)?

            /// # Safety
            /// Patches such as `Channel::write` asks for; bands that hold all of them.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn write_band<T: Store>(
                isa: $isa,
                bands: &[Band<'_>],
                shape: RowShape,
                affine: [Affine; 3],
                table: &[[T; 256]; 3],
                rows: &mut [T],
                stream: bool,
            ) {
                let kernel = Kernel {
                    bands,
                    shape,
                    channels: [0, 1, 2].map(|channel| {
                        Channel::new(affine[channel], &table[channel], shape.patch, isa)
                    }),
                    #[cfg(target_arch = "x86_64")]
                    affine,
                };
                // Where no channel is multiplied first, a kernel does without that.
                let rescales = affine.iter().any(Affine::rescales);
                // SAFETY: the caller's.
                unsafe {
                    match (shape.patch, rescales) {
                        (14, false) => kernel.write::<T, 14, false>(rows, stream),
                        (14, true) => kernel.write::<T, 14, true>(rows, stream),
                        (16, false) => kernel.write::<T, 16, false>(rows, stream),
                        (16, true) => kernel.write::<T, 16, true>(rows, stream),
                        (_, false) => kernel.write::<T, 0, false>(rows, stream),
                        (_, true) => kernel.write::<T, 0, true>(rows, stream),
                    }
                }
            }

            /// What writes the rows of a band.
            struct Kernel<'a> {
                bands: &'a [Band<'a>],
                shape: RowShape,
                channels: [Channel; 3],
                #[cfg(target_arch = "x86_64")]
                affine: [Affine; 3],
            }

            impl Kernel<'_> {
                /// Patches of `PATCH` pixels, or of any number if that is 0.
                ///
                /// # Safety
                /// Patches such as `Channel::write` asks for; bands that hold all of them.
                #[target_feature(enable = $features)]
                unsafe fn write<T: Store, const PATCH: usize, const RESCALES: bool>(
                    &self,
                    rows: &mut [T],
                    stream: bool,
                ) {
                    // SAFETY: the caller's.
                    unsafe {
                        match T::KIND {
                            #[cfg(target_arch = "x86_64")]
                            Kind::Float32 => {
                                let rows = bytemuck::cast_slice_mut(rows);
                                if stream {
                                    self.write_floats::<PATCH, RESCALES, true>(rows);
                                } else {
                                    self.write_floats::<PATCH, RESCALES, false>(rows);
                                }
                            }
                            _ => self.write_others::<T, PATCH, RESCALES>(rows, stream),
                        }
                    }
                }

                /// # Safety
                /// See [`Kernel::write`].
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = $features)]
                unsafe fn write_floats<
                    const PATCH: usize,
                    const RESCALES: bool,
                    const STREAM: bool,
                >(
                    &self,
                    rows: &mut [f32],
                ) {
                    let shape = self.shape;
                    let patch = if PATCH == 0 { shape.patch } else { PATCH };
                    let area = patch * patch;
                    let constants = self.affine.each_ref().map(|affine| floats::Constants::new(affine));
                    let count = rows.len() / shape.columns();
                    let mut writer = floats::FloatWriter::<STREAM>::new(rows);
                    let mut copy = Samples([0; SHORT * SHORT]);
                    let mut write = |channel: usize, lines: Lines, frames: usize| {
                        let constants = &constants[channel];
                        if patch <= SHORT {
                            // SAFETY: the patch is such, and the band holds it.
                            unsafe {
                                self.channels[channel].copy::<PATCH>(lines, patch, &mut copy)
                            };
                            for _ in 0..frames {
                                // SAFETY: so many have just been copied.
                                unsafe {
                                    writer.write::<RESCALES>(constants, copy.0.as_ptr(), area);
                                }
                            }
                        } else {
                            for y in (0..frames).flat_map(|_| 0..patch) {
                                // SAFETY: the band holds the line.
                                unsafe {
                                    writer.write::<RESCALES>(constants, lines.at(y), patch);
                                }
                            }
                        }
                    };
                    for corner in shape.corners().take(count) {
                        shape.for_each_run(self.bands, corner, &mut write);
                    }
                    writer.finish();
                }

                /// # Safety
                /// See [`Kernel::write`].
                #[target_feature(enable = $features)]
                unsafe fn write_others<T: Store, const PATCH: usize, const RESCALES: bool>(
                    &self,
                    rows: &mut [T],
                    stream: bool,
                ) {
                    let shape = self.shape;
                    let patch = if PATCH == 0 { shape.patch } else { PATCH };
                    let (area, columns) = (patch * patch, shape.columns());
                    let count = rows.len() / columns;
                    let mut sink = Sink::new(rows, columns, stream);
                    for corner in shape.corners().take(count) {
                        let mut out = sink.piece(columns);
                        shape.for_each_run(self.bands, corner, |channel, lines, frames| {
                            let (slots, rest) = mem::take(&mut out).split_at_mut(frames * area);
                            // SAFETY: the patch is such, and the band holds it.
                            unsafe {
                                self.channels[channel]
                                    .write::<T, PATCH, RESCALES>(lines, patch, slots);
                            }
                            out = rest;
                        });
                        sink.store();
                    }
                    sink.finish();
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(
    with_baseline,
    Baseline,
    crate::kernels::vector::patch::Channel,
    "avx2,fma,f16c",
    crate::kernels::x86_64::floats::with_avx2
);
#[cfg(target_arch = "x86_64")]
kernels!(
    with_avx512,
    Avx512,
    crate::kernels::x86_64::patch::Channel,
    "avx512f,avx512bw,avx512vl,avx512vbmi",
    crate::kernels::x86_64::floats::with_avx512
);
#[cfg(target_arch = "aarch64")]
kernels!(
    with_baseline,
    Baseline,
    crate::kernels::vector::patch::Channel,
    "neon"
);
