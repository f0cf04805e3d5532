//! Some scanlines of a frame, taken through the horizontal pass.

use std::ops::Range;

use super::resampler::Resampler;
use super::source::{Failure, Scanlines, Source, lock};
use super::stage::{memory_of, turned};
use crate::error::Result;
use crate::filter::Reference;
use crate::kernels::Pair;
use crate::kernels::staged::{InPlace, Staged};
use crate::memory::Buffer;
use crate::pixels::{Bytes, PixelFormat, PixelView};

/// How the scanlines of a source come to be staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// They are staged from where they lie.
    InPlace,
    /// They lie across the memory that they are in, and are turned first.
    Sideways,
    /// They are read in order.
    InOrder {
        /// Bytes of a pixel.
        bytes: usize,
        /// See [`Scanlines::blended_by`].
        blending: Option<Reference>,
    },
}

impl Arrival {
    pub(super) fn of<E>(source: &Source<'_, E>) -> Self {
        match source {
            Source::Scanlines(scanlines) => {
                let scanlines = lock(scanlines);
                Self::InOrder {
                    bytes: scanlines.pixel_bytes(),
                    blending: scanlines.blended_by(),
                }
            }
            Source::Pixels(pixels) if pixels.view().is_sideways() => Self::Sideways,
            Source::Pixels(_) => Self::InPlace,
        }
    }

    /// Bytes that a pixel takes in a chunk, at most.
    fn copied_bytes(self) -> usize {
        match self {
            Self::InPlace => 0,
            Self::Sideways => 4,
            Self::InOrder { bytes, .. } => bytes,
        }
    }
}

/// Pairs of scanlines.
pub(super) struct Chunk {
    arrival: Arrival,
    /// The scanlines themselves, where they have to be copied and until they are staged.
    pub(super) copy: Option<Buffer<u8>>,
    pairs: Buffer<Pair>,
    pair_samples: usize,
}

/// Room for a copy of the scanlines of `pairs` pairs; None where they are staged from where they lie.
pub(super) fn room_for_copy(
    resampler: &Resampler,
    arrival: Arrival,
    pairs: usize,
) -> Result<Option<Buffer<u8>>> {
    let pixels = (2 * pairs).saturating_mul(resampler.pass.width.source);
    match pixels.saturating_mul(arrival.copied_bytes()) {
        0 => Ok(None),
        bytes => Buffer::new(bytes, "scanlines").map(Some),
    }
}

impl Chunk {
    /// Room for `pairs` pairs of scanlines.
    pub(super) fn new(resampler: &Resampler, arrival: Arrival, pairs: usize) -> Result<Self> {
        let pair_samples = resampler.pair_samples();
        let pairs = pairs.next_multiple_of(resampler.group());
        Ok(Self {
            arrival,
            copy: None,
            pairs: Buffer::new(pairs.saturating_mul(pair_samples), "pairs of scanlines")?,
            pair_samples,
        })
    }

    /// Takes the next `count` scanlines, for which there is room.
    pub(super) fn read<E>(
        &mut self,
        scanlines: &mut dyn Scanlines<E>,
        count: usize,
    ) -> Result<(), Failure<E>> {
        let line = scanlines.size().1 * scanlines.pixel_bytes();
        let room = self.copy.as_deref_mut().unwrap_or_default();
        scanlines.read(&mut room[..count * line])
    }

