//! Weights as multiply-adds take them.

use std::ops::Range;

/// Bits of the lower half of a weight that does not fit in 16.
pub(super) const LOW_BITS: u32 = 11;

/// Two neighbouring weights, or halves of them.
pub(super) type Taps = [i16; 2];

/// The weights of one output scanline, two for each pair of scanlines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) whole: &'a [[i32; 2]],
    /// The same in 16 bits, or their lower halves.
    pub(super) low: &'a [Taps],
    /// Empty unless the weights are wide.
    pub(super) high: &'a [Taps],
}

impl Weights<'_> {
    /// Those of some of the pairs.
    #[inline(always)]
    pub(super) fn part(self, pairs: Range<usize>) -> Self {
        Self {
            whole: &self.whole[pairs.clone()],
            high: match self.high {
                [] => &[],
                high => &high[pairs.clone()],
            },
            low: &self.low[pairs],
        }
    }
}

/// A weight as one 16-bit number, or as two of which the second counts `2^LOW_BITS` times.
///
/// A weight of Pillow's has 22 bits after the point and a sign. Its lower 11 bits and what is above
/// them both fit in 16, so that two multiply-adds are exact where one is too narrow.
pub(super) fn halves(weight: i32, wide: bool) -> [i16; 2] {
    if wide {
        [
            (weight & ((1 << LOW_BITS) - 1)) as i16,
            (weight >> LOW_BITS) as i16,
        ]
    } else {
        [weight as i16, 0]
    }
}

/// Bits of a digit of a weight.
pub(super) const DIGIT_BITS: u32 = 8;

/// A weight as signed bytes, each of which counts `2^DIGIT_BITS` times as much as the one before it. None if
/// that takes more than `N`: two are a little short of 16 bits.
pub(super) fn digits<const N: usize>(weight: i32) -> Option<[i8; N]> {
    let mut rest = weight;
    let digits = [(); N].map(|()| {
        let lowest = rest as i8;
        rest = (rest - i32::from(lowest)) >> DIGIT_BITS;
        lowest
    });
    (rest == 0).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Axis, Filter, Reference};
    use proptest::prelude::*;

    #[test]
    fn digits_make_the_weight_or_are_refused() {
        for weight in -40_000..40_000 {
            match digits(weight) {
                Some([low, high]) => {
                    assert_eq!(i32::from(low) + (i32::from(high) << DIGIT_BITS), weight);
                }
                None => assert!(!(-32_896..=32_639).contains(&weight)),
            }
        }
    }

    proptest! {
        #[test]
        fn halves_make_the_weight(
            source in 1usize..2000, target in 1usize..2000,
            filter in Filter::any(), reference in Reference::any(),
        ) {
            let axis = Axis::new(source, target, filter, reference).unwrap();
            for position in 0..target {
                for weight in axis.bounds(position).1 {
                    let [low, high] = halves(*weight, axis.is_wide());
                    prop_assert_eq!(i32::from(low) + (i32::from(high) << LOW_BITS), *weight);
                }
            }
        }
    }
}
