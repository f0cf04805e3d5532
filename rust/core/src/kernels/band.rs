//! What rows are cut from, and how.

use std::iter;

/// The samples of one frame under one line of merge blocks: scanlines of three planes each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Band<'a> {
    samples: &'a [u8],
    stride: usize,
    /// Samples of a plane.
    width: usize,
}

impl<'a> Band<'a> {
    /// Scanlines whose planes are `stride` samples apart.
    pub(crate) fn new(samples: &'a [u8], stride: usize) -> Self {
        Self {
            samples,
            stride,
            width: stride,
        }
    }

    /// The same from the scanline at `top` on, and in it from the pixel at `left` on.
    pub(crate) fn starting_at(self, top: usize, left: usize) -> Self {
        Self {
            samples: &self.samples[3 * top * self.stride + left..],
            width: self.width - left,
            ..self
        }
    }

    /// Whether it has `lines` scanlines of at least `width` pixels.
    pub(super) fn holds(&self, lines: usize, width: usize) -> bool {
        let last = (3 * lines - 1) * self.stride;
        width <= self.width && self.samples.len() >= last + self.width
    }

    /// One plane of the scanline at `y`, with its padding.
    pub(super) fn plane(&self, y: usize, channel: usize) -> &'a [u8] {
        let start = (3 * y + channel) * self.stride;
        &self.samples[start..start + self.width]
    }
}

/// Lines of one channel of a patch, so many samples apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    first: *const u8,
    pub(super) stride: usize,
}

impl Lines {
    /// The line at `y`.
    #[inline]
    pub(super) fn at(self, y: usize) -> *const u8 {
        self.first.wrapping_add(y * self.stride)
    }
}

/// What rows are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowShape {
    /// Side of a patch in pixels.
    pub(crate) patch: usize,
    /// Side, in patches, of the blocks that the model merges into one token.
    pub(crate) merge: usize,
    /// Frames stored in a row.
    pub(crate) slots: usize,
}

impl RowShape {
    /// Elements in a row.
    pub(crate) fn columns(self) -> usize {
        3 * self.slots * self.patch * self.patch
    }

    /// The first scanline and pixel of the patch of each row of a band: rows count the patches of a block before
    /// they go on to the next block.
    pub(super) fn corners(self) -> impl Iterator<Item = (usize, usize)> {
        let side = self.merge * self.patch;
        let (mut block, mut top, mut x) = (0, 0, 0);
        iter::from_fn(move || {
            let corner = (top, block + x);
            x += self.patch;
            if x == side {
                (x, top) = (0, top + self.patch);
            }
            if top == side {
                (top, block) = (0, block + side);
            }
            Some(corner)
        })
    }

    /// Calls `write` for what the row of the patch at a corner of `bands` is made of, in its order: a channel of a frame,
    /// its lines, and for how many frames it stands.
    #[inline(always)]
    pub(super) fn for_each_run(
        self,
        bands: &[Band<'_>],
        (top, left): (usize, usize),
        mut write: impl FnMut(usize, Lines, usize),
    ) {
        for channel in 0..3 {
            for (index, band) in bands.iter().enumerate() {
                let first = (3 * top + channel) * band.stride + left;
                let lines = Lines {
                    first: band.samples[first..].as_ptr(),
                    stride: 3 * band.stride,
                };
                // The last frame stands for those that its group lacks.
                let is_last = index + 1 == bands.len();
                let lacking = if is_last { self.slots - bands.len() } else { 0 };
                write(channel, lines, 1 + lacking);
            }
        }
    }

    /// Pixels of a scanline that the blocks of the first `rows` rows cover, the last of them whole.
    pub(super) fn width(self, rows: usize) -> usize {
        rows.div_ceil(self.merge * self.merge) * self.merge * self.patch
    }
}
