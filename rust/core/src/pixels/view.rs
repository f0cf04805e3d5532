//! A view of 8-bit pixels in whatever order they lie.

use super::{Bytes, flips, swaps};
use crate::error::{Error, Result};

/// Pixels as the caller holds them: grey, RGB or RGBA, any strides (packed, planar, flipped,
/// transposed, broadcast). Nothing is copied until a scanline is read.
#[derive(Debug, Clone, Copy)]
pub struct PixelView<'a> {
    bytes: Bytes<'a>,
    origin: usize,
    shape: [usize; 3],
    strides: [isize; 3],
}

impl<'a> PixelView<'a> {
    /// A view of `shape` = (height, width, channels). Pixel (y, x), channel c is the byte
    /// `origin + y * strides[0] + x * strides[1] + c * strides[2]` of `bytes`.
    ///
    /// Refuses an empty side, a number of channels other than 1, 3 or 4, and strides that leave
    /// `bytes`.
    pub fn new(
        bytes: impl Into<Bytes<'a>>,
        origin: usize,
        shape: [usize; 3],
        strides: [isize; 3],
    ) -> Result<Self> {
        let bytes = bytes.into();
        let [height, width, channels] = shape;
        if height == 0 || width == 0 {
            let reason = format!("must have no empty side, got {height}x{width} pixels");
            return Err(Error::invalid("image", reason));
        }
        if !matches!(channels, 1 | 3 | 4) {
            let reason = format!("must have 1, 3 or 4 channels, got {channels}");
            return Err(Error::invalid("image", reason));
        }
        let (mut first, mut last) = (origin as i128, origin as i128);
        for (length, stride) in shape.into_iter().zip(strides) {
            let reach = (length as i128 - 1) * stride as i128;
            first += reach.min(0);
            last += reach.max(0);
        }
        if first < 0 || last >= bytes.len() as i128 {
            let reason = format!("strides {strides:?} of shape {shape:?} leave its memory");
            return Err(Error::invalid("image", reason));
        }
        Ok(Self {
            bytes,
            origin,
            shape,
            strides,
        })
    }

    /// A view of packed pixels, `height * width * channels` bytes.
    pub fn packed(
        bytes: impl Into<Bytes<'a>>,
        height: usize,
        width: usize,
        channels: usize,
    ) -> Result<Self> {
        let line = isize::try_from(width.saturating_mul(channels)).unwrap_or(isize::MAX);
        let strides = [line, channels as isize, 1];
        Self::new(bytes, 0, [height, width, channels], strides)
    }

    /// The same pixels with their first channels only; those after them have no meaning.
    pub fn without_padding(mut self, channels: usize) -> Self {
        self.shape[2] = self.shape[2].min(channels);
        self
    }

    /// The pixels of the columns `columns`, which must lie in the image.
    pub(crate) fn columns(mut self, columns: std::ops::Range<usize>) -> Self {
        assert!(columns.start < columns.end && columns.end <= self.shape[1]);
        let reach = columns.start as isize * self.strides[1];
        self.origin = self.origin.wrapping_add_signed(reach);
        self.shape[1] = columns.len();
        self
    }

    /// The image as a file's EXIF `orientation`, 1 to 8, says it is to be seen; others mean nothing.
    pub fn oriented(mut self, orientation: u8) -> Self {
        for (axis, flips) in flips(orientation).into_iter().enumerate() {
            if flips {
                self.flip(axis);
            }
        }
        if swaps(orientation) {
            self.shape.swap(0, 1);
            self.strides.swap(0, 1);
        }
        self
    }

    /// Reverses the order along an axis.
    fn flip(&mut self, axis: usize) {
        let reach = (self.shape[axis] as isize - 1) * self.strides[axis];
        self.origin = self.origin.wrapping_add_signed(reach);
        self.strides[axis] = -self.strides[axis];
    }

    /// Scanlines in the image.
    pub fn height(&self) -> usize {
        self.shape[0]
    }

    /// Pixels in a scanline.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// `(height, width)`.
    pub fn size(&self) -> (usize, usize) {
        (self.height(), self.width())
    }

    /// The memory that the pixels lie in, and what lies between them.
    pub fn memory(&self) -> Bytes<'a> {
        self.bytes
    }

    /// How the samples of a scanline lie.
    pub fn format(&self) -> PixelFormat {
        let [_, pixel, channel] = self.strides;
        match (self.shape[2], pixel, channel) {
            (1, 1, _) => PixelFormat::Grey,
            (3, 1, _) => PixelFormat::Planes,
            (3, 3, 1) => PixelFormat::Rgb,
            (3, 3, -1) => PixelFormat::Bgr,
            (3, 4, 1) => PixelFormat::Rgbx,
            (3, 4, -1) => PixelFormat::Bgrx,
            (4, 4, 1) => PixelFormat::Rgba,
            _ => PixelFormat::Other,
        }
    }

    /// Whether neighbours in a scanline lie further apart than neighbours in a column, as in an image
    /// on its side.
    pub fn is_sideways(&self) -> bool {
        self.strides[1].unsigned_abs() > self.strides[0].unsigned_abs() && self.shape[0] > 1
    }

    /// The scanline at `y`.
    pub fn scanline(&self, y: usize) -> Scanline<'a> {
        assert!(y < self.shape[0]);
        let origin = self
            .origin
            .wrapping_add_signed(y as isize * self.strides[0]);
        Scanline {
            bytes: self.bytes,
            origin,
            width: self.shape[1],
            channels: self.shape[2],
            strides: [self.strides[1], self.strides[2]],
        }
    }
}

