//! Whoever has the images that a batch is not given.

use std::convert::Infallible;
use std::ops::Range;

use qvl_core::batch::Owner;
use qvl_core::resize::{Failure, Pixels, Scanlines, Source, Strips};
use qvl_core::{PixelView, Reference};

/// Has images of one size: as pixels, scanlines and strips, in turns.
pub(crate) struct Hands<'a> {
    /// Four bytes of each pixel, or more.
    pub(crate) pixels: &'a [u8],
    pub(crate) size: (usize, usize),
}

impl Owner for Hands<'_> {
    type Error = Infallible;

    fn open(&self, index: usize, _: usize) -> Result<Source<'_, Infallible>, Infallible> {
        let &Self { pixels, size } = self;
        Ok(match index % 3 {
            0 => Source::pixels(packed(pixels, size, 3)),
            1 => Source::scanlines(Lines { rest: pixels, size }),
            _ => Source::strips(Pieces { pixels, size }),
        })
    }
}

fn packed(pixels: &[u8], (height, width): (usize, usize), channels: usize) -> PixelView<'_> {
    let pixels = &pixels[..height * width * channels];
    PixelView::packed(pixels, height, width, channels).expect("whole pixels")
}

/// Scanlines of pixels of three bytes.
struct Lines<'a> {
    rest: &'a [u8],
    size: (usize, usize),
}

impl<E> Scanlines<E> for Lines<'_> {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn pixel_bytes(&self) -> usize {
        3
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), Failure<E>> {
        let (lines, rest) = self.rest.split_at(out.len());
        out.copy_from_slice(lines);
        self.rest = rest;
        Ok(())
    }
}

/// Strips of pixels with alpha.
struct Pieces<'a> {
    pixels: &'a [u8],
    size: (usize, usize),
}

impl<E> Strips<E> for Pieces<'_> {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn blended_by(&self) -> Option<Reference> {
        Some(Reference::Pillow13)
    }

    fn strip(&self, lines: Range<usize>) -> Result<Box<dyn Pixels + '_>, Failure<E>> {
        let width = self.size.1;
        let strip = &self.pixels[4 * width * lines.start..];
        Ok(Box::new(packed(strip, (lines.len(), width), 4)))
    }
}
