//! Slices that own recycled memory.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};
use memmap2::MmapMut;

use super::{filled, pool};
use crate::error::{Error, Result};

/// Bytes from which on memory is mapped and recycled; the C library recycles what is smaller. It gives
/// 128 KiB at the end of the heap back to the system, which a handful of chunks would make in each call.
const MAPPED: usize = 32 << 10;

/// A slice that owns its memory.
///
/// Its elements have no particular values until they are written: in mapped memory, whatever an earlier buffer
/// left.
pub struct Buffer<T> {
    block: Block,
    length: usize,
    elements: PhantomData<T>,
}

/// Where a buffer lies.
enum Block {
    /// In the heap, in whole cache lines: registers that are stored one after another cross none.
    Small(Vec<CacheLine>),
    /// In pages of its own.
    Mapped(MmapMut),
}

/// What is fetched at once, on most processors.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct CacheLine([u8; 64]);

impl<T: Pod> Buffer<T> {
    /// `length` elements of no particular value, or [`Error::Memory`].
    pub fn new(length: usize, purpose: &'static str) -> Result<Self> {
        const { assert!(align_of::<T>() <= align_of::<CacheLine>()) };
        let bytes = length.saturating_mul(size_of::<T>());
        let block = if bytes < MAPPED {
            let lines = bytes.div_ceil(size_of::<CacheLine>());
            Block::Small(filled(lines, CacheLine::zeroed(), purpose)?)
        } else {
            let mapping = pool::map(bytes).ok_or(Error::Memory { bytes, purpose })?;
            Block::Mapped(mapping)
        };
        Ok(Self {
            block,
            length,
            elements: PhantomData,
        })
    }
}

impl<T: Pod, const N: usize> Buffer<[T; N]>
where
    [T; N]: Pod,
{
    /// The same elements without their grouping.
    pub fn into_flattened(mut self) -> Buffer<T> {
        Buffer {
            block: mem::replace(&mut self.block, Block::Small(Vec::new())),
            length: N * self.length,
            elements: PhantomData,
        }
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let bytes = match &self.block {
            Block::Small(lines) => bytemuck::cast_slice(lines),
            Block::Mapped(mapping) => &mapping[..],
        };
        bytemuck::cast_slice(&bytes[..self.length * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let bytes = match &mut self.block {
            Block::Small(lines) => bytemuck::cast_slice_mut(lines),
            Block::Mapped(mapping) => &mut mapping[..],
        };
        bytemuck::cast_slice_mut(&mut bytes[..self.length * size_of::<T>()])
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Block::Mapped(mapping) = mem::replace(&mut self.block, Block::Small(Vec::new())) {
            pool::unmap(mapping);
        }
    }
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Buffer")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_aligned_and_separate() {
        for length in [0, 1, 1000, 100_000] {
            let mut buffer = Buffer::<[i64; 2]>::new(length, "a test").unwrap();
            assert_eq!(buffer.len(), length);
            for (index, element) in buffer.iter_mut().enumerate() {
                *element = [index as i64, -1];
            }
            assert!(
                buffer
                    .iter()
                    .zip(0..)
                    .all(|(element, index)| *element == [index, -1])
            );
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        for length in [usize::MAX, usize::MAX / 8, 1 << 50] {
            let error = Buffer::<i64>::new(length, "a test").unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Memory {
                        purpose: "a test",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
}
