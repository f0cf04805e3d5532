//! How many threads of this machine want to run, and how many processors it has for them.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Whether more want to run at this moment than there are processors, on a system that tells.
///
/// A thread more than there are processors for takes its time from others, of this process or of another. So
/// work that one thread would not have is best left where this says so. It is said of the whole machine: of the
/// processors that a container or an affinity leaves this process nobody tells who else wants them.
pub(crate) fn is_crowded() -> bool {
    machine().is_some_and(|(wanting, processors)| wanting > processors)
}

/// Processors that no thread wants at this moment, on a system that tells.
pub(super) fn idle_processors() -> Option<usize> {
    machine().map(|(wanting, processors)| processors.saturating_sub(wanting))
}

/// Threads that want to run, and processors.
fn machine() -> Option<(usize, usize)> {
    wanting(&read("/proc/loadavg")).zip(processors())
}

/// The processors of the machine, as they were when first asked for: to ask takes longer than all else, and they seldom
/// come or go.
fn processors() -> Option<usize> {
    /// Nobody has asked yet, or the system does not tell.
    const UNKNOWN: usize = 0;
    // No lock: a child of a fork might find it held for ever.
    static PROCESSORS: AtomicUsize = AtomicUsize::new(UNKNOWN);
    match PROCESSORS.load(Relaxed) {
        UNKNOWN => {
            let listed = listed(&read("/sys/devices/system/cpu/online"))?;
            PROCESSORS.store(listed, Relaxed);
            Some(listed)
        }
        processors => Some(processors),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The threads that want to run, of a `/proc/loadavg`: `0.20 0.18 0.12 3/80 11206`.
fn wanting(loadavg: &str) -> Option<usize> {
    let threads = loadavg.split_ascii_whitespace().nth(3)?;
    threads.split_once('/')?.0.parse().ok()
}

/// How many processors a list of ranges has: `0-3,8`.
fn listed(online: &str) -> Option<usize> {
    let ranges = online.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    ranges.reduce(|all, more| all?.checked_add(more?))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_understood_or_passed_over() {
        assert_eq!(wanting("0.20 0.18 0.12 3/80 11206\n"), Some(3));
        assert_eq!(listed("0\n"), Some(1));
        assert_eq!(listed("0-3,8,10-11\n"), Some(7));
        for strange in ["", "\n", "a", "1 2 3", "1 2 3 4", "1-", "-1", "3-0", "0-3,"] {
            assert_eq!(
                (wanting(strange), listed(strange)),
                (None, None),
                "{strange}"
            );
        }
    }
}
