//! Memory: every request may fail, and large memory is recycled.
//!
//! The system hands out fresh memory page by page, which takes longer than filling it. A large
//! [`Buffer`] is therefore a mapping of its own, on huge pages where the system has them, and what
//! is dropped waits for the next one, up to [`IDLE_LIMIT`] bytes in all.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::{mem, process, thread};

use bytemuck::Pod;
use memmap2::MmapMut;

use crate::error::{Error, Result};

/// Bytes that are kept for later buffers at most.
pub const IDLE_LIMIT: usize = 2 << 30;

/// Bytes from which on memory is mapped and recycled; the C library recycles what is smaller.
const MAPPED: usize = 128 << 10;

/// Bytes from which on huge pages are asked for, and what one of them is on most systems.
const ON_HUGE_PAGES: usize = 4 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// A slice that owns its memory.
///
/// It is never zeroed: elements hold whatever an earlier buffer left until they are written.
pub struct Buffer<T> {
    block: Block,
    length: usize,
    elements: PhantomData<T>,
}

/// Where a buffer lies.
enum Block {
    /// In the heap, in words that are aligned for every element.
    Small(Vec<u64>),
    /// In pages of its own.
    Mapped(MmapMut),
}

impl<T: Pod> Buffer<T> {
    /// `length` elements of no particular value, or [`Error::Memory`].
    pub fn new(length: usize, purpose: &'static str) -> Result<Self> {
        const { assert!(align_of::<T>() <= align_of::<u64>()) };
        let bytes = length.saturating_mul(size_of::<T>());
        let block = if bytes < MAPPED {
            Block::Small(filled(bytes.div_ceil(size_of::<u64>()), 0, purpose)?)
        } else {
            let mapping = map(bytes).ok_or(Error::Memory { bytes, purpose })?;
            Block::Mapped(mapping)
        };
        Ok(Self {
            block,
            length,
            elements: PhantomData,
        })
    }
}

