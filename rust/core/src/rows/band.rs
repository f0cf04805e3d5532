//! One band of pixels and the rows that it becomes.

use crate::resize::plane_stride;

/// The pixels of one frame under one line of merge blocks: lines of three planes each.
#[derive(Debug, Clone, Copy)]
pub struct Band<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Band<'a> {
    /// Lines of `width` pixels, planes padded to [`plane_stride`].
    pub fn new(bytes: &'a [u8], width: usize) -> Self {
        Self {
            bytes,
            stride: plane_stride(width),
        }
    }

    /// All lines.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes from a plane to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// One plane of the line at `y`, with its padding.
    pub fn plane(&self, y: usize, channel: usize) -> &'a [u8] {
        let start = (3 * y + channel) * self.stride;
        &self.bytes[start..start + self.stride]
    }
}

/// What rows are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowShape {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Side, in patches, of the blocks that the model merges into one token.
    pub merge: usize,
    /// Frames stored in a row.
    pub slots: usize,
}

impl RowShape {
    /// Elements in a row.
    pub fn columns(self) -> usize {
        3 * self.slots * self.patch * self.patch
    }

    /// The first line and pixel of the patch that is row `index` of a band: rows count the patches
    /// of a block before they go on to the next block.
    pub fn corner(self, index: usize) -> (usize, usize) {
        let (block, in_block) = (
            index / (self.merge * self.merge),
            index % (self.merge * self.merge),
        );
        let (i, j) = (in_block / self.merge, in_block % self.merge);
        (i * self.patch, (block * self.merge + j) * self.patch)
    }
}
