//! The horizontal pass where windows are long: scanlines are turned, combined as columns, and turned back.
//!
//! Where an image shrinks to a quarter or less, neighbouring columns share too few samples of a register.
//! Turned on their side, though, scanlines are many columns of a few samples each, and a vertical pass
//! combines those with a weight for each column and no shuffle at all:
//!
//! ```text
//! scanlines    16 of w samples, three planes each
//! columns      w/2 pairs of 3 x 16 samples             (a strip of them at a time, which the cache holds)
//! combined     as many columns as come out, of 3 x 16 samples
//! pairs        8 of scanlines
//! ```

use std::ops::Range;

use super::isa::Isa;
use super::staged::Staged;
use super::turn::{ROWS, SAMPLES, turn};
use super::vertical::Vertical;
use super::{Pair, plane_stride};
use crate::error::Result;
use crate::filter::Axis;
use crate::memory::{self, Buffer};

/// Scanlines that are turned together.
const LINES: usize = 2 * ROWS;

/// Samples from a column to the next: three planes, in whole registers.
const COLUMN: usize = (3 * LINES).next_multiple_of(super::WIDEST);

/// Pairs of columns of a strip, where a window is no longer: half of a first-level cache.
const STRIP: usize = 64;

/// Pairs of columns that are turned at once.
const BLOCK: usize = SAMPLES / 2;

/// The tables of an axis.
#[derive(Debug)]
pub(super) struct Turned {
    isa: Isa,
    /// From columns to columns.
    vertical: Vertical,
    strips: Vec<Strip>,
}

/// Columns that come out, and the pairs of columns that they are made of.
#[derive(Debug)]
struct Strip {
    out: Range<usize>,
    pairs: Range<usize>,
}

/// What it works in.
#[derive(Debug)]
pub(super) struct Room {
    /// Pairs of columns of a strip.
    columns: Buffer<Pair>,
    /// Columns that come out.
    combined: Buffer<u8>,
}

impl Room {
    pub(super) fn new(pairs: usize, width: usize) -> Result<Self> {
        Ok(Self {
            columns: Buffer::new(pairs.saturating_mul(COLUMN), "turned scanlines")?,
            combined: Buffer::new(width.saturating_mul(COLUMN), "resampled columns")?,
        })
    }
}

impl Turned {
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

    /// Scanlines that it takes at once.
    pub(super) fn lines(&self) -> usize {
        LINES
    }

    /// Samples of a plane that are read.
    pub(super) fn reach(&self) -> usize {
        2 * (self.strips.last().map_or(0, |strip| strip.pairs.end) + BLOCK)
    }

    pub(super) fn room(&self) -> Result<Room> {
        let longest = self.strips.iter().map(|strip| strip.pairs.len()).max();
        let width = self.vertical.height().next_multiple_of(ROWS);
        Room::new(longest.unwrap_or(0) + BLOCK, width)
    }

    /// See [`super::horizontal::Horizontal::run`].
    pub(super) fn run(&self, lines: &mut Staged, out: &mut [Pair]) {
        let stride = lines.stride();
        let (planes, Room { columns, combined }) = lines.planes_and_room();
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
                let Range { start, end } = self.vertical.pairs(x);
                let pairs = &pairs[start - turned.start..end - turned.start];
                self.vertical
                    .run(x, pairs, &mut combined[x * COLUMN..][..COLUMN]);
            }
        }
        self.turn_back(combined, out);
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

    /// Makes pairs of scanlines of `combined` columns.
    fn turn_back(&self, combined: &[u8], out: &mut [Pair]) {
        let stride = plane_stride(self.vertical.height());
        for (index, rows) in combined.chunks_exact(ROWS * COLUMN).enumerate() {
            for channel in 0..3 {
                let rows = &rows[channel * LINES..];
                let out = &mut out[channel * stride + index * ROWS..];
                turn(self.isa, rows, COLUMN, 1, out, 3 * stride);
            }
        }
    }
}
