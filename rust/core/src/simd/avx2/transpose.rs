//! Rows of bytes to columns.

use std::arch::x86_64::*;

use super::LANES;

/// Bytes `from..from + 16` of 32 rows, column by column.
///
/// Row r and row r + 16 share a register, one half each. Four rounds of interleaving neighbours at
/// twice the distance then bring the bytes of a column together:
///
/// ```text
/// bytes    rows 0 and 8, 1 and 9, ...   ->  column pairs of two rows
/// 4 times  the same of the results      ->  one column of 16 rows in each half
/// ```
///
/// # Safety
/// AVX2, and `from` at most 16.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn transpose(rows: &[[u8; LANES]; LANES], from: usize) -> [__m256i; 16] {
    let mut registers: [__m256i; 16] = std::array::from_fn(|index| {
        // SAFETY: the caller's.
        unsafe {
            let low = _mm_loadu_si128(rows[index].as_ptr().add(from).cast());
            let high = _mm_loadu_si128(rows[index + 16].as_ptr().add(from).cast());
            _mm256_set_m128i(high, low)
        }
    });
    // Each round interleaves register i with register i + 8. Seen as a 16 x 16 matrix of bytes
    // with 4-bit indices of row and column, a round rotates the 8 bits of (register, byte) by one;
    // after four rounds rows and columns have changed places.
    for _ in 0..4 {
        let mut next = [_mm256_setzero_si256(); 16];
        for index in 0..8 {
            next[2 * index] = _mm256_unpacklo_epi8(registers[index], registers[index + 8]);
            next[2 * index + 1] = _mm256_unpackhi_epi8(registers[index], registers[index + 8]);
        }
        registers = next;
    }
    registers
}
