//! Locks that outlive a panic.
//!
//! What a lock of this package guards is whole even if a thread panicked: the panic reaches the caller of the run,
//! who drops it all.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// What `mutex` guards.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    despite_panics(mutex.lock())
}

/// What any lock gives, whether a thread panicked with it or not.
pub fn despite_panics<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
