//! The inner loops: samples and weights in, samples out.
//!
//! Each operation has a door, which chooses the backend of an [`Isa`]: [`deinterleave`], [`blend`],
//! [`horizontal`], [`vertical`], [`rows`]. The scalar backend is the oracle: every other equals it on every input, and
//! is only added together with the suite that executes it. The others are written once, in `vector`, over the
//! registers that `x86_64` and `aarch64` have. Doors import `vector`, that the registers, and these no more than what
//! all share: [`isa`], the weights of an axis, scanlines. Kernels see slices and tables alone; where
//! pixels come from and what becomes of them is for `resize` and `rows` to know.
//!
//! Scanlines are resampled two at a time, 2k and 2k + 1, and what comes of them stays together as a
//! [`Pair`]: 16-bit neighbours are what the multiply-add of the vertical pass takes from memory, so
//! that pass shuffles nothing.
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    expect(
        dead_code,
        unused_mut,
        unused_variables,
        reason = "only vector kernels need them, and there are none for this processor"
    )
)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub(crate) mod band;
pub(crate) mod blend;
mod column;
pub(crate) mod deinterleave;
pub(crate) mod element;
pub(crate) mod horizontal;
mod isa;
mod pair_axis;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod prefetch;
pub(crate) mod rows;
mod scalar;
pub(crate) mod staged;
mod taps;
pub(crate) mod values;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector;
pub(crate) mod vertical;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use isa::Isa;

/// The samples of scanlines 2k and 2k + 1 in one place, 0 to 255.
pub(crate) type Pair = [i16; 2];

/// Bytes of the widest register.
const WIDEST: usize = 64;

/// Samples from one plane of a scanline of `width` pixels to the next: whole registers, and no multiple of four of
/// them. Of lines that lie a power of two apart a first-level cache holds few.
pub(crate) fn plane_stride(width: usize) -> usize {
    let registers = width.div_ceil(WIDEST);
    let padding = usize::from(registers.is_multiple_of(4));
    (registers + padding) * WIDEST
}
