//! The vertical pass: pairs of scanlines to a scanline.

use crate::kernels::Pair;
#[cfg(target_arch = "aarch64")]
use crate::kernels::aarch64::vertical;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::scalar;
use crate::kernels::taps::Weights;

/// Combines what `lines` have from `at` on. [`crate::kernels::vertical::Vertical`] has checked that they have as
/// much as `out`.
pub(in crate::kernels) fn combine(
    isa: Isa,
    lines: &[&[Pair]],
    weights: Weights<'_>,
    precision: u32,
    at: usize,
    out: &mut [u8],
) {
    assert!(weights.whole.len() == lines.len() && weights.low.len() == lines.len());
    let wide = !weights.high.is_empty();
    assert!(!wide || weights.high.len() == lines.len());
    // SAFETY: the processor has the instructions of an `Isa`; lines and weights have the lengths that were
    // asserted, here and by the caller.
    unsafe {
        match (isa.backend(), wide) {
            (Backend::Scalar, _) => scalar::combine(lines, weights, precision, at, out),
            #[cfg(target_arch = "x86_64")]
            (Backend::Avx2, false) => {
                with_avx2::combine::<false>(lines, weights, precision, at, out)
            }
            #[cfg(target_arch = "x86_64")]
            (Backend::Avx2, true) => with_avx2::combine::<true>(lines, weights, precision, at, out),
            #[cfg(target_arch = "x86_64")]
            (Backend::Avx512, false) => {
                with_avx512::combine::<false>(lines, weights, precision, at, out);
            }
            #[cfg(target_arch = "x86_64")]
            (Backend::Avx512, true) => {
                with_avx512::combine::<true>(lines, weights, precision, at, out)
            }
            #[cfg(target_arch = "aarch64")]
            (Backend::Neon, _) => vertical::combine(lines, weights, precision, at, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    ($module:ident, $register:path, $features:literal) => {
        mod $module {
            use super::*;
            use register::{
                BYTES, SUMS, begin, join, load_pairs, multiply_add, pack, shift, splat, store,
            };
            use $register as register;

            /// # Safety
            /// From `at` on `lines` have as much as `out`, and they are as many as the weights.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn combine<const WIDE: bool>(
                lines: &[&[Pair]],
                weights: Weights<'_>,
                precision: u32,
                at: usize,
                out: &mut [u8],
            ) {
                let (half, zero) = (begin(scalar::half(precision)), begin(0));
                let shift = shift(precision);
                for (block, out) in out.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
                    let (mut low, mut high) = ([half; 4], [zero; 4]);
                    for (index, line) in lines.iter().enumerate() {
                        // SAFETY: there are as many weights as lines, and as many pairs in a line from
                        // `at` on as bytes in `out`, of which this block is a part.
                        let (taps, samples) = unsafe {
                            let taps = *weights.low.get_unchecked(index);
                            (
                                taps,
                                &*line
                                    .as_ptr()
                                    .add(at + block * BYTES)
                                    .cast::<[[Pair; SUMS]; 4]>(),
                            )
                        };
                        let taps = splat(word(taps));
                        for (sum, samples) in low.iter_mut().zip(samples) {
                            *sum = multiply_add(*sum, load_pairs(samples), taps);
                        }
                        if WIDE {
                            // SAFETY: as above.
                            let taps = splat(word(unsafe { *weights.high.get_unchecked(index) }));
                            for (sum, samples) in high.iter_mut().zip(samples) {
                                *sum = multiply_add(*sum, load_pairs(samples), taps);
                            }
                        }
                    }
                    if WIDE {
                        for (low, high) in low.iter_mut().zip(high) {
                            *low = join(*low, high);
                        }
                    }
                    store(pack(low, shift), out);
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(with_avx2, crate::kernels::x86_64::avx2, "avx2");
#[cfg(target_arch = "x86_64")]
kernel!(
    with_avx512,
    crate::kernels::x86_64::avx512,
    "avx512f,avx512bw,avx512vnni"
);

/// Two weights side by side in a word, the first in the lower half.
#[cfg(target_arch = "x86_64")]
fn word([a, b]: [i16; 2]) -> i32 {
    i32::from(a as u16) | i32::from(b) << 16
}
