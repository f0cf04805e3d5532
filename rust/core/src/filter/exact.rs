//! Weights in float64, as the references compute them.

use std::array;
use std::ops::Range;

use super::Filter;
use crate::error::Result;
use crate::memory;

/// Positions whose weights are computed side by side: the compiler turns them into vectors.
pub(super) const ABREAST: usize = 4;

/// One number for each of them.
type Lanes = [f64; ABREAST];

/// Computes the weights of a kernel by tap, and returns their sums.
pub(super) type Kernel = fn(&Centers, &mut [Lanes]) -> Lanes;

/// Where the taps of some output positions lie.
pub(super) struct Centers {
    centers: Lanes,
    /// The first tap, and how many there are.
    starts: Lanes,
    taps: Lanes,
    inverse_stretch: f64,
}

impl Centers {
    /// Writes the weights of a `kernel` by tap, 0 for those that a position lacks, and returns their sums.
    #[inline(always)]
    pub(super) fn weigh(&self, kernel: impl Fn(f64) -> f64, weights: &mut [Lanes]) -> Lanes {
        let mut sums = [0.0; ABREAST];
        let mut tap = 0.0;
        for weights in weights {
            for lane in 0..ABREAST {
                let at = self.starts[lane] + tap - self.centers[lane] + 0.5;
                let weight = kernel(at * self.inverse_stretch);
                let weight = if tap < self.taps[lane] { weight } else { 0.0 };
                weights[lane] = weight;
                sums[lane] += weight;
            }
            tap += 1.0;
        }
        sums
    }
}

/// The weights of an antialiasing filter between two lengths.
pub(super) struct Exact {
    kernel: Kernel,
    source: usize,
    target: usize,
    scale: f64,
    support: f64,
    inverse_stretch: f64,
    /// Room for the weights of [`ABREAST`] positions.
    weights: Vec<Lanes>,
}

/// The weights of [`ABREAST`] positions.
pub(super) struct Weighed<'a> {
    /// Which source positions they are made of.
    bounds: [Range<usize>; ABREAST],
    /// By tap; 0 for those that a position lacks.
    weights: &'a [Lanes],
}

impl Exact {
    pub(super) fn new(source: usize, target: usize, filter: Filter) -> Result<Self> {
        let (radius, kernel) = filter.kernel();
        let scale = source as f64 / target as f64;
        let stretch = scale.max(1.0);
        let support = radius * stretch;
        let most_taps = (support.ceil() as usize * 2 + 1).min(source);
        Ok(Self {
            kernel,
            source,
            target,
            scale,
            support,
            // The references multiply by this reciprocal rather than divide.
            inverse_stretch: 1.0 / stretch,
            weights: memory::filled(most_taps, [0.0; ABREAST], "resampling weights")?,
        })
    }

    /// The most taps that a position has.
    pub(super) fn most_taps(&self) -> usize {
        self.weights.len()
    }

    /// The normalised weights of some output positions.
    pub(super) fn weigh(&mut self, positions: [usize; ABREAST]) -> Weighed<'_> {
        let centers = positions.map(|position| self.scale * (position as f64 + 0.5));
        let bounds = centers.map(|center| {
            let start = (center - self.support + 0.5).max(0.0) as usize;
            let end = ((center + self.support + 0.5) as usize).min(self.source);
            start..end
        });
        let most = bounds.iter().map(Range::len).max().unwrap_or(0);
        let weights = &mut self.weights[..most];
        let centers = Centers {
            centers,
            starts: array::from_fn(|lane| bounds[lane].start as f64),
            taps: array::from_fn(|lane| bounds[lane].len() as f64),
            inverse_stretch: self.inverse_stretch,
        };
        let sums = (self.kernel)(&centers, weights);
        for weights in &mut *weights {
            for (weight, sum) in weights.iter_mut().zip(sums) {
                *weight /= sum;
            }
        }
        Weighed { bounds, weights }
    }

    /// The largest weight of all positions.
    pub(super) fn largest(&mut self) -> f64 {
        let last = self.target - 1;
        (0..=last).step_by(ABREAST).fold(0.0, |largest, first| {
            let weighed = self.weigh(array::from_fn(|lane| last.min(first + lane)));
            let weights = weighed.weights.as_flattened().iter();
            weights.copied().fold(largest, f64::max)
        })
    }
}

impl Weighed<'_> {
    /// The first source position of one of them, and its weights.
    pub(super) fn of(&self, lane: usize) -> (usize, impl Iterator<Item = f64>) {
        let bounds = &self.bounds[lane];
        let weights = self.weights[..bounds.len()].iter();
        (bounds.start, weights.map(move |weights| weights[lane]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_1_in_the_middle_and_0_from_its_radius_on() {
        for filter in Filter::ALL {
            let (radius, kernel) = filter.kernel();
            let distances = [0.0, radius + 1e-9, -radius - 1e-9, 0.0];
            let at = Centers {
                centers: distances.map(|distance| 0.5 - distance),
                starts: [0.0; ABREAST],
                taps: [1.0, 1.0, 1.0, 0.0],
                inverse_stretch: 1.0,
            };
            let mut weights = [[7.0; ABREAST]];
            assert_eq!(
                kernel(&at, &mut weights),
                [1.0, 0.0, 0.0, 0.0],
                "{filter:?}"
            );
            assert_eq!(weights, [[1.0, 0.0, 0.0, 0.0]], "{filter:?}");
        }
    }
}
