//! A machine with any number of processors, on which time passes by the task and not by the clock.
//!
//! The threads are those of a real crew. A task says how long it takes by [`Machine::spend`], which
//! returns when the time has come; and it comes when each thread that has a permit is in a task. So the
//! time a run takes, and the permits nobody used, do not depend on how fast the machine underneath is or
//! what else it does.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::crew::Crew;
use super::{Work, despite_panics, lock};

/// A simulated machine.
pub(crate) struct Machine {
    pub(super) crew: &'static Crew,
    processors: usize,
    state: Mutex<State>,
    ticked: Condvar,
}

#[derive(Default)]
struct State {
    now: u64,
    /// When each of the tasks that are being done is done.
    ends: Vec<u64>,
    /// Permits that were not used, times the time they were not.
    idle: u64,
    over: bool,
}

/// How a run went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The time it took, which is the longest chain of tasks that waited for each other or for a
    /// processor.
    pub(crate) time: u64,
    /// The permits that nobody used, times the time.
    pub(crate) idle: u64,
}

impl Machine {
    pub(crate) fn new(processors: fn() -> usize) -> Self {
        Self {
            crew: Crew::simulated(processors),
            processors: processors(),
            state: Mutex::default(),
            ticked: Condvar::new(),
        }
    }

    /// What a task takes, which is one tick at least; called in the task.
    pub(crate) fn spend(&self, ticks: u64) {
        let mut state = self.lock();
        let end = state.now + ticks;
        state.ends.push(end);
        let waited = self.ticked.wait_while(state, |state| state.now < end);
        drop(despite_panics(waited));
    }

    /// Does `work` on up to `threads` threads.
    pub(crate) fn run<W: Work>(&self, threads: usize, work: &W) -> Report {
        thread::scope(|scope| {
            scope.spawn(|| {
                while !self.lock().over {
                    self.tick();
                    thread::sleep(Duration::from_micros(20));
                }
            });
            let result = self.crew.run(threads, work, || Ok(()));
            self.lock().over = true;
            assert!(result.is_ok());
        });
        let state = self.lock();
        Report {
            time: state.now,
            idle: state.idle,
        }
    }

    /// Time goes on to the end of the next task if every thread that may be in a task is.
    fn tick(&self) {
        let mut state = self.lock();
        let census = self.crew.census();
        let busy = state.ends.len();
        let Some(next) = state.ends.iter().copied().min() else {
            return;
        };
        if census.free == 0 && census.at_work == busy {
            state.idle += (next - state.now) * self.processors.saturating_sub(busy) as u64;
            state.now = next;
            state.ends.retain(|end| *end > next);
            self.ticked.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
