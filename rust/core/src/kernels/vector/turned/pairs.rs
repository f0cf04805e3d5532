//! Two neighbouring samples of each scanline at a time, in 16 bits: a vertical pass over columns.

use std::ops::Range;

use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::Pair;
use crate::kernels::column::{COLUMN, COLUMN_STRIDE, Column, LINES};
use crate::kernels::isa::Baseline;
use crate::kernels::pair_axis::PairAxis;
use crate::kernels::prefetch::Prefetch;
use crate::kernels::vector::turn::{SAMPLES, turn};
use crate::kernels::vector::vertical::combine_columns;

/// Pairs of columns that are turned before any are combined, beside those of an output.
const STRIP: usize = 64;

/// Pairs of columns that are turned at once.
const BLOCK: usize = SAMPLES / 2;

/// The tables of an axis.
#[derive(Debug)]
pub(super) struct Pairs {
    isa: Baseline,
    axis: PairAxis,
}

impl Pairs {
    pub(super) fn new(axis: &Axis, isa: Baseline) -> Result<Self> {
        let axis = PairAxis::of_columns(axis)?;
        Ok(Self { isa, axis })
    }

    /// Pairs of columns that are turned: whole blocks.
    fn turned(&self) -> usize {
        let last = self.axis.len() - 1;
        self.axis.pairs(last).end.next_multiple_of(BLOCK)
    }

    /// Samples of a plane that are read.
    pub(super) fn reach(&self) -> usize {
        2 * self.turned()
    }

    /// Pairs of columns that there has to be room for: those of an output and a strip.
    pub(super) fn room(&self) -> usize {
        self.axis.pairs(0).len() + STRIP
    }

    /// Writes the columns that come out to `combined`, of scanlines in `planes` that are `stride` apart.
    pub(super) fn run(
        &self,
        planes: &[u8],
        stride: usize,
        mut prefetch: Prefetch<'_>,
        columns: &mut [Column],
        combined: &mut [u8],
    ) {
        let combined = combined.as_chunks_mut::<COLUMN_STRIDE>().0;
        let all = self.turned();
        // The first pair that is kept, and the first column that has not come out.
        let (mut kept, mut x) = (0, 0);
        for first in (0..all).step_by(STRIP) {
            let end = all.min(first + STRIP);
            // What the next output has in common with those before it is there already.
            let needed = self.axis.pairs(x).start.min(first);
            columns.copy_within(needed - kept..first - kept, 0);
            kept = needed;
            self.turn_blocks(planes, stride, first..end, &mut columns[first - kept..]);
            let next = (x..self.axis.len()).find(|x| self.axis.pairs(*x).end > end);
            let next = next.unwrap_or(self.axis.len());
            let positions = self.axis.positions(x..next, kept);
            let out = &mut combined[x..next];
            combine_columns(self.isa, positions, columns, &mut prefetch, out);
            x = next;
        }
    }

    /// Turns some pairs of columns.
    fn turn_blocks(
        &self,
        planes: &[u8],
        stride: usize,
        pairs: Range<usize>,
        columns: &mut [Column],
    ) {
        let columns: &mut [Pair] = bytemuck::cast_slice_mut(columns);
        for channel in 0..3 {
            let lines = &planes[channel * stride + 2 * pairs.start..];
            let columns = &mut columns[channel * LINES..];
            let blocks = pairs.len() / BLOCK;
            turn(self.isa, lines, 3 * stride, blocks, columns, COLUMN);
        }
    }
}
