//! The one door to the inner loops.
//!
//! Each function here runs the arm of an [`Isa`]. [`scalar`] is the oracle: every other arm equals it
//! on every input, and is only added together with the suite that executes it.

pub mod scalar;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Element types that the arms of this processor can write.
#[cfg(target_arch = "x86_64")]
pub use x86::Lanes;

use crate::error::{Error, Result};
use crate::resize::{Coefficients, LineBlock, PlanarLines};
use crate::rows::{Band, Element, RowShape, Values};

/// Element types that the arms of this processor can write.
#[cfg(not(target_arch = "x86_64"))]
pub trait Lanes {}
#[cfg(not(target_arch = "x86_64"))]
impl<T> Lanes for T {}

/// An instruction set that has an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, on any processor.
    Scalar,
    /// AVX2 with FMA and F16C: x86-64 since about 2013.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The same and AVX-512 with BW and VNNI: servers since about 2019.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// Every instruction set that this processor can run.
    pub fn available() -> Vec<Self> {
        let mut found = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("fma")
            && std::is_x86_feature_detected!("f16c")
        {
            found.push(Self::Avx2);
            if std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vnni")
            {
                found.push(Self::Avx512);
            }
        }
        found
    }

    /// The fastest that this processor can run.
    pub fn best() -> Self {
        *Self::available().last().unwrap_or(&Self::Scalar)
    }

    /// The instruction set called `name`, if this processor can run it.
    pub fn named(name: &str) -> Result<Self> {
        let available = Self::available();
        available
            .iter()
            .copied()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| {
                let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
                let reason = format!("must be one of {} here, got {name}", names.join(", "));
                Error::invalid("isa", reason)
            })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }

    /// Lines that [`resample_lines`] takes at most, and had better get.
    pub fn lines_at_once(self) -> usize {
        match self {
            Self::Scalar => 32,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 32,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 64,
        }
    }
}

/// Bytes that [`resample_lines`] needs to work in for lines like those of `block`.
pub fn stage_bytes(isa: Isa, block: &LineBlock<'_>) -> usize {
    match isa {
        Isa::Scalar => 0,
        #[cfg(target_arch = "x86_64")]
        _ => x86::stage_bytes(isa, block),
    }
}

/// Resamples each line of `block` horizontally by `table` into the planes of `out`, working in `stage`.
/// `next` is what will be asked for after that.
pub fn resample_lines(
    isa: Isa,
    block: &LineBlock<'_>,
    next: LineBlock<'_>,
    table: &Coefficients,
    stage: &mut [u8],
    out: &mut PlanarLines<'_>,
) {
    match isa {
        Isa::Scalar => scalar::resample_lines(block, table, out),
        #[cfg(target_arch = "x86_64")]
        _ => x86::resample_lines(isa, block, next, table, stage, out),
    }
}

/// Copies each line of `block` into the planes of `out`.
pub fn split_lines(isa: Isa, block: &LineBlock<'_>, out: &mut PlanarLines<'_>) {
    match isa {
        Isa::Scalar => scalar::split_lines(block, out),
        #[cfg(target_arch = "x86_64")]
        _ => x86::split_lines(block, out),
    }
}

/// Combines lines, one for each tap of output `position` of `table` and as long as `out`.
pub fn combine_lines(
    isa: Isa,
    lines: &[&[u8]],
    table: &Coefficients,
    position: usize,
    out: &mut [u8],
) {
    match isa {
        Isa::Scalar => scalar::combine_lines(lines, table, position, out),
        #[cfg(target_arch = "x86_64")]
        _ => x86::combine_lines(isa, lines, table, position, out),
    }
}

/// Writes the rows of one band.
pub fn write_band<T: Element>(
    isa: Isa,
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
) {
    match isa {
        Isa::Scalar => scalar::write_band(bands, shape, values, rows),
        #[cfg(target_arch = "x86_64")]
        _ => x86::write_band(bands, shape, values, rows),
    }
}
