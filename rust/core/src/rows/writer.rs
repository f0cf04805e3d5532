//! The order of rows and columns, and the pass that fills them.
//!
//! A *band* is the pixels that one line of merge blocks covers: `merge * patch` lines high. Its rows
//! are adjacent in the output, so a band is written as soon as its lines are resized, while they
//! are in cache.

use std::sync::{Mutex, PoisonError};
use std::vec;

use super::band::{Band, RowShape};
use super::element::Element;
use super::normalize::{Normalization, Values};
use crate::error::{Error, Result};
use crate::geometry::Grid;
use crate::image::{ImageView, RgbImage};
use crate::memory::Buffer;
use crate::resize::{Reference, Resampler, plane_stride};
use crate::simd::{self, Isa};

/// How pixels are cut into rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchLayout {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Frames that a row holds.
    pub temporal_patch: usize,
    /// Side, in patches, of the blocks that the model merges into one token.
    pub merge: usize,
}

/// Whether a still image's patch is stored for every frame of a row, or once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporal {
    /// `3 * temporal_patch * patch * patch` columns.
    Full,
    /// `3 * patch * patch` columns, for still images only.
    Compact,
}

impl PatchLayout {
    /// Refuses a layout without extent.
    fn check(self) -> Result<()> {
        for (argument, value) in [
            ("patch_size", self.patch),
            ("temporal_patch_size", self.temporal_patch),
            ("merge_size", self.merge),
        ] {
            if !(1..=1024).contains(&value) {
                let reason = format!("must be between 1 and 1024, got {value}");
                return Err(Error::invalid(argument, reason));
            }
        }
        Ok(())
    }

    /// The grid of `frames` frames of `height` by `width` pixels; an incomplete last group of
    /// frames counts. Sides must be multiples of `patch * merge`.
    pub fn grid(self, frames: usize, height: usize, width: usize) -> Result<Grid> {
        let factor = self.patch * self.merge;
        for (argument, side) in [("height", height), ("width", width)] {
            if side == 0 || side % factor != 0 {
                let reason = format!(
                    "must be a positive multiple of patch_size * merge_size = {factor}, got {side}"
                );
                return Err(Error::invalid(argument, reason));
            }
        }
        Ok(Grid {
            t: frames.div_ceil(self.temporal_patch),
            h: height / self.patch,
            w: width / self.patch,
        })
    }
}

/// Writes rows of `T`: rescaled, normalised and in the order that the model reads them.
///
/// Row order within a group of frames: lines of merge blocks, blocks within the line, then the
/// patches of a block line by line. Column order: channel, frame, y, x. Semantics: `patchify` of
/// the Qwen2-VL image and video processors in transformers.
#[derive(Debug, Clone)]
pub struct RowWriter<T> {
    layout: PatchLayout,
    shape: RowShape,
    values: Values<T>,
    reference: Reference,
    isa: Isa,
}

impl<T: Element> RowWriter<T> {
    /// A writer that resizes and normalises as `reference` does, by the arm of `isa`.
    pub fn new(
        layout: PatchLayout,
        temporal: Temporal,
        normalization: &Normalization,
        reference: Reference,
        isa: Isa,
    ) -> Result<Self> {
        layout.check()?;
        Ok(Self {
            layout,
            shape: RowShape {
                patch: layout.patch,
                merge: layout.merge,
                slots: match temporal {
                    Temporal::Full => layout.temporal_patch,
                    Temporal::Compact => 1,
                },
            },
            values: Values::new(normalization, reference)?,
            reference,
            isa,
        })
    }

    /// Elements in a row.
    pub fn columns(&self) -> usize {
        self.shape.columns()
    }

