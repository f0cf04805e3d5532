//! The vertical pass: pairs of scanlines to a scanline.

#[cfg(target_arch = "x86_64")]
use std::{ptr, slice};

use crate::kernels::Pair;
#[cfg(target_arch = "aarch64")]
use crate::kernels::aarch64::vertical;
use crate::kernels::column::{COLUMN, COLUMN_STRIDE, Column};
use crate::kernels::isa::{Baseline, VectorIsa};
use crate::kernels::pair_axis::Positions;
use crate::kernels::prefetch::Prefetch;
#[cfg(target_arch = "x86_64")]
use crate::kernels::scalar;
use crate::kernels::taps::Weights;

/// Combines what `lines` have from `at` on. [`crate::kernels::vertical::Vertical`] has checked that they have as
/// much as `out`.
pub(in crate::kernels) fn combine(
    isa: VectorIsa,
    lines: &[&[Pair]],
    weights: Weights<'_>,
    precision: u32,
    at: usize,
    out: &mut [u8],
) {
    let wide = is_wide(weights, lines.len());
    // SAFETY: the processor has what it is proved to have; lines and weights have the lengths that were asserted, here
    // and by the caller.
    unsafe {
        match (isa, wide) {
            #[cfg(target_arch = "x86_64")]
            (VectorIsa::Avx2(_), false) => {
                with_avx2::combine::<false>(lines, weights, precision, at, out)
            }
            #[cfg(target_arch = "x86_64")]
            (VectorIsa::Avx2(_), true) => {
                with_avx2::combine::<true>(lines, weights, precision, at, out)
            }
            #[cfg(target_arch = "x86_64")]
            (VectorIsa::Avx512(_), false) => {
                with_avx512::combine::<false>(lines, weights, precision, at, out);
            }
            #[cfg(target_arch = "x86_64")]
            (VectorIsa::Avx512(_), true) => {
                with_avx512::combine::<true>(lines, weights, precision, at, out)
            }
            #[cfg(target_arch = "aarch64")]
            (VectorIsa::Neon(_), _) => {
                let lines = lines.iter().copied();
                vertical::combine::<8, 16>(lines, weights, precision, at, out);
            }
        }
    }
}

/// Makes `positions` of turned `columns`, one after another: what the registers of a processor hold of scanlines is
/// all of a column.
pub(super) fn combine_columns(
    _: Baseline,
    positions: Positions<'_>,
    columns: &[Column],
    prefetch: &mut Prefetch<'_>,
    out: &mut [[u8; COLUMN_STRIDE]],
) {
    // SAFETY: the processor has what it is proved to have.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        if positions.weights.high.is_empty() {
            columns_with_avx2::<false>(positions, columns, prefetch, out);
        } else {
            columns_with_avx2::<true>(positions, columns, prefetch, out);
        }
    }
    // SAFETY: the processor has what it is proved to have.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        columns_with_neon(positions, columns, prefetch, out);
    }
}

/// Whether weights of as many pairs are cut in two.
fn is_wide(weights: Weights<'_>, pairs: usize) -> bool {
    assert!(weights.whole.len() == pairs && weights.low.len() == pairs);
    let wide = !weights.high.is_empty();
    assert!(!wide || weights.high.len() == pairs);
    wide
}

