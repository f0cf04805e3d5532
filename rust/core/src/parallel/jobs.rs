//! Jobs with steps as [`Work`], for the batch of the bindings; goes when the batch moves to the core.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Step, Stopped, Work, run};

/// A job that threads share, each doing some of its steps.
pub trait Job: Send + Sync {
    /// Why a step failed.
    type Error: Send;

    /// Does a step that nobody has begun, or returns None if there is no more.
    fn step(&self) -> Option<Result<(), Self::Error>>;
}

/// What stopped a run.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// The job of this number could not be opened, or a step of it failed.
    Job(usize, E),
    /// The calling thread was interrupted.
    Interrupted(E),
}

/// Opens jobs `0..count` and does them on up to `threads` threads. Threads take a job each while
/// there are jobs, then help with those that are not done.
pub fn run_jobs<J: Job>(
    threads: usize,
    count: usize,
    open: impl Fn(usize) -> Result<J, J::Error> + Sync,
    mut interrupted: impl FnMut() -> Result<(), J::Error>,
) -> Result<(), Failure<J::Error>> {
    let jobs = Jobs {
        open,
        state: Mutex::new(State {
            next: 0,
            count,
            opening: 0,
            opened: Vec::new(),
        }),
    };
    let interrupted = || interrupted().map_err(|error| (count, error));
    run(threads, &jobs, interrupted).map_err(|stopped| match stopped {
        Stopped::Failed((number, error)) => Failure::Job(number, error),
        Stopped::Interrupted((_, error)) => Failure::Interrupted(error),
    })
}

struct Jobs<J, F> {
    open: F,
    state: Mutex<State<J>>,
}

struct State<J> {
    /// The first of the `count` jobs that nobody has taken.
    next: usize,
    count: usize,
    /// Jobs that are being opened.
    opening: usize,
    /// Jobs that may have steps left.
    opened: Vec<(usize, Arc<J>)>,
}

impl<J: Job, F: Fn(usize) -> Result<J, J::Error> + Sync> Work for Jobs<J, F> {
    type Error = (usize, J::Error);

    fn step(&self) -> Step<Self::Error> {
        loop {
            let mut state = self.lock();
            // A job that was opened is done before another is, so that few are open at a time; but
            // each by as few threads as there are jobs for the others.
            let alone = |job: &Arc<J>| Arc::strong_count(job) == 1;
            let unshared = state.opened.iter().find(|(_, job)| alone(job)).cloned();
            let shared = match unshared {
                None if state.next < state.count => {
                    let number = state.next;
                    state.next += 1;
                    state.opening += 1;
                    drop(state);
                    let opened = (self.open)(number);
                    let mut state = self.lock();
                    state.opening -= 1;
                    return match opened {
                        Ok(job) => {
                            state.opened.push((number, Arc::new(job)));
                            Step::Done
                        }
                        Err(error) => Step::Failed((number, error)),
                    };
                }
                None => state.opened.first().cloned(),
                unshared => unshared,
            };
            let Some((number, job)) = shared else {
                return if state.opening > 0 {
                    Step::Waiting
                } else {
                    Step::Finished
                };
            };
            drop(state);
            match job.step() {
                Some(Ok(())) => return Step::Done,
                Some(Err(error)) => return Step::Failed((number, error)),
                None => self.lock().opened.retain(|(open, _)| *open != number),
            }
        }
    }
}

impl<J, F> Jobs<J, F> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
