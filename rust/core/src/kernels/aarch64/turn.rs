//! Lines to columns.

use std::arch::aarch64::*;

use crate::kernels::Pair;

/// Turns a block of 16 samples of each of 16 lines, which are `stride` apart: see
/// `turn` in `kernels/vector`.
///
/// # Safety
/// A block at `lines`, and room at `out` for 16 pairs every `out_stride`, 8 times.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) unsafe fn block(
    lines: *const u8,
    stride: usize,
    out: *mut Pair,
    out_stride: usize,
) {
    for first in [0, 8] {
        // SAFETY: each half has 8 of the lines, and 8 of the pairs of a column.
        unsafe {
            eight(
                lines.add(first * stride),
                stride,
                out.add(first),
                out_stride,
            )
        };
    }
}

/// The same of 8 lines.
///
/// ```text
/// loaded      a: a0 a1 .. a7     b: b0 b1 .. b7     ...     (a line a register; pairs of bytes)
/// a round     a0 e0 a1 e1 .. a3 e3    a4 e4 .. a7 e7    b0 f0 .. b3 f3    b4 f4 .. b7 f7    ...
/// turned      a0 b0 c0 .. h0     a1 b1 c1 .. h1     ...     (after three)
/// widened     a0 b0 c0 d0    e0 f0 g0 h0    ...             (16 bits, in two registers)
/// ```
///
/// # Safety
/// A block of 8 lines at `lines`, and room at `out` for 8 pairs every `out_stride`, 8 times.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn eight(lines: *const u8, stride: usize, out: *mut Pair, out_stride: usize) {
    let mut registers = [vdupq_n_u16(0); 8];
    for (index, register) in registers.iter_mut().enumerate() {
        // SAFETY: 16 bytes of one of 8 lines.
        *register = unsafe { vreinterpretq_u16_u8(vld1q_u8(lines.add(index * stride))) };
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
        // SAFETY: each of 8 columns has room for 8 pairs, which two registers fill.
        unsafe {
            let out = out.add(index * out_stride).cast::<u16>();
            vst1q_u16(out, front);
            vst1q_u16(out.add(8), back);
        }
    }
}
