//! The two passes between one size and another.

use std::mem;
use std::ops::Range;

use super::chunk::common;
use super::stage::stage;
use crate::error::{Error, Result};
use crate::filter::{Axis, Filter, Reference};
use crate::geometry::{Pass, Span};
use crate::kernels::horizontal::Horizontal;
use crate::kernels::staged::{InPlace, Staged};
use crate::kernels::vertical::Vertical;
use crate::kernels::{Isa, Pair, plane_stride};
use crate::memory::Buffer;
use crate::pixels::{PixelView, flips, swaps};

/// How images are resized, whatever their sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) filter: Filter,
    pub(crate) reference: Reference,
    pub(crate) isa: Isa,
    /// The colour that images are padded with before they are resized.
    pub(crate) margin: [u8; 3],
}

impl Method {
    /// The bicubic filter of `reference`.
    pub(crate) fn new(reference: Reference, isa: Isa) -> Self {
        Self {
            filter: Filter::Bicubic,
            reference,
            isa,
            margin: [0; 3],
        }
    }
}

/// The tables of a [`Pass`].
///
/// A horizontal pass turns two scanlines into pairs of samples, a vertical pass pairs into scanlines. Where
/// lines are combined first, as Pillow 13 does it, one such round keeps the width and another the height.
///
/// What comes out may be a part of what the sizes would give, with samples of 0 around it: the tables then
/// have fewer positions, or positions without weight.
#[derive(Debug)]
pub(crate) struct Resampler {
    /// From what is stored to what is stored.
    pub(super) pass: Pass,
    /// How what comes out is to be seen, as EXIF has it.
    pub(super) orientation: u8,
    method: Method,
    /// The columns of the frame that are looked at.
    pub(super) columns: Range<usize>,
    pub(super) horizontal: Horizontal,
    pub(super) vertical: Vertical,
    /// The horizontal pass after the vertical one, and a vertical pass that takes its pairs apart.
    after: Option<(Horizontal, Vertical)>,
}

impl Resampler {
    /// The tables of `pass` over an image as its EXIF `orientation` says that it is to be seen, for its lines as
    /// they are stored: an image need not be whole in memory to be turned, its bands are when they are small.
    ///
    /// Lines that are columns take their tables and their turn, which is what the rounding depends on.
    pub(crate) fn new(pass: Pass, orientation: u8, method: Method) -> Result<Self> {
        let mut axes = Axes::new(pass, method)?;
        let mut vertical_first = vertical_first(method.reference, pass.frame(), pass.resized());
        if swaps(orientation) {
            mem::swap(&mut axes.height, &mut axes.width);
            vertical_first = !vertical_first;
        }
        let pass = pass.as_stored(orientation);
        let [lines, columns] = flips(orientation);
        for (flips, axis, span) in [
            (lines, &mut axes.height, pass.height),
            (columns, &mut axes.width, pass.width),
        ] {
            if let (true, Some(axis)) = (flips, axis) {
                *axis = axis.mirrored(span.frame)?;
            }
        }
        let isa = method.isa;
        let (frame_height, frame_width) = pass.frame();
        let vertical = Vertical::new(frame_height, axes.height.as_ref(), isa)?;
        let (columns, axis) = match axes.width {
            Some(axis) => {
                let columns = axis.needed();
                let axis = axis.counted_from(columns.start);
                (columns, Some(axis))
            }
            None => (0..frame_width, None),
        };
        let horizontal = Horizontal::new(columns.len(), axis, isa)?;
        let (horizontal, after) = if vertical_first {
            // What is combined first is as long as the other pass may read.
            let keep = Horizontal::new(horizontal.reach(), None, isa)?;
            (keep, Some((horizontal, Vertical::new(2, None, isa)?)))
        } else {
            (horizontal, None)
        };
        Ok(Self {
            pass,
            orientation,
            method,
            columns,
            horizontal,
            vertical,
            after,
        })
    }

