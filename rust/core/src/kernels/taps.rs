//! Weights as multiply-adds take them.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Axis, Filter, Reference};
    use proptest::prelude::*;

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
