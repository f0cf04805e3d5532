//! Pixels of several lines, made ready for the horizontal pass.

use std::arch::x86_64::*;

use super::sums::Words;
use super::vector::Vector;
use crate::resize::LineBlock;

/// Bytes of a tile, unless two windows are longer; so that it fits in a first-level cache.
const TILE_BYTES: usize = 16 << 10;

/// Bytes that a processor fetches at once.
const CACHE_LINE: usize = 64;

/// Lines side by side in memory that stays in cache, read ahead of the tiles.
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
        (length + 16).next_multiple_of(2 * CACHE_LINE) + CACHE_LINE
    }

    /// Bytes that `count` lines of `length` take.
    pub(super) fn bytes(count: usize, length: usize) -> usize {
        count * Self::stride(length)
    }

    /// The lines of `block` in `bytes`, where there is room for `count`. Where lines or parts of them
    /// are missing lies whatever was there.
    pub(super) fn new(block: &LineBlock<'_>, count: usize, bytes: &'a mut [u8]) -> Self {
        let stride = Self::stride(block.length());
        assert!(bytes.len() >= count * stride);
        let places = bytes.chunks_exact_mut(stride).take(block.count());
        for (index, place) in places.enumerate() {
            place[..block.length()].copy_from_slice(block.line(index));
        }
        Self { bytes, stride }
    }

    /// Bytes `from..from + 16` of the line at `index` and, in the other quarters, of the lines 16 and
    /// so on after it.
    ///
    /// # Safety
    /// The instruction set, `index` below 16, `from` within the lines, and as many lines as bytes.
    #[inline(always)]
    unsafe fn load<V: Vector>(&self, index: usize, from: usize) -> V {
        debug_assert!(index < 16 && from + 16 <= self.stride);
        // SAFETY: the caller's; each line has a stride to itself.
        unsafe {
            let line = self.bytes.as_ptr().add(index * self.stride + from);
            V::load_quarters(line, 16 * self.stride)
        }
    }
}

/// Lines that are staged next, fetched into a cache while the processor computes.
pub(super) struct Ahead<'a> {
    block: LineBlock<'a>,
    /// The line that is being fetched, what is left of it, and how often bytes are.
    index: usize,
    rest: &'a [u8],
    at_once: usize,
}

impl<'a> Ahead<'a> {
    /// The lines of `block`, to be fetched in `steps` steps.
    pub(super) fn new(block: LineBlock<'a>, steps: usize) -> Self {
        let bytes = block.count() * (block.length() + CACHE_LINE);
        Self {
            block,
            index: 0,
            rest: &[],
            at_once: bytes.div_ceil(CACHE_LINE).div_ceil(steps),
        }
    }

    /// Does one step.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        for _ in 0..self.at_once {
            if self.rest.is_empty() {
                if self.index == self.block.count() {
                    return;
                }
                self.rest = self.block.line(self.index);
                self.index += 1;
            }
            // SAFETY: fetching changes nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.rest.as_ptr().cast()) };
            self.rest = self.rest.get(CACHE_LINE..).unwrap_or_default();
        }
    }
}

/// Some pixels of as many lines as a register has bytes, two by two. `STEP` bytes lie from a pixel to
/// the next.
pub(super) struct Tile<V, const CHANNELS: usize, const STEP: usize> {
    /// After the last pixel of the lines whatever an earlier tile left, which meets zero weights.
    pub(super) words: Vec<[Words<V>; CHANNELS]>,
    /// The first pixel, and where the room for pixels ends.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<V: Vector, const CHANNELS: usize, const STEP: usize> Tile<V, CHANNELS, STEP> {
    /// Pairs of pixels that are transposed at once: in 16 bytes of a line, or 12 of packed RGB.
    const PAIRS: usize = if CHANNELS == 3 { 2 } else { 8 };

    /// Room for several windows of `pairs` pairs. Nothing is in it.
    ///
    /// # Safety
    /// The instruction set.
    #[inline(always)]
    pub(super) unsafe fn new(pairs: usize) -> Self {
        let most = TILE_BYTES / size_of::<[Words<V>; CHANNELS]>();
        let pairs = most.max(2 * pairs).next_multiple_of(Self::PAIRS);
        Self {
            // SAFETY: the caller's.
            words: vec![[[unsafe { V::zero() }; 4]; CHANNELS]; pairs],
            start: 0,
            end: 0,
        }
    }

    /// Takes pixels from `start` on, as many as there is room for or lines of `width` have.
    ///
    /// # Safety
    /// The instruction set, and a stage of as many lines as bytes.
    #[inline(always)]
    pub(super) unsafe fn load(&mut self, stage: &Stage<'_>, start: usize, width: usize) {
        let pixels = (start..width).step_by(2 * Self::PAIRS);
        for (pixel, words) in pixels.zip(self.words.chunks_exact_mut(Self::PAIRS)) {
            // SAFETY: the caller's, and the pixel is one of the lines'.
            unsafe { Self::pair_up(stage, pixel * STEP, words) };
        }
        self.start = start;
        self.end = start + 2 * self.words.len();
    }

    /// The pixels from byte `from` of the lines on, two by two.
    ///
    /// A pair is one 16-bit unit. Line r shares a register with lines r + 16 and so on, a quarter each,
    /// and three rounds of interleaving transpose the eight units of eight such registers, as in
    /// [`super::transpose`]. Widening then gives the order that [`super::sums::widen`] has.
    ///
    /// # Safety
    /// The instruction set, a stage of as many lines as bytes, and `from` within the lines.
    #[inline(always)]
    unsafe fn pair_up(stage: &Stage<'_>, from: usize, words: &mut [[Words<V>; CHANNELS]]) {
        // SAFETY: the caller's.
        unsafe {
            // In packed RGB the two reds, greens and blues of a pair of pixels are brought together.
            let rgb = if STEP == 3 {
                _mm_setr_epi8(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, -1, -1, -1, -1)
            } else {
                _mm_setr_epi8(0, 4, 1, 5, 2, 6, 8, 12, 9, 13, 10, 14, -1, -1, -1, -1)
            };
            for half in 0..2 {
                let mut units = [V::zero(); 8];
                for (index, unit) in units.iter_mut().enumerate() {
                    *unit = stage.load(8 * half + index, from);
                    if CHANNELS == 3 {
                        *unit = unit.shuffle(rgb);
                    }
                }
                for _ in 0..3 {
                    let mut next = units;
                    for index in 0..4 {
                        let [low, high] = units[index].unpack_pairs(units[index + 4]);
                        (next[2 * index], next[2 * index + 1]) = (low, high);
                    }
                    units = next;
                }
                for (words, unit) in words.as_flattened_mut().iter_mut().zip(units) {
                    let [low, high] = unit.unpack_bytes(V::zero());
                    (words[2 * half], words[2 * half + 1]) = (low, high);
                }
            }
        }
    }
}
