//! Exact antialiased bicubic resampling of 8-bit RGB.
//!
//! Both references resample separably in integers: each pass convolves with fixed-point weights
//! and rounds to 8 bits, so the precision of the weights and the order of the passes are part of
//! the result.

mod block;
mod coefficients;
mod lines;

pub use block::{LineBlock, PixelLayout, PlanarLines, plane_stride};
pub use coefficients::{Coefficients, Pair, Starts};
pub use lines::ResizedLines;

use crate::error::{Error, Result};
use crate::image::{ImageView, RgbImage};
use crate::memory::Buffer;
use crate::simd::Isa;

/// Whose bits to reproduce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reference {
    /// torchvision on CPU uint8 tensors: 16-bit weights, horizontal pass first.
    Torchvision,
    /// Pillow before 13: 22-bit weights, horizontal pass first.
    Pillow12,
    /// Pillow 13: 22-bit weights, the vertical pass first where that saves work.
    Pillow13,
}

impl Reference {
    /// Every reference.
    pub const ALL: [Self; 3] = [Self::Torchvision, Self::Pillow12, Self::Pillow13];

    /// Bits after the point for an axis whose largest weight is `largest`.
    fn precision(self, largest: f64) -> u32 {
        const MOST: u32 = 22;
        match self {
            // The most bits that keep the largest weight of the axis in an int16.
            Self::Torchvision => (0..MOST)
                .find(|bits| 0.5 + largest * f64::from(2u32 << bits) >= f64::from(1 << 15))
                .unwrap_or(MOST),
            Self::Pillow12 | Self::Pillow13 => MOST,
        }
    }

    /// Whether lines are combined before they are resampled themselves. Sizes are
    /// `(height, width)`.
    fn vertical_first(self, source: (usize, usize), target: (usize, usize)) -> bool {
        let lost_lines = source.0 as i128 - target.0 as i128;
        let lost_columns = source.1 as i128 - target.1 as i128;
        self == Self::Pillow13 && lost_lines > 0 && lost_lines > 2 * lost_columns
    }

    /// Any reference, for property tests.
    #[cfg(test)]
    pub(crate) fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        proptest::sample::select(&Self::ALL[..])
    }
}

/// The two passes between one size and another; an axis that keeps its length has none.
#[derive(Debug, Clone)]
pub struct Resampler {
    source: (usize, usize),
    target: (usize, usize),
    isa: Isa,
    horizontal: Option<Coefficients>,
    vertical: Option<Coefficients>,
    vertical_first: bool,
}

impl Resampler {
    /// Tables for images of size `source` becoming `target`, both `(height, width)`.
    pub fn new(
        source: (usize, usize),
        target: (usize, usize),
        reference: Reference,
        isa: Isa,
    ) -> Result<Self> {
        for (argument, length) in [("height", target.0), ("width", target.1)] {
            if length == 0 {
                return Err(Error::invalid(argument, "must be at least 1, got 0"));
            }
        }
        let axis = |from: usize, to: usize, starts: Starts| {
            (from != to)
                .then(|| Coefficients::new(from, to, reference, starts))
                .transpose()
        };
        Ok(Self {
            source,
            target,
            isa,
            horizontal: axis(source.1, target.1, Starts::Even)?,
            vertical: axis(source.0, target.0, Starts::Any)?,
            vertical_first: reference.vertical_first(source, target),
        })
    }

    /// The resized lines of `image`, which has the source size, from line `first` to the bottom.
    pub fn lines<'a>(&'a self, image: &'a RgbImage<'a>, first: usize) -> Result<ResizedLines<'a>> {
        ResizedLines::new(self, image, first)
    }
}

