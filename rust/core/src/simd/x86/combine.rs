//! The vertical pass.

use std::arch::x86_64::*;

use super::sums::{Sums, widen};
use super::vector::Vector;
use crate::resize::{Coefficients, Pair};
use crate::simd::{Isa, scalar};

/// See [`crate::simd::combine_lines`].
pub(in crate::simd) fn combine_lines(
    isa: Isa,
    lines: &[&[u8]],
    table: &Coefficients,
    position: usize,
    out: &mut [u8],
) {
    assert!(lines.len() == table.window(position).1.len());
    assert!(lines.iter().all(|line| line.len() == out.len()));
    // The second of an odd last pair has no weight: any line will do.
    let taps: Vec<Tap> = lines
        .chunks(2)
        .zip(table.pairs(position))
        .map(|(lines, pair)| (lines[0].as_ptr(), lines[lines.len() - 1].as_ptr(), *pair))
        .collect();
    let precision = table.precision();
    // SAFETY: the processor has the instruction set of an `Isa`, and the lines are as long as `out`.
    let done = unsafe {
        match (isa, table.is_split()) {
            (Isa::Avx512, false) => avx512::<false>(&taps, precision, out),
            (Isa::Avx512, true) => avx512::<true>(&taps, precision, out),
            (_, false) => avx2::<false>(&taps, precision, out),
            (_, true) => avx2::<true>(&taps, precision, out),
        }
    };
    scalar::combine_columns(lines, table, position, done, out);
}

/// Two lines and their weights.
type Tap = (*const u8, *const u8, Pair);

/// # Safety
/// AVX2, and lines as long as `out`.
#[target_feature(enable = "avx2")]
unsafe fn avx2<const SPLIT: bool>(taps: &[Tap], precision: u32, out: &mut [u8]) -> usize {
    // SAFETY: the caller's.
    unsafe { combine_columns::<__m256i, SPLIT>(taps, precision, out) }
}

/// # Safety
/// AVX-512 F, BW and VNNI, and lines as long as `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn avx512<const SPLIT: bool>(taps: &[Tap], precision: u32, out: &mut [u8]) -> usize {
    // SAFETY: the caller's.
    unsafe { combine_columns::<__m512i, SPLIT>(taps, precision, out) }
}

/// Combines as many columns as fill whole registers, and returns how many those are.
///
/// # Safety
/// The instruction set, and lines as long as `out`.
#[inline(always)]
unsafe fn combine_columns<V: Vector, const SPLIT: bool>(
    taps: &[Tap],
    precision: u32,
    out: &mut [u8],
) -> usize {
    let whole = out.len() / V::BYTES * V::BYTES;
    for column in (0..whole).step_by(V::BYTES) {
        // SAFETY: the columns of this register end at `whole` at the latest.
        unsafe {
            let mut sums = Sums::<V, SPLIT>::new(precision);
            for (a, b, pair) in taps {
                sums.add(
                    &widen(V::load(a.add(column)), V::load(b.add(column))),
                    *pair,
                );
            }
            sums.levels(precision).store(out.as_mut_ptr().add(column));
        }
    }
    whole
}