    /// Writes scanline `y` of `view`, a source or some lines of it, to three planes. A fourth channel is blended over
    /// white as whoever resizes does it for arrays, or by `blending` instead.
    pub(super) fn stage(
        &self,
        view: &PixelView<'_>,
        y: usize,
        blending: Option<Reference>,
        out: &mut [u8],
    ) {
        let Method { isa, reference, .. } = self.method;
        let blending = blending.unwrap_or(reference);
        let columns = &self.columns;
        let Some(view) = self.shown(view) else {
            return self.stage_margin(out);
        };
        if view.width() < columns.len() {
            self.stage_margin(out);
        }
        let left = self.pass.width.before.saturating_sub(columns.start);
        stage(&view, y, isa, blending, left, out);
    }

    /// The columns of a source that are looked at, if any are.
    pub(super) fn shown<'a>(&self, view: &PixelView<'a>) -> Option<PixelView<'a>> {
        let Span { before, source, .. } = self.pass.width;
        let shown = common(&self.columns, &(before..before + source));
        (!shown.is_empty()).then(|| view.columns(shown.start - before..shown.end - before))
    }

    /// Writes what the horizontal pass does not read in place of scanline `y` of `view`, of which all columns are
    /// looked at.
    pub(super) fn stage_rest(&self, view: &PixelView<'_>, y: usize, out: &mut [u8]) {
        let left = self.horizontal.in_place(view.format(), view.width());
        if left < view.width() {
            let Method { isa, reference, .. } = self.method;
            let rest = view.columns(left..view.width());
            stage(&rest, y, isa, reference, left, out);
        }
    }

    /// Writes a scanline of the frame in which there is nothing of the source.
    pub(super) fn stage_margin(&self, out: &mut [u8]) {
        let stride = out.len() / 3;
        for (plane, level) in out.chunks_exact_mut(stride).zip(self.method.margin) {
            plane[..self.columns.len()].fill(level);
        }
    }

    /// Whether sources come out as they are.
    pub(super) fn is_copy(&self) -> bool {
        self.pass.height.is_copy() && self.pass.width.is_copy()
    }

    /// Those scanlines of the frame that are the source's.
    pub(super) fn source_lines(&self) -> Range<usize> {
        let Span { before, source, .. } = self.pass.height;
        before..before + source
    }

    /// The pairs of scanlines of the frame that the output scanlines `lines` are made of.
    pub(super) fn pairs(&self, lines: Range<usize>) -> Range<usize> {
        self.vertical.pairs(lines.start).start..self.vertical.pairs(lines.end - 1).end
    }

    /// Pairs of scanlines of the frame.
    pub(super) fn frame_pairs(&self) -> usize {
        self.pass.height.frame.div_ceil(2)
    }

    /// Scanlines that come out.
    pub(super) fn height(&self) -> usize {
        self.pass.height.length()
    }

    /// Pairs of scanlines that the horizontal pass takes at once.
    pub(super) fn group(&self) -> usize {
        self.horizontal.lines() / 2
    }

    /// Pairs of samples that the horizontal pass makes of two scanlines.
    pub(super) fn pair_samples(&self) -> usize {
        3 * plane_stride(self.horizontal.width())
    }

    /// Samples from a plane of an output scanline to the next.
    pub(super) fn stride(&self) -> usize {
        plane_stride(self.pass.width.length())
    }
}

/// The tables of the axes of a pass; None for a length that stays as it is.
struct Axes {
    height: Option<Axis>,
    width: Option<Axis>,
}

impl Axes {
    fn new(pass: Pass, method: Method) -> Result<Self> {
        let Method {
            filter, reference, ..
        } = method;
        for (argument, span) in [("height", pass.height), ("width", pass.width)] {
            if span.resized == 0 || span.length() == 0 {
                return Err(Error::invalid(argument, "must be at least 1, got 0"));
            }
        }
        let axis = |span: Span| {
            let changes = span.frame != span.resized || !span.is_whole();
            let positions = span.positions();
            let table =
                || Axis::of_positions(span.frame, span.resized, positions, filter, reference);
            changes.then(table).transpose()
        };
        Ok(Self {
            height: axis(pass.height)?,
            width: axis(pass.width)?,
        })
    }
}

/// What the passes after the first work in.
#[derive(Debug)]
pub(super) struct After {
    staged: Staged,
    pairs: Buffer<Pair>,
}

