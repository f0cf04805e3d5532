//! The vertical pass: pairs of scanlines to a scanline.

use std::ops::Range;

use super::isa::{Backend, Isa};
use super::pair_axis::PairAxis;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;
use super::{Pair, scalar};
use crate::error::Result;
use crate::filter::Axis;

/// Bytes of a first-level cache that is small for this kind of processor, but for little cores.
const SMALL_CACHE: usize = if cfg!(target_arch = "aarch64") {
    64 << 10
} else {
    32 << 10
};

/// A vertical pass.
#[derive(Debug)]
pub(crate) struct Vertical {
    isa: Isa,
    axis: PairAxis,
}

impl Vertical {
    /// The pass from `height` scanlines to those of `axis`, or to as many if that is None.
    pub(crate) fn new(height: usize, axis: Option<&Axis>, isa: Isa) -> Result<Self> {
        let axis = PairAxis::new(height, axis)?;
        Ok(Self { isa, axis })
    }

    /// Scanlines that come out.
    pub(crate) fn height(&self) -> usize {
        self.axis.len()
    }

    /// The pairs of scanlines that output `position` is made of. Neither end ever decreases.
    pub(crate) fn pairs(&self, position: usize) -> Range<usize> {
        self.axis.pairs(position)
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

    /// Combines what `lines`, those of `position`, have from `at` on.
    fn combine(&self, position: usize, lines: &[&[Pair]], at: usize, out: &mut [u8]) {
        let pairs = self.pairs(position);
        assert!(lines.len() == pairs.len());
        assert!(lines.iter().all(|line| line.len() >= at + out.len()));
        assert!(out.len().is_multiple_of(super::WIDEST));
        let (weights, precision) = (self.axis.weights(position, pairs), self.axis.precision());
        match self.isa.backend() {
            Backend::Scalar => scalar::combine(lines, weights, precision, at, out),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Backend::Vector(isa) => vector::combine(isa, lines, weights, precision, at, out),
        }
    }

    /// What the sums of an output scanline begin with: what turns the final shift into rounding.
    pub(crate) fn initial_sum(&self) -> i32 {
        scalar::half(self.axis.precision())
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
        scalar::accumulate(lines, self.axis.weights(position, common), sums);
    }

    /// What `sums` are as samples.
    pub(crate) fn finish(&self, sums: &[i32], out: &mut [u8]) {
        scalar::round(sums, self.axis.precision(), out);
    }
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
