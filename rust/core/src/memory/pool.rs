//! Mappings that wait for the next buffer.

use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use memmap2::MmapMut;

use super::limit::{self, limit};
use crate::parallel::lock;
use crate::process::OfProcess;

/// Bytes from which on huge pages are asked for, and what one of them is on most systems.
const ON_HUGE_PAGES: usize = 4 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// Mappings that wait at most: whoever wants one looks through them.
const MOST_IDLE: usize = 256;

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
        idle: pool().lock().bytes,
        fresh: FRESH.load(Relaxed),
        recycled: RECYCLED.load(Relaxed),
    }
}

/// Gives the memory that waits for a buffer back to the system. Returns its bytes.
pub fn release() -> usize {
    let idle = mem::take(&mut *pool().lock());
    // Unmapped here, where nobody waits for the lock, as everywhere.
    idle.bytes
}

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static FRESH: AtomicU64 = AtomicU64::new(0);
static RECYCLED: AtomicU64 = AtomicU64::new(0);

static POOL: OfProcess<Pool> = OfProcess::new();

/// The pool of this process.
///
/// A child of a fork begins with nothing. What its parent had idle would have to be copied before either
/// could write to it, so the child gives up its share, unless the parent was busy with it just then.
fn pool() -> &'static Pool {
    POOL.get(|inherited| {
        let idle = inherited.and_then(|pool| pool.0.try_lock().ok());
        drop(idle.map(|mut idle| mem::take(&mut *idle)));
        Pool(Mutex::default())
    })
}

/// Its lock is held for a look through a list, never while memory is mapped or unmapped, so that it is
/// worth waiting for.
struct Pool(Mutex<Idle>);

/// Memory that waits for a buffer.
#[derive(Default)]
struct Idle {
    /// The longest idle first.
    mappings: Vec<MmapMut>,
    bytes: usize,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Idle> {
        lock(&self.0)
    }

    /// Takes what has been idle for longest, if there is more than `most` bytes.
    fn oldest_beyond(&self, most: usize) -> Option<MmapMut> {
        let mut idle = self.lock();
        (idle.bytes > most).then(|| idle.take(0))
    }
}

impl Idle {
    /// The smallest that is large enough, but not so large that most of it would lie idle. Of several the one that
    /// somebody used last: most likely it is in a cache, and in that of the thread that asks.
    fn fitting(&self, bytes: usize) -> Option<usize> {
        let lengths = self.mappings.iter().map(|mapping| mapping.len());
        let fitting = lengths
            .enumerate()
            .rev()
            .filter(|(_, length)| *length >= bytes && length / 2 <= bytes);
        fitting
            .min_by_key(|(_, length)| *length)
            .map(|(index, _)| index)
    }

    fn take(&mut self, index: usize) -> MmapMut {
        let mapping = self.mappings.remove(index);
        self.bytes -= mapping.len();
        mapping
    }
}

/// Idle memory that fits, else fresh memory, unless the system has none.
pub(super) fn map(bytes: usize) -> Option<MmapMut> {
    let (mapping, count) = match recycled(bytes) {
        Some(mapping) => (mapping, &RECYCLED),
        None => (fresh(bytes)?, &FRESH),
    };
    count.fetch_add(1, Relaxed);
    IN_USE.fetch_add(mapping.len(), Relaxed);
    Some(mapping)
}

fn recycled(bytes: usize) -> Option<MmapMut> {
    let mut idle = pool().lock();
    let index = idle.fitting(bytes)?;
    Some(idle.take(index))
}

fn fresh(bytes: usize) -> Option<MmapMut> {
    // Somewhat more than asked for, so that a slightly larger buffer can follow: pages that nobody
    // touches cost nothing.
    let unit = bytes.checked_next_power_of_two()? / 8;
    let unit = unit.max(if bytes < ON_HUGE_PAGES { 1 } else { HUGE_PAGE });
    let length = bytes.checked_next_multiple_of(unit)?;
    let mapping = MmapMut::map_anon(length).or_else(|refused| match release() {
        0 => Err(refused),
        // What waits for other buffers is in the way of this one.
        _ => MmapMut::map_anon(length),
    });
    let mapping = mapping.ok()?;
    #[cfg(target_os = "linux")]
    if bytes >= ON_HUGE_PAGES {
        // Where the system has none, it gives others.
        let _ = mapping.advise(memmap2::Advice::HugePage);
    }
    Some(mapping)
}

