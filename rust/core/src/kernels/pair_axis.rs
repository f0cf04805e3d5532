//! The taps of an axis in pairs, as scanlines are.

use std::ops::Range;

use super::taps::{Taps, Weights, halves};
use crate::error::Result;
use crate::filter::Axis;
use crate::memory;

/// Which pairs of scanlines, or of columns, each output is made of, and with which weights.
///
/// Taps that begin or end in the middle of a pair take in the other half with a weight of zero.
#[derive(Debug)]
pub(super) struct PairAxis {
    precision: u32,
    bounds: Vec<PairBounds>,
    /// The weights, in the order of the output positions.
    whole: Vec<[i32; 2]>,
    /// The same in 16 bits, or their lower halves.
    low: Vec<Taps>,
    /// The upper halves, if the weights are wide.
    high: Vec<Taps>,
}

#[derive(Debug, Clone, Copy)]
struct PairBounds {
    /// The first pair.
    start: usize,
    /// Its weights in `PairAxis::whole`.
    first: usize,
    count: usize,
}

/// Positions that are made of as many pairs each, side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Positions<'a> {
    bounds: &'a [PairBounds],
    /// The pair that columns begin with.
    first: usize,
    /// Those of all positions.
    pub(super) weights: Weights<'a>,
    pub(super) precision: u32,
}

impl<'a> Positions<'a> {
    /// The columns and the weights of the position at `index`, as many of each.
    #[inline(always)]
    pub(super) fn nth<'b, C>(&self, index: usize, columns: &'b [C]) -> (&'b [C], Weights<'a>) {
        let PairBounds { start, count, .. } = self.bounds[index];
        let weights = self.weights.part(index * count..(index + 1) * count);
        (&columns[start - self.first..][..count], weights)
    }
}

impl PairAxis {
    /// From `height` scanlines to those of `axis`, or to as many if that is None.
    pub(super) fn new(height: usize, axis: Option<&Axis>) -> Result<Self> {
        // One tap of 1 changes nothing, so that a height that stays needs no case of its own.
        const KEPT_PRECISION: u32 = 14;
        const KEPT: &[i32] = &[1 << KEPT_PRECISION];
        let Some(axis) = axis else {
            let ranges = (0..height).map(|y| y / 2..y / 2 + 1);
            return Self::of_ranges(KEPT_PRECISION, false, ranges, |y| (y, KEPT));
        };
        // No output ends before the one above it, so that bands need no more than their last one does.
        let ranges = (0..axis.len()).scan(0, |end, position| {
            let pairs = pairs_of(axis, position);
            *end = pairs.end.max(*end);
            Some(pairs.start..*end)
        });
        let (precision, wide) = (axis.precision(), axis.is_wide());
        Self::of_ranges(precision, wide, ranges, |y| axis.bounds(y))
    }

    /// From columns to those of `axis`, all of as many pairs: a loop that always ends at the same count is foreseen.
    pub(super) fn of_columns(axis: &Axis) -> Result<Self> {
        let bounds = (0..axis.len()).map(|x| pairs_of(axis, x));
        let most = bounds.clone().map(|pairs| pairs.len()).max().unwrap_or(0);
        let last = axis.needed().end.div_ceil(2) - most;
        let ranges = bounds.map(|pairs| {
            let start = pairs.start.min(last);
            start..start + most
        });
        let (precision, wide) = (axis.precision(), axis.is_wide());
        Self::of_ranges(precision, wide, ranges, |x| axis.bounds(x))
    }

    /// Outputs that are made of `ranges` of pairs, in which `taps` are.
    fn of_ranges<'a>(
        precision: u32,
        wide: bool,
        ranges: impl Iterator<Item = Range<usize>> + Clone,
        taps: impl Fn(usize) -> (usize, &'a [i32]),
    ) -> Result<Self> {
        const PURPOSE: &str = "weights of pairs";
        let (count, total) = ranges.clone().fold((0, 0), |(count, total), pairs| {
            (count + 1, total + pairs.len())
        });
        let mut bounds = memory::with_capacity(count, PURPOSE)?;
        let mut whole = memory::with_capacity(total, PURPOSE)?;
        let mut low = memory::with_capacity(total, PURPOSE)?;
        let mut high = memory::with_capacity(if wide { total } else { 0 }, PURPOSE)?;
        for (position, pairs) in ranges.enumerate() {
            let (start, weights) = taps(position);
            bounds.push(PairBounds {
                start: pairs.start,
                first: whole.len(),
                count: pairs.len(),
            });
            for pair in pairs {
                let weight = |line: usize| {
                    let tap = line.checked_sub(start).and_then(|tap| weights.get(tap));
                    tap.copied().unwrap_or(0)
                };
                let weights = [2 * pair, 2 * pair + 1].map(weight);
                whole.push(weights);
                let [a, b] = weights.map(|weight| halves(weight, wide));
                low.push([a[0], b[0]]);
                if wide {
                    high.push([a[1], b[1]]);
                }
            }
        }
        Ok(Self {
            precision,
            bounds,
            whole,
            low,
            high,
        })
    }

    /// Outputs.
    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Bits of the weights after the point.
    pub(super) fn precision(&self) -> u32 {
        self.precision
    }

    /// The pairs that output `position` is made of. Neither end ever decreases.
    pub(super) fn pairs(&self, position: usize) -> Range<usize> {
        let PairBounds { start, count, .. } = self.bounds[position];
        start..start + count
    }

    /// The weights that output `position` gives some of its pairs.
    pub(super) fn weights(&self, position: usize, pairs: Range<usize>) -> Weights<'_> {
        let PairBounds { start, first, .. } = self.bounds[position];
        let pairs = pairs.start - start + first..pairs.end - start + first;
        self.all_weights().part(pairs)
    }

    /// Some of [`PairAxis::of_columns`], where columns are those from the pair `first` on.
    pub(super) fn positions(&self, positions: Range<usize>, first: usize) -> Positions<'_> {
        let bounds = &self.bounds[positions];
        let all = bounds
            .first()
            .map_or(0..0, |own| own.first..own.first + own.count * bounds.len());
        Positions {
            bounds,
            first,
            weights: self.all_weights().part(all),
            precision: self.precision,
        }
    }

    fn all_weights(&self) -> Weights<'_> {
        Weights {
            whole: &self.whole,
            low: &self.low,
            high: &self.high,
        }
    }
}

/// The pairs of positions that the taps of `position` are in.
fn pairs_of(axis: &Axis, position: usize) -> Range<usize> {
    let (start, taps) = axis.bounds(position);
    start / 2..(start + taps.len()).div_ceil(2)
}
