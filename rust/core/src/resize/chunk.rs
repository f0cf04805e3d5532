//! Some scanlines of a frame, taken through the horizontal pass.

use std::ops::Range;

use super::resampler::Resampler;
use super::source::{Failure, Scanlines, Source};
use super::stage::{memory_of, turned};
use crate::error::{Error, Result};
use crate::filter::Reference;
use crate::kernels::Pair;
use crate::kernels::staged::{InPlace, Staged};
use crate::memory::{self, Buffer};
use crate::parallel::lock;
use crate::pixels::{Bytes, PixelView};

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

    /// Makes pairs of the scanlines `lines` of the frame. Those of a source that comes in order have been read.
    pub(super) fn stage<E>(
        &mut self,
        resampler: &Resampler,
        source: &Source<'_, E>,
        lines: Range<usize>,
        staged: &mut Staged,
    ) -> Result<(), Failure<E>> {
        let source_lines = resampler.source_lines();
        let own = common(&lines, &source_lines);
        let pairs = self.pairs.as_deref_mut().unwrap_or_default();
        if own.is_empty() {
            return Ok(pair_up(resampler, None, lines, staged, pairs)?);
        }
        let (height, width) = (own.len(), resampler.pass.width.source);
        let within = own.start - source_lines.start..own.end - source_lines.start;
        let copy = self.copy.as_deref_mut().unwrap_or_default();
        let strip;
        let shown = match source {
            Source::Scanlines(_) => {
                let bytes = self.arrival.copied_bytes();
                let view = PixelView::packed(&copy[..], height, width, bytes)?;
                Shown::new(resampler, view, own.start)
            }
            Source::Strips(strips) => {
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
                Shown {
                    blending,
                    ..Shown::new(resampler, view, own.start)
                }
            }
            Source::Pixels(pixels) if self.arrival == Arrival::Sideways => {
                let channels = turned(&pixels.view(), within, copy)?;
                let view = PixelView::packed(&copy[..], height, width, channels)?;
                Shown::new(resampler, view, own.start)
            }
            Source::Pixels(pixels) => Shown {
                is_far: true,
                ..Shown::new(resampler, pixels.view(), source_lines.start)
            },
        };
        Ok(pair_up(resampler, Some(&shown), lines, staged, pairs)?)
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
    /// The columns that are looked at, if any are.
    looked_at: Option<PixelView<'a>>,
    /// Whether the horizontal pass reads most of them where they lie.
    is_in_place: bool,
    /// See [`Resampler::stage`].
    blending: Option<Reference>,
    /// Whether it has yet to be fetched from memory, ahead of the kernels.
    is_far: bool,
}

impl<'a> Shown<'a> {
    /// The frame's scanlines from `first` on, which have just been copied and blend as arrays do.
    fn new(resampler: &Resampler, view: PixelView<'a>, first: usize) -> Self {
        let looked_at = resampler.shown(&view);
        let is_in_place = looked_at.is_some_and(|looked_at| {
            let width = looked_at.width();
            let in_place = resampler.horizontal.in_place(view.format(), width);
            width == resampler.columns.len() && in_place > 0
        });
        Self {
            view,
            first,
            looked_at,
            is_in_place,
            blending: None,
            is_far: false,
        }
    }

    /// Lists the memory of `lines` of the frame that is looked at.
    fn memory_of(&self, lines: Range<usize>, out: &mut Vec<Bytes<'a>>) {
        if let Some(view) = &self.looked_at {
            memory_of(view, lines.start - self.first..lines.end - self.first, out);
        }
    }
}

/// Scanlines that the horizontal pass takes at once, as it finds them.
enum Group<'a> {
    /// Nothing in them is the source's.
    Margin,
    /// All are the source's, and read from where they lie but for their ends.
    InPlace(&'a Shown<'a>, PixelView<'a>),
    /// All are staged.
    Staged(&'a Shown<'a>),
}

impl<'a> Group<'a> {
    /// What `lines` of the frame are, of which `own` are the source's; `is_whole` if the pass takes no more.
    fn of(
        shown: Option<&'a Shown<'a>>,
        lines: &Range<usize>,
        own: &Range<usize>,
        is_whole: bool,
    ) -> Self {
        match shown {
            None => Self::Margin,
            Some(_) if own.is_empty() => Self::Margin,
            Some(shown) => match shown.looked_at {
                Some(view) if shown.is_in_place && is_whole && own == lines => {
                    Self::InPlace(shown, view)
                }
                _ => Self::Staged(shown),
            },
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
) -> Result<()> {
    /// How many scanlines ahead of the kernels memory is fetched, at least.
    const AHEAD: usize = 4;
    let count = 2 * resampler.group();
    let length = resampler.group() * resampler.pair_samples();
    // Where they are listed, with room for three planes of each: to grow several times takes longer than that.
    let room = |is_listed| if is_listed { 3 * count } else { 0 };
    let is_in_place = shown.is_some_and(|shown| shown.is_in_place);
    let is_far = shown.is_some_and(|shown| shown.is_far);
    let mut memory = memory::with_capacity(room(is_in_place), "scanlines")?;
    let mut ahead = memory::with_capacity(room(is_far), "scanlines")?;
    // Where pairs of margins are: all are alike.
    let mut margin = None;
    for (index, first) in lines.clone().step_by(count).enumerate() {
        let together = first..lines.end.min(first + count);
        let own = common(&together, &resampler.source_lines());
        let at = index * length..(index + 1) * length;
        let mut in_place = InPlace::NONE;
        match Group::of(shown, &together, &own, together.len() == count) {
            Group::Margin => {
                if let Some(margin) = margin.clone() {
                    pairs.copy_within(margin, at.start);
                    continue;
                }
                margin = Some(at.clone());
                for line in 0..together.len() {
                    resampler.stage_margin(staged.line_mut(line));
                }
            }
            Group::InPlace(shown, view) => {
                for (line, y) in together.clone().enumerate() {
                    resampler.stage_rest(&view, y - shown.first, staged.line_mut(line));
                }
                shown.memory_of(together, &mut memory);
                in_place = InPlace {
                    format: shown.view.format(),
                    memory: &memory,
                };
            }
            Group::Staged(shown) => {
                for (line, y) in together.enumerate() {
                    let out = staged.line_mut(line);
                    if own.contains(&y) {
                        resampler.stage(&shown.view, y - shown.first, shown.blending, out);
                    } else {
                        resampler.stage_margin(out);
                    }
                }
            }
        }
        if let Some(shown) = shown.filter(|shown| shown.is_far) {
            let next = (first + count.max(AHEAD)).max(shown.first);
            shown.memory_of(next..next + count, &mut ahead);
        }
        let out = &mut pairs[at];
        resampler.horizontal.run(staged, in_place, &ahead, out);
    }
    Ok(())
}
