//! Pixels to planes, and back.

use std::slice;

use crate::filter::Reference;
use crate::kernels::isa::VectorIsa;
use crate::kernels::scalar;
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86_64;
use crate::pixels::Bytes;

/// See [`crate::kernels::deinterleave::deinterleave`].
pub(in crate::kernels) fn deinterleave<const N: usize>(
    isa: VectorIsa,
    pixels: Bytes<'_>,
    planes: [&mut [u8]; 3],
) {
    const { assert!(N == 3 || N == 4) };
    // SAFETY: the processor has what it is proved to have.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx512(_) if planes[0].len() >= x86_64::deinterleave_vbmi::PIXELS => {
                with_avx512::deinterleave::<N>(pixels, planes);
            }
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx2(_) | VectorIsa::Avx512(_) => {
                with_avx2::deinterleave::<N>(pixels, planes);
            }
            #[cfg(target_arch = "aarch64")]
            VectorIsa::Neon(_) => with_neon::deinterleave::<N>(pixels, planes),
        }
    }
}

/// See [`crate::kernels::deinterleave::interleave`].
pub(in crate::kernels) fn interleave(isa: VectorIsa, planes: [&[u8]; 3], out: &mut [u8]) {
    // SAFETY: the processor has what it is proved to have.
    let whole = unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx2(_) => with_avx2::interleave(planes, out),
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx512(_) => with_avx512::interleave(planes, out),
            #[cfg(target_arch = "aarch64")]
            VectorIsa::Neon(_) => with_neon::interleave(planes, out),
        }
    };
    scalar::interleave(planes.map(|plane| &plane[whole..]), &mut out[3 * whole..]);
}

/// See [`crate::kernels::blend::over_white`].
pub(in crate::kernels) fn over_white(
    isa: VectorIsa,
    pixels: Bytes<'_>,
    planes: [&mut [u8]; 3],
    reference: Reference,
) {
    // SAFETY: the processor has what it is proved to have.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx512(_) if planes[0].len() >= x86_64::deinterleave_vbmi::PIXELS => {
                with_avx512::over_white(pixels, planes, reference);
            }
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx2(_) | VectorIsa::Avx512(_) => {
                with_avx2::over_white(pixels, planes, reference);
            }
            #[cfg(target_arch = "aarch64")]
            VectorIsa::Neon(_) => with_neon::over_white(pixels, planes, reference),
        }
    }
}

/// The kernels that take blocks of pixels apart and put them together as `$registers` does, and blend
/// their colours as `$colours` does.
macro_rules! kernels {
    ($module:ident, $registers:path, $colours:path, $features:literal) => {
        mod $module {
            use super::*;
            use registers::{PIXELS, block, pixels};
            use $colours as colours;
            use $registers as registers;

            #[target_feature(enable = $features)]
            pub(super) fn deinterleave<const N: usize>(pixels: Bytes<'_>, planes: [&mut [u8]; 3]) {
                every::<N>(pixels, planes, |_, _| {});
            }

            /// Blends blocks of pixels while they are apart.
            #[target_feature(enable = $features)]
            pub(super) fn over_white(
                pixels: Bytes<'_>,
                planes: [&mut [u8]; 3],
                reference: Reference,
            ) {
                every::<4>(pixels, planes, |colours, alphas| {
                    // Most pixels are opaque, and their neighbours too.
                    if *alphas != [255; PIXELS] {
                        colours::blend(colours, alphas, reference);
                    }
                });
            }

            /// Takes pixels apart in blocks, whose samples `finish` may change by their fourth bytes
            /// while they are in registers.
            #[target_feature(enable = $features)]
            fn every<const N: usize>(
                pixels: Bytes<'_>,
                [red, green, blue]: [&mut [u8]; 3],
                finish: impl Fn(&mut [[u8; PIXELS]; 3], &[u8; PIXELS]),
            ) {
                let width = red.len();
                let whole = pixels.len() / (N * PIXELS);
                let rest = pixels.slice(N * PIXELS * whole..pixels.len());
                let starts = [start(red, whole), start(green, whole), start(blue, whole)];
                blocks::<N>(pixels, starts, &finish);
                if rest.is_empty() {
                    return;
                }
                if pixels.len() == N * width
                    && let [Some(red), Some(green), Some(blue)] = [
                        red.last_chunk_mut(),
                        green.last_chunk_mut(),
                        blue.last_chunk_mut(),
                    ]
                {
                    // The last block is moved back to end where the pixels do.
                    let last = pixels.slice(pixels.len() - N * PIXELS..pixels.len());
                    blocks::<N>(last, [red, green, blue].map(slice::from_mut), &finish);
                    return;
                }
                let (mut padded, mut samples) = ([[0; PIXELS]; N], [[0; PIXELS]; 3]);
                rest.copy_to(padded.as_flattened_mut());
                let out = samples.each_mut().map(slice::from_mut);
                blocks::<N>(Bytes::from(padded.as_flattened()), out, &finish);
                for (plane, samples) in [red, green, blue].into_iter().zip(samples) {
                    let end = &mut plane[PIXELS * whole..];
                    end.copy_from_slice(&samples[..end.len()]);
                }
            }

            /// So many blocks of a plane.
            fn start(plane: &mut [u8], blocks: usize) -> &mut [[u8; PIXELS]] {
                &mut plane.as_chunks_mut().0[..blocks]
            }

            /// The same for whole blocks, as many as fit in the planes.
            #[target_feature(enable = $features)]
            fn blocks<const N: usize>(
                mut pixels: Bytes<'_>,
                [red, green, blue]: [&mut [[u8; PIXELS]]; 3],
                finish: &impl Fn(&mut [[u8; PIXELS]; 3], &[u8; PIXELS]),
            ) {
                for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
                    let [first, second, third, fourth] = block::<N>(pixels.slice(0..N * PIXELS));
                    pixels = pixels.slice(N * PIXELS..pixels.len());
                    let mut colours = [first, second, third];
                    finish(&mut colours, &fourth);
                    [*red, *green, *blue] = colours;
                }
            }

            /// Interleaves all pixels but the last, which make no block, and returns how many that are.
            #[target_feature(enable = $features)]
            pub(super) fn interleave([red, green, blue]: [&[u8]; 3], out: &mut [u8]) -> usize {
                let reds = red.as_chunks::<PIXELS>().0;
                let (greens, blues) = (green.as_chunks().0, blue.as_chunks().0);
                let blocks = reds.iter().zip(greens).zip(blues);
                for (out, ((red, green), blue)) in out.as_chunks_mut().0.iter_mut().zip(blocks) {
                    pixels([red, green, blue], out);
                }
                reds.len() * PIXELS
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(
    with_avx2,
    crate::kernels::x86_64::deinterleave,
    crate::kernels::x86_64::blend::with_avx2,
    "avx2"
);
#[cfg(target_arch = "x86_64")]
kernels!(
    with_avx512,
    crate::kernels::x86_64::deinterleave_vbmi,
    crate::kernels::x86_64::blend::with_avx512,
    "avx512f,avx512bw,avx512vbmi"
);
#[cfg(target_arch = "aarch64")]
kernels!(
    with_neon,
    crate::kernels::aarch64::deinterleave,
    crate::kernels::aarch64::blend,
    "neon"
);
