//! Who may work: the bookkeeping of a crew, without threads or locks.
//!
//! There are as many permits as processors, or as the most threads that a run in progress asks for.
//! A calling thread has one, whether there is one left or not, except while it waits for others.
//! What is left goes to helpers, one after another to the run that has the fewest, and between two
//! tasks a helper gives its permit back where too many are out or another run is worse off. So runs
//! that go on at the same time have equally many helpers, as far as they have a use for them.

use std::ops::{Index, IndexMut};

use super::progress::{Phase, Progress};

/// The permits of a crew, and the runs they are for; a run has a handle `H`, for its helpers.
pub(super) struct Permits<H> {
    /// Calls that want no helpers.
    alone: usize,
    /// Calls that may have helpers, the oldest first.
    runs: Vec<Run<H>>,
    /// Runs so far, each of which is called by its number.
    begun: u64,
}

/// The name of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunId(u64);

/// A call that may have helpers.
pub(super) struct Run<H> {
    id: RunId,
    /// Helpers that it has a use for.
    wanted: usize,
    /// Permits that there are at least while it goes on.
    permits: usize,
    /// Helpers that have a permit for it.
    pub(super) helpers: usize,
    pub(super) caller_waits: bool,
    pub(super) progress: Progress,
    pub(super) handle: H,
}

impl<H> Permits<H> {
    pub(super) const fn new() -> Self {
        Self {
            alone: 0,
            runs: Vec::new(),
            begun: 0,
        }
    }

    /// A call begins that wants no helpers.
    pub(super) fn begin_alone(&mut self) {
        self.alone += 1;
    }

    pub(super) fn end_alone(&mut self) {
        self.alone -= 1;
    }

    /// A call begins that may use `threads` threads.
    pub(super) fn begin(&mut self, threads: usize, processors: usize, handle: H) -> RunId {
        let id = RunId(self.begun);
        self.begun += 1;
        self.runs.push(Run {
            id,
            wanted: threads.saturating_sub(1),
            permits: processors.max(threads),
            helpers: 0,
            caller_waits: false,
            progress: Progress::new(),
            handle,
        });
        id
    }

    /// A call ends, after its helpers have left it.
    pub(super) fn end(&mut self, id: RunId) {
        self.runs.retain(|run| run.id != id);
    }

    /// Gives a helper a permit, if one is left, and says for which run.
    pub(super) fn take(&mut self) -> Option<RunId> {
        if self.out() >= self.all() {
            return None;
        }
        let open = self.runs.iter_mut().filter(|run| run.room() > 0);
        let run = open.min_by_key(|run| run.helpers)?;
        run.helpers += 1;
        Some(run.id)
    }

    /// Whether a helper of this run may do another of its tasks.
    pub(super) fn keeps(&self, id: RunId) -> bool {
        let run = &self[id];
        let worse_off = |other: &Run<H>| other.room() > 0 && other.helpers + 1 < run.helpers;
        run.progress.phase() == Phase::Open
            && self.out() <= self.all()
            && !self.runs.iter().any(worse_off)
    }

    /// A helper leaves this run.
    pub(super) fn give_back(&mut self, id: RunId) {
        self[id].helpers -= 1;
    }

    /// Permits that helpers could take now.
    pub(super) fn free(&self) -> usize {
        let room = self.runs.iter().map(Run::room).sum();
        self.all().saturating_sub(self.out()).min(room)
    }

    /// Helpers that could have a permit at the same time, were no other call made.
    pub(super) fn most_helpers(&self) -> usize {
        let wanted = self.runs.iter().map(|run| run.wanted).sum();
        self.all().saturating_sub(1).min(wanted)
    }

    /// Permits that there are.
    fn all(&self) -> usize {
        let permits = self.runs.iter().map(|run| run.permits);
        permits.max().unwrap_or(0)
    }

    /// Permits that have been taken.
    pub(super) fn out(&self) -> usize {
        self.alone + self.runs.iter().map(Run::at_work).sum::<usize>()
    }
}

impl<H> Run<H> {
    /// Threads that have a permit for it.
    fn at_work(&self) -> usize {
        self.helpers + usize::from(!self.caller_waits)
    }

    /// Helpers that could still join.
    fn room(&self) -> usize {
        match self.progress.phase() {
            Phase::Open => self.wanted - self.helpers,
            Phase::Stalled | Phase::Closed => 0,
        }
    }
}

/// Panics if the run has ended.
impl<H> Index<RunId> for Permits<H> {
    type Output = Run<H>;

