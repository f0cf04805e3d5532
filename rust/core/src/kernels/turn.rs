//! Rows of samples to columns of pairs.

use super::isa::{Backend, Isa};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;
use super::{Pair, scalar};

/// Rows that are turned together.
pub(super) const ROWS: usize = 16;

/// Samples of a row that are turned at once.
pub(super) const SAMPLES: usize = 16;

/// Turns 16 rows of samples, `stride` apart: samples 2k and 2k + 1 of row r become the pair at r of column
/// k, of columns that are `out_stride` apart.
///
/// ```text
/// rows       a0 a1 a2 a3 ...      out        a0 a1   b0 b1   c0 c1   ...
///            b0 b1 b2 b3                     a2 a3   b2 b3   c2 c3
///            c0 c1 c2 c3                     ...
/// ```
///
/// Panics if a row does not hold as many blocks of 16 samples, or there is no room for the columns.
pub(super) fn turn(
    isa: Isa,
    rows: &[u8],
    stride: usize,
    blocks: usize,
    out: &mut [Pair],
    out_stride: usize,
) {
    if blocks == 0 {
        return;
    }
    let columns = blocks * SAMPLES / 2;
    assert!(rows.len() >= (ROWS - 1) * stride + blocks * SAMPLES);
    assert!(out.len() >= (columns - 1) * out_stride + ROWS);
    match isa.backend() {
        Backend::Scalar => scalar::turn(rows, stride, columns, out, out_stride),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        _ => vector::turn(rows, stride, blocks, out, out_stride),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_backend_turns_rows_by_the_definition(
            (blocks, more, between) in (0usize..4, 0usize..20, 0usize..20),
            noise in proptest::collection::vec(any::<u8>(), ROWS * 84),
        ) {
            const UNTOUCHED: Pair = [-1; 2];
            let (stride, out_stride) = (blocks * SAMPLES + more, ROWS + between);
            let columns = blocks * SAMPLES / 2;
            for isa in Isa::available() {
                let mut out = vec![UNTOUCHED; columns * out_stride];
                turn(isa, &noise[..ROWS * stride], stride, blocks, &mut out, out_stride);
                for (at, pair) in out.iter().enumerate() {
                    let (column, row) = (at / out_stride, at % out_stride);
                    let sample = |x: usize| i16::from(noise[row * stride + 2 * column + x]);
                    let expected = if row < ROWS { [sample(0), sample(1)] } else { UNTOUCHED };
                    prop_assert_eq!(*pair, expected, "{:?} {} {}", isa, column, row);
                }
            }
        }
    }
}