impl After {
    /// None where the first two passes are all.
    pub(super) fn new(resampler: &Resampler) -> Result<Option<Self>> {
        let Some((horizontal, _)) = &resampler.after else {
            return Ok(None);
        };
        let pairs = horizontal.lines() / 2 * 3 * resampler.stride();
        Ok(Some(Self {
            staged: horizontal.staged()?,
            pairs: Buffer::new(pairs, "pairs of scanlines")?,
        }))
    }
}

impl Resampler {
    /// Writes output scanlines, one after another, to `out`. `combine` writes some as the vertical pass
    /// leaves them.
    pub(super) fn finish(
        &self,
        lines: Range<usize>,
        after: Option<&mut After>,
        mut combine: impl FnMut(Range<usize>, &mut [u8]),
        out: &mut [u8],
    ) {
        let length = 3 * self.stride();
        assert!(out.len() == lines.len() * length);
        let (Some((horizontal, apart)), Some(After { staged, pairs })) = (&self.after, after)
        else {
            return combine(lines, out);
        };
        let group = horizontal.lines();
        for (y, out) in lines
            .clone()
            .step_by(group)
            .zip(out.chunks_mut(group * length))
        {
            for (line, y) in (y..lines.end.min(y + group)).enumerate() {
                combine(y..y + 1, staged.line_mut(line));
            }
            horizontal.run(staged, InPlace::NONE, &[], pairs);
            for (line, out) in out.chunks_exact_mut(length).enumerate() {
                apart.run(line % 2, &[&pairs[line / 2 * length..][..length]], out);
            }
        }
    }
}

/// Whether lines are combined before they are resampled themselves. Sizes are `(height, width)`.
fn vertical_first(reference: Reference, source: (usize, usize), target: (usize, usize)) -> bool {
    let lost_lines = source.0 as i128 - target.0 as i128;
    let lost_columns = source.1 as i128 - target.1 as i128;
    reference == Reference::Pillow13 && lost_lines > 0 && lost_lines > 2 * lost_columns
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The definition, one sample at a time: whole passes over whole images of packed RGB.
    pub(crate) fn by_definition(
        pixels: &[u8],
        source: (usize, usize),
        target: (usize, usize),
        filter: Filter,
        reference: Reference,
    ) -> Vec<u8> {
        let pass = |pixels: &[u8], height: usize, width: usize, to: usize, vertical: bool| {
            let from = if vertical { height } else { width };
            if from == to {
                return pixels.to_vec();
            }
            let axis = Axis::new(from, to, filter, reference).unwrap();
            let (lines, columns) = if vertical { (to, width) } else { (height, to) };
            let mut out = Vec::with_capacity(lines * columns * 3);
            for index in 0..lines * columns * 3 {
                let (y, x, c) = (index / 3 / columns, index / 3 % columns, index % 3);
                let (start, weights) = axis.bounds(if vertical { y } else { x });
                let sum: i64 = weights
                    .iter()
                    .zip(start..)
                    .map(|(weight, at)| {
                        let (y, x) = if vertical { (at, x) } else { (y, at) };
                        i64::from(*weight) * i64::from(pixels[(y * width + x) * 3 + c])
                    })
                    .sum();
                let rounded = (sum + (1 << (axis.precision() - 1))) >> axis.precision();
                out.push(rounded.clamp(0, 255) as u8);
            }
            out
        };
        let ((h, w), (to_h, to_w)) = (source, target);
        if vertical_first(reference, source, target) {
            pass(&pass(pixels, h, w, to_h, true), to_h, w, to_w, false)
        } else {
            pass(&pass(pixels, h, w, to_w, false), h, to_w, to_h, true)
        }
    }

    #[test]
    fn pillow_13_reduces_lines_first_when_that_saves_work() {
        let first = |reference| vertical_first(reference, (480, 640), (476, 644));
        assert!(first(Reference::Pillow13));
        assert!(!first(Reference::Pillow12) && !first(Reference::Torchvision));
        let first = |target| vertical_first(Reference::Pillow13, (100, 100), target);
        assert!(!first((90, 95)) && first((89, 95)) && !first((100, 120)));
    }
}
