//! Kernels for x86-64.
//!
//! What a kernel needs of a register is in [`avx2`] and [`avx512`], under the same names; kernels that
//! are the same for both are written once, in a macro that is expanded over each.
#![expect(
    unsafe_code,
    reason = "loads and stores that are checked before the loop that they are in"
)]

mod ahead;
mod avx2;
mod avx512;
mod blend;
mod columns;
mod deinterleave;
mod dots;
mod horizontal;
mod keep;
mod rows;
mod vertical;

pub(super) use blend::over_white;
pub(super) use deinterleave::deinterleave;
pub(super) use horizontal::Horizontal;
pub(super) use keep::keep;
pub(super) use rows::{Store, write_band, write_plane};
pub(super) use vertical::combine;
