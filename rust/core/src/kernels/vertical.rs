//! The vertical pass: pairs of scanlines to a scanline.

use std::ops::Range;

use super::isa::{Backend, Isa};
use super::taps::{Taps, Weights, halves};
use super::turned::{COLUMN_STRIDE, Column};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;
use super::{Pair, scalar};
use crate::error::Result;
use crate::filter::Axis;
use crate::memory;

/// Bytes of a first-level cache that is small for this kind of processor, but for little cores.
const SMALL_CACHE: usize = if cfg!(target_arch = "aarch64") {
    64 << 10
} else {
    32 << 10
};

/// A vertical pass.
///
/// A window of taps that begins or ends in the middle of a pair takes in the other half with a weight
/// of zero.
#[derive(Debug)]
pub(crate) struct Vertical {
    isa: Isa,
    precision: u32,
    wide: bool,
    bounds: Vec<Bounds>,
    /// The weights, in the order of the output positions.
    whole: Vec<[i32; 2]>,
    /// The same in 16 bits, or their lower halves.
    low: Vec<Taps>,
    /// The upper halves, if the weights are wide.
    high: Vec<Taps>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The first pair of scanlines.
    pub(super) start: usize,
    /// Its weights in `Vertical::whole`.
    first: usize,
    pub(super) count: usize,
}

/// Windows of as many pairs each, side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows<'a> {
    pub(super) bounds: &'a [Bounds],
    /// The pair that columns begin with.
    pub(super) first: usize,
    /// Those of all windows.
    pub(super) weights: Weights<'a>,
    pub(super) precision: u32,
}

impl<'a> Windows<'a> {
    /// The columns and the weights of the window at `index`, as many of each.
    #[inline(always)]
    pub(super) fn nth<'b>(
        &self,
        index: usize,
        columns: &'b [Column],
    ) -> (&'b [Column], Weights<'a>) {
        let Bounds { start, count, .. } = self.bounds[index];
        let range = index * count..(index + 1) * count;
        let Weights { whole, low, high } = self.weights;
        let weights = Weights {
            whole: &whole[range.clone()],
            high: if high.is_empty() {
                high
            } else {
                &high[range.clone()]
            },
            low: &low[range],
        };
        (&columns[start - self.first..][..count], weights)
    }
}

impl Vertical {
    /// The pass from `height` scanlines to those of `axis`, or to as many if that is None.
    pub(crate) fn new(height: usize, axis: Option<&Axis>, isa: Isa) -> Result<Self> {
        // One tap of 1 changes nothing, so that a height that stays needs no case of its own.
        const KEPT_PRECISION: u32 = 14;
        const KEPT: &[i32] = &[1 << KEPT_PRECISION];
        let Some(axis) = axis else {
            let ranges = (0..height).map(|y| y / 2..y / 2 + 1);
            return Self::of_ranges(isa, KEPT_PRECISION, false, ranges, |y| (y, KEPT));
        };
        // No output ends before the one above it, so that bands need no more than their last one does.
        let ranges = (0..axis.len()).scan(0, |end, position| {
            let pairs = pairs_of(axis, position);
            *end = pairs.end.max(*end);
            Some(pairs.start..*end)
        });
        let (precision, wide) = (axis.precision(), axis.is_wide());
        Self::of_ranges(isa, precision, wide, ranges, |y| axis.bounds(y))
    }

    /// The pass over turned scanlines, to the columns of `axis`. Windows are of as many pairs each: a loop that
    /// always ends at the same count is foreseen.
    pub(super) fn over_columns(axis: &Axis, isa: Isa) -> Result<Self> {
        let windows = (0..axis.len()).map(|x| pairs_of(axis, x));
        let most = windows.clone().map(|pairs| pairs.len()).max().unwrap_or(0);
        let last = axis.needed().end.div_ceil(2) - most;
        let ranges = windows.map(|pairs| {
            let start = pairs.start.min(last);
            start..start + most
        });
        let (precision, wide) = (axis.precision(), axis.is_wide());
        Self::of_ranges(isa, precision, wide, ranges, |x| axis.bounds(x))
    }

