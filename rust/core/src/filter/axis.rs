//! The weights of one axis: float64 tables, rounded to fixed point.

use super::Reference;
use crate::error::Result;
use crate::memory;

/// Half the width of the bicubic kernel, in source samples at scale 1.
const SUPPORT: f64 = 2.0;

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
    pub fn new(source: usize, target: usize, reference: Reference) -> Result<Self> {
        let filter = Filter::new(source, target);
        let room = target.saturating_mul(filter.most_taps());
        let mut exact = memory::with_capacity(room, "resampling weights")?;
        let mut bounds = memory::with_capacity(target, "resampling bounds")?;
        for position in 0..target {
            let first = exact.len();
            let start = filter.weigh(position, &mut exact);
            bounds.push(Bounds {
                start,
                first,
                taps: exact.len() - first,
            });
        }
        let largest = exact.iter().copied().fold(0.0, f64::max);
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
        let most_taps = bounds.iter().map(|bounds| bounds.taps).max().unwrap_or(0);
        Ok(Self {
            precision,
            bounds,
            weights,
            most_taps,
        })
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

/// The antialiased bicubic filter between two lengths, in float64.
struct Filter {
    source: usize,
    scale: f64,
    support: f64,
    inverse_stretch: f64,
}

impl Filter {
    fn new(source: usize, target: usize) -> Self {
        let scale = source as f64 / target as f64;
        let stretch = scale.max(1.0);
        Self {
            source,
            scale,
            support: SUPPORT * stretch,
            // The references multiply by this reciprocal rather than divide.
            inverse_stretch: 1.0 / stretch,
        }
    }

    fn most_taps(&self) -> usize {
        (self.support.ceil() as usize * 2 + 1).min(self.source)
    }

    /// Appends the normalised weights of output `position` to `weights` and returns the first
    /// source position.
    fn weigh(&self, position: usize, weights: &mut Vec<f64>) -> usize {
        let center = self.scale * (position as f64 + 0.5);
        let start = (center - self.support + 0.5).max(0.0) as usize;
        let end = ((center + self.support + 0.5) as usize).min(self.source);
        let first = weights.len();
        let mut sum = 0.0;
        for tap in start..end {
            let weight = bicubic((tap as f64 - center + 0.5) * self.inverse_stretch);
            sum += weight;
            weights.push(weight);
        }
        for weight in &mut weights[first..] {
            *weight /= sum;
        }
        start
    }
}

/// Keys' cubic convolution kernel with a = -1/2.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn torchvision_precision_depends_on_the_axis() {
        let precision = |source, target| {
            Axis::new(source, target, Reference::Torchvision)
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
            source in 1usize..4000, target in 1usize..4000, reference in Reference::any(),
        ) {
            let axis = Axis::new(source, target, reference).unwrap();
            prop_assert_eq!(axis.len(), target);
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
    }
}
