//! The horizontal pass where an output has many taps: scanlines are turned, combined as columns, and turned back.
//!
//! Where an image shrinks to a quarter or less, neighbouring columns share too few samples of a register.
//! Turned on their side, though, scanlines are many columns of a few samples each, which are combined with a
//! weight for each column and no shuffle at all:
//!
//! ```text
//! scanlines    16 of w samples, three planes each
//! columns      w/2 pairs or w/4 quads of 3 x 16 samples    (those that an output needs, which the cache holds)
//! combined     as many columns as come out, of 3 x 16 samples
//! pairs        8 of scanlines
//! ```

mod pairs;

use bytemuck::Zeroable;

use super::processor::quads::Quads;
use super::turn::turn;
use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::column::{COLUMN_STRIDE, Column, LINES, Workspace};
use crate::kernels::isa::{Baseline, VectorIsa};
use crate::kernels::prefetch::Prefetch;
use crate::kernels::staged::{InPlace, Staged};
use crate::kernels::{Pair, plane_stride};
use crate::memory::{self, Buffer};
use crate::pixels::{Bytes, PixelFormat};
use pairs::Pairs;

/// The tables of an axis.
#[derive(Debug)]
pub(in crate::kernels) struct Turned {
    isa: Baseline,
    width: usize,
    grouping: Grouping,
}

/// How many neighbouring samples are multiplied at once.
#[derive(Debug)]
enum Grouping {
    Pairs(Pairs),
    /// Where the processor has an instruction for it.
    Quads(Quads),
}

impl Turned {
    pub(in crate::kernels) fn new(axis: &Axis, isa: VectorIsa) -> Result<Self> {
        let grouping = match isa.avx512() {
            Some(avx512) => Grouping::Quads(Quads::new(axis, avx512)?),
            None => Grouping::Pairs(Pairs::new(axis, isa.baseline())?),
        };
        Ok(Self {
            isa: isa.baseline(),
            width: axis.len(),
            grouping,
        })
    }

    /// Scanlines that it takes at once.
    pub(in crate::kernels) fn lines(&self) -> usize {
        LINES
    }

    /// Samples of a plane that are read.
    pub(in crate::kernels) fn reach(&self) -> usize {
        match &self.grouping {
            Grouping::Pairs(pairs) => pairs.reach(),
            Grouping::Quads(quads) => quads.reach(),
        }
    }

    /// How many of the first pixels of scanlines of `width` may stay where they lie.
    pub(in crate::kernels) fn in_place(&self, format: PixelFormat, width: usize) -> usize {
        match &self.grouping {
            Grouping::Pairs(_) => 0,
            Grouping::Quads(quads) => quads.in_place(format, width),
        }
    }

    pub(in crate::kernels) fn workspace(&self) -> Result<Workspace> {
        let columns = match &self.grouping {
            Grouping::Pairs(pairs) => pairs.room(),
            Grouping::Quads(quads) => quads.room(),
        };
        let combined = self
            .width
            .next_multiple_of(LINES)
            .saturating_mul(COLUMN_STRIDE);
        Ok(Workspace {
            columns: memory::filled(columns, Column::zeroed(), "turned scanlines")?,
            combined: Buffer::new(combined, "resampled columns")?,
        })
    }

    /// See [`crate::kernels::horizontal::Horizontal::run`].
    pub(in crate::kernels) fn run(
        &self,
        lines: &mut Staged,
        in_place: InPlace<'_>,
        ahead: &[Bytes<'_>],
        out: &mut [Pair],
    ) {
        let prefetch = Prefetch::new(ahead, self.width);
        let stride = lines.stride();
        let (planes, Some(workspace)) = lines.planes_and_workspace() else {
            unreachable!("scanlines that are turned have a workspace");
        };
        let Workspace { columns, combined } = workspace;
        match &self.grouping {
            Grouping::Pairs(pairs) => pairs.run(planes, stride, prefetch, columns, combined),
            Grouping::Quads(quads) => {
                quads.run(planes, stride, in_place, prefetch, columns, combined);
            }
        }
        self.turn_back(combined, out);
    }

    /// Makes pairs of scanlines of `combined` columns.
    fn turn_back(&self, combined: &[u8], out: &mut [Pair]) {
        let stride = plane_stride(self.width);
        for (index, columns) in combined.chunks_exact(LINES * COLUMN_STRIDE).enumerate() {
            for channel in 0..3 {
                let columns = &columns[channel * LINES..];
                let out = &mut out[channel * stride + index * LINES..];
                turn(self.isa, columns, COLUMN_STRIDE, 1, out, 3 * stride);
            }
        }
    }
}
