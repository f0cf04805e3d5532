//! Bands of an image as it is stored, turned to be as it is seen.
//!
//! An image on its side has its columns in the scanlines of a band, and its lines across them:
//!
//! ```text
//! stored          seen
//! a b c d         e a       as orientation 6 says it: a band from top to bottom,
//! e f g h         f b       from the left or, as here, from the right
//!                 g c
//!                 h d
//! ```

use crate::pixels::{flips, swaps};

/// A band as it is stored: scanlines of three planes of `width` samples, `stride` apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) samples: &'a [u8],
    pub(super) stride: usize,
    pub(super) width: usize,
}

impl Stored<'_> {
    /// Writes what is seen of it to `out`, and returns how many samples the planes are apart there. There is
    /// room for as many samples as it has.
    pub(super) fn turn_upright(self, orientation: u8, out: &mut [u8]) -> usize {
        if swaps(orientation) {
            self.turn(flips(orientation), out);
            self.lines()
        } else {
            self.mirror(flips(orientation), out);
            self.stride
        }
    }

    fn lines(self) -> usize {
        self.samples.len() / (3 * self.stride)
    }

    /// Lines stay lines.
    fn mirror(self, [lines, columns]: [bool; 2], out: &mut [u8]) {
        let length = 3 * self.stride;
        let last = self.lines() - 1;
        for (y, scanline) in self.samples.chunks_exact(length).enumerate() {
            let y = if lines { last - y } else { y };
            let planes = out[y * length..][..length].chunks_exact_mut(self.stride);
            for (out, plane) in planes.zip(scanline.chunks_exact(self.stride)) {
                let out = &mut out[..self.width];
                out.copy_from_slice(&plane[..self.width]);
                if columns {
                    out.reverse();
                }
            }
        }
    }

    /// Lines become columns.
    fn turn(self, [lines, columns]: [bool; 2], out: &mut [u8]) {
        /// Samples of a plane that are turned before those beside them: a cache line of each scanline.
        const BLOCK: usize = 64;
        let Self { stride, width, .. } = self;
        let count = self.lines();
        for first in (0..width).step_by(BLOCK) {
            let block = first..width.min(first + BLOCK);
            let top = if columns { width - block.end } else { first };
            for (plane, samples) in self.samples.chunks_exact(stride).enumerate() {
                let (y, channel) = (plane / 3, plane % 3);
                let x = if lines { count - 1 - y } else { y };
                let column = out[(3 * top + channel) * count + x..].iter_mut();
                let column = column.step_by(3 * count);
                let samples = samples[block.clone()].iter();
                if columns {
                    column
                        .zip(samples.rev())
                        .for_each(|(out, sample)| *out = *sample);
                } else {
                    column.zip(samples).for_each(|(out, sample)| *out = *sample);
                }
            }
        }
    }
}
