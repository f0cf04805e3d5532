//! How many processors there are for this process.

use std::thread;

/// Processors that this process may use: its affinity and, in a container, its quota of time.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
