//! Lines in memory: as the image has them, and plane by plane as the passes leave them.

use std::ops::Range;

/// Bytes that the widest kernel stores at a time; planes are padded to a multiple.
const LANES: usize = 64;

/// How the pixels of a line lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelLayout {
    /// One channel, a byte a pixel.
    Plane,
    /// Red, green and blue, three bytes a pixel.
    Rgb,
    /// Red, green, blue and a byte of no meaning, which the last pixel may lack.
    Rgbx,
}

impl PixelLayout {
    /// Channels of a pixel.
    pub fn channels(self) -> usize {
        match self {
            Self::Plane => 1,
            Self::Rgb | Self::Rgbx => 3,
        }
    }

    /// Bytes from a pixel to the next.
    pub fn step(self) -> usize {
        match self {
            Self::Plane => 1,
            Self::Rgb => 3,
            Self::Rgbx => 4,
        }
    }

    /// Bytes of `pixels` adjacent pixels, at least one.
    pub fn bytes(self, pixels: usize) -> usize {
        (pixels - 1) * self.step() + self.channels()
    }
}

/// Adjacent lines of pixels, any distance apart.
#[derive(Debug, Clone, Copy)]
pub struct LineBlock<'a> {
    bytes: &'a [u8],
    first: usize,
    stride: isize,
    count: usize,
    width: usize,
    layout: PixelLayout,
}

impl<'a> LineBlock<'a> {
    /// `count` lines of `width` pixels, the first at `first` of `bytes` and each `stride` bytes after
    /// the one before.
    ///
    /// Panics if a line leaves `bytes`.
    pub fn new(
        bytes: &'a [u8],
        first: usize,
        stride: isize,
        count: usize,
        width: usize,
        layout: PixelLayout,
    ) -> Self {
        let last = first as i128 + (count.max(1) as i128 - 1) * stride as i128;
        let (low, high) = (last.min(first as i128), last.max(first as i128));
        assert!(low >= 0 && high + layout.bytes(width) as i128 <= bytes.len() as i128);
        Self {
            bytes,
            first,
            stride,
            count,
            width,
            layout,
        }
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
        &self.bytes[first..first + self.length()]
    }

    /// Number of lines.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Pixels in a line.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How they lie.
    pub fn layout(&self) -> PixelLayout {
        self.layout
    }

    /// Bytes in a line.
    pub fn length(&self) -> usize {
        self.layout.bytes(self.width)
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
        let block = LineBlock::new(&bytes, 8, -4, 3, 4, PixelLayout::Plane);
        assert_eq!(block.line(0), [8, 9, 10, 11]);
        assert_eq!(block.lines(1..3).line(1), [0, 1, 2, 3]);
    }

    #[test]
    #[should_panic(expected = "low >= 0")]
    fn lines_stay_inside() {
        LineBlock::new(&[0; 12], 4, -4, 3, 4, PixelLayout::Plane);
    }
}
