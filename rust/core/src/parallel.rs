//! The one door to threads.
//!
//! There is no pool: a call starts its helpers and waits for them, so nothing outlives it and a
//! process may fork between calls. Concurrent calls share the processors: each works on the thread
//! that made it, and helpers start, and stay, only while there are processors left for them.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the calling thread works before it looks whether it has been interrupted.
const ATTENTION: Duration = Duration::from_millis(50);

/// Processors that this process may use: its affinity and, in a container, its quota of time.
pub fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

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

/// Opens jobs `0..count` and does them on up to `threads` threads, of which the calling one is the
/// first. Threads take a job each while there are jobs, then help with those that are not done.
///
/// `interrupted` is asked by the calling thread now and then. After a failure nothing is begun.
pub fn run<J: Job>(
    threads: usize,
    count: usize,
    open: impl Fn(usize) -> Result<J, J::Error> + Sync,
    mut interrupted: impl FnMut() -> Result<(), J::Error>,
) -> Result<(), Failure<J::Error>> {
    // Who asks for more threads than there are processors gets them.
    let limit = processors().max(threads);
    let _caller = Worker::begin();
    let run = Run {
        open,
        state: Mutex::new(State {
            next: 0,
            count,
            opening: 0,
            opened: Vec::new(),
            failure: None,
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            let Some(helper) = Worker::begin_within(limit) else {
                break;
            };
            let run = &run;
            let help = move || run.work(|| Ok(helper.may_stay(limit)));
            // Without a thread from the system the others do its part.
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
            Ok(true)
        });
    });
    let state = run.state.into_inner();
    match state.unwrap_or_else(PoisonError::into_inner).failure {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// What the threads of one call share.
struct Run<J: Job, F> {
    open: F,
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J: Job> {
    /// The first of the `count` jobs that nobody has taken.
    next: usize,
    count: usize,
    /// Jobs that are being opened.
    opening: usize,
    /// Jobs that may have steps left.
    opened: Vec<(usize, Arc<J>)>,
    failure: Option<Failure<J::Error>>,
}

/// What a thread does next.
enum Task<J> {
    Open(usize),
    Share(usize, Arc<J>),
    Wait,
    Leave,
}

impl<J: Job, F: Fn(usize) -> Result<J, J::Error> + Sync> Run<J, F> {
    /// Works until there is nothing left to do or `go_on`, asked between steps, says no.
    fn work(&self, mut go_on: impl FnMut() -> Result<bool, J::Error>) {
        loop {
            match go_on() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.fail(Failure::Interrupted(error)),
            }
            let mut state = self.lock();
            match state.task() {
                Task::Open(number) => {
                    state.opening += 1;
                    drop(state);
                    let opening = Opening(self);
                    match (self.open)(number) {
                        Ok(job) => self.lock().opened.push((number, Arc::new(job))),
                        Err(error) => self.fail(Failure::Job(number, error)),
                    }
                    drop(opening);
                }
                Task::Share(number, job) => {
                    drop(state);
                    match job.step() {
                        Some(Ok(())) => {}
                        Some(Err(error)) => return self.fail(Failure::Job(number, error)),
                        None => self.lock().opened.retain(|(open, _)| *open != number),
                    }
                }
                Task::Wait => {
                    let waited = self.changed.wait_timeout(state, ATTENTION);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
                Task::Leave => return,
            }
        }
    }

    /// Keeps the first failure, by time.
    fn fail(&self, failure: Failure<J::Error>) {
        self.lock().failure.get_or_insert(failure);
        self.changed.notify_all();
    }
}

impl<J: Job, F> Run<J, F> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that is being opened, counted also if that panics.
struct Opening<'a, J: Job, F>(&'a Run<J, F>);

impl<J: Job, F> Drop for Opening<'_, J, F> {
    fn drop(&mut self) {
        self.0.lock().opening -= 1;
        self.0.changed.notify_all();
    }
}

impl<J: Job> State<J> {
    fn task(&mut self) -> Task<J> {
        if self.failure.is_some() {
            return Task::Leave;
        }
        // A job that was opened is done before another is, so that few are open at a time; but each
        // by as few threads as there are jobs for the others.
        let sharing = |job: &Arc<J>| Arc::strong_count(job) > 1;
        if let Some((number, job)) = self.opened.iter().find(|(_, job)| !sharing(job)) {
            Task::Share(*number, Arc::clone(job))
        } else if self.next < self.count {
            self.next += 1;
            Task::Open(self.next - 1)
        } else if let Some((number, job)) = self.opened.first() {
            Task::Share(*number, Arc::clone(job))
        } else if self.opening > 0 {
            Task::Wait
        } else {
            Task::Leave
        }
    }
}

