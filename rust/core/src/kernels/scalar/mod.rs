//! Portable kernels, in plain Rust that the compiler can vectorise.

pub(super) mod blend;
mod deinterleave;
mod horizontal;
mod rows;
mod vertical;

pub(super) use blend::over_white;
pub(super) use deinterleave::{deinterleave, interleave};
pub(super) use horizontal::{keep, resample};
pub(super) use rows::{write_band, write_plane};
pub(super) use vertical::{accumulate, combine, round};

/// One half in units of the weights: what turns the final shift into rounding.
pub(super) fn half(precision: u32) -> i32 {
    1 << (precision - 1)
}

/// A sum of weighted samples as a sample.
fn to_sample(sum: i32, precision: u32) -> u8 {
    (sum >> precision).clamp(0, 255) as u8
}
