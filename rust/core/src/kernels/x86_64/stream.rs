//! Rows to memory, past the cache.

use std::arch::x86_64::*;

use bytemuck::Pod;

use crate::memory::Buffer;

/// Bytes that bypass the cache at once.
const STREAMED: usize = 32;

/// Fills `rows`, of `columns` each, a few at a time: `write` is given the first of them and where they
/// go. False, with nothing written, if they do not lie as this needs them or there is no memory.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn rows<T: Pod>(
    rows: &mut [T],
    columns: usize,
    write: impl Fn(usize, &mut [T]),
) -> bool {
    let Some(mut cached) = Cached::new(rows, columns) else {
        return false;
    };
    let count = cached.rows;
    for (index, rows) in rows.chunks_mut(count * columns).enumerate() {
        write(index * count, &mut cached.elements[..rows.len()]);
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
    elements: Buffer<T>,
    /// Rows that fill whole registers.
    rows: usize,
}

impl<T: Pod> Cached<T> {
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
        Some(Self {
            elements: Buffer::new(count * columns, "a few rows").ok()?,
            rows: count,
        })
    }

    /// Copies as many elements as there are in `rows` to them, past the cache.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn stream(&self, rows: &mut [T]) {
        let cached = self.elements[..rows.len()].as_ptr().cast::<__m256i>();
        let out = rows.as_mut_ptr().cast::<__m256i>();
        for register in 0..size_of_val(rows) / STREAMED {
            // SAFETY: rows are whole registers, and aligned, as `new` found; so are as many cached elements,
            // which begin with a cache line.
            unsafe {
                let elements = _mm256_load_si256(cached.add(register));
                _mm256_stream_si256(out.add(register), elements);
            }
        }
    }
}
