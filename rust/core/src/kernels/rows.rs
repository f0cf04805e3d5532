//! Patch rows from bands of samples.

use super::band::{Band, RowShape};
use super::element::Store;
use super::isa::{Backend, Isa};
use super::scalar;
use super::values::Values;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;

/// Writes the rows of one band. With `stream` they bypass the cache, which helps where they are too
/// many to stay in it.
///
/// Panics if the bands do not hold all scanlines of a line of blocks, or end before the last patch.
pub(crate) fn write_band<T: Store>(
    isa: Isa,
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
    stream: bool,
) {
    let scanlines = shape.merge * shape.patch;
    let width = shape.width(rows.len() / shape.columns());
    assert!((1..=shape.slots).contains(&bands.len()));
    assert!(bands.iter().all(|band| band.holds(scanlines, width)));
    match isa.backend() {
        Backend::Scalar => scalar::write_band(bands, shape, values, rows),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        Backend::Vector(isa) => vector::write_band(isa, bands, shape, values, rows, stream),
    }
}

/// Writes one channel of `width` pixels of each scanline of a band, as many as fill `plane`; `stream` as
/// above.
///
/// Panics if the band does not hold them.
pub(crate) fn write_plane<T: Store>(
    isa: Isa,
    band: Band<'_>,
    channel: usize,
    width: usize,
    values: &Values<T>,
    plane: &mut [T],
    stream: bool,
) {
    assert!(channel < 3 && band.holds(plane.len() / width, width));
    match isa.backend() {
        Backend::Scalar => scalar::write_plane(band, channel, width, values, plane),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        Backend::Vector(isa) => {
            vector::write_plane(isa.baseline(), band, channel, width, values, plane, stream);
        }
    }
}
