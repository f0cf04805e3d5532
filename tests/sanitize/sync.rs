//! What the core takes from `std::sync`, so that the thread sanitizer sees its order.
//!
//! The standard library is not instrumented: the sanitizer does not see who waited for whom, and would
//! report all that a lock guards. Here each lock has a clock beside it, an atomic number that is written
//! before unlocking and read after locking, and those accesses are instrumented. The order that they
//! tell is that of the lock, no more.

pub(crate) use std::sync::{Arc, LockResult, PoisonError, TryLockError, atomic};

use std::ops::{Deref, DerefMut};
use std::sync::TryLockError::{Poisoned, WouldBlock};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What was done before [`Clock::tell`] comes before what follows [`Clock::learn`].
#[derive(Debug, Default)]
struct Clock(AtomicUsize);

impl Clock {
    fn tell(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn learn(&self) {
        self.0.load(Ordering::Acquire);
    }
}

/// A guard of the standard library's, and the clock that tells of it.
#[derive(Debug)]
pub(crate) struct Guard<'a, G> {
    guard: Option<G>,
    clock: &'a Clock,
}

impl<'a, G> Guard<'a, G> {
    fn new(guard: G, clock: &'a Clock) -> Self {
        let guard = Some(guard);
        Self { guard, clock }
    }

    /// Lets go of the lock.
    fn take(&mut self) -> Option<G> {
        self.clock.tell();
        self.guard.take()
    }
}

impl<G> Drop for Guard<'_, G> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<G: Deref> Deref for Guard<'_, G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        self.guard.as_ref().unwrap()
    }
}

impl<G: DerefMut> DerefMut for Guard<'_, G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        self.guard.as_mut().unwrap()
    }
}

/// A guard that a lock gave, poisoned or not, to whoever now knows what was done under the lock before.
fn guarded<G>(result: LockResult<G>, clock: &Clock) -> LockResult<Guard<'_, G>> {
    clock.learn();
    told_by(result, clock)
}

fn told_by<G>(result: LockResult<G>, clock: &Clock) -> LockResult<Guard<'_, G>> {
    match result {
        Ok(guard) => Ok(Guard::new(guard, clock)),
        Err(poisoned) => Err(PoisonError::new(Guard::new(poisoned.into_inner(), clock))),
    }
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    lock: std::sync::Mutex<T>,
    clock: Clock,
}

pub(crate) type MutexGuard<'a, T> = Guard<'a, std::sync::MutexGuard<'a, T>>;

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            lock: std::sync::Mutex::new(value),
            clock: Clock(AtomicUsize::new(0)),
        }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        guarded(self.lock.lock(), &self.clock)
    }

    pub(crate) fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        let result = match self.lock.try_lock() {
            Err(WouldBlock) => return Err(WouldBlock),
            Err(Poisoned(poisoned)) => Err(poisoned),
            Ok(guard) => Ok(guard),
        };
        guarded(result, &self.clock).map_err(Poisoned)
    }

    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        self.clock.learn();
        self.lock.get_mut()
    }

    pub(crate) fn into_inner(self) -> LockResult<T> {
        self.clock.learn();
        self.lock.into_inner()
    }
}

/// Readers tell the next writer what they did, but not each other: nothing orders them.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T> {
    lock: std::sync::RwLock<T>,
    written: Clock,
    read: Clock,
}

pub(crate) type RwLockReadGuard<'a, T> = Guard<'a, std::sync::RwLockReadGuard<'a, T>>;
pub(crate) type RwLockWriteGuard<'a, T> = Guard<'a, std::sync::RwLockWriteGuard<'a, T>>;

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            lock: std::sync::RwLock::new(value),
            written: Clock(AtomicUsize::new(0)),
            read: Clock(AtomicUsize::new(0)),
        }
    }

    pub(crate) fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let result = self.lock.read();
        self.written.learn();
        told_by(result, &self.read)
    }

    pub(crate) fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let result = self.lock.write();
        self.read.learn();
        guarded(result, &self.written)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            let clock = guard.clock;
            guard = guarded(self.0.wait(guard.take().unwrap()), clock)?;
        }
        Ok(guard)
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        most: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, std::sync::WaitTimeoutResult)> {
        let clock = guard.clock;
        let (guard, result) = self.0.wait_timeout(guard.take().unwrap(), most).unwrap();
        clock.learn();
        Ok((Guard::new(guard, clock), result))
    }
}

#[derive(Debug)]
pub(crate) struct Barrier {
    barrier: std::sync::Barrier,
    clock: Clock,
}

impl Barrier {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            barrier: std::sync::Barrier::new(threads),
            clock: Clock::default(),
        }
    }

    pub(crate) fn wait(&self) {
        self.clock.tell();
        self.barrier.wait();
        self.clock.learn();
    }
}
