//! Elements to memory, past the cache.

use std::arch::x86_64::*;

use bytemuck::Pod;

use crate::memory::Buffer;

/// Bytes that are fetched at once, and had better be stored at once.
const LINE: usize = 64;

/// Bytes of a register, two of which store a line.
const REGISTER: usize = 32;

/// Elements that fill a slice from its start on, past the cache.
///
/// A store of part of a cache line makes the processor read the line first. So elements are made in the cache,
/// a few at a time, and whole lines of them stored as soon as there are any: while those are on their way to
/// memory, the processor makes the next.
///
/// ```text
/// cached    |- made, stored -|- made -|--- room for the next piece ---|
/// out  .....|-- a line ------|-- a line ------| ...
/// ```
pub(in crate::kernels) struct Stream<'a, T> {
    /// Begins where a line of `out` does.
    cached: Buffer<T>,
    /// Elements of `cached` that are made, and those of them that lie before `out`.
    made: usize,
    before: usize,
    /// What is left to store to.
    out: &'a mut [T],
}

impl<'a, T: Pod> Stream<'a, T> {
    const ELEMENTS: usize = LINE / size_of::<T>();

    /// Elements that fill `out`, in pieces of at most `piece`; `out` itself if there is no memory for one.
    pub(in crate::kernels) fn new(out: &'a mut [T], piece: usize) -> Result<Self, &'a mut [T]> {
        let Ok(cached) = Buffer::new(Self::ELEMENTS + piece, "a piece of rows") else {
            return Err(out);
        };
        let before = out.as_ptr().addr() % LINE / size_of::<T>();
        Ok(Self {
            cached,
            made: before,
            before,
            out,
        })
    }

    /// Where the next `length` elements are made.
    #[inline]
    pub(in crate::kernels) fn piece(&mut self, length: usize) -> &mut [T] {
        let start = self.made;
        self.made += length;
        &mut self.cached[start..self.made]
    }

    /// Stores the lines that are whole.
    #[target_feature(enable = "avx")]
    #[inline]
    pub(in crate::kernels) fn store(&mut self) {
        let whole = self.made / Self::ELEMENTS * Self::ELEMENTS;
        let mut stored = 0;
        if self.before > 0 && whole > 0 {
            // A line that others have a part of.
            stored = Self::ELEMENTS;
            self.copy(stored);
        }
        let lines = self.out.split_off_mut(..whole - stored).unwrap_or_default();
        let cached = self.cached[stored..whole].as_ptr().cast::<__m256i>();
        let out = lines.as_mut_ptr().cast::<__m256i>();
        for register in 0..size_of_val(lines) / REGISTER {
            // SAFETY: as many elements are stored as are cached, whole lines of both, which begin with one.
            unsafe {
                let elements = _mm256_load_si256(cached.add(register));
                _mm256_stream_si256(out.add(register), elements);
            }
        }
        self.cached.copy_within(whole..self.made, 0);
        self.made -= whole;
    }

    /// Copies the elements before `end`, as anybody stores to memory.
    fn copy(&mut self, end: usize) {
        let made = &self.cached[self.before..end];
        let copied = self.out.split_off_mut(..made.len()).unwrap_or_default();
        copied.copy_from_slice(made);
        self.before = 0;
    }

    /// Stores the last of them.
    #[target_feature(enable = "avx")]
    pub(in crate::kernels) fn finish(mut self) {
        self.copy(self.made);
        // Whoever reads the elements next may be another thread.
        _mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_of_any_length_arrive_wherever_they_go(
            pieces in proptest::collection::vec(0usize..90, 0..20),
            start in 0usize..70,
        ) {
            if Isa::named("avx2").is_ok() {
                let length: usize = pieces.iter().sum();
                let mut memory = vec![7u16; start + length + 70];
                let mut next = 1000..;
                let mut stream = Stream::new(&mut memory[start..start + length], 90).unwrap();
                for length in &pieces {
                    let piece = stream.piece(*length);
                    piece.iter_mut().zip(&mut next).for_each(|(out, value)| *out = value);
                    // SAFETY: the processor has AVX2.
                    unsafe { stream.store() };
                }
                // SAFETY: the processor has AVX2.
                unsafe { stream.finish() };
                let expected: Vec<u16> = (1000..).take(length).collect();
                prop_assert_eq!(&memory[start..start + length], &expected[..]);
                prop_assert!(memory[..start].iter().chain(&memory[start + length..]).all(|v| *v == 7));
            }
        }
    }
}
