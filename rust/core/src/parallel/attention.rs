//! Now and then a thread that works has to ask whether it should go on.

use std::time::{Duration, Instant};

/// Asks a question, but not too often.
pub(super) struct Attention<F> {
    asked: Instant,
    interrupted: F,
}

/// Time from one question to the next.
pub(super) const ATTENTION: Duration = Duration::from_millis(50);

impl<E, F: FnMut() -> Result<(), E>> Attention<F> {
    pub(super) fn new(interrupted: F) -> Self {
        Self {
            asked: Instant::now(),
            interrupted,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.asked.elapsed() >= ATTENTION
    }

    pub(super) fn ask(&mut self) -> Result<(), E> {
        self.asked = Instant::now();
        (self.interrupted)()
    }
}
