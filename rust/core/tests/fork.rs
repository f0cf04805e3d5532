//! A process forks while its threads do work and pass memory on, and both it and the child do more.
//!
//! Without the test harness, whose threads and locks a child would inherit.

#![expect(unsafe_code, reason = "the standard library does not fork")]

use std::ffi::c_int;
use std::process::{self, abort};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

use qvl_core::memory::{self, Buffer};
use qvl_core::parallel::{Step, Stopped, Work, run};

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn alarm(seconds: u32) -> u32;
    #[cfg(target_os = "linux")]
    fn unshare(flags: c_int) -> c_int;
}

const FORKS: usize = 100;

/// Tasks `0..count`.
struct Tasks<F> {
    next: AtomicUsize,
    count: usize,
    task: F,
}

impl<F: Fn() + Sync> Work for Tasks<F> {
    type Error = ();

    fn step(&self) -> Step<()> {
        if self.next.fetch_add(1, SeqCst) >= self.count {
            return Step::Finished;
        }
        (self.task)();
        Step::Done
    }
}

/// Does tasks on `threads` threads.
fn work(threads: usize, count: usize, task: impl Fn() + Sync) -> Result<(), Stopped<()>> {
    let next = AtomicUsize::new(0);
    run(threads, &Tasks { next, count, task }, || Ok(()))
}

/// Does tasks of which as many as there are threads must be begun before one is done.
fn meet(threads: usize) {
    let meeting = Barrier::new(threads);
    let met = work(threads, threads, || {
        meeting.wait();
    });
    assert_eq!(met, Ok(()));
}

/// Takes memory of the size that is passed on, and gives it back. Returns where it was.
fn borrow_memory() -> *const u8 {
    let buffer = Buffer::<u8>::new(1 << 20, "a test").expect("a mebibyte");
    buffer.as_ptr()
}

/// What a child does with memory: it has nothing idle, then passes its own on.
fn recycle() {
    assert_eq!(memory::stats().idle, 0);
    let place = borrow_memory();
    assert_eq!(borrow_memory(), place);
    assert!(memory::release() > 0);
}

/// Forks, and waits for the child, which ends after `life`.
fn with_child(life: impl FnOnce()) {
    // SAFETY: the child has this thread alone and leaves by `_exit`. What it calls takes no lock that
    // another thread of this process may hold, which is what is tested, other than the allocator's,
    // of which the C library takes care.
    match unsafe { fork() } {
        0 => {
            // SAFETY: these touch no memory of ours. A child that hangs is ended by its alarm.
            unsafe { alarm(60) };
            life();
            // SAFETY: as above.
            unsafe { _exit(0) }
        }
        child => {
            assert!(child > 0, "no fork");
            let mut status = -1;
            // SAFETY: `status` is written to before this returns.
            let waited = unsafe { waitpid(child, &raw mut status, 0) };
            assert_eq!((waited, status), (child, 0));
        }
    }
}

/// Forks into a child that has its parent's number, as the first process of another namespace.
#[cfg(target_os = "linux")]
fn with_namesake() {
    const NEW_USERS: c_int = 0x1000_0000;
    const NEW_PROCESSES: c_int = 0x2000_0000;
    // SAFETY: it touches no memory of ours.
    let unshared = |flags| unsafe { unshare(flags) } == 0;
    // Only a process of one thread may do this.
    with_child(|| {
        if !unshared(NEW_USERS | NEW_PROCESSES) {
            eprintln!("not tested: this system gives no namespaces");
            return;
        }
        with_child(|| {
            meet(3);
            borrow_memory();
            assert!(unshared(NEW_PROCESSES));
            let number = process::id();
            with_child(|| {
                assert_eq!(process::id(), number);
                recycle();
                meet(3);
            });
        });
    });
}

fn main() {
    // A panic in a child must not unwind into the parent's part of `main`.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        abort();
    }));
    #[cfg(target_os = "linux")]
    with_namesake();
    meet(3);
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = [1, 2, 4]
        .into_iter()
        .map(|threads| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(SeqCst) {
                    assert_eq!(work(threads, 20, thread::yield_now), Ok(()));
                }
            })
        })
        .collect();
    let borrowers: Vec<_> = (0..2)
        .map(|_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(SeqCst) {
                    borrow_memory();
                }
            })
        })
        .collect();
    for number in 0..FORKS {
        with_child(|| {
            recycle();
            meet(2 + number % 3);
            // A child of the child has neither's helpers nor memory.
            borrow_memory();
            with_child(|| {
                recycle();
                meet(3);
            });
            meet(4);
        });
    }
    // Inside a task, on whichever thread.
    let forks = work(3, 10, || with_child(|| meet(2)));
    assert_eq!(forks, Ok(()));
    over.store(true, SeqCst);
    for thread in callers.into_iter().chain(borrowers) {
        thread.join().expect("no panic");
    }
    meet(3);
}
