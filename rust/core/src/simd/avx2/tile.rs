//! Pixels of 32 lines, made ready for the horizontal pass.

use std::arch::x86_64::*;

use super::LANES;
use super::sums::Words;
use super::transpose::load_rows;

/// Pixels in a tile, so that what is made of them fits in a first-level cache.
const TILE: usize = 80;

/// Bytes of a line that are staged at a time, and how far ahead of them others are fetched.
const STAGED: usize = 96;
const AHEAD: usize = 192;

/// Some pixels of 32 lines, two by two. `STEP` bytes lie from a pixel to the next.
pub(super) struct Tile<const CHANNELS: usize, const STEP: usize> {
    /// After the last pixel of the lines whatever an earlier tile left, which meets zero weights.
    pub(super) words: Vec<[Words; CHANNELS]>,
    staged: Box<[[u8; STAGED]; LANES]>,
    /// The first pixel, and where the room for pixels ends.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<const CHANNELS: usize, const STEP: usize> Tile<CHANNELS, STEP> {
    /// Pairs of pixels that are transposed at once: in 16 bytes of a line, or 12 of packed RGB.
    const PAIRS: usize = if CHANNELS == 3 { 2 } else { 8 };

    /// Bytes of these pixels.
    const BYTES: usize = 2 * Self::PAIRS * STEP;

    /// How often that can be done within the bytes of a line that are staged.
    const TIMES: usize = (STAGED - 16) / Self::BYTES + 1;

    /// Room for several windows of `pairs` pairs. Nothing is in it.
    #[target_feature(enable = "avx2")]
    pub(super) fn new(pairs: usize) -> Self {
        let pairs = (TILE / 2)
            .max(2 * pairs)
            .next_multiple_of(Self::TIMES * Self::PAIRS);
        Self {
            words: vec![[[_mm256_setzero_si256(); 4]; CHANNELS]; pairs],
            staged: Box::new([[0; STAGED]; LANES]),
            start: 0,
            end: 0,
        }
    }

    /// Takes pixels from `start` on, as many as there is room for or the lines have.
    ///
    /// Some bytes of every line are copied to a stage first where lines end, and where they are
    /// `aliased`: too many of them would have the same few places in a first-level cache.
    #[target_feature(enable = "avx2")]
    pub(super) fn load(&mut self, lines: &[&[u8]; LANES], start: usize, aliased: bool) {
        let length = lines[0].len();
        for (from, words) in (start * STEP..length)
            .step_by(Self::TIMES * Self::BYTES)
            .zip(self.words.chunks_exact_mut(Self::TIMES * Self::PAIRS))
        {
            for line in lines {
                // Too many streams for the processor to foresee.
                if let Some(next) = line.get(from + AHEAD..) {
                    _mm_prefetch::<_MM_HINT_T1>(next.as_ptr().cast());
                    _mm_prefetch::<_MM_HINT_T1>(next.as_ptr().wrapping_add(64).cast());
                }
            }
            let words = words.chunks_exact_mut(Self::PAIRS);
            if !aliased && from + STAGED <= length {
                for (index, words) in words.enumerate() {
                    // SAFETY: `index` is below `TIMES`, for which the lines have bytes.
                    unsafe { Self::pair_up(lines, from + index * Self::BYTES, words) };
                }
                continue;
            }
            for (staged, line) in self.staged.iter_mut().zip(lines) {
                let rest = &line[from..];
                match rest.first_chunk() {
                    Some(bytes) => *staged = *bytes,
                    None => staged[..rest.len()].copy_from_slice(rest),
                }
            }
            let staged = std::array::from_fn(|index| &self.staged[index][..]);
            for (index, words) in words.enumerate() {
                // SAFETY: as above, for the stage.
                unsafe { Self::pair_up(&staged, index * Self::BYTES, words) };
            }
        }
        self.start = start;
        self.end = start + 2 * self.words.len();
    }

    /// The pixels from byte `from` of 32 lines on, two by two.
    ///
    /// A pair is one 16-bit unit. Line r and line r + 16 share a register, one half each, and three
    /// rounds of interleaving transpose the eight units of eight such registers, as in
    /// [`transpose`]. Widening then gives the order that [`widen`] has.
    ///
    /// # Safety
    /// AVX2, and lines of at least `from + 16` bytes.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn pair_up(lines: &[&[u8]; LANES], from: usize, words: &mut [[Words; CHANNELS]]) {
        // In packed RGB the two reds, greens and blues of a pair of pixels are brought together.
        let rgb = _mm256_broadcastsi128_si256(if STEP == 3 {
            _mm_setr_epi8(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, -1, -1, -1, -1)
        } else {
            _mm_setr_epi8(0, 4, 1, 5, 2, 6, 8, 12, 9, 13, 10, 14, -1, -1, -1, -1)
        });
        let zero = _mm256_setzero_si256();
        for (half, first) in [0, 8].into_iter().enumerate() {
            let mut units: [__m256i; 8] = std::array::from_fn(|index| {
                // SAFETY: both lines have bytes `from..from + 16`.
                let line = unsafe { load_rows(lines, first + index, from) };
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
