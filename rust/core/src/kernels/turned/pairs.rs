//! Two neighbouring samples of each scanline at a time, in 16 bits: a vertical pass over columns.

use std::ops::Range;

use super::{COLUMN, LINES};
use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::Pair;
use crate::kernels::ahead::Ahead;
use crate::kernels::isa::Isa;
use crate::kernels::turn::{ROWS, SAMPLES, turn};
use crate::kernels::vertical::Vertical;
use crate::memory::{self, Buffer};

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
    pub(super) fn room(&self) -> Result<Buffer<Pair>> {
        let longest = self.strips.iter().map(|strip| strip.pairs.len()).max();
        let pairs = (longest.unwrap_or(0) + BLOCK).saturating_mul(COLUMN);
        Buffer::new(pairs, "turned scanlines")
    }

    /// Writes the columns that come out to `combined`, of scanlines in `planes` that are `stride` apart.
    pub(super) fn run(
        &self,
        planes: &[u8],
        stride: usize,
        mut ahead: Ahead<'_>,
        columns: &mut [Pair],
        combined: &mut [u8],
    ) {
        let mut turned = 0..0;
        for strip in &self.strips {
            // What it has in common with the strip before it is there already.
            let start = strip.pairs.start;
            let first = turned.end.max(start);
            let kept = turned.end.saturating_sub(start);
            let place = (turned.end - turned.start - kept) * COLUMN;
            columns.copy_within(place..place + kept * COLUMN, 0);
            let blocks = strip.pairs.end.saturating_sub(first).div_ceil(BLOCK);
            self.turn_blocks(planes, stride, first, blocks, &mut columns[kept * COLUMN..]);
            turned = start..first + blocks * BLOCK;
            let pairs: Vec<&[Pair]> = columns.chunks_exact(COLUMN).collect();
            for x in strip.out.clone() {
                ahead.step();
                let Range { start, end } = self.vertical.pairs(x);
                let pairs = &pairs[start - turned.start..end - turned.start];
                self.vertical
                    .run(x, pairs, &mut combined[x * COLUMN..][..COLUMN]);
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
        columns: &mut [Pair],
    ) {
        for line in (0..LINES).step_by(ROWS) {
            for channel in 0..3 {
                let rows = &planes[(3 * line + channel) * stride + 2 * first..];
                let columns = &mut columns[channel * LINES + line..];
                turn(self.isa, rows, 3 * stride, blocks, columns, COLUMN);
            }
        }
    }
}
