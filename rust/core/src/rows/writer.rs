//! The order of rows and columns, and the pass that fills them.
//!
//! A *band* is what one line of merge blocks covers: `merge * patch` scanlines. In each tile its rows are
//! adjacent in the output, so a band is written as soon as its scanlines are resized, while they are in cache.

use std::convert::Infallible;

use super::bands::{PieceWriter, outgrows_the_cache, tasks};
use super::element::Element;
use super::form::RowForm;
use super::normalize::Normalization;
use crate::error::{Error, Result};
use crate::filter::{Filter, Reference};
use crate::geometry::{Cut, Grid, Pass, PatchLayout, Temporal};
use crate::kernels::Isa;
use crate::kernels::band::Band;
use crate::kernels::rows::{write_band, write_plane};
use crate::kernels::values::Values;
use crate::memory;
use crate::pixels::PixelView;
use crate::resize::{Ahead, Method, Source, run_alone};

/// Writes rows of `T`: rescaled, normalised and in the order that the model reads them.
///
/// Row order within a tile: lines of merge blocks, blocks within the line, then the patches of a block line
/// by line. Column order: channel, frame, y, x. Semantics: `patchify` of the Qwen2-VL image and video
/// processors in transformers; there, all of a resized image is one tile. Two other models have the
/// channel last: y, x, channel, frame.
///
/// Where tiles are not cut any further, a row is a tile: channel, y, x.
#[derive(Debug, Clone)]
pub struct RowWriter<T> {
    form: RowForm,
    values: Values<T>,
}

impl<T: Element> RowWriter<T> {
    /// A writer of patches that resizes and normalises as `reference` does, with the kernels of `isa`.
    pub fn new(
        layout: PatchLayout,
        temporal: Temporal,
        normalization: &Normalization,
        reference: Reference,
        isa: Isa,
    ) -> Result<Self> {
        layout.check()?;
        let slots = match temporal {
            Temporal::Full => layout.temporal_patch,
            Temporal::Compact => 1,
        };
        Self::of(Cut::Patches(layout), slots, normalization, reference, isa)
    }

    /// The same for whole tiles of `(height, width)`.
    pub fn tiles(
        (height, width): (usize, usize),
        normalization: &Normalization,
        reference: Reference,
        isa: Isa,
    ) -> Result<Self> {
        for (argument, side) in [("tile height", height), ("tile width", width)] {
            if !(1..=1 << 20).contains(&side) {
                return Err(Error::out_of_range(argument, "1 and 2**20", side));
            }
        }
        let cut = Cut::Tiles((height, width));
        Self::of(cut, 1, normalization, reference, isa)
    }

    fn of(
        cut: Cut,
        slots: usize,
        normalization: &Normalization,
        reference: Reference,
        isa: Isa,
    ) -> Result<Self> {
        let form = RowForm {
            cut,
            slots,
            element: size_of::<T>(),
            method: Method::new(reference, isa),
            channels_last: false,
        };
        let values = Values::new(normalization, reference)?;
        Ok(Self { form, values })
    }

    /// The same with the columns of a patch in another order: y, x, channel, frame.
    pub fn with_channels_last(mut self, channels_last: bool) -> Self {
        self.form.channels_last = channels_last;
        self
    }

    /// The same with another filter than the bicubic one.
    pub fn with_filter(mut self, filter: Filter) -> Result<Self> {
        filter.check(self.form.method.reference)?;
        self.form.method.filter = filter;
        Ok(self)
    }

    /// The same for images that are padded with a colour before they are resized.
    pub fn with_margin(mut self, colour: [u8; 3]) -> Self {
        self.form.method.margin = colour;
        self
    }

    /// Elements in a row.
    pub fn columns(&self) -> usize {
        self.form.columns()
    }

    /// What its rows are.
    pub fn cut(&self) -> Cut {
        self.form.cut
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
        let Cut::Patches(layout) = self.cut() else {
            return Err(Error::invalid("frames", "must become patches, not tiles"));
        };
        let Some(first) = frames.first() else {
            let reason = "must hold at least one frame, got 0";
            return Err(Error::invalid("frames", reason));
        };
        self.check_group(frames.len().min(layout.temporal_patch))?;
        let grid = layout.grid(frames.len(), target.0, target.1)?;
        let columns = self.columns();
        if out.len() != grid.patches() * columns {
            let rows = grid.patches();
            let reason = format!("must hold {rows} x {columns} elements, got {}", out.len());
            return Err(Error::invalid("out", reason));
        }
        let pass = Pass::resize(first.size(), target);
        let out: &mut [u8] = bytemuck::cast_slice_mut(out);
        let stream = outgrows_the_cache(out);
        let ahead = Ahead::of(1);
        let groups = out.chunks_exact_mut(self.form.bytes(pass));
        for (group, out) in frames.chunks(layout.temporal_patch).zip(groups) {
            let frames = group
                .iter()
                .map(|frame| Source::<Infallible>::pixels(*frame));
            let frames = memory::collect(frames, "frames")?;
            let bands = self.form.bands(pass, 1, out)?;
            run_alone(tasks(self, pass, 1, frames, bands, stream, &ahead))?;
        }
        Ok(grid)
    }

    /// Refuses a group of frames that a row cannot hold.
    pub fn check_group(&self, frames: usize) -> Result<()> {
        self.form.check_group(frames)
    }
}

impl<T: Element> PieceWriter for RowWriter<T> {
    fn form(&self) -> &RowForm {
        &self.form
    }

    fn write_piece(
        &self,
        frames: &[Band<'_>],
        strand: usize,
        width: usize,
        out: &mut [u8],
        stream: bool,
    ) -> Result<()> {
        let RowForm {
            cut,
            slots,
            method: Method { isa, .. },
            channels_last,
            ..
        } = self.form;
        let out: &mut [T] = bytemuck::cast_slice_mut(out);
        match cut {
            Cut::Patches(layout) => {
                let shape = self.form.shape(layout);
                // Rows that are read once more had better stay in cache.
                let stream = stream && !channels_last;
                write_band(isa, frames, shape, &self.values, out, stream);
                if channels_last {
                    let mut planes = memory::filled(self.columns(), T::default(), "a row")?;
                    for row in out.chunks_exact_mut(planes.len()) {
                        planes.copy_from_slice(row);
                        put_channels_last(&planes, row, slots);
                    }
                }
            }
            Cut::Tiles(_) => {
                let [band] = frames else { return Ok(()) };
                write_plane(isa, *band, strand, width, &self.values, out, stream);
            }
        }
        Ok(())
    }
}

/// The columns of a row of `slots` frames in the order y, x, channel, frame.
fn put_channels_last<T: Copy>(planes: &[T], out: &mut [T], slots: usize) {
    let pixels = planes.len() / (3 * slots);
    for (pixel, samples) in out.chunks_exact_mut(3 * slots).enumerate() {
        for (plane, sample) in samples.iter_mut().enumerate() {
            *sample = planes[plane * pixels + pixel];
        }
    }
}

#[cfg(test)]
mod tests;
