//! The crew that a process has for itself.

#![expect(
    unsafe_code,
    reason = "no lock guards it, as a fork might leave that locked"
)]

use std::sync::atomic::{AtomicPtr, Ordering};
use std::{process, ptr};

use super::Crew;
use crate::parallel::processors;

impl Crew {
    /// The crew of this process. In a child of a fork that is a new one: the threads of the
    /// parent's are not there, and its lock may be held for ever by one of them.
    pub(in crate::parallel) fn of_this_process() -> &'static Self {
        static CREW: AtomicPtr<Crew> = AtomicPtr::new(ptr::null_mut());
        let process = process::id();
        let mut found = CREW.load(Ordering::Acquire);
        loop {
            // SAFETY: what CREW points to came from a box below and is never freed or written to.
            if let Some(crew) = unsafe { found.as_ref() }
                && crew.process == process
            {
                return crew;
            }
            let new = Box::into_raw(Box::new(Self::new(process, processors)));
            match CREW.compare_exchange(found, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => found = new,
                Err(other) => {
                    // SAFETY: no other thread has seen the new one.
                    drop(unsafe { Box::from_raw(new) });
                    found = other;
                }
            }
        }
    }
}
