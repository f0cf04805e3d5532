//! Arms for x86-64: as many lines, or columns, as a register has bytes.
//!
//! The kernels of resampling are written once for registers of 32 and of 64 bytes, by [`vector`]. They
//! are always inlined into functions that enable an instruction set, so that its instructions are too.
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
mod vector;

pub(super) use combine::combine_lines;
pub(super) use resample::{resample_lines, stage_bytes};
pub use rows::Lanes;
pub(super) use rows::write_band;
pub(super) use split::split_lines;
