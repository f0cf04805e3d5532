//! Registers of x86-64, and the operations that they have to themselves.
#![expect(
    unsafe_code,
    reason = "loads and stores of a register, at places that their types or callers answer for"
)]

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod avx512_bytes;
pub(super) mod blend;
mod blend_vbmi;
pub(super) mod deinterleave;
pub(super) mod deinterleave_vbmi;
pub(super) mod elements;
pub(super) mod floats;
pub(super) mod patch;
pub(super) mod quads;
pub(super) mod stream;
mod table;
pub(super) mod turn;
