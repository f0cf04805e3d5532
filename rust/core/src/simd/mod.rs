//! The one door to the inner loops.
//!
//! Each function here picks an arm for the processor at hand. [`scalar`] is the oracle: every other
//! arm equals it on every input, and is only added together with the suite that executes it.

pub mod scalar;

use crate::resize::Coefficients;

/// Resamples one packed RGB line to `table.len()` pixels.
pub fn resample_line(line: &[u8], table: &Coefficients, out: &mut [u8]) {
    scalar::resample_line(line, table, out);
}

/// Combines adjacent lines of `out.len()` bytes each, one weight a line.
pub fn combine_lines(lines: &[u8], weights: &[i32], precision: u32, out: &mut [u8]) {
    scalar::combine_lines(lines, weights, precision, out);
}
