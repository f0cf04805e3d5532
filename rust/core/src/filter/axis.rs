//! The weights of one axis: float64 tables, rounded to fixed point.

use std::ops::Range;
use std::{array, iter};

use super::exact::{ABREAST, Exact};
use super::{Filter, Reference};
use crate::error::Result;
use crate::memory;

/// Weights of one axis, in units of `2^-precision`.
#[derive(Debug, Clone)]
pub struct Axis {
    precision: u32,
    bounds: Vec<Bounds>,
    weights: Vec<i32>,
    most_taps: usize,
}

/// Which source samples an output position is made of.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// First source position.
    start: usize,
    /// Its weight in `Axis::weights`.
    first: usize,
    taps: usize,
}

impl Axis {
    /// The table for `source` positions resampled to `target`.
    pub fn new(source: usize, target: usize, filter: Filter, reference: Reference) -> Result<Self> {
        Self::of_positions(source, target, 0..target as isize, filter, reference)
    }

    /// The table of some positions of an axis, in ascending order; those outside `0..target` come out as
    /// samples of 0. A length that stays as it is is copied.
    ///
    /// Weights have the precision of the whole axis, whatever positions are asked for.
    pub fn of_positions(
        source: usize,
        target: usize,
        positions: impl Iterator<Item = isize> + Clone,
        filter: Filter,
        reference: Reference,
    ) -> Result<Self> {
        if source == target {
            return Self::copy(source, positions);
        }
        let mut weights = Exact::new(source, target, filter)?;
        let count = positions.clone().count();
        let room = count.saturating_mul(weights.most_taps());
        let mut exact = memory::with_capacity(room, "resampling weights")?;
        let mut bounds = memory::with_capacity(count, "resampling bounds")?;
        let mut computed = 0;
        let last = target as isize - 1;
        let mut positions = positions.fuse();
        while bounds.len() < count {
            let some: [_; ABREAST] = array::from_fn(|_| positions.next());
            // In place of those outside, and of those there are not, the nearest.
            let inside = some.map(|position| position.unwrap_or(last).clamp(0, last));
            let weighed = weights.weigh(inside.map(isize::cast_unsigned));
            for (lane, position) in some.into_iter().flatten().enumerate() {
                let (first, (start, weights)) = (exact.len(), weighed.of(lane));
                let start = if position == inside[lane] {
                    computed += 1;
                    exact.extend(weights);
                    start
                } else {
                    exact.push(0.0);
                    if position < 0 { 0 } else { source - 1 }
                };
                bounds.push(Bounds {
                    start,
                    first,
                    taps: exact.len() - first,
                });
            }
        }
        let mut largest = exact.iter().copied().fold(0.0, f64::max);
        if computed < target && reference == Reference::Torchvision {
            largest = largest.max(weights.largest());
        }
        let precision = precision(reference, largest);

        let unit = f64::from(1u32 << precision);
        // Half away from zero, by truncation, as both references do it.
        let round = |weight: &f64| (weight * unit + 0.5f64.copysign(*weight)) as i32;
        let mut weights: Vec<i32> = memory::with_capacity(exact.len(), "resampling weights")?;
        weights.extend(exact.iter().map(round));
        // From the last position to the first, so that none starts after the next one.
        let mut latest = source;
        for bounds in bounds.iter_mut().rev() {
            bounds.drop_zeros(&weights, latest);
            latest = bounds.start;
        }
        Ok(Self::made_of(precision, bounds, weights))
    }

    /// One tap of 1 for each position, or of 0 outside.
    fn copy(length: usize, positions: impl Iterator<Item = isize> + Clone) -> Result<Self> {
        const PRECISION: u32 = 14;
        let count = positions.clone().count();
        let mut bounds = memory::with_capacity(count, "resampling bounds")?;
        let mut weights = memory::with_capacity(count, "resampling weights")?;
        for (first, position) in positions.enumerate() {
            let start = position.clamp(0, length as isize - 1);
            bounds.push(Bounds {
                start: start as usize,
                first,
                taps: 1,
            });
            weights.push(i32::from(start == position) << PRECISION);
        }
        Ok(Self::made_of(PRECISION, bounds, weights))
    }

    fn made_of(precision: u32, bounds: Vec<Bounds>, weights: Vec<i32>) -> Self {
        let most_taps = bounds.iter().map(|bounds| bounds.taps).max().unwrap_or(0);
        Self {
            precision,
            bounds,
            weights,
            most_taps,
        }
    }

    /// The source positions that the output is made of.
    pub fn needed(&self) -> Range<usize> {
        let first = self.bounds.first().map_or(0, |bounds| bounds.start);
        let ends = self.bounds.iter().map(|bounds| bounds.start + bounds.taps);
        first..ends.max().unwrap_or(first)
    }

    /// The same with source positions counted from `first` on, which none is before.
    pub fn counted_from(mut self, first: usize) -> Self {
        for bounds in &mut self.bounds {
            bounds.start -= first;
        }
        self
    }

