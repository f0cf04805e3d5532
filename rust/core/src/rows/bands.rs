//! Bands on their way to rows.

use std::sync::Arc;

use super::form::RowForm;
use super::pieces::{Pieces, Place};
use crate::error::Result;
use crate::geometry::Pass;
use crate::kernels::band::Band;
use crate::memory;
use crate::resize::{Ahead, BandWriter, Bands, Failure, Source, Tasks, resampler};

/// Makes rows of bands: whoever knows their elements. All else that a batch does is the same for all of them.
pub(crate) trait PieceWriter: Sync {
    /// What its rows are.
    fn form(&self) -> &RowForm;

    /// Writes a piece of the output, which is aligned as its elements are: the rows of `frames`, or of the only one
    /// the channel `strand`, `width` pixels of each scanline. With `stream`, past the cache.
    fn write_piece(
        &self,
        frames: &[Band<'_>],
        strand: usize,
        width: usize,
        out: &mut [u8],
        stream: bool,
    ) -> Result<()>;
}

/// Tasks that write the rows of one group of `frames`, whose sources give what is stored.
pub(crate) fn tasks<'a, E>(
    writer: &'a dyn PieceWriter,
    pass: Pass,
    orientation: u8,
    frames: Vec<Source<'a, E>>,
    bands: Bands<Vec<&'a mut [u8]>>,
    stream: bool,
    ahead: &Arc<Ahead>,
) -> Result<Tasks<'a, Rows<'a>, E>, Failure<E>> {
    let form = writer.form();
    let resampler = resampler(pass, orientation, form.method)?;
    let rows = Rows {
        writer,
        pieces: form.pieces(pass, orientation),
        stream,
    };
    let lines = form.band_lines(pass.as_stored(orientation).height);
    Tasks::new(resampler, rows, frames, lines, bands, ahead)
}

/// Whether an output is so large that it leaves the cache before anybody reads it.
pub(crate) fn outgrows_the_cache(out: &[u8]) -> bool {
    /// About half of the cache that processors of a server share. Not of this one's: what a virtual machine
    /// or a container is told of a cache is not what it has of it.
    const BYTES: usize = 16 << 20;
    out.len() >= BYTES
}

/// Bands as rows.
pub(crate) struct Rows<'a> {
    writer: &'a dyn PieceWriter,
    pieces: Pieces,
    stream: bool,
}

impl<'a> BandWriter for Rows<'a> {
    type Part = Vec<&'a mut [u8]>;

    fn write(&self, pieces: Self::Part, frames: &[&[u8]], stride: usize) -> Result<()> {
        let width = self.pieces.width().min(stride);
        let mut bands = memory::with_capacity(frames.len(), "bands of frames")?;
        for (index, out) in pieces.into_iter().enumerate() {
            let Place { top, left, strand } = self.pieces.place(index);
            bands.clear();
            bands.extend(
                frames
                    .iter()
                    .map(|samples| Band::new(samples, stride).starting_at(top, left)),
            );
            self.writer
                .write_piece(&bands, strand, width, out, self.stream)?;
        }
        Ok(())
    }
}
