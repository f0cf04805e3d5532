//! Images of a batch, and where their pixels come from.

use crate::decode::{Decoder, Header, LineError};
use crate::geometry::{Cut, CutPlan, Pass, Plan};
use crate::pixels::{PixelView, turned};
use crate::resize::{Failure, SKIPPING, Scanlines};

/// One image of a batch, or one group of frames of a video.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Where the pixels of its frames come from, all of one size: an image has one frame, a group as many
    /// as a row holds at most.
    pub frames: &'a [Input<'a>],
    /// What becomes of them, cut as the writer does it.
    pub plan: CutPlan,
    /// Rows of zeros that are written after its own.
    pub padding: usize,
}

/// Where the pixels of a frame come from.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// From memory.
    Pixels(PixelView<'a>),
    /// From a file that is decoded here, unless it turns out unusual, or frames that share its rows are in
    /// another orientation: then from the [`Owner`](super::Owner).
    File {
        /// The whole file.
        bytes: &'a [u8],
        /// What [`crate::decode::header`] says of it.
        header: Header,
        /// Its EXIF orientation, 1 to 8.
        orientation: u8,
        /// Whether it may be decoded at a fraction of its size that is no smaller than what it is resized to, if
        /// it is the only frame and is not padded.
        reduced: bool,
    },
    /// From the [`Owner`](super::Owner).
    Owner {
        /// `(height, width)`.
        size: (usize, usize),
    },
}

impl<'a> Image<'a> {
    /// An image that is resized to `target`, `(height, width)`, and nothing else.
    ///
    /// # Errors
    /// See [`Plan::cut`].
    pub fn resized(
        frames: &'a [Input<'a>],
        target: (usize, usize),
        cut: Cut,
    ) -> crate::Result<Self> {
        let size = frames.first().map_or((0, 0), Input::size);
        Ok(Self {
            frames,
            plan: Plan::of(Pass::resize(size, target)).cut(cut)?,
            padding: 0,
        })
    }

    /// About how long it takes, in nanoseconds.
    pub(super) fn cost(&self) -> u64 {
        self.frames.iter().map(Input::cost).sum()
    }

    /// How much of that one thread has to do, in order.
    pub(super) fn alone(&self) -> u64 {
        let decoded = self.frames.iter().map(Input::decoded).max().unwrap_or(0);
        if self.divided().is_some() {
            // Nobody begins at the end without passing over what is before it.
            (SKIPPING * decoded as f64) as u64
        } else {
            decoded
        }
    }

    /// The one pass over an image whose file may be opened several times, each time for a part of its bands. What is
    /// passed over is work that one thread would not have, and lost where the others have no processor to themselves.
    pub(super) fn divided(&self) -> Option<Pass> {
        const PIXELS: usize = 8 << 20;
        let [Input::File { header, .. }] = self.frames else {
            return None;
        };
        // Several passes would have to be divided alike.
        let mut passes = self.plan.plan().passes();
        let (Some(pass), None) = (passes.next(), passes.next()) else {
            return None;
        };
        (header.skips && header.height * header.width >= PIXELS).then_some(pass)
    }
}

impl Input<'_> {
    /// `(height, width)` of the frame.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Pixels(view) => view.size(),
            Self::File {
                header,
                orientation,
                ..
            } => oriented(header, *orientation),
            Self::Owner { size } => *size,
        }
    }

    /// About how long it takes to get the pixels and to resize them, in nanoseconds.
    fn cost(&self) -> u64 {
        let each = match self {
            Self::Pixels(_) => 1,
            Self::File { .. } => 1 + DECODED,
            Self::Owner { .. } => 4,
        };
        each * self.pixels()
    }

    /// How much of that is decoding here.
    fn decoded(&self) -> u64 {
        match self {
            Self::Pixels(_) | Self::Owner { .. } => 0,
            Self::File { .. } => DECODED * self.pixels(),
        }
    }

    fn pixels(&self) -> u64 {
        let (height, width) = self.size();
        height as u64 * width as u64
    }
}

/// Nanoseconds that a pixel of a file takes until it is decoded.
const DECODED: u64 = 5;

/// `(height, width)` of a file as its image is seen.
pub fn oriented(header: &Header, orientation: u8) -> (usize, usize) {
    turned((header.height, header.width), orientation)
}

impl<E> From<LineError> for Failure<E> {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Damaged => Self::Damaged,
            LineError::Core(error) => Self::Core(error),
        }
    }
}

impl<E> Scanlines<E> for Decoder<'_> {
    fn size(&self) -> (usize, usize) {
        (self.height(), self.width())
    }

    fn pixel_bytes(&self) -> usize {
        self.channels()
    }

    fn skip(&mut self, count: usize) -> Result<(), Failure<E>> {
        Ok(self.skip(count)?)
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), Failure<E>> {
        Ok(self.read(out)?)
    }
}
