//! The one door to threads.

mod jobs;
mod processors;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use jobs::{Failure, Job, run_jobs};
pub use processors::processors;

/// How long the calling thread works, or waits, before it asks whether it has been interrupted.
const ATTENTION: Duration = Duration::from_millis(50);

/// Work that threads share, one task at a time.
pub trait Work: Sync {
    /// Why a task failed.
    type Error: Send;

    /// Does a task that can be begun now.
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

/// Does `work` on up to `threads` threads, the calling one among them.
///
/// `interrupted` is asked by the calling thread about every 50 ms, between its tasks and while it
/// waits. Returns when no task is being done any more.
pub fn run<W: Work>(
    threads: usize,
    work: &W,
    mut interrupted: impl FnMut() -> Result<(), W::Error>,
) -> Result<(), Stopped<W::Error>> {
    let run = Run {
        work,
        state: Mutex::new(State {
            done: 0,
            over: false,
            stopped: None,
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            let help = || run.work(|| Ok(()));
            if thread::Builder::new().spawn_scoped(scope, help).is_err() {
                break;
            }
        }
        let mut asked = Instant::now();
        run.work(|| {
            if asked.elapsed() >= ATTENTION {
                asked = Instant::now();
                interrupted()?;
            }
            Ok(())
        });
    });
    let state = run.state.into_inner();
    match state.unwrap_or_else(PoisonError::into_inner).stopped {
        Some(stopped) => Err(stopped),
        None => Ok(()),
    }
}

struct Run<'a, W: Work> {
    work: &'a W,
    state: Mutex<State<W::Error>>,
    changed: Condvar,
}

struct State<E> {
    done: u64,
    over: bool,
    stopped: Option<Stopped<E>>,
}

impl<W: Work> Run<'_, W> {
    fn work(&self, mut go_on: impl FnMut() -> Result<(), W::Error>) {
        loop {
            if let Err(error) = go_on() {
                return self.end(Some(Stopped::Interrupted(error)));
            }
            let state = self.lock();
            let (seen, over) = (state.done, state.over);
            drop(state);
            if over {
                return;
            }
            match self.work.step() {
                Step::Done => {
                    self.lock().done += 1;
                    self.changed.notify_all();
                }
                Step::Waiting => {
                    let state = self.lock();
                    if state.done == seen && !state.over {
                        let waited = self.changed.wait_timeout(state, ATTENTION);
                        drop(waited.unwrap_or_else(PoisonError::into_inner));
                    }
                }
                Step::Finished => return self.end(None),
                Step::Failed(error) => return self.end(Some(Stopped::Failed(error))),
            }
        }
    }

    fn end(&self, stopped: Option<Stopped<W::Error>>) {
        let mut state = self.lock();
        state.over = true;
        state.stopped = state.stopped.take().or(stopped);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<W::Error>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
