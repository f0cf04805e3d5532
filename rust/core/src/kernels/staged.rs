//! What the horizontal pass reads.

use super::column::Workspace;
use super::plane_stride;
use crate::error::Result;
use crate::memory::Buffer;
use crate::pixels::{Bytes, PixelFormat};

/// Scanlines side by side, three planes each, in memory that may be read some way past their ends.
#[derive(Debug)]
pub(crate) struct Staged {
    bytes: Buffer<u8>,
    stride: usize,
    /// What the pass works in, beside them.
    workspace: Option<Workspace>,
}

/// Scanlines that are read from where they lie.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "AVX-512 alone reads scanlines where they lie")
)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct InPlace<'a> {
    /// How their samples lie.
    pub(crate) format: PixelFormat,
    /// All of them, one plane after another where they have planes; none if all have been staged.
    pub(crate) memory: &'a [Bytes<'a>],
}

impl InPlace<'_> {
    /// All have been staged.
    pub(crate) const NONE: Self = Self {
        format: PixelFormat::Other,
        memory: &[],
    };
}

impl Staged {
    /// Room for so many `lines` of which `reach` samples of a plane may be read.
    pub(super) fn new(lines: usize, reach: usize, workspace: Option<Workspace>) -> Result<Self> {
        let stride = plane_stride(reach);
        Ok(Self {
            bytes: Buffer::new(stride.saturating_mul(3 * lines), "staged scanlines")?,
            stride,
            workspace,
        })
    }

    /// Samples from a plane to the next.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// All planes: red, green and blue of the first scanline, then of the second, and so on.
    pub(super) fn planes(&self) -> &[u8] {
        &self.bytes
    }

    /// All planes, and what the pass works in.
    pub(super) fn planes_and_workspace(&mut self) -> (&[u8], Option<&mut Workspace>) {
        (&self.bytes, self.workspace.as_mut())
    }

    /// The three planes of a scanline.
    pub(crate) fn line_mut(&mut self, line: usize) -> &mut [u8] {
        &mut self.bytes[3 * self.stride * line..][..3 * self.stride]
    }

    /// One plane.
    pub(super) fn plane(&self, line: usize, channel: usize) -> &[u8] {
        &self.bytes[(3 * line + channel) * self.stride..][..self.stride]
    }
}
