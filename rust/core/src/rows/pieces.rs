//! What a pass writes, cut into the pieces of bands.

use std::iter;

use crate::error::Result;
use crate::geometry::Pass;
use crate::memory;
use crate::pixels::{flips, swaps};
use crate::resize::Bands;

/// How the output of a pass is cut, and what of a band each piece is made of.
///
/// In the output a tile is one *strand* or more. A band covers some scanlines of all tiles beside each other,
/// and takes a piece of each strand:
///
/// ```text
///            tile 0      tile 1
/// band 0   | piece 0 | | piece 1 |     The pieces of a strand lie one after another, and after them those
/// band 1   | piece 0 | | piece 1 |     of the next.
/// ...
/// ```
///
/// Of an image that is stored on its side a band covers columns of all tiles above each other, and takes a piece
/// of each line of each strand:
///
/// ```text
///            band 0      band 1
/// tile 0   | piece 0 | | piece 0 |     The pieces of a line lie side by side, and after them those of the
///          | piece 1 | | piece 1 |     next.
///          ...
/// ```
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    sideways: bool,
    /// Whether the last band as it is stored is the first as it is seen.
    reversed: bool,
    /// Tiles from top to bottom and from left to right.
    tiles: (usize, usize),
    tile_width: usize,
    strands: Strands,
    /// Pieces that a band has of a strand, and the scanlines of each.
    runs: usize,
    run_lines: usize,
    /// What of a tile bands share, and what each has of it; the last that is stored may have less.
    extent: usize,
    band: usize,
}

/// What a tile is in the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strands {
    /// How many there are: its rows are one, its planes are three.
    pub(super) count: usize,
    /// Bytes of a pixel.
    pub(super) bytes: usize,
    /// Scanlines whose elements lie together, from one to the next piece of a line.
    pub(super) lines: usize,
}

/// What of a band a piece is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) strand: usize,
}

impl Pieces {
    /// The pieces of bands of `band` scanlines, as an image is stored that `pass` sees as `orientation` says.
    pub(super) fn new(pass: Pass, orientation: u8, band: usize, strands: Strands) -> Self {
        let (height, width) = pass.tile();
        let sideways = swaps(orientation);
        let [reversed, _] = flips(orientation);
        let run_lines = if sideways { strands.lines } else { height };
        Self {
            sideways,
            reversed,
            tiles: (pass.height.tiles, pass.width.tiles),
            tile_width: width,
            strands,
            runs: height / run_lines,
            run_lines,
            extent: if sideways { width } else { height },
            band,
        }
    }

    /// `out` in bands, in the order in which they are stored.
    pub(super) fn bands<'a>(&self, out: &'a mut [u8]) -> Result<Bands<Vec<&'a mut [u8]>>> {
        let run = self.run_lines * self.tile_width * self.strands.bytes;
        let piece = run / self.extent * self.band;
        // The piece that comes first in a run, and is the last that is stored, may be the short one.
        let first = match run % piece {
            short if self.reversed && short > 0 => short,
            _ => piece,
        };
        let (rows, columns) = self.tiles;
        let (along, across) = match self.sideways {
            true => (columns, rows),
            false => (rows, columns),
        };
        let tile_bands = self.extent.div_ceil(self.band);
        let mut parts = memory::with_capacity(along * tile_bands, "bands of rows")?;
        for _ in 0..along * tile_bands {
            let pieces = across * self.strands.count * self.runs;
            parts.push(memory::with_capacity(pieces, "pieces of a band")?);
        }
        let tiles = out.chunks_exact_mut(self.strands.count * self.runs * run);
        for (index, tile) in tiles.enumerate() {
            let along = match self.sideways {
                true => index % columns,
                false => index / columns,
            };
            let parts = &mut parts[along * tile_bands..][..tile_bands];
            for run in tile.chunks_exact_mut(run) {
                let (first, rest) = run.split_at_mut(first);
                let pieces = iter::once(first).chain(rest.chunks_mut(piece));
                for (part, piece) in parts.iter_mut().zip(pieces) {
                    part.push(piece);
                }
            }
        }
        if self.reversed {
            parts.reverse();
        }
        Ok(Bands { first: 0, parts })
    }

    /// What of its band the piece at `index` is made of, as it is seen.
    pub(super) fn place(&self, index: usize) -> Place {
        let (strand, run) = (index / self.runs, index % self.runs);
        let tile = strand / self.strands.count;
        let (top, left) = match self.sideways {
            true => ((tile * self.runs + run) * self.run_lines, 0),
            false => (0, tile * self.tile_width),
        };
        Place {
            top,
            left,
            strand: strand % self.strands.count,
        }
    }

    /// Pixels of a scanline of a piece, at most.
    pub(super) fn width(&self) -> usize {
        match self.sideways {
            true => self.band,
            false => self.tile_width,
        }
    }
}
