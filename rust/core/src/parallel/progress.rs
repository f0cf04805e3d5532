//! How far a run is, as its threads find it.

/// Whether a run has a task to begin, and how many it has done.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Phase,
    done: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There may be a task to begin.
    Open,
    /// There is none before one that is being done is done.
    Stalled,
    /// None is begun any more.
    Closed,
}

impl Progress {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Open,
            done: 0,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Tasks done, by which a thread that looks for one tells later whether it looked too early.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// A task was done. Returns whether that ended a stall.
    pub(super) fn advance(&mut self) -> bool {
        self.done += 1;
        let stalled = self.phase == Phase::Stalled;
        if stalled {
            self.phase = Phase::Open;
        }
        stalled
    }

    /// There was nothing to begin when `done` tasks were done.
    pub(super) fn stall(&mut self, done: u64) {
        if self.phase == Phase::Open && self.done == done {
            self.phase = Phase::Stalled;
        }
    }

    pub(super) fn close(&mut self) {
        self.phase = Phase::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looked_before_a_task_was_done_does_not_stall_the_run() {
        let mut progress = Progress::new();
        let seen = progress.done();
        assert!(!progress.advance());
        progress.stall(seen);
        assert_eq!(progress.phase(), Phase::Open);
        progress.stall(progress.done());
        assert_eq!(progress.phase(), Phase::Stalled);
        assert!(progress.advance());
        assert_eq!(progress.phase(), Phase::Open);
    }

    #[test]
    fn a_closed_run_stays_closed() {
        let mut progress = Progress::new();
        progress.close();
        progress.stall(progress.done());
        assert!(!progress.advance());
        assert_eq!(progress.phase(), Phase::Closed);
    }
}
