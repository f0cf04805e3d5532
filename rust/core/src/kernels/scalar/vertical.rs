use super::{half, to_sample};
use crate::kernels::Pair;
use crate::kernels::taps::Weights;

/// Samples whose sums are held in registers or the first-level cache at a time.
const BLOCK: usize = 128;

/// Combines what pairs of scanlines have from `at` on.
pub(in crate::kernels) fn combine(
    lines: &[&[Pair]],
    weights: Weights<'_>,
    precision: u32,
    at: usize,
    out: &mut [u8],
) {
    for (index, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [half(precision); BLOCK];
        let sums = &mut sums[..out.len()];
        add(lines, weights, at + BLOCK * index, sums);
        round(sums, precision, out);
    }
}

/// Adds pairs of scanlines times their weights to `sums`.
pub(in crate::kernels) fn accumulate(lines: &[&[Pair]], weights: Weights<'_>, sums: &mut [i32]) {
    for (index, sums) in sums.chunks_mut(BLOCK).enumerate() {
        add(lines, weights, BLOCK * index, sums);
    }
}

/// Sums that began at one half as samples.
pub(in crate::kernels) fn round(sums: &[i32], precision: u32, out: &mut [u8]) {
    for (sample, sum) in out.iter_mut().zip(sums) {
        *sample = to_sample(*sum, precision);
    }
}

/// Adds the samples of `lines` from `first` on, times their weights, to `sums`.
///
/// The sum of all taps of a sample fits in 32 bits. That of some need not, nor that of what lies in the
/// padding, where there are no samples.
fn add(lines: &[&[Pair]], weights: Weights<'_>, first: usize, sums: &mut [i32]) {
    for (line, [a, b]) in lines.iter().zip(weights.whole) {
        for (sum, [above, below]) in sums.iter_mut().zip(&line[first..]) {
            *sum = sum
                .wrapping_add(a.wrapping_mul(i32::from(*above)))
                .wrapping_add(b.wrapping_mul(i32::from(*below)));
        }
    }
}
