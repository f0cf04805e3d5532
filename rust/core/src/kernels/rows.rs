//! Patch rows from bands of samples.

use super::isa::{Backend, Isa};
use super::scalar;
#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// Element types that the backends of this processor can store.
#[cfg(target_arch = "x86_64")]
pub trait Store: x86_64::Store {}
#[cfg(target_arch = "x86_64")]
impl<T: x86_64::Store> Store for T {}

/// Element types that the backends of this processor can store.
#[cfg(not(target_arch = "x86_64"))]
pub trait Store {}
#[cfg(not(target_arch = "x86_64"))]
impl<T> Store for T {}

/// The samples of one frame under one line of merge blocks: scanlines of three planes each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Band<'a> {
    samples: &'a [u8],
    stride: usize,
}

impl<'a> Band<'a> {
    /// Scanlines whose planes are `stride` samples apart.
    pub(crate) fn new(samples: &'a [u8], stride: usize) -> Self {
        Self { samples, stride }
    }

    /// All samples.
    pub(super) fn samples(&self) -> &'a [u8] {
        self.samples
    }

    /// Samples from a plane to the next.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// One plane of the scanline at `y`, with its padding.
    pub(super) fn plane(&self, y: usize, channel: usize) -> &'a [u8] {
        let start = (3 * y + channel) * self.stride;
        &self.samples[start..start + self.stride]
    }
}

/// What rows are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowShape {
    /// Side of a patch in pixels.
    pub(crate) patch: usize,
    /// Side, in patches, of the blocks that the model merges into one token.
    pub(crate) merge: usize,
    /// Frames stored in a row.
    pub(crate) slots: usize,
}

impl RowShape {
    /// Elements in a row.
    pub(crate) fn columns(self) -> usize {
        3 * self.slots * self.patch * self.patch
    }

    /// The first scanline and pixel of the patch that is row `index` of a band: rows count the patches
    /// of a block before they go on to the next block.
    pub(super) fn corner(self, index: usize) -> (usize, usize) {
        let (block, in_block) = (
            index / (self.merge * self.merge),
            index % (self.merge * self.merge),
        );
        let (i, j) = (in_block / self.merge, in_block % self.merge);
        (i * self.patch, (block * self.merge + j) * self.patch)
    }
}

/// Samples as elements of rows, and as arithmetic where that gives the same bits.
#[derive(Debug, Clone)]
pub(crate) struct Values<T> {
    /// The elements, by channel and sample.
    pub(crate) table: Box<[[T; 256]; 3]>,
    /// The arithmetic, by channel.
    pub(crate) affine: Option<[Affine; 3]>,
}

/// A channel's samples in float32 arithmetic: `(sample * scale - mean) * inverse_std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: Factor,
    pub(crate) mean: f32,
    pub(crate) inverse_std: Factor,
}

impl Affine {
    /// Samples as they are.
    pub(crate) const IDENTITY: Self = Self {
        scale: Factor::new(1.0),
        mean: 0.0,
        inverse_std: Factor::new(1.0),
    };

    pub(crate) fn apply(self, sample: f32) -> f32 {
        self.inverse_std.times(self.scale.times(sample) - self.mean)
    }
}

/// A number to multiply by, as two float32 of which the second is what the first lacks.
///
/// With the reciprocal of a divisor, the product is the quotient rounded to nearest for nearly every
/// number, not for every one: whoever uses it must have checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factor {
    pub(crate) high: f32,
    pub(crate) low: f32,
}

impl Factor {
    pub(crate) const fn new(value: f64) -> Self {
        let high = value as f32;
        Self {
            high,
            low: (value - high as f64) as f32,
        }
    }

    fn times(self, number: f32) -> f32 {
        number.mul_add(self.high, number * self.low)
    }
}

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
        assert!(band.samples.len() >= 3 * scanlines * band.stride && right <= band.stride);
    }
    match isa.backend() {
        Backend::Scalar => scalar::write_band(bands, shape, values, rows),
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2 | Backend::Avx512 => {
            x86_64::write_band(isa, bands, shape, values, rows, stream);
        }
    }
}
