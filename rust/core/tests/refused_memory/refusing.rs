//! A system that refuses memory when it is told to.

#![expect(unsafe_code, reason = "an allocator, and a function of the C library")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{c_int, c_void};
use std::fmt::Debug;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use qvl_core::{Error, memory};

/// Bytes from which on a request is one that may be refused.
const LARGE: usize = 4 << 10;
/// The same for mappings; those for the signals of its threads, which the standard library makes, are smaller.
const LARGE_MAPPING: usize = 32 << 10;

/// Large requests since they were last counted from 0, and those of them that are refused: so many
/// from the first on.
static REQUESTS: AtomicUsize = AtomicUsize::new(0);
static FIRST: AtomicUsize = AtomicUsize::new(usize::MAX);
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn is_refused() -> bool {
    let request = REQUESTS.fetch_add(1, SeqCst);
    let first = FIRST.load(SeqCst);
    request >= first && request - first < COUNT.load(SeqCst)
}

/// Calls with `count` large requests refused, beginning with the one at `first`. Returns how many large
/// requests there were too.
fn refusing<T>(first: usize, count: usize, call: impl FnOnce() -> T) -> (T, usize) {
    REQUESTS.store(0, SeqCst);
    COUNT.store(count, SeqCst);
    FIRST.store(first, SeqCst);
    let result = call();
    FIRST.store(usize::MAX, SeqCst);
    (result, REQUESTS.load(SeqCst))
}

/// Refuses each large request of `call` in turn, alone and with all that follow. `seen` makes something
/// of its result that can be compared.
pub(crate) fn check<T, S: PartialEq>(
    name: &str,
    mut call: impl FnMut() -> Result<T, Error>,
    seen: impl Fn(T) -> S,
) {
    let expected = seen(call().expect(name));
    let mut refused = 0;
    for count in [1, usize::MAX] {
        for first in 0.. {
            // What waits for a buffer would spare requests.
            memory::release();
            let (result, requests) = refusing(first, count, &mut call);
            match result {
                Ok(result) => assert!(seen(result) == expected, "{name} after request {first}"),
                Err(Error::Memory { .. }) => refused += 1,
                Err(other) => panic!("{name} after request {first}: {other}"),
            }
            if requests <= first {
                break;
            }
        }
    }
    assert!(refused > 0, "{name} asks for no memory");
}

/// The error of a `call` that finds out what is wrong before it asks for any memory.
pub(crate) fn error_without_memory<T: Debug>(call: impl FnOnce() -> Result<T, Error>) -> String {
    let (result, _) = refusing(0, usize::MAX, call);
    match result {
        Err(Error::Invalid { argument, reason }) => format!("{argument} {reason}"),
        other => panic!("{other:?}"),
    }
}

/// What `call` returns, which asks for no memory.
pub(crate) fn without_memory<T>(call: impl FnOnce() -> T) -> T {
    let (result, requests) = refusing(0, usize::MAX, call);
    assert_eq!(requests, 0, "memory was asked for");
    result
}

struct Refusing;

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

// SAFETY: all is left to `System`, but that some requests get what stands for none.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE && is_refused() {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE && is_refused() {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size >= LARGE && is_refused() {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promised.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}

unsafe extern "C" {
    fn mmap(
        address: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
}

/// Stands before the function of this name in the C library, which `memmap2` calls and which is `mmap`
/// where offsets have 64 bits.
///
/// # Safety
/// As for `mmap`.
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    if length >= LARGE_MAPPING && is_refused() {
        return ptr::without_provenance_mut(usize::MAX);
    }
    // SAFETY: as the caller promised.
    unsafe { mmap(address, length, protection, flags, file, offset) }
}
