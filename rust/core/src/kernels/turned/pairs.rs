//! Two neighbouring samples of each scanline at a time, in 16 bits: a vertical pass over columns.

use std::ops::Range;

use super::{COLUMN, COLUMN_STRIDE, LINES};
use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::Pair;
use crate::kernels::ahead::Ahead;
use crate::kernels::isa::Isa;
use crate::kernels::turn::{SAMPLES, turn};
use crate::kernels::vertical::Vertical;
use crate::memory;

/// Pairs of columns of a strip, where a window is no longer: half of a first-level cache.
const STRIP: usize = 64;

/// Pairs of columns that are turned at once.
const BLOCK: usize = SAMPLES / 2;

/// The tables of an axis.
#[derive(Debug)]
pub(super) struct Pairs {
    isa: Isa,
    /// From columns to columns.
    vertical: Vertical,
    /// Columns are turned a strip at a time, which the cache holds.
    strips: Vec<Strip>,
}

/// Columns that come out, and the pairs of columns that they are made of.
#[derive(Debug)]
struct Strip {
    out: Range<usize>,
    pairs: Range<usize>,
}

impl Pairs {
    pub(super) fn new(axis: &Axis, isa: Isa) -> Result<Self> {
        let vertical = Vertical::new(0, Some(axis), isa)?;
        let mut strips: Vec<Strip> = memory::with_capacity(axis.len(), "strips of columns")?;
        for x in 0..axis.len() {
            let pairs = vertical.pairs(x);
            match strips.last_mut() {
                Some(strip) if pairs.end <= strip.pairs.start + STRIP => {
                    strip.out.end = x + 1;
                    strip.pairs.end = pairs.end;
                }
                _ => strips.push(Strip {
                    out: x..x + 1,
                    pairs,
                }),
            }
        }
        Ok(Self {
            isa,
            vertical,
            strips,
        })
    }

    /// Samples of a plane that are read.
    pub(super) fn reach(&self) -> usize {
        2 * (self.strips.last().map_or(0, |strip| strip.pairs.end) + BLOCK)
    }

    /// Room for the longest strip.
    pub(super) fn room(&self) -> Result<Vec<[Pair; COLUMN]>> {
        let longest = self.strips.iter().map(|strip| strip.pairs.len()).max();
        let pairs = longest.unwrap_or(0) + BLOCK;
        memory::filled(pairs, [[0; 2]; COLUMN], "turned scanlines")
    }

    /// Writes the columns that come out to `combined`, of scanlines in `planes` that are `stride` apart.
    pub(super) fn run(
        &self,
        planes: &[u8],
        stride: usize,
        mut ahead: Ahead<'_>,
        columns: &mut [[Pair; COLUMN]],
        combined: &mut [u8],
    ) {
        let mut turned = 0..0;
        for strip in &self.strips {
            // What it has in common with the strip before it is there already.
            let start = strip.pairs.start;
            let first = turned.end.max(start);
            let kept = turned.end.saturating_sub(start);
            let place = turned.end - turned.start - kept;
            columns.copy_within(place..place + kept, 0);
            let blocks = strip.pairs.end.saturating_sub(first).div_ceil(BLOCK);
            self.turn_blocks(planes, stride, first, blocks, &mut columns[kept..]);
            turned = start..first + blocks * BLOCK;
            let combined = combined.as_chunks_mut::<COLUMN_STRIDE>().0;
            for (x, out) in strip.out.clone().zip(&mut combined[strip.out.start..]) {
                ahead.step();
                let Range { start, end } = self.vertical.pairs(x);
                let columns = &columns[start - turned.start..end - turned.start];
                self.vertical.run_columns(x, columns, out);
            }
        }
    }

    /// Turns so many blocks of pairs of columns, from the pair `first` on.
    fn turn_blocks(
        &self,
        planes: &[u8],
        stride: usize,
        first: usize,
        blocks: usize,
        columns: &mut [[Pair; COLUMN]],
    ) {
        let columns = columns.as_flattened_mut();
        for channel in 0..3 {
            let rows = &planes[channel * stride + 2 * first..];
            let columns = &mut columns[channel * LINES..];
            turn(self.isa, rows, 3 * stride, blocks, columns, COLUMN);
        }
    }
}
