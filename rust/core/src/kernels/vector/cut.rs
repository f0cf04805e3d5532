//! Weights of the horizontal pass as its multiply-adds take them, in sets of neighbouring taps.

use crate::filter::Axis;
use crate::kernels::isa::Isa;
use crate::kernels::taps::{digits, halves};

/// How weights are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A word each.
    Whole,
    /// Two words each, where one is too narrow.
    Words,
    /// Two bytes each.
    Bytes,
}

impl Cut {
    /// The one that takes the fewest instructions.
    pub(super) fn of(axis: &Axis, isa: Isa) -> Self {
        if axis.is_wide() {
            return Self::Words;
        }
        // A gather and a multiply-add for two taps, or a gather and two multiply-adds for four, with two more
        // instructions that join the sums.
        let taps = axis.most_taps();
        let pays = 3 * taps.div_ceil(4) + 2 < 2 * taps.div_ceil(2);
        let mut weights = (0..axis.len()).flat_map(|x| axis.bounds(x).1);
        if multiplies_bytes(isa) && pays && weights.all(|weight| digits::<2>(*weight).is_some()) {
            Self::Bytes
        } else {
            Self::Whole
        }
    }

    /// Taps of a set.
    pub(super) fn taps(self) -> usize {
        match self {
            Self::Whole | Self::Words => 2,
            Self::Bytes => 4,
        }
    }

    /// Registers of weights of a set.
    pub(super) fn registers(self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Words | Self::Bytes => 2,
        }
    }

    /// What gathers the samples from `at` on in the order of their weights.
    pub(super) fn pattern(self, at: usize) -> [u8; 4] {
        /// Where a word has a byte that is zero.
        const ZERO: u8 = 0x80;
        let at = at as u8;
        match self {
            Self::Whole | Self::Words => [at, ZERO, at + 1, ZERO],
            Self::Bytes => [at, at + 1, at + 2, at + 3],
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
                Self::Bytes => {
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

/// Whether an instruction adds products of bytes to sums of 32 bits.
fn multiplies_bytes(isa: Isa) -> bool {
    match isa.backend() {
        #[cfg(target_arch = "x86_64")]
        crate::kernels::isa::Backend::Avx512 => true,
        _ => false,
    }
}
