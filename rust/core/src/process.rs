//! What a process has to itself.
#![expect(
    unsafe_code,
    reason = "a child of a fork takes another value while the one it was born with stays where it is"
)]

use std::process;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that every process has one of, made when it is first asked for.
///
/// A child of a fork makes its own: threads of its parent are not there to let go of the locks that they
/// held. The parent's value is never freed.
pub(crate) struct OfProcess<T> {
    current: AtomicPtr<Owned<T>>,
}

struct Owned<T> {
    process: u32,
    value: T,
}

impl<T: Send + Sync + 'static> OfProcess<T> {
    pub(crate) const fn new() -> Self {
        Self {
            current: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The value of this process. `make` is shown that of its parent, if it had one when it forked; a lock
    /// in there may be held for ever.
    pub(crate) fn get(&self, make: impl Fn(Option<&'static T>) -> T) -> &'static T {
        let process = process::id();
        let mut found = self.current.load(Ordering::Acquire);
        loop {
            // SAFETY: what `current` points to came from a box below and is never freed or written to.
            let inherited = unsafe { found.as_ref() };
            if let Some(owned) = inherited
                && owned.process == process
            {
                return &owned.value;
            }
            let value = make(inherited.map(|owned| &owned.value));
            let new = Box::into_raw(Box::new(Owned { process, value }));
            match self
                .current
                .compare_exchange(found, new, Ordering::AcqRel, Ordering::Acquire)
            {
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
