//! Several passes over one source, side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How far each of some passes over one source has come.
///
/// None gets far ahead of the others: what it fetched into the cache, or decoded, is still there when they need it.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// The scanline of the source that each pass comes to next.
    next: Arc<[AtomicUsize]>,
    /// The pass whose pace this is.
    own: usize,
}

/// Scanlines that a pass may be ahead of another before it takes more: less than it takes at once.
const LEAD: usize = 8;

impl Pace {
    /// That of the only pass.
    pub(super) fn alone() -> Self {
        Self {
            next: Arc::new([AtomicUsize::new(0)]),
            own: 0,
        }
    }

    /// Those of so many `passes`.
    pub(crate) fn of(passes: usize) -> impl Iterator<Item = Self> {
        let next: Arc<[AtomicUsize]> = (0..passes).map(|_| AtomicUsize::new(0)).collect();
        (0..passes).map(move |own| Self {
            next: Arc::clone(&next),
            own,
        })
    }

    /// Whether the pass may take the scanline `line` and those after it. Of all passes, the one that is last may.
    pub(super) fn allows(&self, line: usize) -> bool {
        let next = self.next.iter().enumerate();
        let mut others = next.filter(|(pass, _)| *pass != self.own);
        others.all(|(_, next)| line <= next.load(Ordering::Relaxed).saturating_add(LEAD))
    }

    /// The pass comes to `line` next.
    pub(super) fn reach(&self, line: usize) {
        self.next[self.own].store(line, Ordering::Relaxed);
    }

    /// The pass needs no more scanlines.
    pub(super) fn finish(&self) {
        self.reach(usize::MAX);
    }
}
