//! The horizontal pass: which kernel, by scale.

use super::columns::Columns;
use super::dots::Dots;
use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::Pair;
#[cfg(target_arch = "aarch64")]
use crate::kernels::aarch64::neon;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::staged::Staged;
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86_64::{avx2, avx512};
use crate::pixels::Bytes;

/// A horizontal pass that changes the width.
#[derive(Debug)]
pub(in crate::kernels) enum Horizontal {
    /// Neighbouring columns share the samples of a register.
    Columns(Columns),
    /// They lie too far apart for that: from scales of about 4 on, where windows are long.
    Dots(Dots),
}

impl Horizontal {
    pub(in crate::kernels) fn new(axis: &Axis, isa: Isa) -> Result<Self> {
        let (columns, lane_columns, lane_bytes) = match isa.backend() {
            Backend::Scalar => (1, 1, 0),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => (avx2::SUMS, avx2::SUMS / 2, avx2::BYTES / 2),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => (avx512::SUMS, avx512::SUMS, avx512::BYTES),
            #[cfg(target_arch = "aarch64")]
            Backend::Neon => (neon::SUMS, neon::SUMS, neon::BYTES),
        };
        Ok(
            match Columns::new(axis, isa, columns, lane_columns, lane_bytes)? {
                Some(columns) => Self::Columns(columns),
                None => Self::Dots(Dots::new(axis, isa)?),
            },
        )
    }

    /// Samples of a plane that are read.
    pub(in crate::kernels) fn reach(&self) -> usize {
        match self {
            Self::Columns(columns) => columns.reach(),
            Self::Dots(dots) => dots.reach(),
        }
    }

    /// See [`crate::kernels::horizontal::Horizontal::run`].
    pub(in crate::kernels) fn run(&self, lines: &Staged, ahead: &[Bytes<'_>], out: &mut [Pair]) {
        match self {
            Self::Columns(columns) => columns.run(lines, ahead, out),
            Self::Dots(dots) => dots.run(lines, ahead, out),
        }
    }
}
