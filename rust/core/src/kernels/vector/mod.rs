//! Kernels in vectors, for processors whose instructions we use by name.
//!
//! What a kernel needs of registers is in a module for each kind of them, under the same names:
//! `x86_64::avx2`, `x86_64::avx512`, `aarch64::neon`. A kernel is written once, in a macro that is expanded
//! over each, or with what [`processor`] has where one kind does for all backends of a processor. ARM has a
//! vertical pass of its own, as its multiply-adds add no neighbours.
#![expect(
    unsafe_code,
    reason = "loads and stores that are checked before the loop that they are in"
)]

mod columns;
mod deinterleave;
mod keep;
mod patch;
pub(super) mod rows;
pub(super) mod run;
mod sink;
mod turn;
mod turned;
mod vertical;
mod weight_parts;

#[cfg(target_arch = "aarch64")]
use super::aarch64 as processor;
#[cfg(target_arch = "x86_64")]
use super::x86_64 as processor;

pub(super) use columns::Columns;
pub(super) use deinterleave::{deinterleave, interleave, over_white};
pub(super) use keep::keep;
pub(super) use rows::{write_band, write_plane};
pub(super) use turned::Turned;
pub(super) use vertical::combine;
