//! Rows to columns.

use std::arch::aarch64::*;

use crate::kernels::Pair;

/// Turns a block of 16 samples of each of 16 rows, which are `stride` apart: see
/// [`crate::kernels::turn::turn`].
///
/// # Safety
/// Room for the block at `rows`, and at `out` for 16 pairs every `out_stride`, 8 times.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) unsafe fn block(
    rows: *const u8,
    stride: usize,
    out: *mut Pair,
    out_stride: usize,
) {
    for first in [0, 8] {
        // SAFETY: by the contract above.
        unsafe { eight(rows.add(first * stride), stride, out.add(first), out_stride) };
    }
}

/// The same of 8 rows.
///
/// # Safety
/// Room for the block at `rows`, and at `out` for 8 pairs every `out_stride`, 8 times.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn eight(rows: *const u8, stride: usize, out: *mut Pair, out_stride: usize) {
    let mut registers = [vdupq_n_u16(0); 8];
    for (index, register) in registers.iter_mut().enumerate() {
        // SAFETY: by the contract above.
        *register = unsafe { vreinterpretq_u16_u8(vld1q_u8(rows.add(index * stride))) };
    }
    // With register and place in it as one number of six bits, a round rotates that by one bit.
    for _ in 0..3 {
        let [a, b, c, d, e, f, g, h] = registers;
        registers = [
            vzip1q_u16(a, e),
            vzip2q_u16(a, e),
            vzip1q_u16(b, f),
            vzip2q_u16(b, f),
            vzip1q_u16(c, g),
            vzip2q_u16(c, g),
            vzip1q_u16(d, h),
            vzip2q_u16(d, h),
        ];
    }
    for (index, register) in registers.into_iter().enumerate() {
        let samples = vreinterpretq_u8_u16(register);
        let (front, back) = (vmovl_u8(vget_low_u8(samples)), vmovl_high_u8(samples));
        // SAFETY: by the contract above.
        unsafe {
            let out = out.add(index * out_stride).cast::<u16>();
            vst1q_u16(out, front);
            vst1q_u16(out.add(8), back);
        }
    }
}
