//! The weights of one axis: float64 tables, rounded to fixed point.

use super::Reference;
use crate::error::Result;
use crate::memory;

/// Half the width of the bicubic kernel, in source pixels at scale 1.
const SUPPORT: f64 = 2.0;

/// Weights of one axis, in units of `2^-precision`.
#[derive(Debug, Clone)]
pub struct Coefficients {
    precision: u32,
    windows: Vec<Window>,
    weights: Vec<i32>,
}

/// Where the taps of one output position lie.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// First source position.
    start: usize,
    /// First weight in `Coefficients::weights`.
    first: usize,
    /// Number of taps.
    taps: usize,
}

impl Coefficients {
    /// The table for `source` positions resampled to `target`.
    pub fn new(source: usize, target: usize, reference: Reference) -> Result<Self> {
        let filter = Filter::new(source, target);
        let mut taps = memory::with_capacity(filter.most_taps(), "resampling weights")?;

        let mut largest = 0.0f64;
        let mut total = 0;
        for position in 0..target {
            filter.weigh(position, &mut taps);
            largest = taps.iter().copied().fold(largest, f64::max);
            total += taps.len();
        }
        let precision = reference.precision(largest);

        let mut windows = memory::with_capacity(target, "resampling windows")?;
        let mut weights = memory::with_capacity(total, "resampling weights")?;
        let unit = f64::from(1u32 << precision);
        for position in 0..target {
            let start = filter.weigh(position, &mut taps);
            windows.push(Window {
                start,
                first: weights.len(),
                taps: taps.len(),
            });
            // Half away from zero, by truncation, as both references do it.
            weights.extend(
                taps.iter()
                    .map(|weight| (weight * unit + 0.5f64.copysign(*weight)) as i32),
            );
        }
        Ok(Self {
            precision,
            windows,
            weights,
        })
    }

    /// Output positions.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there is no output position.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Bits after the point.
    pub fn precision(&self) -> u32 {
        self.precision
    }

    /// First source position and weights of the output at `position`. Starts never decrease.
    pub fn window(&self, position: usize) -> (usize, &[i32]) {
        let Window { start, first, taps } = self.windows[position];
        (start, &self.weights[first..first + taps])
    }

    /// Length of the longest window.
    pub fn most_taps(&self) -> usize {
        self.windows
            .iter()
            .map(|window| window.taps)
            .max()
            .unwrap_or(0)
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

    /// Writes the normalised weights of output `position` to `taps` and returns the first source
    /// position.
    fn weigh(&self, position: usize, taps: &mut Vec<f64>) -> usize {
        let center = self.scale * (position as f64 + 0.5);
        let start = (center - self.support + 0.5).max(0.0) as usize;
        let end = ((center + self.support + 0.5) as usize).min(self.source);
        taps.clear();
        let mut sum = 0.0;
        for tap in start..end {
            let weight = bicubic((tap as f64 - center + 0.5) * self.inverse_stretch);
            sum += weight;
            taps.push(weight);
        }
        for weight in taps.iter_mut() {
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
            Coefficients::new(source, target, Reference::Torchvision)
                .unwrap()
                .precision()
        };
        assert_eq!(precision(100, 400), 14);
        assert_eq!(precision(400, 100), 16);
        assert_eq!(precision(256 * 64, 64), 22);
    }

    proptest! {
        #[test]
        fn windows_stay_inside_move_forward_and_sum_to_one(
            source in 1usize..4000, target in 1usize..4000, reference in Reference::any(),
        ) {
            let table = Coefficients::new(source, target, reference).unwrap();
            prop_assert_eq!(table.len(), target);
            let one = 1i64 << table.precision();
            let mut previous = 0;
            for position in 0..target {
                let (start, weights) = table.window(position);
                prop_assert!(start >= previous && start + weights.len() <= source);
                prop_assert!(!weights.is_empty() && weights.len() <= table.most_taps());
                previous = start;
                let sum: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
                // Each weight was rounded once.
                prop_assert!((sum - one).unsigned_abs() as usize <= weights.len());
                // The accumulator of the kernels is an i32.
                let reach: i64 = weights.iter().map(|weight| i64::from(weight.abs()) * 255).sum();
                prop_assert!(reach + one / 2 <= i64::from(i32::MAX));
            }
        }
    }
}
