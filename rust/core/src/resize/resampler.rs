//! The two passes between one size and another.

use std::ops::Range;

use super::stage::stage;
use crate::error::{Error, Result};
use crate::filter::{Axis, Reference};
use crate::kernels::horizontal::Horizontal;
use crate::kernels::staged::Staged;
use crate::kernels::vertical::Vertical;
use crate::kernels::{Isa, Pair, plane_stride};
use crate::memory::Buffer;
use crate::pixels::PixelView;

/// The tables between two sizes.
///
/// A horizontal pass turns two scanlines into pairs of samples, a vertical pass pairs into scanlines. Where
/// lines are combined first, as Pillow 13 does it, one such round keeps the width and another the height.
#[derive(Debug)]
pub(crate) struct Resampler {
    pub(super) source: (usize, usize),
    pub(super) target: (usize, usize),
    reference: Reference,
    isa: Isa,
    pub(super) horizontal: Horizontal,
    pub(super) vertical: Vertical,
    /// The horizontal pass after the vertical one, and a vertical pass that takes its pairs apart.
    after: Option<(Horizontal, Vertical)>,
}

impl Resampler {
    /// Tables for images of size `source` becoming `target`, both `(height, width)`.
    pub(crate) fn new(
        source: (usize, usize),
        target: (usize, usize),
        reference: Reference,
        isa: Isa,
    ) -> Result<Self> {
        for (argument, length) in [("height", target.0), ("width", target.1)] {
            if length == 0 {
                return Err(Error::invalid(argument, "must be at least 1, got 0"));
            }
        }
        let axis = |from: usize, to: usize| {
            let axis = (from != to).then(|| Axis::new(from, to, reference));
            axis.transpose()
        };
        let vertical = Vertical::new(source.0, axis(source.0, target.0)?.as_ref(), isa)?;
        let horizontal = Horizontal::new(source.1, axis(source.1, target.1)?, isa)?;
        let (horizontal, after) = if vertical_first(reference, source, target) {
            // What is combined first is as long as the other pass may read.
            let keep = Horizontal::new(horizontal.reach(), None, isa)?;
            (keep, Some((horizontal, Vertical::new(2, None, isa)?)))
        } else {
            (horizontal, None)
        };
        Ok(Self {
            source,
            target,
            reference,
            isa,
            horizontal,
            vertical,
            after,
        })
    }

    /// Writes scanline `y` of `view` to three planes.
    pub(super) fn stage(&self, view: &PixelView<'_>, y: usize, out: &mut [u8]) {
        stage(view, y, self.isa, self.reference, out);
    }

    /// The pairs of source scanlines that the output scanlines `lines` are made of.
    pub(super) fn pairs(&self, lines: Range<usize>) -> Range<usize> {
        self.vertical.pairs(lines.start).start..self.vertical.pairs(lines.end - 1).end
    }

    /// Pairs of source scanlines.
    pub(super) fn source_pairs(&self) -> usize {
        self.source.0.div_ceil(2)
    }

    /// Pairs of samples that the horizontal pass makes of two scanlines.
    pub(super) fn pair_samples(&self) -> usize {
        3 * plane_stride(self.horizontal.width())
    }

    /// Samples from a plane of an output scanline to the next.
    pub(crate) fn stride(&self) -> usize {
        plane_stride(self.target.1)
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
        Ok(Some(Self {
            staged: Staged::new(horizontal.reach())?,
            pairs: Buffer::new(3 * resampler.stride(), "pairs of scanlines")?,
        }))
    }
}

impl Resampler {
    /// Writes output scanlines, one after another, to `out`. `combine` writes one as the vertical pass
    /// leaves it.
    pub(super) fn finish(
        &self,
        lines: Range<usize>,
        after: Option<&mut After>,
        mut combine: impl FnMut(usize, &mut [u8]),
        out: &mut [u8],
    ) {
        let length = 3 * self.stride();
        assert!(out.len() == lines.len() * length);
        let (Some((horizontal, apart)), Some(After { staged, pairs })) = (&self.after, after)
        else {
            for (y, out) in lines.zip(out.chunks_exact_mut(length)) {
                combine(y, out);
            }
            return;
        };
        for (y, out) in lines.clone().step_by(2).zip(out.chunks_mut(2 * length)) {
            for (line, y) in (y..lines.end.min(y + 2)).enumerate() {
                combine(y, staged.line_mut(line));
            }
            horizontal.run(staged, &[], pairs);
            for (line, out) in out.chunks_exact_mut(length).enumerate() {
                apart.run(line, &[pairs], out);
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
        reference: Reference,
    ) -> Vec<u8> {
        let pass = |pixels: &[u8], height: usize, width: usize, to: usize, vertical: bool| {
            let from = if vertical { height } else { width };
            if from == to {
                return pixels.to_vec();
            }
            let axis = Axis::new(from, to, reference).unwrap();
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