/// Takes memory that a buffer no longer needs: for a later one, or back to the system if it is more than
/// may wait.
pub(super) fn unmap(mapping: MmapMut) {
    IN_USE.fetch_sub(mapping.len(), Relaxed);
    let limit = limit();
    if mapping.len() > limit {
        return;
    }
    let room = limit - mapping.len();
    loop {
        let mut idle = pool().lock();
        if idle.bytes <= room && idle.mappings.len() < MOST_IDLE {
            if idle.mappings.try_reserve(1).is_ok() {
                idle.bytes += mapping.len();
                idle.mappings.push(mapping);
            }
            return;
        }
        // What has been idle for longest makes room.
        let oldest = idle.take(0);
        drop(idle);
        drop(oldest);
    }
}

/// Sets the limit of this process, and of those that will be forked from it, and gives the system what
/// waits beyond it. Returns the bytes of that.
pub fn set_limit(bytes: usize) -> usize {
    limit::set(bytes);
    trim()
}

/// Gives what waits beyond the limit back to the system. Returns its bytes.
fn trim() -> usize {
    let limit = limit();
    std::iter::from_fn(|| pool().oldest_beyond(limit))
        .map(|mapping| mapping.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Buffer, DEFAULT_LIMIT, set_limit};
    use std::thread;

    /// Tests share the pool of the process, so each uses sizes of its own, and one at a time has a limit
    /// of its own.
    static LIMITED: Mutex<()> = Mutex::new(());

    fn buffer(bytes: usize) -> Buffer<u8> {
        Buffer::new(bytes, "a test").unwrap()
    }

    #[test]
    fn of_several_what_was_dropped_last_is_used_first() {
        let _limited = LIMITED.lock();
        let [first, second, third] = [(); 3].map(|()| buffer(113 << 20));
        let place = second.as_ptr();
        for dropped in [first, third, second] {
            drop(dropped);
        }
        assert_eq!(buffer(113 << 20).as_ptr(), place);
    }

    #[test]
    fn what_is_dropped_is_used_again() {
        let _limited = LIMITED.lock();
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
    fn no_more_than_the_limit_is_kept() {
        let _limited = LIMITED.lock();
        for most in [limit(), 64 << 20, 0] {
            set_limit(most);
            assert_eq!(limit(), most);
            let buffers: Vec<_> = (0..5).map(|_| buffer(most / 4 + 1)).collect();
            drop(buffers);
            assert!(stats().idle <= most);
            drop(buffer(most + 1));
            assert!(stats().idle <= most);
        }
        set_limit(DEFAULT_LIMIT);
    }

    #[test]
    fn few_wait_however_small_they_are() {
        let _limited = LIMITED.lock();
        let buffers: Vec<_> = (0..2 * MOST_IDLE).map(|_| buffer(40_000)).collect();
        let last = buffers.last().unwrap().as_ptr();
        drop(buffers);
        assert!(pool().lock().mappings.len() <= MOST_IDLE);
        // The last was dropped last.
        let all: Vec<_> = (0..2 * MOST_IDLE).map(|_| buffer(40_000)).collect();
        assert!(all.iter().any(|buffer| buffer.as_ptr() == last));
    }

    #[test]
    fn a_lower_limit_gives_the_rest_back() {
        let _limited = LIMITED.lock();
        drop([buffer(99 << 20), buffer(98 << 20)]);
        assert!(stats().idle >= 197 << 20);
        assert!(set_limit(100 << 20) >= 97 << 20);
        assert!(stats().idle <= 100 << 20);
        set_limit(usize::MAX);
        assert_eq!(limit(), super::super::machine::memory() / 4);
        set_limit(DEFAULT_LIMIT);
    }

    #[test]
    fn threads_that_wait_for_the_lock_get_what_is_idle() {
        let _limited = LIMITED.lock();
        let size = 3 << 20;
        drop((0..4).map(|_| buffer(size)).collect::<Vec<_>>());
        let fresh = FRESH.load(Relaxed);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|_| drop(buffer(size))));
            }
        });
        // Other tests of this process may need some fresh memory.
        assert!(FRESH.load(Relaxed) - fresh < 1000);
    }
}
