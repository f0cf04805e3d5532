//! The order of rows and columns, and the pass that fills them.
//!
//! A *band* is what one line of merge blocks covers: `merge * patch` scanlines. In each tile its rows are
//! adjacent in the output, so a band is written as soon as its scanlines are resized, while they are in cache.

use std::convert::Infallible;
use std::sync::Arc;

use super::element::Element;
use super::normalize::Normalization;
use super::pieces::{Pieces, Place, Strands};
use crate::error::{Error, Result};
use crate::filter::{Filter, Reference};
use crate::geometry::{Cut, Grid, Pass, PatchLayout, Span, Temporal};
use crate::kernels::Isa;
use crate::kernels::band::{Band, RowShape};
use crate::kernels::rows::{write_band, write_plane};
use crate::kernels::values::Values;
use crate::memory;
use crate::pixels::PixelView;
use crate::resize::{
    Ahead, BandWriter, Bands, Failure, Method, Source, Tasks, resampler, run_alone,
};

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
    cut: Cut,
    /// Frames that are stored of those of a row.
    slots: usize,
    values: Values<T>,
    method: Method,
    channels_last: bool,
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
        Ok(Self {
            cut,
            slots,
            values: Values::new(normalization, reference)?,
            method: Method::new(reference, isa),
            channels_last: false,
        })
    }

    /// The same with the columns of a patch in another order: y, x, channel, frame.
    pub fn with_channels_last(mut self, channels_last: bool) -> Self {
        self.channels_last = channels_last;
        self
    }

    /// The same with another filter than the bicubic one.
    pub fn with_filter(mut self, filter: Filter) -> Result<Self> {
        filter.check(self.method.reference)?;
        self.method.filter = filter;
        Ok(self)
    }

    /// The same for images that are padded with a colour before they are resized.
    pub fn with_margin(mut self, colour: [u8; 3]) -> Self {
        self.method.margin = colour;
        self
    }

    /// Elements in a row.
    pub fn columns(&self) -> usize {
        match self.cut {
            Cut::Patches(layout) => self.shape(layout).columns(),
            Cut::Tiles((height, width)) => 3 * height * width,
        }
    }

    /// What its rows are.
    pub fn cut(&self) -> Cut {
        self.cut
    }

    fn shape(&self, layout: PatchLayout) -> RowShape {
        RowShape {
            patch: layout.patch,
            merge: layout.merge,
            slots: self.slots,
        }
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
        let Cut::Patches(layout) = self.cut else {
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
        let stream = Rows::<T>::outgrow_the_cache(out);
        let ahead = Ahead::of(1);
        let groups = out.chunks_exact_mut(grid.h * grid.w * columns);
        for (group, out) in frames.chunks(layout.temporal_patch).zip(groups) {
            let frames = group
                .iter()
                .map(|frame| Source::<Infallible>::pixels(*frame));
            let frames = memory::collect(frames, "frames")?;
            let bands = self.bands(pass, 1, out)?;
            run_alone(self.tasks(pass, 1, frames, bands, stream, &ahead))?;
        }
        Ok(grid)
    }

    /// Refuses a group of frames that a row cannot hold.
    pub fn check_group(&self, frames: usize) -> Result<()> {
        let (holds, slots) = (self.cut.frames(), self.slots);
        if frames == 0 || frames > holds {
            let reason =
                format!("of a group must be 1 to temporal_patch_size={holds}, got {frames}");
            return Err(Error::invalid("frames", reason));
        }
        if frames > slots {
            let reason = format!("\"compact\" is for one frame, got {frames}");
            return Err(Error::invalid("temporal", reason));
        }
        Ok(())
    }

    /// Elements that one pass writes.
    pub(crate) fn elements(&self, pass: Pass) -> usize {
        3 * self.slots * pass.target().0 * pass.target().1
    }

    /// Scanlines of a band, of what is stored. They divide a tile that is not alone.
    fn band_lines(&self, stored: Span) -> usize {
        /// Of whole tiles, which may be cut anywhere.
        const MOST: usize = 16;
        match self.cut {
            Cut::Patches(layout) => layout.merge * layout.patch,
            Cut::Tiles(_) if stored.tiles == 1 => MOST.min(stored.kept),
            Cut::Tiles(_) => (1..=MOST)
                .rev()
                .find(|lines| stored.kept.is_multiple_of(*lines))
                .unwrap_or(1),
        }
    }

    /// How what `pass` gives is written, of an image that is stored as its EXIF `orientation` says.
    fn pieces(&self, pass: Pass, orientation: u8) -> Pieces {
        let band = self.band_lines(pass.as_stored(orientation).height);
        let strands = match self.cut {
            Cut::Patches(_) => Strands {
                count: 1,
                elements: 3 * self.slots,
                lines: band,
            },
            Cut::Tiles(_) => Strands {
                count: 3,
                elements: 1,
                lines: 1,
            },
        };
        Pieces::new(pass, orientation, band, strands)
    }

    /// `out`, what `pass` writes of an image that is stored as its EXIF `orientation` says, in bands.
    pub(crate) fn bands<'a>(
        &self,
        pass: Pass,
        orientation: u8,
        out: &'a mut [T],
    ) -> Result<Bands<Vec<&'a mut [T]>>> {
        self.pieces(pass, orientation).bands(out)
    }

    /// Tasks that write the rows of one group of `frames`, whose sources give what is stored.
    pub(crate) fn tasks<'a, E>(
        &'a self,
        pass: Pass,
        orientation: u8,
        frames: Vec<Source<'a, E>>,
        bands: Bands<Vec<&'a mut [T]>>,
        stream: bool,
        ahead: &Arc<Ahead>,
    ) -> Result<Tasks<'a, Rows<'a, T>, E>, Failure<E>> {
        let resampler = resampler(pass, orientation, self.method)?;
        let rows = Rows {
            writer: self,
            pieces: self.pieces(pass, orientation),
            stream,
        };
        let lines = self.band_lines(pass.as_stored(orientation).height);
        Tasks::new(resampler, rows, frames, lines, bands, ahead)
    }
}

