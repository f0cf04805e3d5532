//! Memory that is read next, fetched into a cache while the processor computes.

use super::processor::prefetch;
use crate::pixels::Bytes;

/// Bytes that a processor fetches at once.
const CACHE_LINE: usize = 64;

/// Scanlines that are staged soon. Asked for all at once they would have to be waited for; a cache
/// line or two between groups of columns come in unnoticed.
pub(super) struct Ahead<'a> {
    scanlines: &'a [Bytes<'a>],
    /// Cache lines of the longest scanline, and the one that is fetched next.
    count: usize,
    next: usize,
    per_step: usize,
}

impl<'a> Ahead<'a> {
    /// Fetches `scanlines` side by side, in `steps` steps.
    pub(super) fn new(scanlines: &'a [Bytes<'a>], steps: usize) -> Self {
        let longest = scanlines.iter().map(|line| line.len()).max().unwrap_or(0);
        let count = longest.div_ceil(CACHE_LINE);
        Self {
            scanlines,
            count,
            next: 0,
            per_step: count.div_ceil(steps.max(1)),
        }
    }

    /// Does one step.
    #[inline]
    pub(super) fn step(&mut self) {
        if self.next >= self.count {
            return;
        }
        for scanline in self.scanlines {
            for index in self.next..self.next + self.per_step {
                prefetch(scanline.as_ptr().wrapping_add(CACHE_LINE * index));
            }
        }
        self.next += self.per_step;
    }
}