/// A thread at work in this process, counted.
struct Worker;

/// The process in the upper half, so that a child of a fork counts its own threads alone, and how
/// many of them are at work in the lower.
static WORKERS: AtomicU64 = AtomicU64::new(0);

impl Worker {
    fn begin() -> Self {
        Self::change(|workers| Some(workers + 1));
        Self
    }

    /// None if there are `limit` at work.
    fn begin_within(limit: usize) -> Option<Self> {
        let begun = Self::change(|workers| (workers < limit as u64).then_some(workers + 1));
        begun.then_some(Self)
    }

    /// Whether no more than `limit` are at work.
    fn may_stay(&self, limit: usize) -> bool {
        let workers = WORKERS.load(SeqCst) & u64::from(u32::MAX);
        workers <= limit as u64
    }

    fn change(change: impl Fn(u64) -> Option<u64>) -> bool {
        let own = u64::from(process::id()) << 32;
        let changed = WORKERS.fetch_update(SeqCst, SeqCst, |word| {
            let inherited = word & !u64::from(u32::MAX) != own;
            let workers = if inherited { 0 } else { word - own };
            change(workers).map(|workers| own | workers)
        });
        changed.is_ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        Self::change(|workers| Some(workers.saturating_sub(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts down, and fails at a step if told to.
    struct Countdown<'a> {
        left: AtomicUsize,
        fails: bool,
        done: &'a AtomicUsize,
    }

    impl Job for Countdown<'_> {
        type Error = &'static str;

        fn step(&self) -> Option<Result<(), Self::Error>> {
            let taken = self
                .left
                .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            taken.ok().map(|_| {
                self.done.fetch_add(1, SeqCst);
                if self.fails { Err("a step") } else { Ok(()) }
            })
        }
    }

    fn run_countdowns(
        threads: usize,
        jobs: usize,
        steps: usize,
        bad: Option<usize>,
    ) -> (Result<(), Failure<&'static str>>, usize) {
        let done = AtomicUsize::new(0);
        let open = |number| {
            Ok(Countdown {
                left: AtomicUsize::new(steps),
                fails: bad == Some(number),
                done: &done,
            })
        };
        let result = run(threads, jobs, open, || Ok(()));
        (result, done.into_inner())
    }

    #[test]
    fn every_step_of_every_job_is_done_once() {
        for threads in [1, 2, 3, 8] {
            for jobs in [0, 1, 2, 30] {
                let (result, done) = run_countdowns(threads, jobs, 7, None);
                assert_eq!((result, done), (Ok(()), 7 * jobs));
            }
        }
    }

    #[test]
    fn a_failure_has_its_number_and_ends_the_run() {
        for threads in [1, 3] {
            let (result, done) = run_countdowns(threads, 1000, 1, Some(5));
            assert_eq!(result, Err(Failure::Job(5, "a step")));
            assert!(done < 1000);
            let open = |number| match number {
                3 => Err("opening"),
                _ => Ok(Countdown {
                    left: AtomicUsize::new(1),
                    fails: false,
                    done: &WORK,
                }),
            };
            static WORK: AtomicUsize = AtomicUsize::new(0);
            let result = run(threads, 10, open, || Ok(()));
            assert_eq!(result, Err(Failure::Job(3, "opening")));
        }
    }

    #[test]
    fn an_interruption_ends_the_run() {
        let begun = Instant::now();
        let open = |_| {
            thread::sleep(Duration::from_millis(10));
            Ok(Countdown {
                left: AtomicUsize::new(0),
                fails: false,
                done: &WORK,
            })
        };
        static WORK: AtomicUsize = AtomicUsize::new(0);
        let result = run(2, 100_000, open, || Err("stop"));
        assert_eq!(result, Err(Failure::Interrupted("stop")));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_panic_in_a_helper_reaches_the_caller() {
        struct Panics;
        impl Job for Panics {
            type Error = ();
            fn step(&self) -> Option<Result<(), ()>> {
                panic!("a step");
            }
        }
        let caught = std::panic::catch_unwind(|| run(2, 4, |_| Ok(Panics), || Ok(())));
        assert!(caught.is_err());
    }
}
