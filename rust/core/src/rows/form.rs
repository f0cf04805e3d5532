//! What rows are, whatever their elements.

use super::pieces::{Pieces, Strands};
use crate::error::{Error, Result};
use crate::geometry::{Cut, Pass, PatchLayout, Span};
use crate::kernels::band::RowShape;
use crate::resize::{Bands, Method};

/// The order and the size of rows, and how what is in them is resized.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowForm {
    pub(super) cut: Cut,
    /// Frames that are stored of those of a row.
    pub(super) slots: usize,
    /// Bytes of an element.
    pub(super) element: usize,
    pub(super) method: Method,
    pub(super) channels_last: bool,
}

impl RowForm {
    /// Elements in a row.
    pub(crate) fn columns(&self) -> usize {
        match self.cut {
            Cut::Patches(layout) => self.shape(layout).columns(),
            Cut::Tiles((height, width)) => 3 * height * width,
        }
    }

    /// Bytes of an element.
    pub(crate) fn element(&self) -> usize {
        self.element
    }

    /// What rows are.
    pub(crate) fn cut(&self) -> Cut {
        self.cut
    }

    pub(super) fn shape(&self, layout: PatchLayout) -> RowShape {
        RowShape {
            patch: layout.patch,
            merge: layout.merge,
            slots: self.slots,
        }
    }

    /// Refuses a group of frames that a row cannot hold.
    pub(crate) fn check_group(&self, frames: usize) -> Result<()> {
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

    /// Bytes that one pass writes.
    pub(crate) fn bytes(&self, pass: Pass) -> usize {
        3 * self.slots * self.element * pass.target().0 * pass.target().1
    }

    /// Scanlines of a band, of what is stored. They divide a tile that is not alone.
    pub(super) fn band_lines(&self, stored: Span) -> usize {
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
    pub(super) fn pieces(&self, pass: Pass, orientation: u8) -> Pieces {
        let band = self.band_lines(pass.as_stored(orientation).height);
        let strands = match self.cut {
            Cut::Patches(_) => Strands {
                count: 1,
                bytes: 3 * self.slots * self.element,
                lines: band,
            },
            Cut::Tiles(_) => Strands {
                count: 3,
                bytes: self.element,
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
        out: &'a mut [u8],
    ) -> Result<Bands<Vec<&'a mut [u8]>>> {
        self.pieces(pass, orientation).bands(out)
    }
}
