//! The crew that a process has for itself.

use super::Crew;
use crate::parallel::processors;
use crate::process::OfProcess;

impl Crew {
    /// The crew of this process. In a child of a fork that is a new one: the threads of the
    /// parent's are not there, and its lock may be held for ever by one of them.
    pub(in crate::parallel) fn of_this_process() -> &'static Self {
        static CREW: OfProcess<Crew> = OfProcess::new();
        CREW.get(|_| Self::new(processors))
    }
}
