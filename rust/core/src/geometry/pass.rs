//! What becomes of the pixels of an image on their way to a canvas of tiles.

use std::mem;

use crate::pixels::{flips, swaps};

/// One axis of a [`Pass`], in pixels.
///
/// ```text
/// source           |----------|            padded to the frame
/// frame         |-----------------|        resized
/// resized       |-------------------------|
/// canvas           |---------|---------|   tiles; level 0 where there is no resized pixel
/// kept             |-------| |-------|     what comes out
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The source's length.
    pub source: usize,
    /// What the source is padded to.
    pub frame: usize,
    /// Where the source lies in the frame.
    pub before: usize,
    /// What the frame is resized to.
    pub resized: usize,
    /// Where that lies on the canvas; negative where it is cropped.
    pub offset: isize,
    /// Tiles of the canvas.
    pub tiles: usize,
    /// Length of a tile.
    pub tile: usize,
    /// The first pixels of each tile, which come out.
    pub kept: usize,
}

impl Span {
    /// `source` pixels become `target`, all of them one tile.
    pub fn resize(source: usize, target: usize) -> Self {
        Self {
            source,
            frame: source,
            before: 0,
            resized: target,
            offset: 0,
            tiles: 1,
            tile: target,
            kept: target,
        }
    }

    /// The same on a canvas of one `tile`, in which the resized pixels lie at `offset`.
    pub(super) fn placed(self, offset: isize, tile: usize) -> Self {
        self.tiled(offset, 1, tile)
    }

    /// The same on a canvas of several tiles.
    pub(super) fn tiled(self, offset: isize, tiles: usize, tile: usize) -> Self {
        Self {
            offset,
            tiles,
            tile,
            kept: tile,
            ..self
        }
    }

    /// Pixels that come out.
    pub fn length(self) -> usize {
        self.tiles * self.kept
    }

    /// Which of the resized pixels come out, in order; those outside `0..resized` are level 0.
    pub fn positions(self) -> impl Iterator<Item = isize> + Clone {
        (0..self.tiles).flat_map(move |tile| {
            let first = (tile * self.tile) as isize - self.offset;
            first..first + self.kept as isize
        })
    }

    /// Whether all resized pixels come out, and nothing else.
    pub fn is_whole(self) -> bool {
        self.offset == 0 && self.kept == self.tile && self.length() == self.resized
    }

    /// Whether the source comes out as it is.
    pub fn is_copy(self) -> bool {
        self.is_whole() && self.frame == self.source && self.resized == self.source
    }
}

/// An image resized onto a canvas of tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pass {
    /// From top to bottom.
    pub height: Span,
    /// From left to right.
    pub width: Span,
}

impl Pass {
    /// An image of size `source` that is resized to `target`, both `(height, width)`.
    pub fn resize(source: (usize, usize), target: (usize, usize)) -> Self {
        Self {
            height: Span::resize(source.0, target.0),
            width: Span::resize(source.1, target.1),
        }
    }

    /// The same for the lines that an image is stored in, which its EXIF `orientation` makes it of.
    pub(crate) fn as_stored(mut self, orientation: u8) -> Self {
        if swaps(orientation) {
            mem::swap(&mut self.height, &mut self.width);
        }
        let spans = [&mut self.height, &mut self.width];
        for (span, flips) in spans.into_iter().zip(flips(orientation)) {
            if flips {
                span.before = span.frame - span.before - span.source;
            }
        }
        self
    }

    /// `(height, width)` of the image.
    pub fn source(self) -> (usize, usize) {
        (self.height.source, self.width.source)
    }

    /// `(height, width)` of what the image is padded to.
    pub fn frame(self) -> (usize, usize) {
        (self.height.frame, self.width.frame)
    }

    /// `(height, width)` of what that is resized to.
    pub fn resized(self) -> (usize, usize) {
        (self.height.resized, self.width.resized)
    }

    /// `(height, width)` of what comes out.
    pub fn target(self) -> (usize, usize) {
        (self.height.length(), self.width.length())
    }

    /// Tiles on the canvas.
    pub fn tiles(self) -> usize {
        self.height.tiles * self.width.tiles
    }

    /// `(height, width)` of what comes out of a tile.
    pub fn tile(self) -> (usize, usize) {
        (self.height.kept, self.width.kept)
    }

    /// The same for an image that was reduced to `source` on its way, which one that is to be padded must not be.
    pub(crate) fn of_source(mut self, source: (usize, usize)) -> Self {
        for (span, length) in [(&mut self.height, source.0), (&mut self.width, source.1)] {
            (span.source, span.frame) = (length, length);
        }
        self
    }

    /// The same with tiles cut to multiples of `unit` pixels at their right and bottom.
    pub(super) fn trimmed(mut self, unit: usize) -> Self {
        for span in [&mut self.height, &mut self.width] {
            span.kept = span.tile / unit * unit;
        }
        self
    }

    /// Whether the image is padded before it is resized.
    pub(crate) fn is_padded(self) -> bool {
        self.frame() != self.source()
    }
}
