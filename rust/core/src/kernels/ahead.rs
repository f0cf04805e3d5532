//! Memory that is read next, fetched into a cache while the processor computes.

use super::prefetch;
use crate::pixels::Bytes;

/// Bytes that a processor fetches at once.
const CACHE_LINE: usize = 64;

/// Scanlines that are staged soon. Asked for all at once they would have to be waited for; a few cache lines
/// between groups of columns come in unnoticed, the fewer at a time the better.
pub(super) struct Ahead<'a> {
    scanlines: &'a [Bytes<'a>],
    /// Where in every scanline the cache line is that is fetched next: they are fetched side by side.
    at: usize,
    /// Cache lines of a scanline, for so many steps.
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
            at: 0,
            count: longest.div_ceil(CACHE_LINE),
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
            for scanline in self.scanlines {
                prefetch(scanline.as_ptr().wrapping_add(self.at));
            }
            self.at += CACHE_LINE;
        }
    }
}
