//! What a process has to itself.
#![expect(
    unsafe_code,
    reason = "a child of a fork takes another value while the one it was born with stays where it is; the \
              standard library does not tell of forks"
)]

use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that every process has one of, made when it is first asked for.
///
/// A child of a fork makes its own: threads of its parent are not there to let go of the locks that they
/// held. The parent's value is never freed.
pub struct OfProcess<T> {
    current: AtomicPtr<Owned<T>>,
}

struct Owned<T> {
    /// Of the process that made the value.
    generation: usize,
    value: T,
}

impl<T: Send + Sync + 'static> OfProcess<T> {
    /// For no process yet.
    #[expect(clippy::new_without_default, reason = "a default cannot make a static")]
    pub const fn new() -> Self {
        Self {
            current: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The value of this process. `make` is shown that of its parent, if it had one when it forked; a lock
    /// in there may be held for ever.
    pub fn get(&self, make: impl Fn(Option<&'static T>) -> T) -> &'static T {
        let generation = forks::generation();
        let mut found = self.current.load(Ordering::Acquire);
        loop {
            // SAFETY: what `current` points to came from a box below and is never freed or written to.
            let inherited = unsafe { found.as_ref() };
            if let Some(owned) = inherited
                && owned.generation == generation
            {
                return &owned.value;
            }
            let value = make(inherited.map(|owned| &owned.value));
            let new = Box::into_raw(Box::new(Owned { generation, value }));
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

/// Numbers of processes do not tell a child from its parent: in a new namespace it can have the same one.
#[cfg(unix)]
mod forks {
    use std::ffi::c_int;
    use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    type Handler = Option<unsafe extern "C" fn()>;

    // The C library's, which the standard library is linked with.
    unsafe extern "C" {
        fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> c_int;
    }

    static GENERATION: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn next_generation() {
        GENERATION.fetch_add(1, Relaxed);
    }

    /// A number that every fork raises in the child, from the first call of this function on.
    pub(super) fn generation() -> usize {
        static COUNTED: AtomicBool = AtomicBool::new(false);
        // No lock: a child might find it held for ever. Two threads may both ask for a count, which then
        // rises by two.
        if !COUNTED.load(Acquire) {
            // SAFETY: the handler does nothing that a child with one thread may not do, and is there for
            // as long as the process.
            let refused = unsafe { pthread_atfork(None, None, Some(next_generation)) };
            assert_eq!(refused, 0, "no memory for a handler of forks");
            COUNTED.store(true, Release);
        }
        GENERATION.load(Relaxed)
    }
}

/// Nothing forks here.
#[cfg(not(unix))]
mod forks {
    pub(super) const fn generation() -> usize {
        0
    }
}
