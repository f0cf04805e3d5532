//! The one door to threads.
//!
//! A process has a private crew of helpers. They start when a call first has a use for them, wait
//! asleep from then on, and help whichever calls go on. How many work at a time is a matter of
//! permits: as many threads as there are processors, counting the ones that call. A child of a fork
//! begins with a crew of its own.

mod affinity;
mod attention;
mod crew;
mod crowd;
mod lock;
mod permits;
mod processors;
mod progress;
mod shared;
#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
mod tests;

use crew::Crew;
pub(crate) use crowd::is_crowded;
pub use lock::{despite_panics, lock};
pub use processors::processors;

/// How many of `threads` a call had better have that takes no longer than a few turns of a scheduler. Who asks for more
/// threads than there are processors gets them.
pub(crate) fn threads_at_once(threads: usize) -> usize {
    if threads > processors() {
        return threads;
    }
    Crew::of_this_process().threads_at_once(threads, crowd::idle_processors)
}

/// Work that threads share, one task at a time.
pub trait Work: Sync {
    /// Why a task failed.
    type Error: Send;

    /// Does a task that can be begun now.
    ///
    /// A task is best a tenth of a millisecond of work or more: between two, a lock is taken that
    /// the whole process shares.
    fn step(&self) -> Step<Self::Error>;
}

/// What became of a call of [`Work::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<E> {
    /// A task was done; whoever waits should look again.
    Done,
    /// Nothing can be begun before tasks that other threads are doing are done.
    Waiting,
    /// There is nothing left to begin.
    Finished,
    /// A task failed: begin no other.
    Failed(E),
}

/// What stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped<E> {
    /// The first task, by time, that failed.
    Failed(E),
    /// The calling thread was interrupted.
    Interrupted(E),
}

/// Does `work` on up to `threads` threads, the calling one among them, and returns when no task is
/// being done any more.
///
/// There are as many helpers as the other calls leave processors for; they come and go during the
/// run. Who asks for more threads than there are processors gets them. `interrupted` is asked by
/// the calling thread about every 50 ms, between tasks and while it waits.
///
/// Helpers that are lacking are started, so `threads` should not exceed the tasks there are. A task
/// may call this function itself; its thread then counts twice. A process may fork during a run, on
/// any thread; a child that was forked inside a task must not go on with that run.
///
/// # Errors
/// What the first failed task or `interrupted` returned. Then nothing is begun any more, and what
/// tasks return that had been begun is dropped.
///
/// # Panics
/// If a task does, on whichever thread, with what it panicked with.
pub fn run<W: Work>(
    threads: usize,
    work: &W,
    interrupted: impl FnMut() -> Result<(), W::Error>,
) -> Result<(), Stopped<W::Error>> {
    Crew::of_this_process().run(threads, work, interrupted)
}
