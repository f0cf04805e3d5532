//! Work that a crew does, whatever its type.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;

use super::{Step, Stopped, Work, despite_panics, lock};

/// What all threads need to know of a step. A failure stays with the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stepped {
    Done,
    Waiting,
    /// Nothing is to be begun any more.
    Over,
}

/// Work without its type.
pub(super) trait Task: Sync {
    /// Does a task, and keeps what it fails or panics with.
    fn step(&self) -> Stepped;
}

/// Work, and what has stopped it.
pub(super) struct Shared<'a, W: Work> {
    work: &'a W,
    end: Mutex<Option<End<W::Error>>>,
}

enum End<E> {
    Stopped(Stopped<E>),
    Panicked(Box<dyn Any + Send>),
}

impl<'a, W: Work> Shared<'a, W> {
    pub(super) fn new(work: &'a W) -> Self {
        Self {
            work,
            end: Mutex::new(None),
        }
    }

    /// The work stops, unless it has been stopped before.
    pub(super) fn stop(&self, stopped: Stopped<W::Error>) {
        self.end_with(End::Stopped(stopped));
    }

    /// What has stopped the work; panics as its task did.
    pub(super) fn into_result(self) -> Result<(), Stopped<W::Error>> {
        match despite_panics(self.end.into_inner()) {
            None => Ok(()),
            Some(End::Stopped(stopped)) => Err(stopped),
            Some(End::Panicked(payload)) => panic::resume_unwind(payload),
        }
    }

    fn end_with(&self, end: End<W::Error>) {
        lock(&self.end).get_or_insert(end);
    }
}

impl<W: Work> Task for Shared<'_, W> {
    fn step(&self) -> Stepped {
        // After a panic no thread looks at the work again, and the caller panics in its turn.
        match panic::catch_unwind(AssertUnwindSafe(|| self.work.step())) {
            Ok(Step::Done) => return Stepped::Done,
            Ok(Step::Waiting) => return Stepped::Waiting,
            Ok(Step::Finished) => {}
            Ok(Step::Failed(error)) => self.stop(Stopped::Failed(error)),
            Err(payload) => self.end_with(End::Panicked(payload)),
        }
        Stepped::Over
    }
}
