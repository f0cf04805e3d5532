//! How many processors there are for a call.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use super::affinity::Affinity;

/// Processors that the calling thread may use: its affinity as it is now and, in a container, the
/// quota of time as it was when the affinity was first seen to have this size.
pub fn processors() -> usize {
    // The affinity is one system call. The quota is in files, whose reading takes a hundred times
    // longer, so it is read when there is news: in the upper half the size of the affinity, in the
    // lower the processors that were counted then.
    static COUNTED: AtomicU64 = AtomicU64::new(0);
    let Some(affinity) = Affinity::of_this_thread() else {
        return count();
    };
    let size = (affinity.count() as u64) << 32;
    let counted = COUNTED.load(Relaxed);
    if counted & !u64::from(u32::MAX) == size {
        return (counted - size) as usize;
    }
    let processors = count();
    COUNTED.store(size + processors as u64, Relaxed);
    processors
}

fn count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_affinity_is_seen_at_the_next_call() {
        let narrowed = thread::spawn(|| {
            let all = Affinity::of_this_thread().expect("Linux tells");
            let before = processors();
            all.first().take_on();
            let within = processors();
            all.take_on();
            (before, within, processors())
        });
        let counted = count();
        assert_eq!(narrowed.join().ok(), Some((counted, 1, counted)));
    }
}
