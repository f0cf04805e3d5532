//! Rows to memory, past the cache.

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::{mem, slice};

use crate::memory;

/// Bytes that bypass the cache at once.
const STREAMED: usize = 32;

/// Fills `rows`, of `columns` each, a few at a time: `write` is given the first of them and where they
/// go. False, with nothing written, if they do not lie as this needs them or there is no memory.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn rows<T: Copy>(
    rows: &mut [T],
    columns: usize,
    write: impl Fn(usize, &mut [T]),
) -> bool {
    let Some(mut cached) = Cached::new(rows, columns) else {
        return false;
    };
    let count = cached.rows;
    for (index, rows) in rows.chunks_mut(count * columns).enumerate() {
        write(index * count, cached.elements(rows.len()));
        cached.stream(rows);
    }
    // Whoever reads the rows next may be another thread.
    _mm_sfence();
    true
}

/// A few rows in the cache, on their way to memory past it.
///
/// A store of part of a cache line makes the processor read the line first. Rows that are made here and
/// then stored whole lines at a time spare it that.
struct Cached<T> {
    registers: Vec<__m256i>,
    /// Rows that fill whole registers.
    rows: usize,
    elements: PhantomData<T>,
}

impl<T: Copy> Cached<T> {
    /// None if registers of `rows` do not lie as streaming stores need them, or there is no memory.
    fn new(rows: &[T], columns: usize) -> Option<Self> {
        let row_bytes = columns * size_of::<T>();
        let count = [1, 2, 4, 8, 16, 32]
            .into_iter()
            .find(|count| (count * row_bytes).is_multiple_of(STREAMED))?;
        let aligned = rows.as_ptr().addr().is_multiple_of(STREAMED)
            && size_of_val(rows).is_multiple_of(STREAMED);
        if !aligned {
            return None;
        }
        // SAFETY: any bits are a register.
        let zero = unsafe { mem::zeroed() };
        let registers = memory::filled(count * row_bytes / STREAMED, zero, "a few rows");
        Some(Self {
            registers: registers.ok()?,
            rows: count,
            elements: PhantomData,
        })
    }

    /// The first `count` elements.
    fn elements(&mut self, count: usize) -> &mut [T] {
        assert!(count * size_of::<T>() <= size_of_val(&self.registers[..]));
        // SAFETY: the registers have as many bytes, are aligned for every element and are initialised, as
        // elements of rows are by any bits; `T` is one of those.
        unsafe { slice::from_raw_parts_mut(self.registers.as_mut_ptr().cast(), count) }
    }

    /// Copies as many elements as there are in `rows` to them, past the cache.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn stream(&self, rows: &mut [T]) {
        let count = size_of_val(rows) / STREAMED;
        let out = rows.as_mut_ptr().cast::<__m256i>();
        for (index, register) in self.registers[..count].iter().enumerate() {
            // SAFETY: rows are whole registers, and aligned, as `new` found.
            unsafe { _mm256_stream_si256(out.add(index), *register) };
        }
    }
}