    /// Resizes `frames`, all of one size, to `(height, width)` and writes their rows to `out`, which
    /// must hold exactly the rows of the grid that is returned.
    ///
    /// Frames are grouped in time; the last frame is repeated to fill its group, so a still image
    /// fills one group by itself.
    pub fn write(
        &self,
        frames: &[ImageView<'_>],
        target: (usize, usize),
        out: &mut [T],
    ) -> Result<Grid> {
        let grid = self.layout.grid(frames.len(), target.0, target.1)?;
        let strips = Strips::new(self, frames, target, out, 1)?;
        while let Some(written) = strips.write_next(frames) {
            written?;
        }
        Ok(grid)
    }

    /// `out`, which must hold exactly the rows of still images that are resized to `targets`, in parts
    /// that belong to them.
    pub fn split<'a>(
        &self,
        targets: &[(usize, usize)],
        mut out: &'a mut [T],
    ) -> Result<Vec<&'a mut [T]>> {
        let mut parts = Vec::with_capacity(targets.len());
        let given = out.len() / self.columns();
        for (height, width) in targets {
            let rows = self.layout.grid(1, *height, *width)?.patches();
            let Some(part) = out.split_off_mut(..rows * self.columns()) else {
                let reason = format!(
                    "must hold the rows of {} images, got {given}",
                    targets.len()
                );
                return Err(Error::invalid("out", reason));
            };
            parts.push(part);
        }
        Ok(parts)
    }

    /// The most strips that an image resized to `target` is worth.
    pub fn most_strips(&self, target: (usize, usize)) -> usize {
        let bands = target.0 / (self.layout.merge * self.layout.patch);
        (bands / LEAST_BANDS).max(1)
    }

    /// Elements in the rows of one band of a target of `width` pixels.
    fn band_elements(&self, width: usize) -> usize {
        self.layout.merge * (width / self.layout.patch) * self.columns()
    }

    /// Writes the rows of one group of frames from band `first` on, as many as `out` holds.
    fn write_bands(
        &self,
        frames: &[ImageView<'_>],
        resampler: &Resampler,
        width: usize,
        first: usize,
        out: &mut [T],
    ) -> Result<()> {
        let PatchLayout { patch, merge, .. } = self.layout;
        let images = frames
            .iter()
            .map(|frame| RgbImage::new(*frame, self.reference))
            .collect::<Result<Vec<_>>>()?;
        let mut sources = images
            .iter()
            .map(|image| resampler.lines(image, first * merge * patch))
            .collect::<Result<Vec<_>>>()?;
        let line_bytes = 3 * plane_stride(width);
        let band_bytes = merge * patch * line_bytes;
        let mut bytes = Buffer::new(frames.len() * band_bytes, "a band of lines")?;
        for rows in out.chunks_exact_mut(self.band_elements(width)) {
            for (lines, band) in sources.iter_mut().zip(bytes.chunks_exact_mut(band_bytes)) {
                for line in band.chunks_exact_mut(line_bytes) {
                    lines.read(line);
                }
            }
            let bands: Vec<_> = bytes
                .chunks_exact(band_bytes)
                .map(|band| Band::new(band, width))
                .collect();
            simd::write_band(self.isa, &bands, self.shape, &self.values, rows);
        }
        Ok(())
    }
}

/// Rows that are still to be written, in strips of bands that threads can share.
#[derive(Debug)]
pub struct Strips<'a, T> {
    writer: &'a RowWriter<T>,
    resampler: Resampler,
    source: (usize, usize),
    width: usize,
    strips: Mutex<vec::IntoIter<Strip<'a, T>>>,
}

/// Adjacent bands of one group of frames.
#[derive(Debug)]
struct Strip<'a, T> {
    group: usize,
    first_band: usize,
    rows: &'a mut [T],
}

/// A strip computes the lines above it that its first windows reach up to once more, so it has at
/// least as many bands.
const LEAST_BANDS: usize = 12;

