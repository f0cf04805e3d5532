//! Lines to columns.

use std::arch::x86_64::*;

use crate::kernels::Pair;

/// Turns a block of 16 samples of each of 16 lines, which are `stride` apart: see
/// `turn` in `kernels/vector`.
///
/// Eight lines share a lane, in the order in which widening takes them:
///
/// ```text
/// loaded      a: line 0 | line 4     b: line 1 | line 5     ...     (16 bytes, in the lanes 0 and 1)
///             e: line 8 | line 12    f: line 9 | line 13    ...
/// turned      pairs of the lines 0-3, 8-11 | 4-7, 12-15             (8 of 2 bytes each, in a register a column)
/// widened     pairs of the lines 0-3 | 4-7,  8-11 | 12-15           (16 bits, in two registers)
/// ```
///
/// # Safety
/// A block at `lines`, and room at `out` for 16 pairs every `out_stride`, 8 times.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) unsafe fn block(
    lines: *const u8,
    stride: usize,
    out: *mut Pair,
    out_stride: usize,
) {
    // SAFETY: the block has 16 bytes of each of 16 lines.
    let lane = |line: usize| unsafe { _mm_loadu_si128(lines.add(line * stride).cast()) };
    let mut registers = [0, 1, 2, 3, 8, 9, 10, 11].map(|line| {
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lane(line)), lane(line + 4))
    });
    // With register and place in it as one number of six bits, a round rotates that by one bit.
    for _ in 0..3 {
        let [a, b, c, d, e, f, g, h] = registers;
        registers = [
            _mm256_unpacklo_epi16(a, e),
            _mm256_unpackhi_epi16(a, e),
            _mm256_unpacklo_epi16(b, f),
            _mm256_unpackhi_epi16(b, f),
            _mm256_unpacklo_epi16(c, g),
            _mm256_unpackhi_epi16(c, g),
            _mm256_unpacklo_epi16(d, h),
            _mm256_unpackhi_epi16(d, h),
        ];
    }
    let zero = _mm256_setzero_si256();
    for (index, register) in registers.into_iter().enumerate() {
        // SAFETY: each of 8 columns has room for 16 pairs, which two registers fill.
        unsafe {
            let out = out.add(index * out_stride).cast::<__m256i>();
            _mm256_storeu_si256(out, _mm256_unpacklo_epi8(register, zero));
            _mm256_storeu_si256(out.add(1), _mm256_unpackhi_epi8(register, zero));
        }
    }
}
