//! What the horizontal pass reads.

use super::plane_stride;
use crate::error::Result;
use crate::memory::Buffer;

/// Two scanlines side by side, three planes each, in memory that may be read some way past their ends.
#[derive(Debug)]
pub(crate) struct Staged {
    bytes: Buffer<u8>,
    stride: usize,
}

impl Staged {
    /// Room for scanlines of which `reach` samples of a plane may be read.
    pub(crate) fn new(reach: usize) -> Result<Self> {
        let stride = plane_stride(reach);
        Ok(Self {
            bytes: Buffer::new(stride.saturating_mul(6), "staged scanlines")?,
            stride,
        })
    }

    /// Samples from a plane to the next.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// All six planes: red, green and blue of the first scanline, then of the second.
    pub(super) fn planes(&self) -> &[u8] {
        &self.bytes
    }

    /// The three planes of the first scanline (0) or the second (1).
    pub(crate) fn line_mut(&mut self, line: usize) -> &mut [u8] {
        &mut self.bytes[3 * self.stride * line..][..3 * self.stride]
    }

    /// One plane.
    pub(super) fn plane(&self, line: usize, channel: usize) -> &[u8] {
        &self.bytes[(3 * line + channel) * self.stride..][..self.stride]
    }
}
