//! Two neighbouring samples of each scanline at a time, in 16 bits: a vertical pass over columns.

use std::ops::Range;

use bytemuck::Zeroable;

use super::{COLUMN, COLUMN_STRIDE, Column, LINES};
use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::Pair;
use crate::kernels::ahead::Ahead;
use crate::kernels::isa::Isa;
use crate::kernels::turn::{SAMPLES, turn};
use crate::kernels::vertical::Vertical;
use crate::memory;

/// Pairs of columns that are turned before any are combined, beside those of a window.
const STRIP: usize = 64;

/// Pairs of columns that are turned at once.
const BLOCK: usize = SAMPLES / 2;

/// The tables of an axis.
#[derive(Debug)]
pub(super) struct Pairs {
    isa: Isa,
    /// From columns to columns.
    vertical: Vertical,
}

impl Pairs {
    pub(super) fn new(axis: &Axis, isa: Isa) -> Result<Self> {
        let vertical = Vertical::over_columns(axis, isa)?;
        Ok(Self { isa, vertical })
    }

    /// Pairs of columns that are turned: whole blocks.
    fn turned(&self) -> usize {
        let last = self.vertical.height() - 1;
        self.vertical.pairs(last).end.next_multiple_of(BLOCK)
    }

    /// Samples of a plane that are read.
    pub(super) fn reach(&self) -> usize {
        2 * self.turned()
    }

    /// Room for a window and a strip.
    pub(super) fn room(&self) -> Result<Vec<Column>> {
        let pairs = self.vertical.pairs(0).len() + STRIP;
        memory::filled(pairs, Column::zeroed(), "turned scanlines")
    }

    /// Writes the columns that come out to `combined`, of scanlines in `planes` that are `stride` apart.
    pub(super) fn run(
        &self,
        planes: &[u8],
        stride: usize,
        mut ahead: Ahead<'_>,
        columns: &mut [Column],
        combined: &mut [u8],
    ) {
        let combined = combined.as_chunks_mut::<COLUMN_STRIDE>().0;
        let all = self.turned();
        // The first pair that is kept, and the first column that has not come out.
        let (mut kept, mut x) = (0, 0);
        for first in (0..all).step_by(STRIP) {
            let end = all.min(first + STRIP);
            // What the next window has in common with those before it is there already.
            let needed = self.vertical.pairs(x).start.min(first);
            columns.copy_within(needed - kept..first - kept, 0);
            kept = needed;
            self.turn_blocks(planes, stride, first..end, &mut columns[first - kept..]);
            let next = (x..self.vertical.height()).find(|x| self.vertical.pairs(*x).end > end);
            let next = next.unwrap_or(self.vertical.height());
            let step = || ahead.step();
            self.vertical
                .run_columns(x..next, kept, columns, step, &mut combined[x..next]);
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
            let rows = &planes[channel * stride + 2 * pairs.start..];
            let columns = &mut columns[channel * LINES..];
            let blocks = pairs.len() / BLOCK;
            turn(self.isa, rows, 3 * stride, blocks, columns, COLUMN);
        }
    }
}
