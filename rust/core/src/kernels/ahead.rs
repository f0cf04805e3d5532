//! Memory that is read next, fetched into a cache while the processor computes.

use super::prefetch;
use crate::pixels::Bytes;

/// Bytes that a processor fetches at once.
const CACHE_LINE: usize = 64;

/// Scanlines that are staged soon. Asked for all at once they would have to be waited for; a few cache lines
/// between groups of columns come in unnoticed, the fewer at a time the better.
pub(super) struct Ahead<'a> {
    scanlines: &'a [Bytes<'a>],
    /// The scanline, and where in it the cache line is, that is fetched next: they are fetched side by side.
    scanline: usize,
    at: usize,
    /// Cache lines of all scanlines, for so many steps.
    count: usize,
    steps: usize,
    /// What is yet to be fetched of the steps so far, in parts of a cache line: as many as there are steps.
    due: usize,
}

impl<'a> Ahead<'a> {
    /// Fetches `scanlines` side by side, in `steps` steps.
    pub(super) fn new(scanlines: &'a [Bytes<'a>], steps: usize) -> Self {
        let longest = scanlines.iter().map(|line| line.len()).max().unwrap_or(0);
        Self {
            scanlines,
            scanline: 0,
            at: 0,
            count: longest.div_ceil(CACHE_LINE) * scanlines.len(),
            steps: steps.max(1),
            due: 0,
        }
    }

    /// Does one step.
    #[inline]
    pub(super) fn step(&mut self) {
        self.due += self.count;
        while self.due >= self.steps {
            self.due -= self.steps;
            prefetch(self.scanlines[self.scanline].as_ptr().wrapping_add(self.at));
            let is_last = self.scanline + 1 == self.scanlines.len();
            self.scanline = if is_last { 0 } else { self.scanline + 1 };
            self.at += usize::from(is_last) * CACHE_LINE;
        }
    }
}
