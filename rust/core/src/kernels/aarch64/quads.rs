//! The horizontal pass of turned scanlines, four samples of each at a time: nothing here takes so many.

use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::column::Column;
use crate::kernels::isa::Avx512;
use crate::kernels::prefetch::Prefetch;
use crate::kernels::staged::InPlace;
use crate::pixels::PixelFormat;

/// No tables.
#[derive(Debug)]
pub(in crate::kernels) enum Quads {}

impl Quads {
    pub(in crate::kernels) fn new(_: &Axis, isa: Avx512) -> Result<Self> {
        match isa {}
    }

    pub(in crate::kernels) fn reach(&self) -> usize {
        match *self {}
    }

    pub(in crate::kernels) fn room(&self) -> usize {
        match *self {}
    }

    pub(in crate::kernels) fn in_place(&self, _: PixelFormat, _: usize) -> usize {
        match *self {}
    }

    pub(in crate::kernels) fn run(
        &self,
        _: &[u8],
        _: usize,
        _: InPlace<'_>,
        _: Prefetch<'_>,
        _: &mut [Column],
        _: &mut [u8],
    ) {
        match *self {}
    }
}
