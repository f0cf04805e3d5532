//! AVX2 arms: 32 lines, or 32 columns, in the bytes of a register.
#![expect(
    unsafe_code,
    reason = "intrinsics and the unchecked loads and stores that they need"
)]

mod combine;
mod resample;
mod rows;
mod split;
mod sums;
mod tile;
mod transpose;

pub(super) use combine::combine_lines;
pub(super) use resample::{resample_lines, stage_bytes};
pub use rows::Lanes;
pub(super) use rows::write_band;
pub(super) use split::split_lines;

/// Bytes in a register.
const LANES: usize = 32;
