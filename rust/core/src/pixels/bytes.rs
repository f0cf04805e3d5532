//! Memory that is not ours alone.
#![expect(
    unsafe_code,
    reason = "memory that another thread may change is read through raw pointers, here only"
)]

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;

/// Bytes that stay where they are for `'a`, but that another thread may write to meanwhile, as a
/// NumPy array's may be.
///
/// A slice would promise the compiler that they do not change. Each read here copies the bytes out
/// and never looks at them twice, so that a change in between can make pixels wrong but nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    first: *const u8,
    length: usize,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: it is a shared slice but for the promise that the bytes do not change.
unsafe impl Send for Bytes<'_> {}
// SAFETY: as above.
unsafe impl Sync for Bytes<'_> {}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self {
            first: bytes.as_ptr(),
            length: bytes.len(),
            memory: PhantomData,
        }
    }
}

impl<'a> Bytes<'a> {
    /// `length` bytes from `first` on.
    ///
    /// # Safety
    /// They lie in one allocation, are initialised, and stay allocated for `'a`.
    pub unsafe fn from_raw(first: *const u8, length: usize) -> Self {
        Self {
            first,
            length,
            memory: PhantomData,
        }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Where the first of them lies, to compare with other memory or to prefetch.
    pub fn as_ptr(self) -> *const u8 {
        self.first
    }

    /// Some of them. Panics if `range` leaves them.
    #[inline]
    pub fn slice(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.length);
        Self {
            // SAFETY: `range.start` is at most the length of the allocation's part that is ours.
            first: unsafe { self.first.add(range.start) },
            length: range.len(),
            memory: PhantomData,
        }
    }

    /// `N` bytes from `at` on. Panics if they are not all ours.
    #[inline]
    pub fn read<const N: usize>(self, at: usize) -> [u8; N] {
        assert!(N <= self.length && at <= self.length - N);
        // SAFETY: the bytes are ours by the line above; an array of bytes has no alignment.
        unsafe { ptr::read(self.first.add(at).cast()) }
    }

    /// Copies all of them to the start of `out`. Panics if it is too short.
    #[inline]
    pub fn copy_to(self, out: &mut [u8]) {
        let out = &mut out[..self.length];
        // SAFETY: as many bytes are ours as `out` has, which nobody else may refer to.
        unsafe { ptr::copy_nonoverlapping(self.first, out.as_mut_ptr(), self.length) };
    }
}
