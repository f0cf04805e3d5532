//! Lines in memory: as the image has them, and plane by plane as the passes leave them.

use std::ops::Range;

/// Bytes that the widest kernel stores at a time; planes are padded to a multiple.
const LANES: usize = 32;

/// Adjacent lines of packed RGB or of one plane, any distance apart.
#[derive(Debug, Clone, Copy)]
pub struct LineBlock<'a> {
    bytes: &'a [u8],
    first: usize,
    stride: isize,
    count: usize,
    length: usize,
    channels: usize,
}

impl<'a> LineBlock<'a> {
    /// `count` lines of `length` bytes, the first at `first` of `bytes` and each `stride` bytes
    /// after the one before. Pixels have `channels` bytes: 3, or 1 in a plane.
    ///
    /// Panics if a line leaves `bytes`.
    pub fn new(
        bytes: &'a [u8],
        first: usize,
        stride: isize,
        count: usize,
        length: usize,
        channels: usize,
    ) -> Self {
        let last = first as i128 + (count.max(1) as i128 - 1) * stride as i128;
        let (low, high) = (last.min(first as i128), last.max(first as i128));
        assert!(low >= 0 && high + length as i128 <= bytes.len() as i128);
        Self {
            bytes,
            first,
            stride,
            count,
            length,
            channels,
        }
    }

    /// Lines that follow each other without a gap.
    pub(crate) fn adjacent(bytes: &'a [u8], length: usize, channels: usize) -> Self {
        let count = bytes.len() / length;
        Self::new(bytes, 0, length as isize, count, length, channels)
    }

    /// Some of the lines.
    pub fn lines(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.count);
        let first = self.first as isize + range.start as isize * self.stride;
        let first = if range.is_empty() {
            self.first
        } else {
            first as usize
        };
        Self {
            first,
            count: range.len(),
            ..*self
        }
    }

    /// The line at `index`.
    pub fn line(&self, index: usize) -> &'a [u8] {
        assert!(index < self.count);
        let first = (self.first as isize + index as isize * self.stride) as usize;
        &self.bytes[first..first + self.length]
    }

    /// Number of lines.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes in a line.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Bytes in a pixel.
    pub fn channels(&self) -> usize {
        self.channels
    }
}

/// Bytes from one plane of a line of `width` pixels to the next.
pub fn plane_stride(width: usize) -> usize {
    width.next_multiple_of(LANES)
}

/// Lines of three planes each, padded to [`plane_stride`].
#[derive(Debug)]
pub struct PlanarLines<'a> {
    bytes: &'a mut [u8],
    stride: usize,
    first_plane: usize,
}

impl<'a> PlanarLines<'a> {
    /// Lines of `width` pixels that fill `bytes`, to be written from plane `first_plane` on.
    ///
    /// Panics if `bytes` is not a whole number of lines.
    pub fn new(bytes: &'a mut [u8], width: usize, first_plane: usize) -> Self {
        let stride = plane_stride(width);
        assert!(stride > 0 && bytes.len().is_multiple_of(3 * stride) && first_plane < 3);
        Self {
            bytes,
            stride,
            first_plane,
        }
    }

    /// Number of lines.
    pub fn count(&self) -> usize {
        self.bytes.len() / (3 * self.stride)
    }

    /// The plane `channel` after the first of the line at `index`, with its padding.
    pub fn plane(&mut self, index: usize, channel: usize) -> &mut [u8] {
        assert!(self.first_plane + channel < 3);
        let start = (3 * index + self.first_plane + channel) * self.stride;
        &mut self.bytes[start..start + self.stride]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_run_backwards() {
        let bytes: Vec<u8> = (0..12).collect();
        let block = LineBlock::new(&bytes, 8, -4, 3, 4, 1);
        assert_eq!(block.line(0), [8, 9, 10, 11]);
        assert_eq!(block.lines(1..3).line(1), [0, 1, 2, 3]);
    }

    #[test]
    #[should_panic(expected = "low >= 0")]
    fn lines_stay_inside() {
        LineBlock::new(&[0; 12], 4, -4, 3, 4, 1);
    }
}