/// How the samples of a scanline lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// One byte a pixel.
    Grey,
    /// Three planes: neighbours in a plane are neighbours in memory.
    Planes,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue and a byte of no meaning, which the last pixel may lack.
    Rgbx,
    /// Blue, green and red; a byte of no meaning lies between pixels.
    Bgrx,
    /// Red, green, blue and alpha.
    Rgba,
    /// Any other order.
    Other,
}

/// One scanline of a [`PixelView`].
#[derive(Debug, Clone, Copy)]
pub struct Scanline<'a> {
    bytes: Bytes<'a>,
    origin: usize,
    width: usize,
    channels: usize,
    strides: [isize; 2],
}

impl<'a> Scanline<'a> {
    /// Pixels in it.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Channels of a pixel.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The sample of pixel `x` in `channel`.
    #[inline]
    pub fn sample(&self, x: usize, channel: usize) -> u8 {
        let at = self
            .origin
            .wrapping_add_signed(x as isize * self.strides[0])
            .wrapping_add_signed(channel as isize * self.strides[1]);
        let [sample] = self.bytes.read(at);
        sample
    }

    /// The bytes from the first sample to the last, where pixels lie side by side in ascending order.
    pub fn packed(&self) -> Bytes<'a> {
        let lowest = self.origin.wrapping_add_signed(self.channels_below());
        let last_pixel = (self.width - 1) * self.strides[0].unsigned_abs();
        let length = last_pixel + (self.channels - 1) * self.strides[1].unsigned_abs() + 1;
        self.bytes.slice(lowest..lowest + length)
    }

    /// The bytes of one plane, where neighbours in it are neighbours in memory.
    pub fn plane(&self, channel: usize) -> Bytes<'a> {
        let first = self
            .origin
            .wrapping_add_signed(channel as isize * self.strides[1]);
        self.bytes.slice(first..first + self.width)
    }

    /// Where the lowest channel of a pixel lies, from its first.
    fn channels_below(&self) -> isize {
        ((self.channels - 1) as isize * self.strides[1]).min(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(view: PixelView<'_>) -> Vec<u8> {
        (0..view.height())
            .flat_map(|y| {
                let line = view.scanline(y);
                (0..line.width())
                    .flat_map(move |x| (0..line.channels()).map(move |c| line.sample(x, c)))
            })
            .collect()
    }

    #[test]
    fn every_order_reads_as_the_same_pixels() {
        let packed: Vec<u8> = (0..18).collect();
        let planar: Vec<u8> = (0..3)
            .flat_map(|c| (0..6).map(move |p| p * 3 + c))
            .collect();
        let reversed: Vec<u8> = packed.iter().rev().copied().collect();
        let bgr: Vec<u8> = packed.chunks(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
        for (bytes, origin, strides, format) in [
            (&packed, 0, [9, 3, 1], PixelFormat::Rgb),
            (&planar, 0, [3, 1, 6], PixelFormat::Planes),
            (&reversed, 17, [-9, -3, -1], PixelFormat::Other),
            (&bgr, 2, [9, 3, -1], PixelFormat::Bgr),
        ] {
            let view = PixelView::new(&bytes[..], origin, [2, 3, 3], strides).unwrap();
            assert_eq!((samples(view), view.format()), (packed.clone(), format));
        }
        let view = PixelView::new(&bgr[..], 2, [2, 3, 3], [9, 3, -1]).unwrap();
        assert_eq!(view.scanline(1).packed().read::<9>(0), bgr[9..]);
        let view = PixelView::new(&planar[..], 0, [2, 3, 3], [3, 1, 6]).unwrap();
        assert_eq!(view.scanline(1).plane(2).read::<3>(0), [11, 14, 17]);
    }

    #[test]
    fn orientations_are_those_of_exif() {
        let bytes: Vec<u8> = (0..6).flat_map(|pixel| [pixel; 3]).collect();
        let view = PixelView::packed(&bytes[..], 2, 3, 3).unwrap();
        let seen = |orientation| {
            let oriented = view.oriented(orientation);
            let reds = samples(oriented).into_iter().step_by(3);
            (oriented.height(), reds.collect::<Vec<_>>())
        };
        assert_eq!(seen(1), (2, vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(seen(2), (2, vec![2, 1, 0, 5, 4, 3]));
        assert_eq!(seen(3), (2, vec![5, 4, 3, 2, 1, 0]));
        assert_eq!(seen(4), (2, vec![3, 4, 5, 0, 1, 2]));
        assert_eq!(seen(5), (3, vec![0, 3, 1, 4, 2, 5]));
        assert_eq!(seen(6), (3, vec![3, 0, 4, 1, 5, 2]));
        assert_eq!(seen(7), (3, vec![5, 2, 4, 1, 3, 0]));
        assert_eq!(seen(8), (3, vec![2, 5, 1, 4, 0, 3]));
        assert_eq!(seen(9), seen(1));
    }

    #[test]
    fn memory_outside_the_view_is_refused() {
        let bytes = [0u8; 18];
        for (origin, shape, strides) in [
            (1, [2, 3, 3], [9, 3, 1]),
            (0, [2, 3, 3], [-9, 3, 1]),
            (0, [2, 3, 3], [isize::MAX, 3, 1]),
            (0, [0, 3, 3], [9, 3, 1]),
            (0, [2, 3, 2], [9, 3, 1]),
        ] {
            assert!(PixelView::new(&bytes[..], origin, shape, strides).is_err());
        }
    }
}
