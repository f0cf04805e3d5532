use crate::kernels::Pair;
use crate::kernels::turn::ROWS;

/// See [`crate::kernels::turn::turn`].
pub(in crate::kernels) fn turn(
    rows: &[u8],
    stride: usize,
    columns: usize,
    out: &mut [Pair],
    out_stride: usize,
) {
    for (column, out) in out.chunks_mut(out_stride).take(columns).enumerate() {
        for (row, out) in out[..ROWS].iter_mut().enumerate() {
            let at = row * stride + 2 * column;
            *out = [rows[at], rows[at + 1]].map(i16::from);
        }
    }
}
