//! The order of rows and columns, and the pass that fills them.
//!
//! A *band* is what one line of merge blocks covers: `merge * patch` scanlines. Its rows are adjacent in
//! the output, so a band is written as soon as its scanlines are resized, while they are in cache.

use std::convert::Infallible;
use std::sync::Arc;

use super::element::Element;
use super::normalize::Normalization;
use crate::error::{Error, Result};
use crate::filter::Reference;
use crate::geometry::{Grid, PatchLayout, Temporal};
use crate::kernels::Isa;
use crate::kernels::band::{Band, RowShape};
use crate::kernels::rows::write_band;
use crate::kernels::values::Values;
use crate::memory;
use crate::parallel::Step;
use crate::pixels::PixelView;
use crate::resize::{BandWriter, Bands, Failure, Resampler, Source, Tasks, resampler};

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
    /// A writer that resizes and normalises as `reference` does, with the kernels of `isa`.
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

    /// How pixels are cut into rows.
    pub fn layout(&self) -> PatchLayout {
        self.layout
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
        frames: &[PixelView<'_>],
        target: (usize, usize),
        out: &mut [T],
    ) -> Result<Grid> {
        let Some(first) = frames.first() else {
            let reason = "must hold at least one frame, got 0";
            return Err(Error::invalid("frames", reason));
        };
        self.check_group(frames.len().min(self.layout.temporal_patch))?;
        let grid = self.layout.grid(frames.len(), target.0, target.1)?;
        let columns = self.columns();
        if out.len() != grid.patches() * columns {
            let rows = grid.patches();
            let reason = format!("must hold {rows} x {columns} elements, got {}", out.len());
            return Err(Error::invalid("out", reason));
        }
        let resampler = self.resampler(first.size(), target)?;
        let stream = Rows::<T>::outgrow_the_cache(out);
        let groups = out.chunks_exact_mut(grid.h * grid.w * columns);
        for (group, out) in frames.chunks(self.layout.temporal_patch).zip(groups) {
            let frames = group
                .iter()
                .map(|frame| Source::<Infallible>::pixels(*frame));
            let resampler = Arc::clone(&resampler);
            let bands = self.bands(target.1, out)?;
            let tasks = self.tasks(resampler, frames.collect(), bands, stream, 1)?;
            loop {
                match tasks.step() {
                    Step::Done => {}
                    Step::Failed(Failure::Core(error)) => return Err(error),
                    // There is neither a file that could be damaged nor a caller who could fail.
                    Step::Waiting | Step::Finished | Step::Failed(_) => break,
                }
            }
        }
        Ok(grid)
    }

    /// Tables for images of size `source` becoming `target`.
    pub(crate) fn resampler(
        &self,
        source: (usize, usize),
        target: (usize, usize),
    ) -> Result<Arc<Resampler>> {
        resampler(source, target, self.reference, self.isa)
    }

    /// Refuses a group of frames that a row cannot hold.
    pub fn check_group(&self, frames: usize) -> Result<()> {
        let holds = self.layout.temporal_patch;
        if frames == 0 || frames > holds {
            let reason =
                format!("of a group must be 1 to temporal_patch_size={holds}, got {frames}");
            return Err(Error::invalid("frames", reason));
        }
        if frames > self.shape.slots {
            let reason = format!("\"compact\" is for one frame, got {frames}");
            return Err(Error::invalid("temporal", reason));
        }
        Ok(())
    }

    /// Scanlines of a band.
    pub(crate) fn band_lines(&self) -> usize {
        self.layout.merge * self.layout.patch
    }

    /// `out`, the rows of an image that is resized to `width` pixels, in bands.
    pub(crate) fn bands<'a>(&self, width: usize, out: &'a mut [T]) -> Result<Bands<&'a mut [T]>> {
        let band_rows = self.layout.merge * (width / self.layout.patch);
        let parts = out.chunks_exact_mut(band_rows * self.columns());
        let parts = memory::collect(parts, "bands of rows")?;
        Ok(Bands { first: 0, parts })
    }

    /// Tasks that write the rows of one group of `frames`.
    pub(crate) fn tasks<'a, E>(
        &'a self,
        resampler: Arc<Resampler>,
        frames: Vec<Source<'a, E>>,
        bands: Bands<&'a mut [T]>,
        stream: bool,
        threads: usize,
    ) -> Result<Tasks<'a, Rows<'a, T>, E>> {
        let rows = Rows {
            writer: self,
            stream,
        };
        Tasks::new(resampler, rows, frames, self.band_lines(), bands, threads)
    }
}

/// Bands as rows.
pub(crate) struct Rows<'a, T> {
    writer: &'a RowWriter<T>,
    stream: bool,
}

impl<T> Rows<'_, T> {
    /// Whether rows are so many that they leave the cache before anybody reads them.
    pub(crate) fn outgrow_the_cache(rows: &[T]) -> bool {
        /// About half of the cache that processors of a server share.
        const BYTES: usize = 16 << 20;
        size_of_val(rows) >= BYTES
    }
}

impl<'a, T: Element> BandWriter for Rows<'a, T> {
    type Part = &'a mut [T];

    fn write(&self, rows: &'a mut [T], frames: &[&[u8]], stride: usize) {
        let bands: Vec<_> = frames
            .iter()
            .map(|samples| Band::new(samples, stride))
            .collect();
        let RowWriter {
            isa, shape, values, ..
        } = self.writer;
        write_band(*isa, &bands, *shape, values, rows, self.stream);
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
        let frame = PixelView::packed(&pixels[..], 4, 4, 3).unwrap();
        let refused = |temporal, frames: &[PixelView<'_>], target, length| {
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
        fn every_backend_writes_the_rows_of_the_definition(
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
                .map(|pixels| PixelView::packed(pixels, height, width, 3).unwrap())
                .collect();
            let resized: Vec<Vec<u8>> = frames
                .iter()
                .map(|frame| {
                    let mut out = vec![0; target.0 * target.1 * 3];
                    resize(frame, target, reference, Isa::SCALAR, &mut out).unwrap();
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
