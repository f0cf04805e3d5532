//! Registers of 64-bit ARM, and the operations that it has to itself.
#![expect(
    unsafe_code,
    reason = "loads and stores of a register, at places that their types or callers answer for"
)]

use std::arch::asm;

pub(super) mod blend;
pub(super) mod deinterleave;
pub(super) mod elements;
pub(super) mod neon;
pub(super) mod quads;
pub(super) mod turn;
pub(super) mod vertical;

/// Asks for the cache line at `address`.
#[inline]
pub(super) fn prefetch(address: *const u8) {
    // SAFETY: a hint, which reads nothing and may name any address.
    unsafe {
        asm!("prfm pldl1keep, [{}]", in(reg) address, options(nomem, nostack, preserves_flags));
    }
}
