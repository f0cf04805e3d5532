//! Registers of 64-bit ARM, and the operations that it has to itself.
#![expect(
    unsafe_code,
    reason = "loads and stores of a register, at places that their types or callers answer for"
)]

pub(super) mod blend;
pub(super) mod deinterleave;
pub(super) mod elements;
pub(super) mod neon;
pub(super) mod quads;
pub(super) mod turn;
pub(super) mod vertical;