    /// Makes pairs of the scanlines `lines` of the frame, where the source is those that were read or those
    /// of `pixels`.
    pub(super) fn stage<E>(
        &mut self,
        resampler: &Resampler,
        source: &Source<'_, E>,
        lines: Range<usize>,
        staged: &mut Staged,
    ) -> Result<()> {
        let source_lines = resampler.source_lines();
        let shown = common(&lines, &source_lines);
        let (height, width) = (shown.len(), resampler.pass.width.source);
        let samples = self.copy.as_deref_mut().unwrap_or_default();
        let pairs = &mut self.pairs;
        if shown.is_empty() {
            pair_up(resampler, None, None, lines, false, staged, pairs);
            return Ok(());
        }
        match (source, self.arrival) {
            (_, Arrival::InOrder { bytes, blending }) => {
                let mut view = PixelView::packed(&samples[..], height, width, bytes)?;
                if blending.is_none() {
                    view = view.without_padding(3);
                }
                let view = Some((view, shown.start));
                pair_up(resampler, view, blending, lines, false, staged, pairs);
            }
            (Source::Pixels(pixels), Arrival::Sideways) => {
                let first = source_lines.start;
                let turned_lines = shown.start - first..shown.end - first;
                let channels = turned(&pixels.view(), turned_lines, samples)?;
                let view = PixelView::packed(&samples[..], height, width, channels)?;
                pair_up(
                    resampler,
                    Some((view, shown.start)),
                    None,
                    lines,
                    false,
                    staged,
                    pairs,
                );
            }
            (Source::Pixels(pixels), Arrival::InPlace) => {
                let view = Some((pixels.view(), source_lines.start));
                pair_up(resampler, view, None, lines, true, staged, pairs);
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

/// What two ranges have in common.
pub(super) fn common(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

/// Makes pairs of the scanlines `lines` of the frame, as many at a time as the horizontal pass takes. The last may
/// be fewer: their pairs are with whatever was staged before, which no weight but zero meets.
///
/// `view` shows the source, or some lines of it, from the frame's scanline beside it on. For `blending` see
/// [`Resampler::stage`].
fn pair_up(
    resampler: &Resampler,
    view: Option<(PixelView<'_>, usize)>,
    blending: Option<Reference>,
    lines: Range<usize>,
    fetch_ahead: bool,
    staged: &mut Staged,
    pairs: &mut [Pair],
) {
    /// How many scanlines ahead of the kernels memory is fetched, at least.
    const AHEAD: usize = 4;
    let source_lines = resampler.source_lines();
    let group = 2 * resampler.group();
    let length = resampler.group() * resampler.pair_samples();
    let shown = view.and_then(|(view, origin)| resampler.shown(&view).map(|view| (view, origin)));
    let format = view.map_or(PixelFormat::Other, |(view, _)| view.format());
    // Scanlines of which the horizontal pass reads most where they lie.
    let unstaged = shown.filter(|(view, _)| {
        let width = view.width();
        width == resampler.columns.len() && resampler.horizontal.in_place(format, width) > 0
    });
    let mut in_place: Vec<Bytes<'_>> = Vec::new();
    let mut ahead: Vec<Bytes<'_>> = Vec::new();
    // Where pairs of margins are: all are alike.
    let mut margins = None;
    for (index, first) in lines.clone().step_by(group).enumerate() {
        let together = first..lines.end.min(first + group);
        let at = index * length..(index + 1) * length;
        if common(&together, &source_lines).is_empty() {
            if let Some(margins) = margins.clone() {
                pairs.copy_within(margins, at.start);
                continue;
            }
            margins = Some(at.clone());
        }
        let is_whole = together.len() == group && common(&together, &source_lines) == together;
        let unstaged = unstaged.filter(|_| is_whole);
        in_place.clear();
        if let Some((view, origin)) = &unstaged {
            let first = first - origin;
            memory_of(view, first..first + group, &mut in_place);
        }
        for (line, y) in together.enumerate() {
            let out = staged.line_mut(line);
            match (&view, &unstaged) {
                (_, Some((view, origin))) => resampler.stage_rest(view, y - origin, out),
                (Some((view, origin)), _) if source_lines.contains(&y) => {
                    resampler.stage(view, y - origin, blending, out);
                }
                _ => resampler.stage_margin(out),
            }
        }
        if let Some((view, origin)) = shown.as_ref().filter(|_| fetch_ahead) {
            let next = (first + group.max(AHEAD)).saturating_sub(*origin);
            memory_of(view, next..next + group, &mut ahead);
        }
        let in_place = InPlace {
            format,
            memory: &in_place,
        };
        let out = &mut pairs[at];
        resampler.horizontal.run(staged, in_place, &ahead, out);
    }
}
