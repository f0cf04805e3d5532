//! Rows of bytes to columns.

use super::vector::Vector;

/// 16 columns of bytes of as many rows as a register has bytes, from `bytes` on and `stride` bytes
/// apart.
///
/// Row r shares a register with rows r + 16, r + 32 and so on, a quarter each. Four rounds of
/// interleaving neighbours at twice the distance then bring the bytes of a column together:
///
/// ```text
/// bytes    rows 0 and 8, 1 and 9, ...   ->  column pairs of two rows
/// 4 times  the same of the results      ->  one column of 16 rows in each quarter
/// ```
///
/// # Safety
/// The instruction set, and 16 readable bytes in each row.
#[inline(always)]
pub(super) unsafe fn transpose<V: Vector>(bytes: *const u8, stride: usize) -> [V; 16] {
    // SAFETY: the caller's.
    unsafe {
        let mut registers = [V::zero(); 16];
        for (index, register) in registers.iter_mut().enumerate() {
            *register = V::load_quarters(bytes.add(index * stride), 16 * stride);
        }
        // Each round interleaves register i with register i + 8. Seen as a 16 x 16 matrix of bytes
        // with 4-bit indices of row and column, a round rotates the 8 bits of (register, byte) by
        // one; after four rounds rows and columns have changed places.
        interleaved(interleaved(interleaved(interleaved(registers))))
    }
}

/// One round, written out: as a loop it would go through memory.
///
/// # Safety
/// The instruction set.
#[inline(always)]
unsafe fn interleaved<V: Vector>(r: [V; 16]) -> [V; 16] {
    // SAFETY: the caller's.
    unsafe {
        let [a, b] = r[0].unpack_bytes(r[8]);
        let [c, d] = r[1].unpack_bytes(r[9]);
        let [e, f] = r[2].unpack_bytes(r[10]);
        let [g, h] = r[3].unpack_bytes(r[11]);
        let [i, j] = r[4].unpack_bytes(r[12]);
        let [k, l] = r[5].unpack_bytes(r[13]);
        let [m, n] = r[6].unpack_bytes(r[14]);
        let [o, p] = r[7].unpack_bytes(r[15]);
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}
