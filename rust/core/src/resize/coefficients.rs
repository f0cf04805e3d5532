//! The weights of one axis: float64 tables, rounded to fixed point.

use std::ops::Range;

use super::Reference;
use crate::error::Result;
use crate::memory;

/// Half the width of the bicubic kernel, in source pixels at scale 1.
const SUPPORT: f64 = 2.0;

/// Bits of the lower half of a weight that does not fit in 16.
const LOW_BITS: u32 = 11;

/// Weights of one axis, in units of `2^-precision`.
#[derive(Debug, Clone)]
pub struct Coefficients {
    precision: u32,
    windows: Vec<Window>,
    weights: Vec<i32>,
    pairs: Vec<Pair>,
    /// How many pairs each window has.
    pair_count: usize,
    split: bool,
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

/// Two neighbouring weights for a multiply-add of 16-bit pairs, the first in the lower half of each
/// word. A weight is `low`, or `high * 2^LOW_BITS + low` if the table is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Pair {
    /// The weights, or their lower bits.
    pub low: i32,
    /// Their upper bits; 0 if the table is not split.
    pub high: i32,
}

impl Pair {
    /// Position of the upper bits.
    pub const SHIFT: u32 = LOW_BITS;

    fn new(weights: [i32; 2], split: bool) -> Self {
        let word = |[a, b]: [i32; 2]| (a & 0xffff) | (b << 16);
        if split {
            Self {
                low: word(weights.map(|weight| weight & ((1 << LOW_BITS) - 1))),
                high: word(weights.map(|weight| weight >> LOW_BITS)),
            }
        } else {
            Self {
                low: word(weights),
                high: 0,
            }
        }
    }
}

/// Where windows may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// At any position.
    Any,
    /// At even positions, a zero weight before an odd one, so that windows share pairs of taps.
    Even,
}

impl Coefficients {
    /// The table for `source` positions resampled to `target`.
    pub fn new(source: usize, target: usize, reference: Reference, starts: Starts) -> Result<Self> {
        let filter = Filter::new(source, target);
        // A window that has to start earlier than its taps takes in the zero before them.
        let spare = usize::from(starts == Starts::Even);
        let room = target.saturating_mul(filter.most_taps() + spare);
        let mut exact = memory::with_capacity(room, "resampling weights")?;
        let mut ends = memory::with_capacity(target, "resampling windows")?;
        for position in 0..target {
            exact.resize(exact.len() + spare, 0.0);
            let start = filter.weigh(position, &mut exact);
            ends.push((start, exact.len()));
        }
        let precision = reference.precision(exact.iter().copied().fold(0.0, f64::max));

        let unit = f64::from(1u32 << precision);
        // Half away from zero, by truncation, as both references do it.
        let round = |weight: &f64| (weight * unit + 0.5f64.copysign(*weight)) as i32;
        let mut weights: Vec<i32> = memory::with_capacity(exact.len(), "resampling weights")?;
        weights.extend(exact.iter().map(round));
        let mut windows = memory::with_capacity(target, "resampling windows")?;
        // From the last window to the first, so that none starts after the next one.
        let mut latest = source;
        for position in (0..target).rev() {
            let (start, end) = ends[position];
            let first = position.checked_sub(1).map_or(0, |before| ends[before].1) + spare;
            let taps = &weights[first..end];
            // Taps at the ends that come out as zero cost time and change nothing.
            let zeros = taps.iter().take_while(|weight| **weight == 0).count();
            let skipped = zeros.min(latest - start).min(taps.len() - 1);
            let kept = &taps[skipped..];
            let trailing = kept[1..].iter().rev().take_while(|weight| **weight == 0);
            latest = start + skipped;
            let early = spare * (latest % 2);
            windows.push(Window {
                start: latest - early,
                first: first + skipped - early,
                taps: early + kept.len() - trailing.count(),
            });
        }
        windows.reverse();

        let split = weights.iter().any(|weight| i16::try_from(*weight).is_err());
        let most = windows.iter().map(|window| window.taps).max().unwrap_or(0);
        let pair_count = most.div_ceil(2);
        let total = target.saturating_mul(pair_count);
        let mut pairs = memory::with_capacity(total, "resampling weights")?;
        for (position, window) in windows.iter().enumerate() {
            let taps = &weights[window.first..window.first + window.taps];
            let (whole, rest) = taps.as_chunks();
            pairs.extend(whole.iter().map(|taps| Pair::new(*taps, split)));
            pairs.extend(rest.iter().map(|tap| Pair::new([*tap, 0], split)));
            pairs.resize((position + 1) * pair_count, Pair::new([0, 0], split));
        }
        Ok(Self {
            precision,
            windows,
            weights,
            pairs,
            pair_count,
            split,
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

    /// Whether some weight does not fit in 16 bits.
    pub fn is_split(&self) -> bool {
        self.split
    }

    /// First source position and weights of the output at `position`. Starts never decrease.
    pub fn window(&self, position: usize) -> (usize, &[i32]) {
        let Window {
            start, first, taps, ..
        } = self.windows[position];
        (start, &self.weights[first..first + taps])
    }

    /// The weights of [`Coefficients::window`] two by two, and zeros after them: all windows have as
    /// many pairs, so that a kernel's loop ends where the processor expects it to.
    pub fn pairs(&self, position: usize) -> &[Pair] {
        &self.pairs[position * self.pair_count..][..self.pair_count]
    }

    /// First source position and pairs of the outputs at `positions`.
    pub fn windows(&self, positions: Range<usize>) -> impl Iterator<Item = (usize, &[Pair])> {
        let starts = self.windows[positions.clone()]
            .iter()
            .map(|window| window.start);
        let pairs = &self.pairs[positions.start * self.pair_count..];
        starts.zip(pairs.chunks_exact(self.pair_count))
    }

    /// How many pairs each window has.
    pub fn pair_count(&self) -> usize {
        self.pair_count
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
            Coefficients::new(source, target, Reference::Torchvision, Starts::Any)
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
            even in any::<bool>(),
        ) {
            let starts = if even { Starts::Even } else { Starts::Any };
            let table = Coefficients::new(source, target, reference, starts).unwrap();
            prop_assert_eq!(table.len(), target);
            let one = 1i64 << table.precision();
            let mut previous = 0;
            for position in 0..target {
                let (start, weights) = table.window(position);
                prop_assert!(start >= previous && start + weights.len() <= source);
                prop_assert!(!even || start % 2 == 0);
                prop_assert!(!weights.is_empty() && weights.len() <= table.most_taps());
                previous = start;
                let sum: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
                // Each weight was rounded once; those that became zero may have been dropped.
                let most = table.most_taps() + 2;
                prop_assert!((sum - one).unsigned_abs() as usize <= most);
                let halves = |word: i32| [word as i16, (word >> 16) as i16].map(i32::from);
                let joined = table.pairs(position).iter().flat_map(|pair| {
                    let (low, high) = (halves(pair.low), halves(pair.high));
                    [0, 1].map(|half| low[half] + (high[half] << Pair::SHIFT))
                });
                let zeros = std::iter::repeat_n(0, 2 * table.pair_count() - weights.len());
                prop_assert!(joined.eq(weights.iter().copied().chain(zeros)));
                // The accumulator of the kernels is an i32.
                let reach: i64 = weights.iter().map(|weight| i64::from(weight.abs()) * 255).sum();
                prop_assert!(reach + one / 2 <= i64::from(i32::MAX));
            }
        }
    }
}
