//! Memory that is read next, fetched into a cache while the processor computes.

use super::prefetch;
use crate::pixels::Bytes;

/// Bytes that a processor fetches at once.
const CACHE_LINE: usize = 64;

/// Scanlines that are staged soon. Asked for all at once they would have to be waited for; a few cache lines
/// between groups of columns come in unnoticed, the fewer at a time the better.
pub(super) struct Ahead<'a> {
    scanlines: &'a [Bytes<'a>],
    /// Cache lines of the longest scanline.
    count: usize,
    /// The scanline, and the cache line of it, that is fetched next: they are fetched side by side.
    scanline: usize,
    next: usize,
    /// What a step fetches, and what is yet to be fetched of the steps so far, in parts of a cache line.
    per_step: usize,
    due: usize,
}

/// Parts that a cache line is counted in.
const PARTS: usize = 256;

impl<'a> Ahead<'a> {
    /// Fetches `scanlines` side by side, in `steps` steps.
    pub(super) fn new(scanlines: &'a [Bytes<'a>], steps: usize) -> Self {
        let longest = scanlines.iter().map(|line| line.len()).max().unwrap_or(0);
        let count = longest.div_ceil(CACHE_LINE);
        Self {
            scanlines,
            count,
            scanline: 0,
            next: 0,
            per_step: (PARTS * count * scanlines.len()).div_ceil(steps.max(1)),
            due: 0,
        }
    }

    /// Does one step.
    #[inline]
    pub(super) fn step(&mut self) {
        self.due += self.per_step;
        while self.due >= PARTS && self.next < self.count {
            self.due -= PARTS;
            let first = self.scanlines[self.scanline].as_ptr();
            prefetch(first.wrapping_add(CACHE_LINE * self.next));
            self.scanline += 1;
            if self.scanline == self.scanlines.len() {
                (self.scanline, self.next) = (0, self.next + 1);
            }
        }
    }
}