    /// The same for `source` positions in reverse order, and with the output in reverse order.
    ///
    /// A table that is computed for them would not do: its weights may be rounded otherwise.
    pub fn mirrored(&self, source: usize) -> Result<Self> {
        let mut bounds = memory::with_capacity(self.len(), "resampling bounds")?;
        let mut weights = memory::with_capacity(self.weights.len(), "resampling weights")?;
        // From the last position to the first, so that none starts after the next one.
        let mut latest = source;
        for position in 0..self.len() {
            let (start, taps) = self.bounds(position);
            let end = source - start;
            let start = (end - taps.len()).min(latest);
            let first = weights.len();
            let zeros = end - taps.len() - start;
            weights.extend(iter::repeat_n(0, zeros).chain(taps.iter().rev().copied()));
            bounds.push(Bounds {
                start,
                first,
                taps: end - start,
            });
            latest = start;
        }
        bounds.reverse();
        Ok(Self::made_of(self.precision, bounds, weights))
    }

    /// Output positions.
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Whether there is no output position.
    pub fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// Bits after the point.
    pub fn precision(&self) -> u32 {
        self.precision
    }

    /// First source position and weights of the output at `position`. Starts never decrease.
    pub fn bounds(&self, position: usize) -> (usize, &[i32]) {
        let Bounds { start, first, taps } = self.bounds[position];
        (start, &self.weights[first..first + taps])
    }

    /// The most taps that an output position has.
    pub fn most_taps(&self) -> usize {
        self.most_taps
    }

    /// Whether some weight does not fit in 16 bits.
    pub fn is_wide(&self) -> bool {
        self.weights
            .iter()
            .any(|weight| i16::try_from(*weight).is_err())
    }
}

impl Bounds {
    /// Taps at the ends whose weights came out as zero cost time and change nothing. `latest` is where
    /// this may start at the latest.
    fn drop_zeros(&mut self, weights: &[i32], latest: usize) {
        let taps = &weights[self.first..self.first + self.taps];
        let zeros = taps.iter().take_while(|weight| **weight == 0).count();
        let skipped = zeros.min(latest - self.start).min(taps.len() - 1);
        let kept = &taps[skipped..];
        let trailing = kept[1..].iter().rev().take_while(|weight| **weight == 0);
        self.start += skipped;
        self.first += skipped;
        self.taps = kept.len() - trailing.count();
    }
}

/// Bits after the point for an axis whose largest weight is `largest`.
fn precision(reference: Reference, largest: f64) -> u32 {
    const MOST: u32 = 22;
    match reference {
        // The most bits that keep the largest weight of the axis in an int16.
        Reference::Torchvision => (0..MOST)
            .find(|bits| 0.5 + largest * f64::from(2u32 << bits) >= f64::from(1 << 15))
            .unwrap_or(MOST),
        Reference::Pillow12 | Reference::Pillow13 => MOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn torchvision_precision_depends_on_the_axis() {
        let precision = |source, target| {
            Axis::new(source, target, Filter::Bicubic, Reference::Torchvision)
                .unwrap()
                .precision()
        };
        assert_eq!(precision(100, 400), 14);
        assert_eq!(precision(400, 100), 16);
        assert_eq!(precision(256 * 64, 64), 22);
    }

    proptest! {
        #[test]
        fn bounds_stay_inside_move_forward_and_sum_to_one(
            source in 1usize..4000, target in 1usize..4000,
            filter in Filter::any(), reference in Reference::any(),
        ) {
            let axis = Axis::new(source, target, filter, reference).unwrap();
            prop_assert_eq!(axis.len(), target);
            // The vertical pass for ARM cuts off 13 or 14 of them.
            prop_assert!((14..=22).contains(&axis.precision()));
            let one = 1i64 << axis.precision();
            let mut previous = 0;
            for position in 0..target {
                let (start, weights) = axis.bounds(position);
                prop_assert!(start >= previous && start + weights.len() <= source);
                prop_assert!(!weights.is_empty() && weights.len() <= axis.most_taps());
                previous = start;
                let sum: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
                // Each weight was rounded once; those that became zero may have been dropped.
                let most = axis.most_taps() + 2;
                prop_assert!((sum - one).unsigned_abs() as usize <= most);
                // The accumulator of the kernels is an i32.
                let reach: i64 = weights.iter().map(|weight| i64::from(weight.abs()) * 255).sum();
                prop_assert!(reach + one / 2 <= i64::from(i32::MAX));
            }
        }

        #[test]
        fn some_positions_have_the_weights_of_the_whole(
            source in 1usize..600, target in 1usize..600, first in -50isize..600, count in 1isize..200,
            filter in Filter::any(), reference in Reference::any(),
        ) {
            let positions = first..first + count;
            let whole = Axis::new(source, target, filter, reference).unwrap();
            let part = Axis::of_positions(source, target, positions.clone(), filter, reference);
            let part = part.unwrap();
            prop_assert_eq!((part.len(), part.precision()), (count as usize, whole.precision()));
            let needed = part.needed();
            for (index, position) in positions.enumerate() {
                let (start, weights) = part.bounds(index);
                prop_assert!(needed.start <= start && start + weights.len() <= needed.end);
                let outside = !(0..target as isize).contains(&position);
                for tap in 0..source {
                    let weight = |(start, weights): (usize, &[i32])| {
                        tap.checked_sub(start).and_then(|at| weights.get(at)).map_or(0, |at| *at)
                    };
                    let expected = if outside { 0 } else { weight(whole.bounds(position as usize)) };
                    prop_assert_eq!(weight((start, weights)), expected);
                }
            }
        }
    }
}
