//! Lines of samples to columns of pairs.

use super::processor::turn::block;
use crate::kernels::Pair;
use crate::kernels::column::LINES;
use crate::kernels::isa::Baseline;

/// Samples of a line that are turned at once.
pub(super) const SAMPLES: usize = 16;

/// Turns 16 lines of samples, `stride` apart: samples 2k and 2k + 1 of line l become the pair at l of column
/// k, of columns that are `out_stride` apart.
///
/// ```text
/// lines      a0 a1 a2 a3 ...      out        a0 a1   b0 b1   c0 c1   ...
///            b0 b1 b2 b3                     a2 a3   b2 b3   c2 c3
///            c0 c1 c2 c3                     ...
/// ```
///
/// Panics if a line does not hold as many blocks of 16 samples, or there is no room for the columns.
pub(super) fn turn(
    _: Baseline,
    lines: &[u8],
    stride: usize,
    blocks: usize,
    out: &mut [Pair],
    out_stride: usize,
) {
    if blocks == 0 {
        return;
    }
    let columns = blocks * SAMPLES / 2;
    assert!(lines.len() >= (LINES - 1) * stride + blocks * SAMPLES);
    assert!(out.len() >= (columns - 1) * out_stride + LINES);
    // SAFETY: the processor has what it is proved to have; lines and columns are as long as was asserted.
    unsafe { every(lines, stride, blocks, out, out_stride) };
}

/// # Safety
/// Lines and columns as long as [`turn`] asserts.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn every(lines: &[u8], stride: usize, blocks: usize, out: &mut [Pair], out_stride: usize) {
    for index in 0..blocks {
        // SAFETY: each line ends after its last block, and the last column has room for 16 pairs.
        unsafe {
            let lines = lines.as_ptr().add(index * SAMPLES);
            let out = out.as_mut_ptr().add(index * SAMPLES / 2 * out_stride);
            block(lines, stride, out, out_stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::{Backend, Isa};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_processor_turns_lines_by_the_definition(
            (blocks, more, between) in (0usize..4, 0usize..20, 0usize..20),
            noise in proptest::collection::vec(any::<u8>(), LINES * 84),
        ) {
            const UNTOUCHED: Pair = [-1; 2];
            let (stride, out_stride) = (blocks * SAMPLES + more, LINES + between);
            let columns = blocks * SAMPLES / 2;
            if let Backend::Vector(isa) = Isa::best().backend() {
                let mut out = vec![UNTOUCHED; columns * out_stride];
                let lines = &noise[..LINES * stride];
                turn(isa.baseline(), lines, stride, blocks, &mut out, out_stride);
                for (at, pair) in out.iter().enumerate() {
                    let (column, line) = (at / out_stride, at % out_stride);
                    let sample = |x: usize| i16::from(noise[line * stride + 2 * column + x]);
                    let expected = if line < LINES { [sample(0), sample(1)] } else { UNTOUCHED };
                    prop_assert_eq!(*pair, expected, "{} {}", column, line);
                }
            }
        }
    }
}
