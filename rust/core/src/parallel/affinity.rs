//! The processors that a thread may run on.

#![cfg_attr(
    target_os = "linux",
    expect(
        unsafe_code,
        reason = "the standard library tells how many they are, not which"
    )
)]

/// A set of processors, or nothing where the system has no such sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Affinity(system::Set);

impl Affinity {
    /// Where the calling thread may run; None if the system does not tell.
    pub(super) fn of_this_thread() -> Option<Self> {
        system::get().map(Self)
    }

    /// Has the calling thread run there. The system may refuse, as when processors were taken away.
    pub(super) fn take_on(&self) {
        system::set(&self.0);
    }

    pub(super) fn count(&self) -> usize {
        let ones = self.0.iter().map(|word| word.count_ones() as usize);
        ones.sum()
    }

    /// The first processor by itself.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn first(mut self) -> Self {
        let mut found = false;
        for word in &mut self.0 {
            // The lowest bit that is set.
            *word &= word.wrapping_neg();
            if found {
                *word = 0;
            }
            found |= *word != 0;
        }
        self
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::{c_int, c_ulong};

    /// As many bits as Linux can be built to have processors, which is more than `cpu_set_t` has.
    pub(super) type Set = [c_ulong; 8192 / c_ulong::BITS as usize];

    // The C library's, which the standard library is linked with; 0 is the calling thread.
    unsafe extern "C" {
        fn sched_getaffinity(thread: c_int, size: usize, set: *mut c_ulong) -> c_int;
        fn sched_setaffinity(thread: c_int, size: usize, set: *const c_ulong) -> c_int;
    }

    pub(super) fn get() -> Option<Set> {
        let mut set = [0; _];
        // SAFETY: `size_of::<Set>()` bytes of `set` may be written.
        let failed = unsafe { sched_getaffinity(0, size_of::<Set>(), set.as_mut_ptr()) };
        (failed == 0).then_some(set)
    }

    pub(super) fn set(set: &Set) {
        // SAFETY: `size_of::<Set>()` bytes of `set` may be read.
        unsafe { sched_setaffinity(0, size_of::<Set>(), set.as_ptr()) };
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) type Set = [u64; 0];

    pub(super) fn get() -> Option<Set> {
        None
    }

    pub(super) fn set(_: &Set) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_thread_runs_where_it_was_told_to() {
        let all = Affinity::of_this_thread().expect("Linux tells");
        let available = thread::available_parallelism().map_or(1, usize::from);
        assert!(all.count() >= available);
        let first = all.first();
        let seen = thread::spawn(move || {
            first.take_on();
            Affinity::of_this_thread()
        });
        assert_eq!(seen.join().ok(), Some(Some(first)));
        assert_eq!(first.count(), 1);
        assert_eq!(Affinity::of_this_thread(), Some(all));
    }
}