/// Bands as rows.
pub(crate) struct Rows<'a, T> {
    writer: &'a RowWriter<T>,
    pieces: Pieces,
    stream: bool,
}

impl<T> Rows<'_, T> {
    /// Whether rows are so many that they leave the cache before anybody reads them.
    pub(crate) fn outgrow_the_cache(rows: &[T]) -> bool {
        /// About half of the cache that processors of a server share. Not of this one's: what a virtual machine
        /// or a container is told of a cache is not what it has of it.
        const BYTES: usize = 16 << 20;
        size_of_val(rows) >= BYTES
    }
}

impl<'a, T: Element> BandWriter for Rows<'a, T> {
    type Part = Vec<&'a mut [T]>;

    fn write(&self, pieces: Self::Part, frames: &[&[u8]], stride: usize) -> Result<()> {
        let RowWriter {
            cut,
            values,
            method: Method { isa, .. },
            channels_last,
            slots,
        } = self.writer;
        let reordered = if *channels_last {
            self.writer.columns()
        } else {
            0
        };
        let mut planes = memory::filled(reordered, T::default(), "a row")?;
        for (index, out) in pieces.into_iter().enumerate() {
            let Place { top, left, strand } = self.pieces.place(index);
            let band = |samples| Band::new(samples, stride).starting_at(top, left);
            match *cut {
                Cut::Patches(layout) => {
                    let shape = self.writer.shape(layout);
                    let bands = frames.iter().map(|samples| band(samples));
                    let bands = memory::collect(bands, "bands of frames")?;
                    // Rows that are read once more had better stay in cache.
                    let stream = self.stream && !channels_last;
                    write_band(*isa, &bands, shape, values, out, stream);
                    if *channels_last {
                        for row in out.chunks_exact_mut(planes.len()) {
                            planes.copy_from_slice(row);
                            put_channels_last(&planes, row, *slots);
                        }
                    }
                }
                Cut::Tiles(_) => {
                    let [samples] = frames else { return Ok(()) };
                    let width = self.pieces.width().min(stride);
                    write_plane(*isa, band(samples), strand, width, values, out, self.stream);
                }
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
