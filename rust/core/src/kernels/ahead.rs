//! Memory that is read next, fetched into a cache while the processor computes.

use super::prefetch;
use crate::pixels::Bytes;

/// Bytes that a processor fetches at once.
const CACHE_LINE: usize = 64;

/// Planes or scanlines that are fetched side by side. More would be more than a processor follows, which then
/// fetches nothing ahead by itself.
const SIDE_BY_SIDE: usize = 16;

/// Scanlines that are staged soon. Asked for all at once they would have to be waited for; a few cache lines
/// between groups of columns come in unnoticed, the fewer at a time the better.
pub(super) struct Ahead<'a> {
    /// What is fetched side by side, and what comes after that.
    now: &'a [Bytes<'a>],
    then: &'a [Bytes<'a>],
    /// Which of them, and where in it the cache line is, that is fetched next.
    next: usize,
    at: usize,
    /// Cache lines that are fetched in a step.
    each: usize,
}

impl<'a> Ahead<'a> {
    /// Fetches `scanlines`, which are of one length, in `steps` steps.
    pub(super) fn new(scanlines: &'a [Bytes<'a>], steps: usize) -> Self {
        let length = scanlines.first().map_or(0, |line| line.len());
        let count = length.div_ceil(CACHE_LINE) * scanlines.len();
        let (now, then) = scanlines.split_at(SIDE_BY_SIDE.min(scanlines.len()));
        Self {
            now,
            then,
            next: 0,
            at: 0,
            each: count.div_ceil(steps.max(1)),
        }
    }

    /// Does one step.
    #[inline]
    pub(super) fn step(&mut self) {
        for _ in 0..self.each {
            let Some(line) = self.now.get(self.next) else {
                return;
            };
            prefetch(line.as_ptr().wrapping_add(self.at));
            self.next += 1;
            if self.next == self.now.len() {
                self.next = 0;
                self.at += CACHE_LINE;
                if self.at >= line.len() {
                    self.at = 0;
                    (self.now, self.then) = self.then.split_at(SIDE_BY_SIDE.min(self.then.len()));
                }
            }
        }
    }
}
