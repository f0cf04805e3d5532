//! A view of 8-bit pixels in whatever layout they lie, read as lines of packed RGB.

use crate::error::{Error, Result};
use crate::resize::Reference;

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

    /// Lines in the image.
    pub fn height(&self) -> usize {
        self.shape[0]
    }

    /// Pixels in a line.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// Line `y` as packed RGB, where it already lies so in memory.
    pub fn packed_line(&self, y: usize) -> Option<&'a [u8]> {
        let packed = self.shape[2] == 3 && self.strides[1] == 3 && self.strides[2] == 1;
        let start = self.offset(y, 0);
        packed.then(|| &self.bytes[start..start + 3 * self.width()])
    }

    /// Writes line `y` to `line` as packed RGB. Grey is repeated; RGBA is composited on white with
    /// the rounding that `reference` has for arrays.
    pub fn read_line(&self, y: usize, reference: Reference, line: &mut [u8]) {
        if let Some(packed) = self.packed_line(y) {
            line.copy_from_slice(packed);
            return;
        }
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

    fn lines(view: &ImageView<'_>) -> Vec<u8> {
        let mut out = vec![0; view.height() * view.width() * 3];
        for (y, line) in out.chunks_exact_mut(view.width() * 3).enumerate() {
            view.read_line(y, Reference::Torchvision, line);
        }
        out
    }

    #[test]
    fn planar_flipped_and_grey_layouts_read_as_packed_rgb() {
        let packed: Vec<u8> = (0..18).collect();
        let planar: Vec<u8> = (0..3)
            .flat_map(|c| (0..6).map(move |p| p * 3 + c))
            .collect();
        let view = ImageView::new(&planar, 0, [2, 3, 3], [3, 1, 6]).unwrap();
        assert_eq!(lines(&view), packed);
        let upside_down = ImageView::new(&packed, 9, [2, 3, 3], [-9, 3, 1]).unwrap();
        assert_eq!(lines(&upside_down), [&packed[9..], &packed[..9]].concat());
        let grey = ImageView::new(&[7, 8], 0, [1, 2, 1], [2, 1, 1]).unwrap();
        assert_eq!(lines(&grey), [7, 7, 7, 8, 8, 8]);
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
