//! The threads of a process, and how they come to their work.
//!
//! Nothing is assigned. A helper looks for a run that may have it, does tasks of that run while it
//! keeps its permit, and looks again; if there is none it sleeps. So a call never waits for a helper
//! that has not begun, only for those inside it that are doing their last task.
//!
//! One lock guards it all. It is held for some tens of nanoseconds between two tasks, which are
//! thousands of times longer, and now and then by a caller that looks on while the last are done.
//! Nobody is woken under it: a thread that wakes wants the lock, and would have to sleep again until
//! it is free.
//!
//! Helpers are detached: at its exit a process waits for none of them. They take the signals that
//! the thread that started them takes. That is harmless for Python, whose handler only sets a
//! flag, whichever thread it runs in; the calling thread looks at it when it asks whether it is
//! interrupted.

mod call;
mod own;

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::{mem, thread};

use super::affinity::Affinity;
use super::lock::{despite_panics, lock};
use super::permits::{Permits, Run, RunId};
use super::progress::Phase;
use super::shared::{Stepped, Task};

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
    /// Whether a caller has slept, with nothing to do until a helper came to the end of a task.
    waited: bool,
}

impl State {
    /// Calls as many helpers as there are permits for, and returns how many: they are to be woken when the
    /// lock is free.
    fn call_helpers(&mut self) -> usize {
        let useful = self.permits.free().min(self.asleep);
        let more = useful.saturating_sub(self.called);
        self.called += more;
        more
    }
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
    fn new(processors: fn() -> usize) -> Self {
        Self {
            processors,
            state: Mutex::new(State {
                permits: Permits::new(),
                helpers: 0,
                asleep: 0,
                called: 0,
                waited: false,
            }),
            called: Condvar::new(),
        }
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
                    let caller = waiting_caller(run);
                    let called = state.call_helpers();
                    drop(state);
                    caller.inspect(|caller| caller.notify_one());
                    self.wake_helpers(called);
                    state = self.lock();
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
            let affinity = state.permits[id].handle.affinity;
            if affinity != own {
                // Moving to another processor takes long.
                drop(state);
                affinity.inspect(Affinity::take_on);
                own = affinity;
                state = self.lock();
            }
            while state.permits.keeps(id) {
                state = self.step(state, id);
            }
            state.permits.give_back(id);
            let run = &mut state.permits[id];
            if run.helpers == 0
                && run.progress.phase() == Phase::Closed
                && let Some(caller) = waiting_caller(run)
            {
                drop(state);
                caller.notify_one();
                state = self.lock();
            }
        }
    }

    /// Sleeps until called.
    fn sleep<'a>(&'a self, mut state: Locked<'a>) -> Locked<'a> {
        state.asleep += 1;
        let woken = self.called.wait_while(state, |state| state.called == 0);
        let mut state = despite_panics(woken);
        state.called -= 1;
        state.asleep -= 1;
        state
    }

    /// Wakes so many helpers that have been called.
    fn wake_helpers(&self, called: usize) {
        for _ in 0..called {
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
        // Listed, so that the address sanitizer does not take it for a leak.
        static CREWS: Mutex<Vec<&Crew>> = Mutex::new(Vec::new());
        let crew = Box::leak(Box::new(Self::new(processors)));
        lock(&CREWS).push(crew);
        crew
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
        lock(&self.state)
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

/// Where the caller waits, if it does. It goes on, and counts again as of now: it is to be woken when the
/// lock is free.
fn waiting_caller(run: &mut Run<Handle>) -> Option<Arc<Condvar>> {
    mem::take(&mut run.caller_waits).then(|| Arc::clone(&run.handle.caller))
}
