//! Pixels of 32 lines, made ready for the horizontal pass.

use std::arch::x86_64::*;

use super::LANES;
use super::sums::Words;
use crate::resize::LineBlock;

/// Pixels in a tile, so that what is made of them fits in a first-level cache.
const TILE: usize = 80;

/// 32 lines side by side in memory that stays in cache, read ahead of the tiles.
///
/// A tile takes some pixels of every line, and so many streams are too many for the processor to
/// foresee; nor may the lines be a power of two apart, where few of them fit in a first-level cache
/// at the same time. Copied line by line they are neither.
pub(super) struct Stage<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Stage<'a> {
    /// Bytes from a line of `length` to the next: room to read 16 bytes from anywhere in it, and an odd
    /// number of cache lines.
    fn stride(length: usize) -> usize {
        const CACHE_LINE: usize = 64;
        (length + 16).next_multiple_of(2 * CACHE_LINE) + CACHE_LINE
    }

    /// Bytes that lines of `length` take.
    pub(super) fn bytes(length: usize) -> usize {
        LANES * Self::stride(length)
    }

    /// The lines of `block`, at most 32, in `bytes`. Where lines or parts of them are missing lies
    /// whatever was there.
    pub(super) fn new(block: &LineBlock<'_>, bytes: &'a mut [u8]) -> Self {
        let stride = Self::stride(block.length());
        for (index, place) in bytes
            .chunks_exact_mut(stride)
            .take(block.count())
            .enumerate()
        {
            place[..block.length()].copy_from_slice(block.line(index));
        }
        assert!(bytes.len() >= LANES * stride);
        Self { bytes, stride }
    }

    /// Bytes `from..from + 16` of the line at `index` and, in the upper half, of the line 16 after.
    ///
    /// # Safety
    /// AVX2, `index` below 16, and `from` within the lines.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load(&self, index: usize, from: usize) -> __m256i {
        debug_assert!(index < 16 && from + 16 <= self.stride);
        // SAFETY: the caller's; each of the 32 lines has a stride to itself.
        unsafe {
            let line = self.bytes.as_ptr().add(index * self.stride + from);
            let low = _mm_loadu_si128(line.cast());
            let high = _mm_loadu_si128(line.add(16 * self.stride).cast());
            _mm256_set_m128i(high, low)
        }
    }
}

/// Some pixels of 32 lines, two by two. `STEP` bytes lie from a pixel to the next.
pub(super) struct Tile<const CHANNELS: usize, const STEP: usize> {
    /// After the last pixel of the lines whatever an earlier tile left, which meets zero weights.
    pub(super) words: Vec<[Words; CHANNELS]>,
    /// The first pixel, and where the room for pixels ends.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<const CHANNELS: usize, const STEP: usize> Tile<CHANNELS, STEP> {
    /// Pairs of pixels that are transposed at once: in 16 bytes of a line, or 12 of packed RGB.
    const PAIRS: usize = if CHANNELS == 3 { 2 } else { 8 };

    /// Room for several windows of `pairs` pairs. Nothing is in it.
    #[target_feature(enable = "avx2")]
    pub(super) fn new(pairs: usize) -> Self {
        let pairs = (TILE / 2).max(2 * pairs).next_multiple_of(Self::PAIRS);
        Self {
            words: vec![[[_mm256_setzero_si256(); 4]; CHANNELS]; pairs],
            start: 0,
            end: 0,
        }
    }

    /// Takes pixels from `start` on, as many as there is room for or lines of `width` have.
    #[target_feature(enable = "avx2")]
    pub(super) fn load(&mut self, stage: &Stage<'_>, start: usize, width: usize) {
        let pixels = (start..width).step_by(2 * Self::PAIRS);
        for (pixel, words) in pixels.zip(self.words.chunks_exact_mut(Self::PAIRS)) {
            // SAFETY: the pixel is one of the lines'.
            unsafe { Self::pair_up(stage, pixel * STEP, words) };
        }
        self.start = start;
        self.end = start + 2 * self.words.len();
    }

    /// The pixels from byte `from` of 32 lines on, two by two.
    ///
    /// A pair is one 16-bit unit. Line r and line r + 16 share a register, one half each, and three
    /// rounds of interleaving transpose the eight units of eight such registers, as in
    /// [`super::transpose`]. Widening then gives the order that [`super::sums::widen`] has.
    ///
    /// # Safety
    /// AVX2, and `from` within the lines.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn pair_up(stage: &Stage<'_>, from: usize, words: &mut [[Words; CHANNELS]]) {
        // In packed RGB the two reds, greens and blues of a pair of pixels are brought together.
        let rgb = _mm256_broadcastsi128_si256(if STEP == 3 {
            _mm_setr_epi8(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, -1, -1, -1, -1)
        } else {
            _mm_setr_epi8(0, 4, 1, 5, 2, 6, 8, 12, 9, 13, 10, 14, -1, -1, -1, -1)
        });
        let zero = _mm256_setzero_si256();
        for (half, first) in [0, 8].into_iter().enumerate() {
            let mut units: [__m256i; 8] = std::array::from_fn(|index| {
                // SAFETY: the caller's.
                let line = unsafe { stage.load(first + index, from) };
                if CHANNELS == 3 {
                    _mm256_shuffle_epi8(line, rgb)
                } else {
                    line
                }
            });
            for _ in 0..3 {
                let mut next = [zero; 8];
                for index in 0..4 {
                    next[2 * index] = _mm256_unpacklo_epi16(units[index], units[index + 4]);
                    next[2 * index + 1] = _mm256_unpackhi_epi16(units[index], units[index + 4]);
                }
                units = next;
            }
            for (words, unit) in words.as_flattened_mut().iter_mut().zip(units) {
                words[2 * half] = _mm256_unpacklo_epi8(unit, zero);
                words[2 * half + 1] = _mm256_unpackhi_epi8(unit, zero);
            }
        }
    }
}
