//! The calling thread's part in a run.

#![expect(
    unsafe_code,
    reason = "helpers see the work of a caller without its lifetime"
)]

use std::sync::{Arc, Condvar};
use std::time::{Duration, Instant};
use std::{hint, mem, thread};

use super::{Crew, Handle, Locked};
use crate::parallel::affinity::Affinity;
use crate::parallel::attention::{ATTENTION, Attention};
use crate::parallel::permits::RunId;
use crate::parallel::progress::Phase;
use crate::parallel::shared::{Shared, Task};
use crate::parallel::{Step, Stopped, Work, despite_panics};

/// How long a caller looks on while helpers do their last tasks before it sleeps: about as long as it takes to fall
/// asleep and to be woken, so that it never loses more than twice that.
const LOOKING_ON: Duration = Duration::from_micros(100);

/// Rounds of its loop for which it leaves the lock to them.
const ROUNDS: usize = 32;

impl Crew {
    /// Does `work` on the calling thread and with up to `threads - 1` helpers.
    pub(in crate::parallel) fn run<W: Work>(
        &'static self,
        threads: usize,
        work: &W,
        interrupted: impl FnMut() -> Result<(), W::Error>,
    ) -> Result<(), Stopped<W::Error>> {
        let attention = Attention::new(interrupted);
        if threads > 1 {
            self.run_shared(threads, work, attention)
        } else {
            self.run_alone(work, attention)
        }
    }

    /// How many of `threads` a brief call had better have: as many as find a processor. How many are `idle` is only
    /// asked, which takes a hundredth of a millisecond, after a caller has had to wait for its helpers.
    ///
    /// Where others want the processors a helper may have to wait for its turn in the middle of a task, for longer
    /// than a brief call takes, and the caller waits with it.
    pub(in crate::parallel) fn threads_at_once(
        &self,
        threads: usize,
        idle: impl FnOnce() -> Option<usize>,
    ) -> usize {
        if threads < 2 || !self.lock().waited {
            return threads;
        }
        match idle() {
            Some(idle) if idle + 1 < threads => idle + 1,
            _ => {
                self.lock().waited = false;
                threads
            }
        }
    }

    fn run_alone<W: Work>(
        &self,
        work: &W,
        mut attention: Attention<impl FnMut() -> Result<(), W::Error>>,
    ) -> Result<(), Stopped<W::Error>> {
        let _alone = Alone::begin(self);
        loop {
            match work.step() {
                Step::Done => {}
                // Whoever it waits for is not of this run, and will not tell.
                Step::Waiting => thread::sleep(ATTENTION),
                Step::Finished => return Ok(()),
                Step::Failed(error) => return Err(Stopped::Failed(error)),
            }
            if attention.is_due() {
                attention.ask().map_err(Stopped::Interrupted)?;
            }
        }
    }

    fn run_shared<W: Work>(
        &'static self,
        threads: usize,
        work: &W,
        mut attention: Attention<impl FnMut() -> Result<(), W::Error>>,
    ) -> Result<(), Stopped<W::Error>> {
        let shared = Shared::new(work);
        let task: &dyn Task = &shared;
        // SAFETY: a helper uses the reference only while it has a permit for the run, and where
        // `in_progress` is dropped, before `shared` and after a panic too, none has one any more.
        let task = unsafe { mem::transmute::<&dyn Task, &'static dyn Task>(task) };
        let in_progress = InProgress::begin(self, threads, task);
        let id = in_progress.id;
        loop {
            let mut state = self.lock();
            if state.permits[id].progress.phase() == Phase::Stalled {
                // Afterwards it looks itself, also if nobody has called.
                state = in_progress.wait(state);
            }
            if state.permits[id].progress.phase() == Phase::Closed {
                break;
            }
            drop(self.step(state, id));
            if attention.is_due()
                && let Err(error) = attention.ask()
            {
                shared.stop(Stopped::Interrupted(error));
                break;
            }
        }
        drop(in_progress);
        shared.into_result()
    }
}

/// A call on its own thread, counted.
struct Alone<'a>(&'a Crew);

impl<'a> Alone<'a> {
    fn begin(crew: &'a Crew) -> Self {
        crew.lock().permits.begin_alone();
        Self(crew)
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.permits.end_alone();
        let called = state.call_helpers();
        drop(state);
        self.0.wake_helpers(called);
    }
}

/// A run that helpers may take part in. Dropped, it has ended and they have left it.
struct InProgress {
    crew: &'static Crew,
    id: RunId,
    caller: Arc<Condvar>,
}

impl InProgress {
    fn begin(crew: &'static Crew, threads: usize, task: &'static dyn Task) -> Self {
        let processors = (crew.processors)();
        let caller = Arc::new(Condvar::new());
        let handle = Handle {
            task,
            caller: Arc::clone(&caller),
            affinity: Affinity::of_this_thread(),
        };
        let mut state = crew.lock();
        let id = state.permits.begin(threads, processors, handle);
        let called = state.call_helpers();
        let lacking = state.permits.most_helpers().saturating_sub(state.helpers);
        state.helpers += lacking;
        drop(state);
        crew.wake_helpers(called);
        let begun = Self { crew, id, caller };
        crew.start_helpers(lacking);
        begun
    }

    /// Sleeps until woken, but not long; without a permit.
    fn wait<'a>(&self, mut state: Locked<'a>) -> Locked<'a> {
        state.permits[self.id].caller_waits = true;
        state.waited = true;
        // The lock is free as soon as this thread sleeps.
        let called = state.call_helpers();
        self.crew.wake_helpers(called);
        let waited = self.caller.wait_timeout(state, ATTENTION);
        let (mut state, _) = despite_panics(waited);
        state.permits[self.id].caller_waits = false;
        state
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.crew.lock();
        state.permits[self.id].progress.close();
        let (since, mut enough) = (Instant::now(), false);
        while state.permits[self.id].helpers > 0 && !enough {
            drop(state);
            (0..ROUNDS).for_each(|_| hint::spin_loop());
            enough = since.elapsed() >= LOOKING_ON;
            state = self.crew.lock();
        }
        while state.permits[self.id].helpers > 0 {
            state = self.wait(state);
        }
        state.permits.end(self.id);
        let called = state.call_helpers();
        drop(state);
        self.crew.wake_helpers(called);
    }
}
