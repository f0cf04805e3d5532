//! Weights of the horizontal pass as its multiply-adds take them, in sets of neighbouring taps.

use crate::filter::Axis;
use crate::kernels::isa::{Avx512, VectorIsa};
use crate::kernels::taps::{digits, halves};

/// What weights are cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WeightParts {
    /// A word each.
    Whole,
    /// Two words each, where one is too narrow.
    Words,
    /// Two bytes each, for the instruction that adds products of bytes to sums of 32 bits.
    Bytes(Avx512),
}

impl WeightParts {
    /// What takes the fewest instructions.
    pub(super) fn of(axis: &Axis, isa: VectorIsa) -> Self {
        if axis.is_wide() {
            return Self::Words;
        }
        // A gather and a multiply-add for two taps, or a gather and two multiply-adds for four, with two more
        // instructions that join the sums.
        let taps = axis.most_taps();
        let pays = 3 * taps.div_ceil(4) + 2 < 2 * taps.div_ceil(2);
        let mut weights = (0..axis.len()).flat_map(|x| axis.bounds(x).1);
        match isa.avx512() {
            Some(avx512) if pays && weights.all(|weight| digits::<2>(*weight).is_some()) => {
                Self::Bytes(avx512)
            }
            _ => Self::Whole,
        }
    }

    /// Taps of a set.
    pub(super) fn taps(self) -> usize {
        match self {
            Self::Whole | Self::Words => 2,
            Self::Bytes(_) => 4,
        }
    }

    /// Registers of weights of a set.
    pub(super) fn registers(self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Words | Self::Bytes(_) => 2,
        }
    }

    /// What gathers the samples from `at` on in the order of their weights.
    pub(super) fn pattern(self, at: usize) -> [u8; 4] {
        /// Where a word has a byte that is zero.
        const ZERO: u8 = 0x80;
        let at = at as u8;
        match self {
            Self::Whole | Self::Words => [at, ZERO, at + 1, ZERO],
            Self::Bytes(_) => [at, at + 1, at + 2, at + 3],
        }
    }

    /// The weights of a set, or their lower halves, and their upper halves.
    pub(super) fn weights(self, taps: &[i32]) -> [[u8; 4]; 2] {
        let mut weights = [[0; 4]; 2];
        for (tap, weight) in taps.iter().enumerate() {
            match self {
                Self::Whole | Self::Words => {
                    let halves = halves(*weight, self == Self::Words);
                    for (weights, half) in weights.iter_mut().zip(halves) {
                        weights[2 * tap..][..2].copy_from_slice(&half.to_le_bytes());
                    }
                }
                Self::Bytes(_) => {
                    // `of` has seen that all weights can be cut so.
                    let digits = digits::<2>(*weight).unwrap_or_default();
                    for (weights, digit) in weights.iter_mut().zip(digits) {
                        weights[tap] = digit as u8;
                    }
                }
            }
        }
        weights
    }
}
