//! Portable arms, in plain Rust that the compiler can vectorise.

use crate::resize::Coefficients;

/// See [`super::resample_line`].
pub fn resample_line(line: &[u8], table: &Coefficients, out: &mut [u8]) {
    let precision = table.precision();
    for (position, pixel) in out.chunks_exact_mut(3).enumerate() {
        let (start, weights) = table.window(position);
        let mut sums = [half(precision); 3];
        for (weight, rgb) in weights.iter().zip(line[3 * start..].chunks_exact(3)) {
            for (sum, value) in sums.iter_mut().zip(rgb) {
                *sum += weight * i32::from(*value);
            }
        }
        for (value, sum) in pixel.iter_mut().zip(sums) {
            *value = to_level(sum, precision);
        }
    }
}

/// See [`super::combine_lines`].
pub fn combine_lines(lines: &[u8], weights: &[i32], precision: u32, out: &mut [u8]) {
    /// Columns whose sums are held in registers or the first-level cache at a time.
    const BLOCK: usize = 128;
    let line_bytes = out.len();
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [half(precision); BLOCK];
        for (weight, line) in weights.iter().zip(lines.chunks_exact(line_bytes)) {
            for (sum, value) in sums.iter_mut().zip(&line[block * BLOCK..][..out.len()]) {
                *sum += weight * i32::from(*value);
            }
        }
        for (value, sum) in out.iter_mut().zip(sums) {
            *value = to_level(sum, precision);
        }
    }
}

/// One half in units of the weights: what turns the final shift into rounding.
fn half(precision: u32) -> i32 {
    1 << (precision - 1)
}

fn to_level(sum: i32, precision: u32) -> u8 {
    (sum >> precision).clamp(0, 255) as u8
}
