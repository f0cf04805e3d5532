//! Memory that is read next, fetched into a cache while the processor computes.
#![expect(unsafe_code, reason = "hints, which read nothing")]

use crate::pixels::Bytes;

/// Bytes that a processor fetches at once.
const CACHE_LINE: usize = 64;

/// Scanlines that are fetched side by side. Of one after another, or of 48 planes at once, memory is slower to come.
const TOGETHER: usize = 4;

/// Scanlines that are staged soon. Asked for all at once they would have to be waited for; a few cache lines
/// between groups of columns come in unnoticed, the fewer at a time the better.
pub(super) struct Prefetch<'a> {
    /// What is fetched now, side by side, and afterwards.
    now: &'a [Bytes<'a>],
    later: &'a [Bytes<'a>],
    /// Where in these scanlines the cache lines are that are fetched next, and where they end.
    at: usize,
    end: usize,
    /// Cache lines that are so far into their scanlines, for so many steps.
    count: usize,
    steps: usize,
    /// What is yet to be fetched of the steps so far, in parts of a cache line: as many as there are steps.
    due: usize,
}

impl<'a> Prefetch<'a> {
    /// Fetches `scanlines`, of one length, in `steps` steps.
    pub(super) fn new(scanlines: &'a [Bytes<'a>], steps: usize) -> Self {
        let end = scanlines.first().map_or(0, |line| line.len());
        let (now, later) = scanlines.split_at(TOGETHER.min(scanlines.len()));
        Self {
            now,
            later,
            at: 0,
            end,
            count: end.div_ceil(CACHE_LINE) * scanlines.len().div_ceil(TOGETHER),
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
            for scanline in self.now {
                prefetch(scanline.as_ptr().wrapping_add(self.at));
            }
            self.at += CACHE_LINE;
            if self.at >= self.end {
                (self.now, self.later) = self.later.split_at(TOGETHER.min(self.later.len()));
                self.at = 0;
            }
        }
    }
}

/// Asks for the cache line at `address`, no closer than the second-level cache: what is at work now needs the first.
#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: a hint, which reads nothing and may name any address.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) };
}

/// Asks for the cache line at `address`.
#[cfg(target_arch = "aarch64")]
#[inline]
fn prefetch(address: *const u8) {
    use std::arch::asm;
    // SAFETY: a hint, which reads nothing and may name any address.
    unsafe {
        asm!("prfm pldl1keep, [{}]", in(reg) address, options(nomem, nostack, preserves_flags));
    }
}