    fn index(&self, id: RunId) -> &Run<H> {
        let run = self.runs.iter().find(|run| run.id == id);
        run.expect("a run that goes on")
    }
}

impl<H> IndexMut<RunId> for Permits<H> {
    fn index_mut(&mut self, id: RunId) -> &mut Run<H> {
        let run = self.runs.iter_mut().find(|run| run.id == id);
        run.expect("a run that goes on")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;

    struct Machine(Permits<()>);

    impl Machine {
        fn begin(&mut self, threads: usize, processors: usize) -> RunId {
            self.0.begin(threads, processors, ())
        }

        /// Helpers do tasks and take what permits they may have, until nothing changes any more.
        /// The helpers of each run, the most first.
        fn settle(&mut self) -> Vec<usize> {
            loop {
                let before = self.helpers();
                for (number, helpers) in before.iter().enumerate() {
                    let id = self.0.runs[number].id;
                    for _ in 0..*helpers {
                        if !self.0.keeps(id) {
                            self.0.give_back(id);
                            self.0.take();
                        }
                    }
                }
                while self.0.take().is_some() {}
                let callers = self.0.alone + self.0.runs.len();
                assert!(self.0.out() <= self.0.all().max(callers));
                if self.helpers() == before {
                    let mut settled = before;
                    settled.sort_by_key(|helpers| Reverse(*helpers));
                    return settled;
                }
            }
        }

        fn helpers(&self) -> Vec<usize> {
            self.0.runs.iter().map(|run| run.helpers).collect()
        }
    }

    #[test]
    fn a_run_alone_has_the_helpers_it_wants_within_the_processors() {
        for (threads, processors, helpers) in [(4, 8, 3), (8, 8, 7), (8, 2, 7), (2, 32, 1)] {
            let mut machine = Machine(Permits::new());
            machine.begin(threads, processors);
            assert_eq!(machine.0.free(), helpers);
            assert_eq!(machine.0.most_helpers(), helpers);
            assert_eq!(machine.settle(), [helpers]);
            assert_eq!(machine.0.free(), 0);
        }
    }

    #[test]
    fn helpers_make_room_for_callers_and_come_back() {
        let mut machine = Machine(Permits::new());
        machine.begin(4, 4);
        assert_eq!(machine.settle(), [3]);
        for callers in 1..=6 {
            machine.0.begin_alone();
            assert_eq!(machine.settle(), [3_usize.saturating_sub(callers)]);
        }
        for callers in (0..6).rev() {
            machine.0.end_alone();
            assert_eq!(machine.settle(), [3_usize.saturating_sub(callers)]);
        }
    }

    #[test]
    fn a_helper_has_the_permit_of_a_caller_that_waits() {
        let mut machine = Machine(Permits::new());
        let first = machine.begin(2, 4);
        machine.begin(4, 4);
        assert_eq!(machine.settle(), [1, 1]);
        machine.0[first].progress.stall(0);
        machine.0[first].caller_waits = true;
        assert_eq!(machine.settle(), [3, 0]);
        machine.0[first].progress.advance();
        machine.0[first].caller_waits = false;
        assert_eq!(machine.settle(), [1, 1]);
    }

    #[test]
    fn runs_share_helpers_evenly_as_far_as_they_want_them() {
        let mut machine = Machine(Permits::new());
        let first = machine.begin(32, 32);
        assert_eq!(machine.settle(), [31]);
        machine.begin(32, 32);
        assert_eq!(machine.settle(), [15, 15]);
        let small = machine.begin(3, 32);
        assert_eq!(machine.settle(), [14, 13, 2]);
        machine.0[small].progress.stall(0);
        for _ in 0..2 {
            machine.0.give_back(small);
        }
        assert_eq!(machine.settle(), [15, 14, 0]);
        machine.0[small].progress.advance();
        assert_eq!(machine.settle(), [14, 13, 2]);
        machine.0[first].progress.close();
        for _ in 0..machine.0[first].helpers {
            machine.0.give_back(first);
        }
        machine.0.end(first);
        assert_eq!(machine.settle(), [28, 2]);
    }

    #[test]
    fn who_asks_for_more_threads_than_processors_has_them_while_it_goes_on() {
        let mut machine = Machine(Permits::new());
        machine.begin(2, 2);
        let large = machine.begin(6, 2);
        assert_eq!(machine.settle(), [3, 1]);
        machine.0[large].progress.close();
        for _ in 0..3 {
            machine.0.give_back(large);
        }
        machine.0.end(large);
        assert_eq!(machine.settle(), [1]);
    }
}
