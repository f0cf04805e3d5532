//! Some scanlines of a frame, taken through the horizontal pass.

use std::ops::Range;

use super::resampler::Resampler;
use super::source::{Failure, Scanlines, Source, lock};
use super::stage::{memory_of, turned};
use crate::error::Result;
use crate::kernels::Pair;
use crate::kernels::staged::Staged;
use crate::memory::Buffer;
use crate::pixels::{Bytes, PixelView};

/// How the scanlines of a source come to be staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// They are staged from where they lie.
    InPlace,
    /// They lie across the memory that they are in, and are turned first.
    Sideways,
    /// They are read in order, so many bytes a pixel.
    InOrder(usize),
}

impl Arrival {
    pub(super) fn of<E>(source: &Source<'_, E>) -> Self {
        match source {
            Source::Scanlines(scanlines) => Self::InOrder(lock(scanlines).pixel_bytes()),
            Source::Pixels(pixels) if pixels.view().is_sideways() => Self::Sideways,
            Source::Pixels(_) => Self::InPlace,
        }
    }

    /// Bytes that a pixel takes in a chunk, at most.
    fn copied_bytes(self) -> usize {
        match self {
            Self::InPlace => 0,
            Self::Sideways => 4,
            Self::InOrder(bytes) => bytes,
        }
    }
}

/// Pairs of scanlines, and the scanlines themselves where they had to be copied.
pub(super) struct Chunk {
    arrival: Arrival,
    samples: Buffer<u8>,
    pairs: Buffer<Pair>,
    pair_samples: usize,
}

impl Chunk {
    /// Room for `pairs` pairs of scanlines.
    pub(super) fn new(resampler: &Resampler, arrival: Arrival, pairs: usize) -> Result<Self> {
        let pixels = (2 * pairs).saturating_mul(resampler.source.1);
        let bytes = pixels.saturating_mul(arrival.copied_bytes());
        let pair_samples = resampler.pair_samples();
        Ok(Self {
            arrival,
            samples: Buffer::new(bytes, "scanlines")?,
            pairs: Buffer::new(pairs.saturating_mul(pair_samples), "pairs of scanlines")?,
            pair_samples,
        })
    }

    /// Takes the next `count` scanlines.
    pub(super) fn read<E>(
        &mut self,
        scanlines: &mut dyn Scanlines<E>,
        count: usize,
    ) -> Result<(), Failure<E>> {
        let line = scanlines.size().1 * scanlines.pixel_bytes();
        scanlines.read(&mut self.samples[..count * line])
    }

    /// Makes pairs of the scanlines `lines`, those that were read or those of `pixels`.
    pub(super) fn stage<E>(
        &mut self,
        resampler: &Resampler,
        source: &Source<'_, E>,
        lines: Range<usize>,
        staged: &mut Staged,
    ) -> Result<()> {
        let (height, width) = (lines.len(), resampler.source.1);
        match (source, self.arrival) {
            (_, Arrival::InOrder(bytes)) => {
                let view = PixelView::packed(&self.samples[..], height, width, bytes)?;
                // A fourth byte has no meaning here.
                let view = view.without_padding(3);
                pair_up(resampler, &view, 0..height, false, staged, &mut self.pairs);
            }
            (Source::Pixels(pixels), Arrival::Sideways) => {
                let channels = turned(&pixels.view(), lines, &mut self.samples)?;
                let view = PixelView::packed(&self.samples[..], height, width, channels)?;
                pair_up(resampler, &view, 0..height, false, staged, &mut self.pairs);
            }
            (Source::Pixels(pixels), Arrival::InPlace) => {
                let view = pixels.view();
                pair_up(resampler, &view, lines, true, staged, &mut self.pairs);
            }
            (Source::Scanlines(_), _) => {}
        }
        Ok(())
    }

    /// The pair of scanlines at `index`.
    pub(super) fn pair(&self, index: usize) -> &[Pair] {
        &self.pairs[index * self.pair_samples..][..self.pair_samples]
    }
}

/// Makes pairs of scanlines, two by two. The last may be alone: its pairs are with whatever was staged
/// before, which no weight but zero meets.
fn pair_up(
    resampler: &Resampler,
    view: &PixelView<'_>,
    lines: Range<usize>,
    fetch_ahead: bool,
    staged: &mut Staged,
    pairs: &mut [Pair],
) {
    /// How far ahead of the kernels memory is fetched.
    const AHEAD: usize = 4;
    let mut ahead: Vec<Bytes<'_>> = Vec::new();
    let pairs = pairs.chunks_exact_mut(resampler.pair_samples());
    for (first, pairs) in lines.clone().step_by(2).zip(pairs) {
        for (index, y) in (first..lines.end.min(first + 2)).enumerate() {
            resampler.stage(view, y, staged.line_mut(index));
        }
        ahead.clear();
        if fetch_ahead {
            memory_of(view, first + AHEAD, &mut ahead);
            memory_of(view, first + AHEAD + 1, &mut ahead);
        }
        resampler.horizontal.run(staged, &ahead, pairs);
    }
}
