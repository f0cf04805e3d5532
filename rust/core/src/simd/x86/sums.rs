//! Convolution, the same between lines and along them.
//!
//! A convolution takes its taps two at a time. Bytes of tap a and tap b are interleaved and widened
//! to 16 bits, and one multiply-add with their pair of weights gives a 32-bit partial sum:
//!
//! ```text
//! a:  a0 a1 a2 ...        unpack a, b:       a0 b0 a1 b1 ...       (bytes)
//! b:  b0 b1 b2 ...        widened:           a0    b0    a1 ...    (16 bits)
//!                         times (wa, wb):    a0*wa + b0*wb  ...    (32 bits)
//! ```
//!
//! Unpacking works within each quarter of a register; packing, which narrows the sums, does too, in
//! the inverse order, so that bytes come out where they went in.

use super::vector::Vector;
use crate::resize::Pair;

/// Two taps of a register of columns or lines, interleaved and widened to 16 bits.
pub(super) type Words<V> = [V; 4];

/// The bytes of `a` and `b`, interleaved and widened to 16 bits.
///
/// # Safety
/// The instruction set.
#[inline(always)]
pub(super) unsafe fn widen<V: Vector>(a: V, b: V) -> Words<V> {
    // SAFETY: the caller's.
    unsafe {
        let zero = V::zero();
        let [front, back] = a.unpack_bytes(b);
        let [first, second] = front.unpack_bytes(zero);
        let [third, fourth] = back.unpack_bytes(zero);
        [first, second, third, fourth]
    }
}

/// Running sums of the bytes of a register, in the order of [`widen`].
#[derive(Clone, Copy)]
pub(super) struct Sums<V, const SPLIT: bool> {
    low: [V; 4],
    high: [V; 4],
}

impl<V: Vector, const SPLIT: bool> Sums<V, SPLIT> {
    /// # Safety
    /// The instruction set.
    #[inline(always)]
    pub(super) unsafe fn new(precision: u32) -> Self {
        // SAFETY: the caller's.
        unsafe {
            Self {
                low: [V::splat(1 << (precision - 1)); 4],
                high: [V::zero(); 4],
            }
        }
    }

    /// Adds two taps times their weights.
    ///
    /// # Safety
    /// The instruction set.
    #[inline(always)]
    pub(super) unsafe fn add(&mut self, words: &Words<V>, pair: Pair) {
        // SAFETY: the caller's.
        unsafe {
            let weights = V::splat(pair.low);
            for (sum, words) in self.low.iter_mut().zip(words) {
                *sum = sum.multiply_add(*words, weights);
            }
            if SPLIT {
                let weights = V::splat(pair.high);
                for (sum, words) in self.high.iter_mut().zip(words) {
                    *sum = sum.multiply_add(*words, weights);
                }
            }
        }
    }

    /// The sums shifted to whole levels and clamped to a byte.
    ///
    /// # Safety
    /// The instruction set.
    #[inline(always)]
    pub(super) unsafe fn levels(self, precision: u32) -> V {
        let mut sums = self.low;
        // SAFETY: the caller's.
        unsafe {
            if SPLIT {
                for (sum, high) in sums.iter_mut().zip(self.high) {
                    *sum = sum.add_shifted::<{ Pair::SHIFT }>(high);
                }
            }
            V::pack_shifted(sums, precision)
        }
    }
}
