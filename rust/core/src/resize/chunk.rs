//! Some scanlines of a frame, taken through the horizontal pass.

use std::ops::Range;

use super::resampler::Resampler;
use super::source::{Failure, Scanlines, Source, lock};
use super::stage::{memory_of, turned};
use crate::error::{Error, Result};
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
    /// They are asked for.
    Asked,
    /// They are read in order, with so many bytes of a pixel.
    InOrder(usize),
}

impl Arrival {
    pub(super) fn of<E>(source: &Source<'_, E>) -> Self {
        match source {
            Source::Scanlines(scanlines) => Self::InOrder(lock(scanlines).pixel_bytes()),
            Source::Strips(_) => Self::Asked,
            Source::Pixels(pixels) if pixels.view().is_sideways() => Self::Sideways,
            Source::Pixels(_) => Self::InPlace,
        }
    }

    /// Bytes that a pixel takes in a chunk, at most.
    fn copied_bytes(self) -> usize {
        match self {
            Self::InPlace | Self::Asked => 0,
            Self::Sideways => 4,
            Self::InOrder(bytes) => bytes,
        }
    }
}

/// Pairs of scanlines.
pub(super) struct Chunk {
    arrival: Arrival,
    /// The scanlines themselves, where they have to be copied and until they are staged.
    pub(super) copy: Option<Buffer<u8>>,
    /// What becomes of them, from then on and until no band needs it.
    pub(super) pairs: Option<Buffer<Pair>>,
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

/// Room for `pairs` pairs of scanlines.
pub(super) fn room_for_pairs(resampler: &Resampler, pairs: usize) -> Result<Buffer<Pair>> {
    let pairs = pairs.next_multiple_of(resampler.group());
    let samples = pairs.saturating_mul(resampler.pair_samples());
    Buffer::new(samples, "pairs of scanlines")
}

/// Reads the next `count` scanlines to `room`, which has some for them.
pub(super) fn read<E>(
    scanlines: &mut dyn Scanlines<E>,
    count: usize,
    room: &mut [u8],
) -> Result<(), Failure<E>> {
    let line = scanlines.size().1 * scanlines.pixel_bytes();
    scanlines.read(&mut room[..count * line])
}

impl Chunk {
    /// One that has no room yet.
    pub(super) fn new(arrival: Arrival) -> Self {
        Self {
            arrival,
            copy: None,
            pairs: None,
        }
    }

    /// Makes pairs of the scanlines `lines` of the frame, where the source is those that were read or those
    /// of `pixels`.
    pub(super) fn stage<E>(
        &mut self,
        resampler: &Resampler,
        source: &Source<'_, E>,
        lines: Range<usize>,
        staged: &mut Staged,
    ) -> Result<(), Failure<E>> {
        let source_lines = resampler.source_lines();
        let first = source_lines.start;
        let shown = common(&lines, &source_lines);
        let (height, width) = (shown.len(), resampler.pass.width.source);
        let samples = self.copy.as_deref_mut().unwrap_or_default();
        let within = shown.start.saturating_sub(first)..shown.end.saturating_sub(first);
        let strip;
        let shown = match (source, self.arrival) {
            _ if shown.is_empty() => None,
            (_, Arrival::InOrder(bytes)) => {
                let view = PixelView::packed(&samples[..], height, width, bytes)?;
                Some(Shown::copied(view, shown.start, None))
            }
            (Source::Strips(strips), _) => {
                strip = strips.strip(within)?;
                let (mut view, blending) = (strip.view(), strips.blended_by());
                if view.size() != (height, width) {
                    let size = view.size();
                    let reason = format!("must be of size {:?}, got {size:?}", (height, width));
                    return Err(Error::invalid("lines", reason).into());
                }
                if blending.is_none() {
                    view = view.without_padding(3);
                }
                Some(Shown::copied(view, shown.start, blending))
            }
            (Source::Pixels(pixels), Arrival::Sideways) => {
                let channels = turned(&pixels.view(), within, samples)?;
                let view = PixelView::packed(&samples[..], height, width, channels)?;
                Some(Shown::copied(view, shown.start, None))
            }
            (Source::Pixels(pixels), _) => Some(Shown {
                view: pixels.view(),
                first,
                blending: None,
                is_far: true,
            }),
            (Source::Scanlines(_), _) => return Ok(()),
        };
        let pairs = self.pairs.as_deref_mut().unwrap_or_default();
        pair_up(resampler, shown.as_ref(), lines, staged, pairs);
        Ok(())
    }

    /// The pair of scanlines at `index`.
    pub(super) fn pair(&self, resampler: &Resampler, index: usize) -> &[Pair] {
        let samples = resampler.pair_samples();
        let pairs = self.pairs.as_deref().unwrap_or_default();
        &pairs[index * samples..][..samples]
    }
}

/// What two ranges have in common.
pub(super) fn common(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

/// The source, or some lines of it.
struct Shown<'a> {
    view: PixelView<'a>,
    /// The frame's scanline beside its first.
    first: usize,
    /// See [`Resampler::stage`].
    blending: Option<Reference>,
    /// Whether it has yet to be fetched from memory, ahead of the kernels.
    is_far: bool,
}

impl<'a> Shown<'a> {
    /// A copy of the frame's scanlines from `first` on.
    fn copied(view: PixelView<'a>, first: usize, blending: Option<Reference>) -> Self {
        Self {
            view,
            first,
            blending,
            is_far: false,
        }
    }
}

/// Makes pairs of the scanlines `lines` of the frame, as many at a time as the horizontal pass takes. The last may
/// be fewer: their pairs are with whatever was staged before, which no weight but zero meets.
fn pair_up(
    resampler: &Resampler,
    shown: Option<&Shown<'_>>,
    lines: Range<usize>,
    staged: &mut Staged,
    pairs: &mut [Pair],
) {
    /// How many scanlines ahead of the kernels memory is fetched, at least.
    const AHEAD: usize = 4;
    let source_lines = resampler.source_lines();
    let group = 2 * resampler.group();
    let length = resampler.group() * resampler.pair_samples();
    let looked_at = shown.and_then(|shown| resampler.shown(&shown.view));
    let looked_at = shown.zip(looked_at);
    let format = shown.map_or(PixelFormat::Other, |shown| shown.view.format());
    // Scanlines of which the horizontal pass reads most where they lie.
    let unstaged = looked_at.filter(|(_, view)| {
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
        if let Some((shown, view)) = &unstaged {
            let first = first - shown.first;
            memory_of(view, first..first + group, &mut in_place);
        }
        for (line, y) in together.enumerate() {
            let out = staged.line_mut(line);
            match (shown, &unstaged) {
                (_, Some((shown, view))) => resampler.stage_rest(view, y - shown.first, out),
                (Some(shown), _) if source_lines.contains(&y) => {
                    resampler.stage(&shown.view, y - shown.first, shown.blending, out);
                }
                _ => resampler.stage_margin(out),
            }
        }
        if let Some((shown, view)) = looked_at.as_ref().filter(|(shown, _)| shown.is_far) {
            let next = (first + group.max(AHEAD)).saturating_sub(shown.first);
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
