//! Registers of x86-64, and the operations that they have to themselves.
#![expect(
    unsafe_code,
    reason = "loads and stores of a register, at places that their types or callers answer for"
)]

use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod avx512_bytes;
pub(super) mod blend;
pub(super) mod deinterleave;
pub(super) mod deinterleave_vbmi;
pub(super) mod elements;
pub(super) mod lookup;
pub(super) mod quads;
pub(super) mod stream;
pub(super) mod turn;

/// Asks for the cache line at `address`, no closer than the second-level cache: what is at work now needs the first.
#[inline]
pub(super) fn prefetch(address: *const u8) {
    // SAFETY: a hint, which reads nothing and may name any address.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) };
}