impl<T: Pod, const N: usize> Buffer<[T; N]>
where
    [T; N]: Pod,
{
    /// The same elements without their grouping.
    pub fn into_flattened(mut self) -> Buffer<T> {
        Buffer {
            block: mem::replace(&mut self.block, Block::Small(Vec::new())),
            length: N * self.length,
            elements: PhantomData,
        }
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let bytes = match &self.block {
            Block::Small(words) => bytemuck::cast_slice(words),
            Block::Mapped(mapping) => &mapping[..],
        };
        bytemuck::cast_slice(&bytes[..self.length * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let bytes = match &mut self.block {
            Block::Small(words) => bytemuck::cast_slice_mut(words),
            Block::Mapped(mapping) => &mut mapping[..],
        };
        bytemuck::cast_slice_mut(&mut bytes[..self.length * size_of::<T>()])
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Block::Mapped(mapping) = mem::replace(&mut self.block, Block::Small(Vec::new())) {
            IN_USE.fetch_sub(mapping.len(), Relaxed);
            keep(mapping);
        }
    }
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Buffer")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// What large buffers hold and have held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryStats {
    /// Bytes in buffers that are alive.
    pub in_use: usize,
    /// Bytes that wait for a buffer.
    pub idle: usize,
    /// Buffers that got fresh memory.
    pub fresh: u64,
    /// Buffers that got memory of an earlier one.
    pub recycled: u64,
}

/// The state of this process.
pub fn stats() -> MemoryStats {
    MemoryStats {
        in_use: IN_USE.load(Relaxed),
        idle: pool().map_or(0, |pool| pool.idle_bytes()),
        fresh: FRESH.load(Relaxed),
        recycled: RECYCLED.load(Relaxed),
    }
}

/// Gives the memory that waits for a buffer back to the system. Returns its bytes.
pub fn release() -> usize {
    let idle = pool().map(|mut pool| mem::take(&mut pool.idle));
    idle.iter().flatten().map(|mapping| mapping.len()).sum()
}

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static FRESH: AtomicU64 = AtomicU64::new(0);
static RECYCLED: AtomicU64 = AtomicU64::new(0);

static POOL: Mutex<Pool> = Mutex::new(Pool {
    process: 0,
    idle: Vec::new(),
});

/// Memory that waits for a buffer.
struct Pool {
    /// Whose it is.
    process: u32,
    /// The longest idle first.
    idle: Vec<MmapMut>,
}

impl Pool {
    fn idle_bytes(&self) -> usize {
        self.idle.iter().map(|mapping| mapping.len()).sum()
    }
}

/// The pool, or None if it stays locked: a fork while another thread held it leaves it so for ever
/// in the child, which then lives without.
fn pool() -> Option<MutexGuard<'static, Pool>> {
    const TRIES: usize = 100;
    let mut pool = (0..TRIES).find_map(|_| match POOL.try_lock() {
        Ok(pool) => Some(pool),
        Err(TryLockError::Poisoned(pool)) => Some(pool.into_inner()),
        Err(TryLockError::WouldBlock) => {
            thread::yield_now();
            None
        }
    })?;
    if pool.process != process::id() {
        // What a parent had idle would have to be copied before it could be written to.
        *pool = Pool {
            process: process::id(),
            idle: Vec::new(),
        };
    }
    Some(pool)
}

/// Idle memory that fits, else fresh memory, unless the system has none.
fn map(bytes: usize) -> Option<MmapMut> {
    let (mapping, count) = match idle(bytes) {
        Some(mapping) => (mapping, &RECYCLED),
        None => (fresh(bytes)?, &FRESH),
    };
    count.fetch_add(1, Relaxed);
    IN_USE.fetch_add(mapping.len(), Relaxed);
    Some(mapping)
}

/// The smallest that is large enough, but not so large that most of it would lie idle.
fn idle(bytes: usize) -> Option<MmapMut> {
    let mut pool = pool()?;
    let (index, _) = pool
        .idle
        .iter()
        .enumerate()
        .filter(|(_, mapping)| mapping.len() >= bytes && mapping.len() / 2 <= bytes)
        .min_by_key(|(_, mapping)| mapping.len())?;
    Some(pool.idle.remove(index))
}

fn fresh(bytes: usize) -> Option<MmapMut> {
    // Somewhat more than asked for, so that a slightly larger buffer can follow: pages that nobody
    // touches cost nothing.
    let unit = bytes.checked_next_power_of_two()? / 8;
    let unit = unit.max(if bytes < ON_HUGE_PAGES { 1 } else { HUGE_PAGE });
    let mapping = MmapMut::map_anon(bytes.checked_next_multiple_of(unit)?).ok()?;
    #[cfg(target_os = "linux")]
    if bytes >= ON_HUGE_PAGES {
        // Where the system has none, it gives others.
        let _ = mapping.advise(memmap2::Advice::HugePage);
    }
    Some(mapping)
}

/// Keeps memory for a later buffer, and drops what has been idle for longest if that is too much.
fn keep(mapping: MmapMut) {
    let mut dropped = Vec::new();
    if mapping.len() <= IDLE_LIMIT
        && let Some(mut pool) = pool()
    {
        let mut excess = (pool.idle_bytes() + mapping.len()).saturating_sub(IDLE_LIMIT);
        while excess > 0 {
            let oldest = pool.idle.remove(0);
            excess = excess.saturating_sub(oldest.len());
            dropped.push(oldest);
        }
        pool.idle.push(mapping);
    }
    // What `dropped` holds is unmapped here, where nobody waits for the lock.
}

/// A vector of `length` times `value`, or [`Error::Memory`].
pub(crate) fn filled<T: Clone>(length: usize, value: T, purpose: &'static str) -> Result<Vec<T>> {
    let mut vector = with_capacity(length, purpose)?;
    vector.resize(length, value);
    Ok(vector)
}

/// An empty vector with room for `capacity` elements, or [`Error::Memory`].
pub(crate) fn with_capacity<T>(capacity: usize, purpose: &'static str) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    vector
        .try_reserve_exact(capacity)
        .map_err(|_| Error::Memory {
            bytes: capacity.saturating_mul(size_of::<T>()),
            purpose,
        })?;
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests share the pool of the process, so each uses sizes of its own.
    fn buffer(bytes: usize) -> Buffer<u8> {
        Buffer::new(bytes, "a test").unwrap()
    }

    #[test]
    fn what_is_dropped_is_used_again() {
        let mut first = buffer(77 << 20);
        first[12345] = 99;
        let place = first.as_ptr();
        drop(first);
        let second = buffer(76 << 20);
        assert_eq!((second.as_ptr(), second[12345]), (place, 99));
        // Not while it is alive, nor for what would leave most of it idle.
        assert_ne!(buffer(76 << 20).as_ptr(), place);
        drop(second);
        assert_ne!(buffer(30 << 20).as_ptr(), place);
    }

    #[test]
    fn elements_are_aligned_and_separate() {
        for length in [0, 1, 1000, 100_000] {
            let mut buffer = Buffer::<[i64; 2]>::new(length, "a test").unwrap();
            assert_eq!(buffer.len(), length);
            for (index, element) in buffer.iter_mut().enumerate() {
                *element = [index as i64, -1];
            }
            assert!(
                buffer
                    .iter()
                    .zip(0..)
                    .all(|(element, index)| *element == [index, -1])
            );
        }
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let buffers: Vec<_> = (0..5).map(|_| buffer(IDLE_LIMIT / 4 - 1)).collect();
        drop(buffers);
        assert!(stats().idle <= IDLE_LIMIT);
        drop(buffer(IDLE_LIMIT + 1));
        assert!(stats().idle <= IDLE_LIMIT);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        for length in [usize::MAX, usize::MAX / 8, 1 << 50] {
            let error = Buffer::<i64>::new(length, "a test").unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Memory {
                        purpose: "a test",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
}
