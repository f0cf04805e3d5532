//! Rows to columns.

use std::arch::x86_64::*;

use crate::kernels::Pair;

/// Turns a block of 16 samples of each of 8 rows, which are `stride` apart: see
/// [`crate::kernels::turn::turn`].
///
/// # Safety
/// Room for the block at `rows`, and at `out` for 8 pairs every `out_stride`, 8 times.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) unsafe fn block(
    rows: *const u8,
    stride: usize,
    out: *mut Pair,
    out_stride: usize,
) {
    let mut registers = [_mm_setzero_si128(); 8];
    for (index, register) in registers.iter_mut().enumerate() {
        // SAFETY: by the contract above.
        *register = unsafe { _mm_loadu_si128(rows.add(index * stride).cast()) };
    }
    // With register and place in it as one number of six bits, a round rotates that by one bit.
    for _ in 0..3 {
        let [a, b, c, d, e, f, g, h] = registers;
        registers = [
            _mm_unpacklo_epi16(a, e),
            _mm_unpackhi_epi16(a, e),
            _mm_unpacklo_epi16(b, f),
            _mm_unpackhi_epi16(b, f),
            _mm_unpacklo_epi16(c, g),
            _mm_unpackhi_epi16(c, g),
            _mm_unpacklo_epi16(d, h),
            _mm_unpackhi_epi16(d, h),
        ];
    }
    for (index, register) in registers.into_iter().enumerate() {
        let pairs = _mm256_cvtepu8_epi16(register);
        // SAFETY: by the contract above.
        unsafe { _mm256_storeu_si256(out.add(index * out_stride).cast(), pairs) };
    }
}
