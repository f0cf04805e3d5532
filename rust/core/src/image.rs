//! A view of 8-bit pixels in whatever layout they lie, read as lines of packed RGB.

use crate::error::{Error, Result};
use crate::memory::Buffer;
use crate::resize::{LineBlock, PixelLayout, Reference};

/// Pixels as the caller holds them: grey, RGB or RGBA, any strides (packed, planar, flipped,
/// broadcast). Nothing is copied until a line is read.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    bytes: &'a [u8],
    origin: usize,
    shape: [usize; 3],
    strides: [isize; 3],
}

impl<'a> ImageView<'a> {
    /// A view of `shape` = (height, width, channels). Pixel (y, x), channel c is the byte
    /// `origin + y * strides[0] + x * strides[1] + c * strides[2]` of `bytes`.
    ///
    /// Refuses an empty side, a number of channels other than 1, 3 or 4, and strides that leave
    /// `bytes`.
    pub fn new(
        bytes: &'a [u8],
        origin: usize,
        shape: [usize; 3],
        strides: [isize; 3],
    ) -> Result<Self> {
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

    /// A view of packed RGB, `height * width * 3` bytes.
    pub fn packed_rgb(bytes: &'a [u8], height: usize, width: usize) -> Result<Self> {
        let stride = isize::try_from(width.saturating_mul(3)).unwrap_or(isize::MAX);
        Self::new(bytes, 0, [height, width, 3], [stride, 3, 1])
    }

    /// The image as a file's EXIF `orientation`, 1 to 8, says it is to be seen; others mean nothing.
    pub fn oriented(mut self, orientation: u8) -> Self {
        if matches!(orientation, 3 | 4 | 6 | 7) {
            self.flip(0);
        }
        if matches!(orientation, 2 | 3 | 7 | 8) {
            self.flip(1);
        }
        if matches!(orientation, 5..=8) {
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

    /// Lines in the image.
    pub fn height(&self) -> usize {
        self.shape[0]
    }

    /// Pixels in a line.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// Whether the passes cannot read the pixels where they are.
    pub fn needs_copy(&self) -> bool {
        self.components().is_none()
    }

    /// The lines as the passes read them, or None if the pixels lie in another way: packed RGB, RGB
    /// with a fourth byte of no meaning, or three planes.
    fn components(&self) -> Option<Vec<LineBlock<'a>>> {
        let [height, width, channels] = self.shape;
        let [line, pixel, plane] = self.strides;
        let block = |first, layout| LineBlock::new(self.bytes, first, line, height, width, layout);
        match (channels, pixel, plane) {
            (3, 3, 1) => Some(vec![block(self.origin, PixelLayout::Rgb)]),
            (3, 4, 1) => Some(vec![block(self.origin, PixelLayout::Rgbx)]),
            (3, 1, _) => Some(
                (0..3)
                    .map(|channel| self.origin.wrapping_add_signed(channel * plane))
                    .map(|first| block(first, PixelLayout::Plane))
                    .collect(),
            ),
            _ => None,
        }
    }

    /// Writes line `y` to `line` as packed RGB. Grey is repeated; RGBA is composited on white with
    /// the rounding that `reference` has for arrays.
    fn read_line(&self, y: usize, reference: Reference, line: &mut [u8]) {
        let pixels = line.chunks_exact_mut(3);
        match self.shape[2] {
            1 => self.map_line(y, [0], pixels, |[grey], rgb| rgb.fill(grey)),
            3 => self.map_line(y, [0, 1, 2], pixels, |channels, rgb| {
                rgb.copy_from_slice(&channels);
            }),
            _ => self.map_line(y, [0, 1, 2, 3], pixels, |[r, g, b, alpha], rgb| {
                for (out, colour) in rgb.iter_mut().zip([r, g, b]) {
                    *out = over_white(colour, alpha, reference);
                }
            }),
        }
    }

    /// Calls `write` with the named channels of every pixel of line `y`.
    fn map_line<'out, const N: usize>(
        &self,
        y: usize,
        channels: [isize; N],
        pixels: impl Iterator<Item = &'out mut [u8]>,
        write: impl Fn([u8; N], &mut [u8]),
    ) {
        for (x, rgb) in pixels.enumerate() {
            let pixel = self.offset(y, x);
            let at = |channel: isize| pixel.wrapping_add_signed(channel * self.strides[2]);
            write(channels.map(|channel| self.bytes[at(channel)]), rgb);
        }
    }

    /// The byte of pixel (y, x), channel 0. In range by the check in [`ImageView::new`].
    fn offset(&self, y: usize, x: usize) -> usize {
        self.origin
            .wrapping_add_signed(y as isize * self.strides[0])
            .wrapping_add_signed(x as isize * self.strides[1])
    }
}

/// An image whose lines the passes can read: the caller's memory, or a packed copy of it.
#[derive(Debug)]
pub struct RgbImage<'a> {
    view: ImageView<'a>,
    copy: Option<Buffer<u8>>,
}