    /// The pass whose outputs are made of `ranges` of pairs, in which `taps` are.
    fn of_ranges<'a>(
        isa: Isa,
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
            bounds.push(Bounds {
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
            isa,
            precision,
            wide,
            bounds,
            whole,
            low,
            high,
        })
    }

    /// Scanlines that come out.
    pub(crate) fn height(&self) -> usize {
        self.bounds.len()
    }

    /// The pairs of scanlines that output `position` is made of. Neither end ever decreases.
    pub(crate) fn pairs(&self, position: usize) -> Range<usize> {
        let Bounds { start, count, .. } = self.bounds[position];
        start..start + count
    }

    /// Combines `lines`, those of [`Vertical::pairs`] of `position` and as long as `out`, whole registers
    /// each.
    pub(crate) fn run(&self, position: usize, lines: &[&[Pair]], out: &mut [u8]) {
        self.combine(position, lines, 0, out);
    }

    /// Makes the output scanlines `positions`, one after another in `out`, of `lines`, which begin with the
    /// first of the first and end with the last of the last. All are of one length, whole registers.
    ///
    /// Neighbours have most of their pairs in common. They are made a strip at a time, so that those are still
    /// in the first-level cache.
    pub(crate) fn run_together(&self, positions: Range<usize>, lines: &[&[Pair]], out: &mut [u8]) {
        /// Bytes of the pairs that a strip of an output scanline is made of: half of a small cache.
        const STRIP: usize = SMALL_CACHE / 2;
        let (first, length) = (
            self.pairs(positions.start).start,
            out.len() / positions.len(),
        );
        let most = positions
            .clone()
            .map(|position| self.pairs(position).len())
            .max();
        let bytes = size_of::<Pair>() * most.unwrap_or(0).max(1);
        let strip = (STRIP / bytes).next_multiple_of(super::WIDEST);
        for at in (0..length).step_by(strip) {
            for (position, out) in positions.clone().zip(out.chunks_exact_mut(length)) {
                let Range { start, end } = self.pairs(position);
                let out = &mut out[at..length.min(at + strip)];
                self.combine(position, &lines[start - first..end - first], at, out);
            }
        }
    }

    /// Makes `positions`, one after another in `out`, of `columns` of turned scanlines from the pair `first` on. Does
    /// a `step` before each.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(super) fn run_columns(
        &self,
        positions: Range<usize>,
        first: usize,
        columns: &[Column],
        step: impl FnMut(),
        out: &mut [[u8; COLUMN_STRIDE]],
    ) {
        let Some(Bounds {
            first: begin,
            count,
            ..
        }) = self.bounds.get(positions.start)
        else {
            return;
        };
        let windows = Windows {
            bounds: &self.bounds[positions.clone()],
            first,
            weights: self.weights_in(*begin..begin + count * positions.len()),
            precision: self.precision,
        };
        vector::combine_columns(self.isa, windows, columns, step, out);
    }

    /// Combines what `lines`, those of `position`, have from `at` on.
    fn combine(&self, position: usize, lines: &[&[Pair]], at: usize, out: &mut [u8]) {
        let pairs = self.pairs(position);
        assert!(lines.len() == pairs.len());
        assert!(lines.iter().all(|line| line.len() >= at + out.len()));
        assert!(out.len().is_multiple_of(super::WIDEST));
        let weights = self.weights(position, pairs);
        match self.isa.backend() {
            Backend::Scalar => scalar::combine(lines, weights, self.precision, at, out),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            _ => vector::combine(self.isa, lines, weights, self.precision, at, out),
        }
    }

    /// What the sums of an output scanline begin with: what turns the final shift into rounding.
    pub(crate) fn initial_sum(&self) -> i32 {
        scalar::half(self.precision)
    }

    /// Adds those pairs of scanlines from `first` on that output `position` is made of to its `sums`.
    /// [`Vertical::finish`] makes samples of them when all have been added.
    pub(crate) fn accumulate(
        &self,
        position: usize,
        first: usize,
        lines: &[&[Pair]],
        sums: &mut [i32],
    ) {
        let pairs = self.pairs(position);
        let common = pairs.start.max(first)..pairs.end.min(first + lines.len());
        if common.is_empty() {
            return;
        }
        let lines = &lines[common.start - first..common.end - first];
        scalar::accumulate(lines, self.weights(position, common), sums);
    }

    /// What `sums` are as samples.
    pub(crate) fn finish(&self, sums: &[i32], out: &mut [u8]) {
        scalar::round(sums, self.precision, out);
    }

    /// The weights that output `position` gives some of its pairs.
    fn weights(&self, position: usize, pairs: Range<usize>) -> Weights<'_> {
        let Bounds { start, first, .. } = self.bounds[position];
        self.weights_in(pairs.start - start + first..pairs.end - start + first)
    }

    fn weights_in(&self, range: Range<usize>) -> Weights<'_> {
        Weights {
            whole: &self.whole[range.clone()],
            high: if self.wide {
                &self.high[range.clone()]
            } else {
                &[]
            },
            low: &self.low[range],
        }
    }
}

/// The pairs of positions that the taps of `position` are in.
fn pairs_of(axis: &Axis, position: usize) -> Range<usize> {
    let (start, taps) = axis.bounds(position);
    start / 2..(start + taps.len()).div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Filter, Reference};
    use crate::kernels::WIDEST;
    use proptest::prelude::*;

    /// Samples, of which half are the least or the most.
    fn sample() -> impl Strategy<Value = i16> {
        prop_oneof![0i16..256, prop::sample::select(vec![0, 255])]
    }

    proptest! {
        #[test]
        fn every_backend_combines_as_scalar_does(
            source in 1usize..3000, target in 1usize..60, place in 0.0..1.0,
            filter in Filter::any(), reference in Reference::any(),
            samples in prop::collection::vec([sample(), sample()], 4 * WIDEST),
            steps in 1usize..(3 * WIDEST),
        ) {
            let axis = Axis::new(source, target, filter, reference).unwrap();
            let combined = |isa| {
                let vertical = Vertical::new(source, Some(&axis), isa).unwrap();
                let position = (place * target as f64) as usize;
                let pairs = vertical.pairs(position);
                let lines = pairs.map(|pair| &samples[pair * steps % (2 * WIDEST)..][..2 * WIDEST]);
                let mut out = [0; 2 * WIDEST];
                vertical.run(position, &lines.collect::<Vec<_>>(), &mut out);
                out
            };
            let expected = combined(Isa::SCALAR);
            for isa in Isa::available() {
                prop_assert_eq!(combined(isa), expected, "{:?}", isa);
            }
        }
    }
}
