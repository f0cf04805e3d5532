//! The horizontal pass where windows are long: scanlines are turned, combined as columns, and turned back.
//!
//! Where an image shrinks to a quarter or less, neighbouring columns share too few samples of a register.
//! Turned on their side, though, scanlines are many columns of a few samples each, which are combined with a
//! weight for each column and no shuffle at all:
//!
//! ```text
//! scanlines    16 of w samples, three planes each
//! columns      w/2 pairs or w/4 quads of 3 x 16 samples    (those that a window needs, which the cache holds)
//! combined     as many columns as come out, of 3 x 16 samples
//! pairs        8 of scanlines
//! ```

mod pairs;

use bytemuck::{Pod, Zeroable};

use super::ahead::Ahead;
#[cfg(target_arch = "x86_64")]
use super::isa::Backend;
use super::isa::Isa;
use super::staged::{InPlace, Staged};
use super::turn::{ROWS, turn};
#[cfg(target_arch = "x86_64")]
use super::x86_64::quads::{Quad, Quads};
use super::{Pair, plane_stride};
use crate::error::Result;
use crate::filter::Axis;
use crate::memory::Buffer;
use crate::pixels::{Bytes, PixelFormat};
use pairs::Pairs;

/// Scanlines that are turned together.
pub(super) const LINES: usize = ROWS;

/// Samples of a column: three planes.
pub(super) const COLUMN: usize = 3 * LINES;

/// Samples from a column that comes out to the next: whole registers.
pub(super) const COLUMN_STRIDE: usize = COLUMN.next_multiple_of(super::WIDEST);

/// A pair of columns, of every scanline.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Column([Pair; COLUMN]);

/// The tables of an axis.
#[derive(Debug)]
pub(super) struct Turned {
    isa: Isa,
    width: usize,
    windows: Windows,
}

/// How the samples of a window are combined.
#[derive(Debug)]
enum Windows {
    Pairs(Pairs),
    /// Where the processor has an instruction for it.
    #[cfg(target_arch = "x86_64")]
    Quads(Quads),
}

/// What it works in.
#[derive(Debug)]
pub(super) struct Room {
    /// What [`Pairs`] turns scanlines to.
    pairs: Vec<Column>,
    /// What [`Quads`] does.
    #[cfg(target_arch = "x86_64")]
    quads: Vec<Quad>,
    /// Columns that come out.
    combined: Buffer<u8>,
}

impl Turned {
    pub(super) fn new(axis: &Axis, isa: Isa) -> Result<Self> {
        let windows = match isa.backend() {
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => Windows::Quads(Quads::new(axis)?),
            _ => Windows::Pairs(Pairs::new(axis, isa)?),
        };
        Ok(Self {
            isa,
            width: axis.len(),
            windows,
        })
    }

    /// Scanlines that it takes at once.
    pub(super) fn lines(&self) -> usize {
        LINES
    }

    /// Samples of a plane that are read.
    pub(super) fn reach(&self) -> usize {
        match &self.windows {
            Windows::Pairs(pairs) => pairs.reach(),
            #[cfg(target_arch = "x86_64")]
            Windows::Quads(quads) => quads.reach(),
        }
    }

    /// How many of the first pixels of scanlines of `width` may stay where they lie.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(
            unused_variables,
            reason = "only AVX-512 reads scanlines where they lie"
        )
    )]
    pub(super) fn in_place(&self, format: PixelFormat, width: usize) -> usize {
        match &self.windows {
            Windows::Pairs(_) => 0,
            #[cfg(target_arch = "x86_64")]
            Windows::Quads(_) => Quads::in_place(format, width),
        }
    }

    pub(super) fn room(&self) -> Result<Room> {
        let width = self.width.next_multiple_of(ROWS);
        let room = Room {
            pairs: Vec::new(),
            #[cfg(target_arch = "x86_64")]
            quads: Vec::new(),
            combined: Buffer::new(width.saturating_mul(COLUMN_STRIDE), "resampled columns")?,
        };
        Ok(match &self.windows {
            Windows::Pairs(pairs) => Room {
                pairs: pairs.room()?,
                ..room
            },
            #[cfg(target_arch = "x86_64")]
            Windows::Quads(quads) => Room {
                quads: quads.room()?,
                ..room
            },
        })
    }

    /// See [`super::horizontal::Horizontal::run`].
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(
            unused_variables,
            reason = "only AVX-512 reads scanlines where they lie"
        )
    )]
    pub(super) fn run(
        &self,
        lines: &mut Staged,
        in_place: InPlace<'_>,
        ahead: &[Bytes<'_>],
        out: &mut [Pair],
    ) {
        let ahead = Ahead::new(ahead, self.width);
        let stride = lines.stride();
        let (planes, Some(room)) = lines.planes_and_room() else {
            unreachable!("scanlines that are turned have room for it");
        };
        let combined = &mut room.combined;
        match &self.windows {
            Windows::Pairs(pairs) => pairs.run(planes, stride, ahead, &mut room.pairs, combined),
            #[cfg(target_arch = "x86_64")]
            Windows::Quads(quads) => {
                quads.run(planes, stride, in_place, ahead, &mut room.quads, combined);
            }
        }
        self.turn_back(combined, out);
    }

    /// Makes pairs of scanlines of `combined` columns.
    fn turn_back(&self, combined: &[u8], out: &mut [Pair]) {
        let stride = plane_stride(self.width);
        for (index, rows) in combined.chunks_exact(ROWS * COLUMN_STRIDE).enumerate() {
            for channel in 0..3 {
                let rows = &rows[channel * LINES..];
                let out = &mut out[channel * stride + index * ROWS..];
                turn(self.isa, rows, COLUMN_STRIDE, 1, out, 3 * stride);
            }
        }
    }
}
