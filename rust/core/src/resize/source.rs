//! Where pixels come from.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::filter::Reference;
use crate::memory::Buffer;
use crate::parallel::lock;
use crate::pixels::PixelView;

/// Pixels that lie in memory, and whatever keeps them there.
pub trait Pixels: Send + Sync {
    /// The pixels.
    fn view(&self) -> PixelView<'_>;
}

impl Pixels for PixelView<'_> {
    fn view(&self) -> PixelView<'_> {
        *self
    }
}

/// Pixels of which some scanlines can be had at a time, whichever they are.
pub trait Strips<E>: Send + Sync {
    /// Height and width.
    fn size(&self) -> (usize, usize);

    /// Whose arithmetic blends the fourth of four bytes over white, as an alpha; None if it has no meaning.
    fn blended_by(&self) -> Option<Reference>;

    /// These scanlines, four bytes a pixel.
    fn strip(&self, lines: Range<usize>) -> Result<Box<dyn Pixels + '_>, Failure<E>>;
}

/// Pixels that come scanline by scanline, each once and in order, from a decoder.
pub trait Scanlines<E>: Send {
    /// Height and width.
    fn size(&self) -> (usize, usize);

    /// Bytes of a pixel: 1 for grey, 3 for RGB.
    fn pixel_bytes(&self) -> usize;

    /// Passes over the first `count` scanlines, before any is read. There are more than these.
    fn skip(&mut self, count: usize) -> Result<(), Failure<E>> {
        let mut line = one_scanline(self)?;
        (0..count).try_for_each(|_| self.read(&mut line))
    }

    /// Writes the next scanlines, as many as fill `out`, side by side.
    fn read(&mut self, out: &mut [u8]) -> Result<(), Failure<E>>;
}

/// Room for one of them.
fn one_scanline<E>(scanlines: &(impl Scanlines<E> + ?Sized)) -> Result<Buffer<u8>> {
    let bytes = scanlines.size().1.saturating_mul(scanlines.pixel_bytes());
    Buffer::new(bytes, "a scanline")
}

/// Passes over the first `count` scanlines, which may be all of them: the last is then read, as decoders
/// say only there whether a file is whole.
pub(super) fn pass_over<E>(
    scanlines: &mut dyn Scanlines<E>,
    count: usize,
) -> Result<(), Failure<E>> {
    let all = count == scanlines.size().0;
    scanlines.skip(count - usize::from(all))?;
    if all {
        let mut last = one_scanline(scanlines)?;
        scanlines.read(&mut last)?;
    }
    Ok(())
}

/// Why an image has no rows.
#[derive(Debug)]
pub enum Failure<E> {
    /// Of our own: memory that the system refused, or an argument.
    Core(Error),
    /// A file turned out damaged or unusual after some of it had been decoded.
    Damaged,
    /// Of the owner's, whom an image was asked of.
    Owner(E),
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

/// The pixels of one frame.
pub enum Source<'a, E> {
    /// In memory.
    Pixels(Arc<dyn Pixels + 'a>),
    /// Strip by strip.
    Strips(Arc<dyn Strips<E> + 'a>),
    /// One scanline after another.
    Scanlines(Mutex<Box<dyn Scanlines<E> + 'a>>),
}

impl<'a, E> Source<'a, E> {
    /// Pixels in memory.
    pub fn pixels(pixels: impl Pixels + 'a) -> Self {
        Self::Pixels(Arc::new(pixels))
    }

    /// Pixels of which some scanlines can be had at a time.
    pub fn strips(strips: impl Strips<E> + 'a) -> Self {
        Self::Strips(Arc::new(strips))
    }

    /// Pixels that come one scanline after another.
    pub fn scanlines(scanlines: impl Scanlines<E> + 'a) -> Self {
        Self::Scanlines(Mutex::new(Box::new(scanlines)))
    }

    /// Height and width.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Pixels(pixels) => pixels.view().size(),
            Self::Strips(strips) => strips.size(),
            Self::Scanlines(scanlines) => lock(scanlines).size(),
        }
    }
}
