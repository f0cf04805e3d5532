//! The vertical pass.

use std::arch::x86_64::*;

use super::LANES;
use super::sums::{Sums, widen};
use crate::resize::Coefficients;
use crate::simd::scalar;

/// See [`crate::simd::combine_lines`].
pub(in crate::simd) fn combine_lines(
    lines: &[&[u8]],
    table: &Coefficients,
    position: usize,
    out: &mut [u8],
) {
    assert!(lines.len() == table.window(position).1.len());
    assert!(lines.iter().all(|line| line.len() == out.len()));
    let vectors = out.len() / LANES;
    // SAFETY: `Isa::Avx2` exists only where the processor has AVX2. Lines and `out` hold at least
    // `vectors * 32` bytes each, which is all that is read and written.
    unsafe {
        if table.is_split() {
            combine_columns::<true>(lines, table, position, vectors, out.as_mut_ptr());
        } else {
            combine_columns::<false>(lines, table, position, vectors, out.as_mut_ptr());
        }
    }
    scalar::combine_columns(lines, table, position, vectors * LANES, out);
}

/// # Safety
/// AVX2, one line for each tap, and `vectors` times 32 bytes in each line and in `out`.
#[target_feature(enable = "avx2")]
unsafe fn combine_columns<const SPLIT: bool>(
    lines: &[&[u8]],
    table: &Coefficients,
    position: usize,
    vectors: usize,
    out: *mut u8,
) {
    let precision = table.precision();
    // The second of an odd last pair has no weight: any line will do.
    let taps: Vec<_> = lines
        .chunks(2)
        .zip(table.pairs(position))
        .map(|(lines, pair)| (lines[0].as_ptr(), lines[lines.len() - 1].as_ptr(), *pair))
        .collect();
    for column in (0..vectors).map(|vector| vector * LANES) {
        let mut sums = Sums::<SPLIT>::new(precision);
        for (a, b, pair) in &taps {
            // SAFETY: `column + 32 <= vectors * 32`, which the lines hold.
            let words = unsafe { widen(load(a.add(column)), load(b.add(column))) };
            sums.add(&words, *pair);
        }
        // SAFETY: as above, for `out`.
        unsafe { _mm256_storeu_si256(out.add(column).cast(), sums.levels(precision)) };
    }
}

/// # Safety
/// 32 readable bytes.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load(bytes: *const u8) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_loadu_si256(bytes.cast()) }
}
