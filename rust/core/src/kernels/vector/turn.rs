//! Rows to columns.

use super::processor::turn::block;
use crate::kernels::Pair;
use crate::kernels::turn::SAMPLES;

/// See [`crate::kernels::turn::turn`], which has checked that there is room for all blocks.
pub(in crate::kernels) fn turn(
    rows: &[u8],
    stride: usize,
    blocks: usize,
    out: &mut [Pair],
    out_stride: usize,
) {
    // SAFETY: every vector backend of the processor has these instructions; rows and columns are as long as
    // was checked.
    unsafe { every(rows, stride, blocks, out, out_stride) };
}

/// # Safety
/// Room for all blocks.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn every(rows: &[u8], stride: usize, blocks: usize, out: &mut [Pair], out_stride: usize) {
    for index in 0..blocks {
        // SAFETY: by the contract above.
        unsafe {
            let rows = rows.as_ptr().add(index * SAMPLES);
            let out = out.as_mut_ptr().add(index * SAMPLES / 2 * out_stride);
            block(rows, stride, out, out_stride);
        }
    }
}