#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    ($module:ident, $register:path, $features:literal) => {
        mod $module {
            use super::*;
            use register::{
                BYTES, Register, SUMS, begin, join, load_pairs, multiply_add, pack, shift, splat,
                store,
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
                // SAFETY: they are as many, and as long, as the caller answers for.
                unsafe {
                    match lines.len() {
                        2 => return few::<WIDE, 2>(lines, weights, precision, at, out),
                        3 => return few::<WIDE, 3>(lines, weights, precision, at, out),
                        4 => return few::<WIDE, 4>(lines, weights, precision, at, out),
                        _ => {}
                    }
                }
                let out = out.as_chunks_mut::<BYTES>().0;
                for (at, out) in (at..).step_by(BYTES).zip(out) {
                    let lines = lines.iter().map(|line| line[at..].as_ptr());
                    let out = slice::from_mut(out);
                    // SAFETY: what is left of lines is as long as what is left of `out`, a register at least.
                    unsafe { block::<WIDE, 4>(weighted::<WIDE>(lines, weights), precision, out) };
                }
            }

            /// The same for as many lines as an image has that hardly shrinks. Their weights stay in registers, but
            /// for some of AVX2's where they are cut in two: to fetch them for each block takes a quarter of the
            /// time.
            ///
            /// # Safety
            /// See [`combine`]; there are `LINES` of them.
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn few<const WIDE: bool, const LINES: usize>(
                lines: &[&[Pair]],
                weights: Weights<'_>,
                precision: u32,
                at: usize,
                out: &mut [u8],
            ) {
                let starts = lines.iter().map(|line| line[at..].as_ptr());
                let mut few = [(ptr::null(), [begin(0); 2]); LINES];
                for (few, line) in few.iter_mut().zip(weighted::<WIDE>(starts, weights)) {
                    *few = line;
                }
                let out = out.as_chunks_mut::<BYTES>().0;
                for (at, out) in (0..).step_by(BYTES).zip(out) {
                    let lines = few
                        .iter()
                        .map(|(start, taps)| (start.wrapping_add(at), *taps));
                    // SAFETY: what is left of lines is as long as what is left of `out`, a register at least.
                    unsafe { block::<WIDE, 4>(lines, precision, slice::from_mut(out)) };
                }
            }

            /// Each line with its weights: whole, or their lower and their upper halves.
            #[target_feature(enable = $features)]
            #[inline]
            pub(super) fn weighted<const WIDE: bool>(
                lines: impl Iterator<Item = *const Pair>,
                weights: Weights<'_>,
            ) -> impl Iterator<Item = (*const Pair, [Register; 2])> {
                lines.enumerate().map(move |(index, line)| {
                    let high = if WIDE { weights.high[index] } else { [0; 2] };
                    let taps = [weights.low[index], high].map(|taps| splat(word(taps)));
                    (line, taps)
                })
            }

            /// Combines `REGISTERS` of pairs, from each of `lines` on by its weights; of the last samples in `out` there
            /// may be fewer.
            ///
            /// # Safety
            /// Each of `lines` has so many registers.
            #[target_feature(enable = $features)]
            #[inline]
            pub(super) unsafe fn block<const WIDE: bool, const REGISTERS: usize>(
                lines: impl Iterator<Item = (*const Pair, [Register; 2])>,
                precision: u32,
                out: &mut [[u8; BYTES]],
            ) {
                let zero = begin(0);
                let mut low = [begin(scalar::half(precision)); REGISTERS];
                let mut high = [zero; REGISTERS];
                for (line, taps) in lines {
                    // SAFETY: there are so many registers.
                    let samples = unsafe { &*line.cast::<[[Pair; SUMS]; REGISTERS]>() };
                    for (register, samples) in samples.iter().enumerate() {
                        let samples = load_pairs(samples);
                        low[register] = multiply_add(low[register], samples, taps[0]);
                        if WIDE {
                            high[register] = multiply_add(high[register], samples, taps[1]);
                        }
                    }
                }
                if WIDE {
                    for (low, high) in low.iter_mut().zip(high) {
                        *low = join(*low, high);
                    }
                }
                for (sums, out) in low.chunks(4).zip(out) {
                    let mut four = [zero; 4];
                    four[..sums.len()].copy_from_slice(sums);
                    store(pack(four, shift(precision)), out);
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

/// See [`combine_columns`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn columns_with_avx2<const WIDE: bool>(
    positions: Positions<'_>,
    columns: &[Column],
    prefetch: &mut Prefetch<'_>,
    out: &mut [[u8; COLUMN_STRIDE]],
) {
    const REGISTERS: usize = COLUMN / crate::kernels::x86_64::avx2::SUMS;
    for (index, out) in out.iter_mut().enumerate() {
        prefetch.step();
        let (columns, weights) = positions.nth(index, columns);
        let columns = columns.iter().map(|column| ptr::from_ref(column).cast());
        let columns = with_avx2::weighted::<WIDE>(columns, weights);
        let (precision, out) = (positions.precision, out.as_chunks_mut().0);
        // SAFETY: a column has so many registers.
        unsafe { with_avx2::block::<WIDE, REGISTERS>(columns, precision, out) };
    }
}

/// See [`combine_columns`].
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn columns_with_neon(
    positions: Positions<'_>,
    columns: &[Column],
    prefetch: &mut Prefetch<'_>,
    out: &mut [[u8; COLUMN_STRIDE]],
) {
    for (index, out) in out.iter_mut().enumerate() {
        prefetch.step();
        let (columns, weights) = positions.nth(index, columns);
        let columns = bytemuck::cast_slice(columns).chunks_exact(COLUMN);
        let (precision, out) = (positions.precision, &mut out[..COLUMN]);
        // SAFETY: as many columns as weights, each as long as what comes out.
        unsafe { vertical::combine::<12, 12>(columns, weights, precision, 0, out) };
    }
}

/// Two weights side by side in a word, the first in the lower half.
#[cfg(target_arch = "x86_64")]
fn word([a, b]: [i16; 2]) -> i32 {
    i32::from(a as u16) | i32::from(b) << 16
}