/// Resizes `image` to `(height, width)` into `out`, packed RGB of `height * width * 3` bytes.
pub fn resize(
    image: &ImageView<'_>,
    target: (usize, usize),
    reference: Reference,
    isa: Isa,
    out: &mut [u8],
) -> Result<()> {
    let image = RgbImage::new(*image, reference)?;
    let resampler = Resampler::new(image.size(), target, reference, isa)?;
    let line_bytes = 3 * target.1;
    if out.len() != target.0 * line_bytes {
        let reason = format!(
            "must hold {}x{}x3 bytes, got {}",
            target.0,
            target.1,
            out.len()
        );
        return Err(Error::invalid("out", reason));
    }
    let mut lines = resampler.lines(&image, 0)?;
    let stride = plane_stride(target.1);
    let mut planes = Buffer::new(3 * stride, "a resized line")?;
    for line in out.chunks_exact_mut(line_bytes) {
        lines.read(&mut planes);
        let (red, rest) = planes.split_at(stride);
        let (green, blue) = rest.split_at(stride);
        for (pixel, ((r, g), b)) in line
            .chunks_exact_mut(3)
            .zip(red.iter().zip(green).zip(blue))
        {
            pixel.copy_from_slice(&[*r, *g, *b]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, one pixel at a time: whole passes over whole images.
    fn by_definition(
        pixels: &[u8],
        source: (usize, usize),
        target: (usize, usize),
        reference: Reference,
    ) -> Vec<u8> {
        let pass = |pixels: &[u8], height: usize, width: usize, to: usize, vertical: bool| {
            let from = if vertical { height } else { width };
            if from == to {
                return pixels.to_vec();
            }
            let table = Coefficients::new(from, to, reference, Starts::Any).unwrap();
            let (lines, columns) = if vertical { (to, width) } else { (height, to) };
            let mut out = Vec::with_capacity(lines * columns * 3);
            for index in 0..lines * columns * 3 {
                let (y, x, c) = (index / 3 / columns, index / 3 % columns, index % 3);
                let (start, weights) = table.window(if vertical { y } else { x });
                let sum: i64 = weights
                    .iter()
                    .zip(start..)
                    .map(|(weight, at)| {
                        let (y, x) = if vertical { (at, x) } else { (y, at) };
                        i64::from(*weight) * i64::from(pixels[(y * width + x) * 3 + c])
                    })
                    .sum();
                let rounded = (sum + (1 << (table.precision() - 1))) >> table.precision();
                out.push(rounded.clamp(0, 255) as u8);
            }
            out
        };
        let ((h, w), (to_h, to_w)) = (source, target);
        if reference.vertical_first(source, target) {
            pass(&pass(pixels, h, w, to_h, true), to_h, w, to_w, false)
        } else {
            pass(&pass(pixels, h, w, to_w, false), h, to_w, to_h, true)
        }
    }

    #[test]
    fn pillow_13_reduces_lines_first_when_that_saves_work() {
        let first = |reference: Reference| reference.vertical_first((480, 640), (476, 644));
        assert!(first(Reference::Pillow13));
        assert!(!first(Reference::Pillow12) && !first(Reference::Torchvision));
        assert!(!Reference::Pillow13.vertical_first((100, 100), (90, 95)));
        assert!(Reference::Pillow13.vertical_first((100, 100), (89, 95)));
        assert!(!Reference::Pillow13.vertical_first((100, 100), (100, 120)));
    }

    #[test]
    fn the_same_size_is_a_copy() {
        let pixels: Vec<u8> = (0..60).collect();
        let view = ImageView::packed_rgb(&pixels, 4, 5).unwrap();
        let mut out = vec![0; 60];
        resize(&view, (4, 5), Reference::Torchvision, Isa::best(), &mut out).unwrap();
        assert_eq!(out, pixels);
    }

    #[test]
    fn bad_targets_are_refused() {
        let pixels = [0u8; 60];
        let view = ImageView::packed_rgb(&pixels, 4, 5).unwrap();
        let refused = |target, out: &mut [u8]| {
            resize(&view, target, Reference::Torchvision, Isa::best(), out)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(refused((0, 5), &mut []), "height must be at least 1, got 0");
        assert_eq!(refused((4, 0), &mut []), "width must be at least 1, got 0");
        assert_eq!(
            refused((2, 2), &mut [0; 11]),
            "out must hold 2x2x3 bytes, got 11"
        );
    }

    /// Packed pixels as a view of each layout that the passes read in place, lines `stride` bytes
    /// apart, or as close as they can be.
    fn laid_out(
        pixels: &[u8],
        (height, width): (usize, usize),
        layout: PixelLayout,
        stride: usize,
        check: impl FnOnce(ImageView<'_>),
    ) {
        let stride = stride.max(layout.bytes(width));
        let plane = height * stride;
        let strides = match layout {
            PixelLayout::Plane => [stride, 1, plane],
            _ => [stride, layout.step(), 1],
        };
        let planes = if layout == PixelLayout::Plane { 3 } else { 1 };
        let mut bytes = vec![77; planes * plane];
        for (index, level) in pixels.iter().enumerate() {
            let (y, x, c) = (index / 3 / width, index / 3 % width, index % 3);
            bytes[y * strides[0] + x * strides[1] + c * strides[2]] = *level;
        }
        let view = ImageView::new(
            &bytes,
            0,
            [height, width, 3],
            strides.map(|stride| stride as isize),
        );
        let view = view.unwrap();
        assert!(!view.needs_copy());
        check(view);
    }

    /// Every layout; lines that follow each other, and lines that share places in a cache.
    fn layouts() -> impl Strategy<Value = (PixelLayout, usize)> {
        let layout = prop_oneof![
            Just(PixelLayout::Plane),
            Just(PixelLayout::Rgb),
            Just(PixelLayout::Rgbx)
        ];
        (layout, prop_oneof![Just(0), Just(2048)])
    }

    proptest! {
        #[test]
        fn every_arm_equals_the_definition(
            source in (1usize..100, 1usize..150),
            target in (1usize..100, 1usize..150),
            (keep_height, keep_width) in (any::<bool>(), any::<bool>()),
            reference in Reference::any(),
            (layout, stride) in layouts(),
            noise in proptest::collection::vec(any::<u8>(), 100 * 150 * 3),
        ) {
            let pixels = &noise[..source.0 * source.1 * 3];
            let target = (
                if keep_height { source.0 } else { target.0 },
                if keep_width { source.1 } else { target.1 },
            );
            let expected = by_definition(pixels, source, target, reference);
            laid_out(pixels, source, layout, stride, |view| {
                for isa in Isa::available() {
                    let mut out = vec![0; target.0 * target.1 * 3];
                    resize(&view, target, reference, isa, &mut out).unwrap();
                    assert!(out == expected, "{isa:?}");
                }
            });
        }

        #[test]
        fn lines_from_anywhere_on_are_the_same(
            source in (1usize..100, 1usize..60),
            target in (1usize..100, 1usize..60),
            first in 0usize..100,
            reference in Reference::any(),
            noise in proptest::collection::vec(any::<u8>(), 100 * 60 * 3),
        ) {
            let view = ImageView::packed_rgb(&noise[..source.0 * source.1 * 3], source.0, source.1);
            let image = RgbImage::new(view.unwrap(), reference).unwrap();
            for isa in Isa::available() {
                let resampler = Resampler::new(source, target, reference, isa).unwrap();
                let read = |first: usize| {
                    let mut lines = resampler.lines(&image, first).unwrap();
                    let mut line = vec![0; 3 * plane_stride(target.1)];
                    let mut levels = Vec::new();
                    for _ in first..target.0 {
                        lines.read(&mut line);
                        for plane in line.chunks(plane_stride(target.1)) {
                            levels.extend_from_slice(&plane[..target.1]);
                        }
                    }
                    levels
                };
                let first = first % target.0;
                prop_assert_eq!(&read(0)[3 * first * target.1..], &read(first)[..]);
            }
        }
    }
}
