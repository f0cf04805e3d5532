//! How the scanlines of an image are divided into chunks and bands.

use std::ops::Range;
use std::sync::Arc;

use super::resampler::Resampler;
use crate::kernels::Pair;

/// Source pixels of a chunk at least, so that a task is worth its bookkeeping, and pairs of scanlines.
const CHUNK_PIXELS: usize = 16 << 10;
const CHUNK_PAIRS: usize = 8;

/// Chunks of what is resized, and bands of what comes out, all of a length but for the last.
pub(super) struct Partition {
    pub(super) resampler: Arc<Resampler>,
    /// Output scanlines of a band.
    pub(super) band_lines: usize,
    /// Pairs of source scanlines of a chunk.
    pub(super) chunk_pairs: usize,
    /// Whether bands are made of scanlines as they are, without chunks.
    pub(super) direct: bool,
}

impl Partition {
    pub(super) fn new(resampler: Arc<Resampler>, band_lines: usize, direct: bool) -> Self {
        let width = resampler.pass.width.source.max(resampler.columns.len());
        let pairs = (CHUNK_PIXELS / 2 / width).max(CHUNK_PAIRS);
        let pairs = pairs.next_multiple_of(resampler.group());
        Self {
            band_lines,
            chunk_pairs: pairs.min(resampler.frame_pairs()),
            direct,
            resampler,
        }
    }

    /// How many bands there are.
    pub(super) fn bands(&self) -> usize {
        self.resampler.height().div_ceil(self.band_lines)
    }

    /// The output scanlines of a band.
    pub(super) fn lines(&self, band: usize) -> Range<usize> {
        let first = band * self.band_lines;
        first..self.resampler.height().min(first + self.band_lines)
    }

    /// The chunks that a band is made of.
    pub(super) fn chunks(&self, band: usize) -> Range<usize> {
        if self.direct {
            return 0..0;
        }
        let pairs = self.resampler.pairs(self.lines(band));
        pairs.start / self.chunk_pairs..pairs.end.div_ceil(self.chunk_pairs)
    }

    /// Bytes of the pairs of a chunk.
    pub(super) fn chunk_bytes(&self) -> usize {
        let pairs = self
            .chunk_pairs
            .saturating_mul(self.resampler.pair_samples());
        pairs.saturating_mul(size_of::<Pair>())
    }

    /// Where the chunks of the frame end, whether a band is made of the last or not.
    pub(super) fn end(&self) -> usize {
        self.resampler.frame_pairs().div_ceil(self.chunk_pairs)
    }

    /// The scanlines of a chunk, in the frame.
    pub(super) fn scanlines(&self, chunk: usize) -> Range<usize> {
        let height = self.resampler.pass.height.frame;
        let first = 2 * chunk * self.chunk_pairs;
        first..height.min(first + 2 * self.chunk_pairs)
    }

    /// The first scanline of the source that a chunk takes, or the next after it.
    pub(super) fn source_line(&self, chunk: usize) -> usize {
        let first = self.scanlines(chunk).start;
        first.saturating_sub(self.resampler.source_lines().start)
    }
}