impl<'a, T: Element> Strips<'a, T> {
    /// The rows that `writer` makes of `frames` resized to `target`, for up to `threads` threads. See
    /// [`RowWriter::write`].
    pub fn new(
        writer: &'a RowWriter<T>,
        frames: &[ImageView<'_>],
        target: (usize, usize),
        out: &'a mut [T],
        threads: usize,
    ) -> Result<Self> {
        let layout = writer.layout;
        let first = frames
            .first()
            .ok_or_else(|| Error::invalid("frames", "must hold at least one frame, got 0"))?;
        if frames.len() > 1 && writer.shape.slots < layout.temporal_patch {
            let reason = format!("\"compact\" is for one frame, got {}", frames.len());
            return Err(Error::invalid("temporal", reason));
        }
        let grid = layout.grid(frames.len(), target.0, target.1)?;
        if out.len() != grid.patches() * writer.columns() {
            let (rows, columns) = (grid.patches(), writer.columns());
            let reason = format!("must hold {rows} x {columns} elements, got {}", out.len());
            return Err(Error::invalid("out", reason));
        }
        let source = (first.height(), first.width());
        let bands = grid.h / layout.merge;
        let strip_bands = if threads > 1 && !first.needs_copy() {
            bands.div_ceil(2 * threads).max(LEAST_BANDS)
        } else {
            bands
        };
        let band_elements = writer.band_elements(target.1);
        let mut strips = Vec::new();
        for (group, rows) in out.chunks_exact_mut(bands * band_elements).enumerate() {
            let rows = rows.chunks_mut(strip_bands * band_elements);
            strips.extend(rows.enumerate().map(|(index, rows)| Strip {
                group,
                first_band: index * strip_bands,
                rows,
            }));
        }
        Ok(Self {
            writer,
            resampler: Resampler::new(source, target, writer.reference, writer.isa)?,
            source,
            width: target.1,
            strips: Mutex::new(strips.into_iter()),
        })
    }

    /// Writes a strip that nobody has begun, of the same frames, or returns None if there is no more.
    pub fn write_next(&self, frames: &[ImageView<'_>]) -> Option<Result<()>> {
        let Strip {
            group,
            first_band,
            rows,
        } = self
            .strips
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()?;
        let group = frames
            .chunks(self.writer.layout.temporal_patch)
            .nth(group)
            .unwrap_or_default();
        assert!(!group.is_empty());
        assert!(
            group
                .iter()
                .all(|frame| (frame.height(), frame.width()) == self.source)
        );
        let (resampler, width) = (&self.resampler, self.width);
        Some(
            self.writer
                .write_bands(group, resampler, width, first_band, rows),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::resize;
    use half::{bf16, f16};
    use proptest::prelude::*;

    const LAYOUT: PatchLayout = PatchLayout {
        patch: 2,
        temporal_patch: 2,
        merge: 2,
    };

    /// Tells the channels apart.
    const NORMALIZATION: Normalization = Normalization {
        rescale_factor: None,
        mean_std: Some(([0.0, -1000.0, -2000.0], [1.0; 3])),
    };

    /// Row and column order by their definition, from whole resized frames.
    fn by_definition(
        frames: &[Vec<u8>],
        grid: Grid,
        layout: PatchLayout,
        slots: usize,
    ) -> Vec<f32> {
        let PatchLayout {
            patch,
            temporal_patch,
            merge,
        } = layout;
        let mut rows = Vec::new();
        for t in 0..grid.t {
            for block_y in 0..grid.h / merge {
                for block_x in 0..grid.w / merge {
                    for (i, j) in (0..merge * merge).map(|k| (k / merge, k % merge)) {
                        for c in 0..3 {
                            for slot in 0..slots {
                                let frame =
                                    &frames[(t * temporal_patch + slot).min(frames.len() - 1)];
                                for (y, x) in (0..patch * patch).map(|k| (k / patch, k % patch)) {
                                    let y = (block_y * merge + i) * patch + y;
                                    let x = (block_x * merge + j) * patch + x;
                                    let level = frame[(y * grid.w * patch + x) * 3 + c];
                                    rows.push((1000 * c) as f32 + f32::from(level));
                                }
                            }
                        }
                    }
                }
            }
        }
        rows
    }

    #[test]
    fn refusals_name_the_argument_and_the_value() {
        let writer = |layout, temporal| {
            let reference = Reference::Torchvision;
            RowWriter::<f32>::new(layout, temporal, &NORMALIZATION, reference, Isa::best())
        };
        let no_patch = PatchLayout { patch: 0, ..LAYOUT };
        let message = writer(no_patch, Temporal::Full).unwrap_err().to_string();
        assert_eq!(message, "patch_size must be between 1 and 1024, got 0");

        let pixels = [0u8; 4 * 4 * 3];
        let frame = ImageView::packed_rgb(&pixels, 4, 4).unwrap();
        let refused = |temporal, frames: &[ImageView<'_>], target, length| {
            let writer = writer(LAYOUT, temporal).unwrap();
            let mut out = vec![0.0; length];
            writer
                .write(frames, target, &mut out)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(Temporal::Full, &[], (4, 4), 96),
            "frames must hold at least one frame, got 0"
        );
        assert_eq!(
            refused(Temporal::Full, &[frame], (4, 6), 96),
            "width must be a positive multiple of patch_size * merge_size = 4, got 6"
        );
        assert_eq!(
            refused(Temporal::Full, &[frame], (4, 4), 95),
            "out must hold 4 x 24 elements, got 95"
        );
        assert_eq!(
            refused(Temporal::Compact, &[frame, frame], (4, 4), 48),
            "temporal \"compact\" is for one frame, got 2"
        );
    }

    proptest! {
        #[test]
        fn every_arm_writes_the_rows_of_the_definition(
            (patch, temporal_patch, merge) in (1usize..18, 1usize..4, 1usize..4),
            (blocks_y, blocks_x) in (1usize..3, 1usize..4),
            (count, height, width) in (1usize..6, 1usize..20, 1usize..20),
            reference in Reference::any(),
            compact in any::<bool>(),
            noise in proptest::collection::vec(any::<u8>(), 5 * 20 * 20 * 3),
        ) {
            let layout = PatchLayout { patch, temporal_patch, merge };
            let count = if compact { 1 } else { count };
            let target = (blocks_y * merge * patch, blocks_x * merge * patch);
            let frames: Vec<_> = noise
                .chunks_exact(height * width * 3)
                .take(count)
                .map(|pixels| ImageView::packed_rgb(pixels, height, width).unwrap())
                .collect();
            let resized: Vec<Vec<u8>> = frames
                .iter()
                .map(|frame| {
                    let mut out = vec![0; target.0 * target.1 * 3];
                    resize(frame, target, reference, Isa::Scalar, &mut out).unwrap();
                    out
                })
                .collect();
            let temporal = if compact { Temporal::Compact } else { Temporal::Full };
            let grid = layout.grid(count, target.0, target.1).unwrap();
            let slots = if compact { 1 } else { temporal_patch };
            let expected = by_definition(&resized, grid, layout, slots);
            let rounded = |round: fn(f32) -> u16| expected.iter().copied().map(round);
            for isa in Isa::available() {
                macro_rules! written {
                    ($element:ty) => {{
                        let writer = RowWriter::<$element>::new(
                            layout, temporal, &NORMALIZATION, reference, isa,
                        ).unwrap();
                        let mut rows = vec![<$element>::default(); expected.len()];
                        prop_assert_eq!(writer.write(&frames, target, &mut rows).unwrap(), grid);
                        rows
                    }};
                }
                prop_assert_eq!(&written!(f32), &expected, "{:?}", isa);
                let halves = written!(f16).into_iter().map(f16::to_bits);
                prop_assert!(halves.eq(rounded(|value| f16::from_f32(value).to_bits())));
                let bhalves = written!(bf16).into_iter().map(bf16::to_bits);
                prop_assert!(bhalves.eq(rounded(|value| bf16::from_f32(value).to_bits())));
                let levels = expected.iter().map(|value| (value % 1000.0) as u8);
                prop_assert!(written!(u8).into_iter().eq(levels));
            }
        }
    }
}