impl<'a> RgbImage<'a> {
    /// Copies `view` if it is neither packed RGB nor three planes.
    pub fn new(view: ImageView<'a>, reference: Reference) -> Result<Self> {
        let mut copy = None;
        if view.needs_copy() {
            let line_bytes = 3 * view.width();
            let mut packed = Buffer::new(view.height() * line_bytes, "an RGB copy")?;
            for (y, line) in packed.chunks_exact_mut(line_bytes).enumerate() {
                view.read_line(y, reference, line);
            }
            copy = Some(packed);
        }
        Ok(Self { view, copy })
    }

    /// Height and width.
    pub fn size(&self) -> (usize, usize) {
        (self.view.height(), self.view.width())
    }

    /// The lines: packed, or of three planes.
    pub fn components(&self) -> Vec<LineBlock<'_>> {
        match &self.copy {
            Some(packed) => {
                let (height, width) = self.size();
                let line = 3 * width as isize;
                vec![LineBlock::new(
                    packed,
                    0,
                    line,
                    height,
                    width,
                    PixelLayout::Rgb,
                )]
            }
            None => self.view.components().unwrap_or_default(),
        }
    }
}

/// One colour value blended over white.
///
/// torchvision computes in float32 on values scaled to 0..1 and truncates
/// (`TorchvisionBackend.convert_to_rgb`); the Pillow backend computes in float64 and rounds half to
/// even (`image_transforms.convert_to_rgb`).
fn over_white(colour: u8, alpha: u8, reference: Reference) -> u8 {
    match reference {
        Reference::Torchvision => {
            const SCALE: f32 = (1.0 / 255.0) as f32;
            // torchvision multiplies by slightly less than 256, so that 1.0 becomes 255.
            const UNSCALE: f32 = (255.0 + 1.0 - 1e-3) as f32;
            let (colour, alpha) = (f32::from(colour) * SCALE, f32::from(alpha) * SCALE);
            ((colour * alpha + (1.0 - alpha)) * UNSCALE) as u8
        }
        Reference::Pillow12 | Reference::Pillow13 => {
            let alpha = f64::from(alpha) / 255.0;
            (alpha * f64::from(colour) + (1.0 - alpha) * 255.0).round_ties_even() as u8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pixels as the passes get to see them, packed.
    fn pixels(view: ImageView<'_>) -> Vec<u8> {
        let image = RgbImage::new(view, Reference::Torchvision).unwrap();
        let mut out = vec![];
        for y in 0..view.height() {
            let lines: Vec<_> = image
                .components()
                .iter()
                .map(|block| block.line(y))
                .collect();
            match lines[..] {
                [packed] => out.extend(packed),
                _ => out.extend((0..view.width()).flat_map(|x| lines.iter().map(move |l| l[x]))),
            }
        }
        out
    }

    #[test]
    fn every_layout_reads_as_the_same_pixels() {
        let packed: Vec<u8> = (0..18).collect();
        let planar: Vec<u8> = (0..3)
            .flat_map(|c| (0..6).map(move |p| p * 3 + c))
            .collect();
        let view =
            |bytes, origin, strides| ImageView::new(bytes, origin, [2, 3, 3], strides).unwrap();
        assert_eq!(pixels(view(&planar, 0, [3, 1, 6])), packed);
        let upside_down = view(&packed, 9, [-9, 3, 1]);
        assert_eq!(pixels(upside_down), [&packed[9..], &packed[..9]].concat());
        let reversed: Vec<u8> = packed.iter().rev().copied().collect();
        assert_eq!(pixels(view(&reversed, 17, [-9, -3, -1])), packed);
        let grey = ImageView::new(&[7, 8], 0, [1, 2, 1], [2, 1, 1]).unwrap();
        assert_eq!(pixels(grey), [7, 7, 7, 8, 8, 8]);
    }

    #[test]
    fn orientations_are_those_of_exif() {
        let bytes: Vec<u8> = (0..6).flat_map(|pixel| [pixel; 3]).collect();
        let view = ImageView::packed_rgb(&bytes, 2, 3).unwrap();
        let seen = |orientation| {
            let oriented = view.oriented(orientation);
            let reds = pixels(oriented).into_iter().step_by(3);
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
            assert!(ImageView::new(&bytes, origin, shape, strides).is_err());
        }
    }
}
