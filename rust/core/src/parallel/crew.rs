//! The threads of a process, and how they come to their work.
//!
//! Nothing is assigned. A helper looks for a run that may have it, does tasks of that run while it
//! keeps its permit, and looks again; if there is none it sleeps. So a call never waits for a helper
//! that has not begun, only for those inside it that are doing their last task.
//!
//! One lock guards it all. It is held for some tens of nanoseconds between two tasks, which are
//! thousands of times longer.
//!
//! Helpers are detached: at its exit a process waits for none of them. They take the signals that
//! the thread that started them takes. That is harmless for Python, whose handler only sets a
//! flag, whichever thread it runs in; the calling thread looks at it when it asks whether it is
//! interrupted.

#![expect(
    unsafe_code,
    reason = "helpers see the work of a caller without its lifetime"
)]

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

use super::affinity::Affinity;
use super::attention::{ATTENTION, Attention};
use super::permits::{Permits, Run, RunId};
use super::progress::Phase;
use super::shared::{Shared, Stepped, Task};
use super::{Step, Stopped, Work};
use crate::process::OfProcess;

pub(super) struct Crew {
    processors: fn() -> usize,
    state: Mutex<State>,
    /// Where helpers sleep that have nothing to do.
    called: Condvar,
}

struct State {
    permits: Permits<Handle>,
    /// Helpers that have been started.
    helpers: usize,
    /// Helpers that sleep, and how many of them have been called and have not woken yet.
    asleep: usize,
    called: usize,
}

/// What a helper needs to take part in a run.
struct Handle {
    task: &'static dyn Task,
    /// Where the caller waits while the run is stalled, and for the last helper to leave.
    caller: Arc<Condvar>,
    /// Where the caller may run.
    affinity: Option<Affinity>,
}

impl Crew {
    /// The crew of this process. In a child of a fork that is a new one: the threads of the
    /// parent's are not there, and its lock may be held for ever by one of them.
    pub(super) fn of_this_process() -> &'static Self {
        static CREW: OfProcess<Crew> = OfProcess::new();
        CREW.get(|_| Self::new(super::processors))
    }

    fn new(processors: fn() -> usize) -> Self {
        Self {
            processors,
            state: Mutex::new(State {
                permits: Permits::new(),
                helpers: 0,
                asleep: 0,
                called: 0,
            }),
            called: Condvar::new(),
        }
    }

    /// Does `work` on the calling thread and with up to `threads - 1` helpers.
    pub(super) fn run<W: Work>(
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
            let state = self.lock();
            match state.permits[id].progress.phase() {
                Phase::Open => drop(self.step(state, id)),
                Phase::Stalled => {
                    let mut state = in_progress.wait(state);
                    state.permits[id].progress.reopen();
                }
                Phase::Closed => break,
            }
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

    /// Does a task of a run, or finds that there is none to do, without the lock.
    fn step<'a>(&'a self, state: Locked<'a>, id: RunId) -> Locked<'a> {
        let run = &state.permits[id];
        let (task, done) = (run.handle.task, run.progress.done());
        drop(state);
        let stepped = task.step();
        let mut state = self.lock();
        let run = &mut state.permits[id];
        match stepped {
            Stepped::Done => {
                if run.progress.advance() {
                    wake_caller(run);
                    self.call_helpers(&mut state);
                }
            }
            Stepped::Waiting => run.progress.stall(done),
            Stepped::Over => run.progress.close(),
        }
        state
    }

    /// The life of a helper.
    fn help(&self) {
        let mut own = Affinity::of_this_thread();
        let mut state = self.lock();
        loop {
            let Some(id) = state.permits.take() else {
                state = self.sleep(state);
                continue;
            };
            let affinity = &state.permits[id].handle.affinity;
            if *affinity != own {
                own = *affinity;
                own.inspect(Affinity::take_on);
            }
            while state.permits.keeps(id) {
                state = self.step(state, id);
            }
            state.permits.give_back(id);
            let run = &mut state.permits[id];
            if run.helpers == 0 && run.progress.phase() == Phase::Closed {
                wake_caller(run);
            }
        }
    }

    /// Sleeps until called.
    fn sleep<'a>(&'a self, mut state: Locked<'a>) -> Locked<'a> {
        state.asleep += 1;
        let woken = self.called.wait_while(state, |state| state.called == 0);
        let mut state = woken.unwrap_or_else(PoisonError::into_inner);
        state.called -= 1;
        state.asleep -= 1;
        state
    }

    /// Wakes as many helpers as there are permits for.
    fn call_helpers(&self, state: &mut State) {
        let useful = state.permits.free().min(state.asleep);
        for _ in state.called..useful {
            state.called += 1;
            self.called.notify_one();
        }
    }

    /// Starts helpers, which have been counted; the system may refuse, and they are done without.
    fn start_helpers(&'static self, count: usize) {
        for started in 0..count {
            let helper = thread::Builder::new().name("qvl-fast".to_owned());
            if helper.spawn(|| self.help()).is_err() {
                self.lock().helpers -= count - started;
                return;
            }
        }
    }

    /// A crew on a machine with other processors than this one, which lives for ever as any does.
    #[cfg(test)]
    pub(super) fn simulated(processors: fn() -> usize) -> &'static Self {
        Box::leak(Box::new(Self::new(processors)))
    }

    /// How many threads are where.
    #[cfg(test)]
    pub(super) fn census(&self) -> Census {
        let state = self.lock();
        Census {
            started: state.helpers,
            asleep: state.asleep - state.called,
            at_work: state.permits.out(),
            free: state.permits.free(),
        }
    }

    fn lock(&self) -> Locked<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Census {
    /// Helpers there are.
    pub(super) started: usize,
    /// Those of them that sleep and have not been called.
    pub(super) asleep: usize,
    /// Threads that have a permit.
    pub(super) at_work: usize,
    /// Permits that helpers could take now.
    pub(super) free: usize,
}

type Locked<'a> = MutexGuard<'a, State>;

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
        self.0.call_helpers(&mut state);
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
        crew.call_helpers(&mut state);
        let lacking = state.permits.most_helpers().saturating_sub(state.helpers);
        state.helpers += lacking;
        drop(state);
        let begun = Self { crew, id, caller };
        crew.start_helpers(lacking);
        begun
    }

    /// Sleeps until woken, but not long; without a permit.
    fn wait<'a>(&self, mut state: Locked<'a>) -> Locked<'a> {
        state.permits[self.id].caller_waits = true;
        self.crew.call_helpers(&mut state);
        let waited = self.caller.wait_timeout(state, ATTENTION);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.permits[self.id].caller_waits = false;
        state
    }
}

/// The caller goes on, and counts again as of now.
fn wake_caller(run: &mut Run<Handle>) {
    run.caller_waits = false;
    run.handle.caller.notify_one();
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.crew.lock();
        state.permits[self.id].progress.close();
        while state.permits[self.id].helpers > 0 {
            state = self.wait(state);
        }
        state.permits.end(self.id);
        self.crew.call_helpers(&mut state);
    }
}
