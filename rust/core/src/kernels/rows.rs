//! Patch rows from bands of samples.

use super::band::{Band, RowShape};
use super::isa::{Backend, Isa};
use super::scalar;
use super::values::Values;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;

/// Element types that the backends of this processor can store.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub trait Store: vector::Store {}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl<T: vector::Store> Store for T {}

/// Element types that the backends of this processor can store.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub trait Store {}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
impl<T> Store for T {}

/// Writes the rows of one band. With `stream` they bypass the cache, which helps where they are too
/// many to stay in it.
///
/// Panics if the bands do not hold all scanlines of a line of blocks, or end before the last patch.
pub(crate) fn write_band<T: Store + Copy>(
    isa: Isa,
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
    stream: bool,
) {
    let scanlines = shape.merge * shape.patch;
    let (_, last) = shape.corner((rows.len() / shape.columns()).saturating_sub(1));
    let right = last / scanlines * scanlines + scanlines;
    assert!((1..=shape.slots).contains(&bands.len()));
    for band in bands {
        assert!(band.samples().len() >= 3 * scanlines * band.stride() && right <= band.stride());
    }
    match isa.backend() {
        Backend::Scalar => scalar::write_band(bands, shape, values, rows),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        _ => vector::write_band(isa, bands, shape, values, rows, stream),
    }
}
