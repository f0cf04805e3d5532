//! How much memory may wait for a buffer.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::machine;

/// The limit of a process that has set none.
pub const DEFAULT_LIMIT: usize = 2 << 30;

/// What a process may have waiting is no more than one such part of the memory that there is for it.
const PARTS: usize = 4;

static LIMIT: AtomicUsize = AtomicUsize::new(DEFAULT_LIMIT);

/// Bytes that wait for a buffer at most: what was last given to [`super::set_limit`], or [`DEFAULT_LIMIT`], and no
/// more than a quarter of the machine's memory and of what its control groups leave this process.
pub fn limit() -> usize {
    LIMIT.load(Relaxed).min(machine::memory() / PARTS)
}

/// Sets what the limit may be, which whoever keeps memory has to look at.
pub(super) fn set(bytes: usize) {
    LIMIT.store(bytes, Relaxed);
}
