//! The horizontal pass.

use std::arch::x86_64::*;

use super::LANES;
use super::sums::{Sums, Words};
use super::tile::{Stage, Tile};
use super::transpose::transpose;
use crate::resize::{Coefficients, LineBlock, Pair, PixelLayout, PlanarLines};

/// See [`crate::simd::stage_bytes`].
pub(in crate::simd) fn stage_bytes(block: &LineBlock<'_>) -> usize {
    Stage::bytes(block.length())
}

/// See [`crate::simd::resample_lines`].
///
/// Lines are transposed tile by tile, so that registers hold the same pixels of 32 lines; the
/// convolution is then the same as between lines, and needs no shuffle. Pixels are paired and widened
/// once for all windows that they are in, which start at even pixels.
pub(in crate::simd) fn resample_lines(
    block: &LineBlock<'_>,
    table: &Coefficients,
    stage: &mut [u8],
    out: &mut PlanarLines<'_>,
) {
    assert!(block.count() <= LANES && block.count() <= out.count());
    let (last_start, last_weights) = table.window(table.len() - 1);
    assert!(last_start + last_weights.len() <= block.width());
    // SAFETY: `Isa::Avx2` exists only where the processor has AVX2.
    unsafe {
        match (table.is_split(), block.layout()) {
            (false, PixelLayout::Plane) => resample_tiles::<false, 1, 1>(block, table, stage, out),
            (false, PixelLayout::Rgb) => resample_tiles::<false, 3, 3>(block, table, stage, out),
            (false, PixelLayout::Rgbx) => resample_tiles::<false, 3, 4>(block, table, stage, out),
            (true, PixelLayout::Plane) => resample_tiles::<true, 1, 1>(block, table, stage, out),
            (true, PixelLayout::Rgb) => resample_tiles::<true, 3, 3>(block, table, stage, out),
            (true, PixelLayout::Rgbx) => resample_tiles::<true, 3, 4>(block, table, stage, out),
        }
    }
}

/// # Safety
/// AVX2.
#[target_feature(enable = "avx2")]
unsafe fn resample_tiles<const SPLIT: bool, const CHANNELS: usize, const STEP: usize>(
    block: &LineBlock<'_>,
    table: &Coefficients,
    stage: &mut [u8],
    out: &mut PlanarLines<'_>,
) {
    let (count, precision) = (block.count(), table.precision());
    // Missing lines of the last block are computed from whatever is there and not stored.
    let stage = Stage::new(block, stage);
    let mut tile = Tile::<CHANNELS, STEP>::new(table.pair_count());
    let mut resized = [[[0u8; LANES]; LANES]; CHANNELS];
    for left in (0..table.len()).step_by(LANES) {
        let right = (left + LANES).min(table.len());
        for (index, (start, pairs)) in table.windows(left..right).enumerate() {
            if start + 2 * pairs.len() > tile.end {
                tile.load(&stage, start, block.width());
            }
            // SAFETY: the tile starts at `start` or before and reaches to the end of the window.
            let sums = unsafe {
                let words = tile.words.as_ptr().add((start - tile.start) / 2);
                convolve::<SPLIT, CHANNELS>(words, pairs, precision)
            };
            for (resized, sums) in resized.iter_mut().zip(sums) {
                let place = &mut resized[index];
                // SAFETY: the place has 32 bytes.
                unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), sums.levels(precision)) };
            }
        }
        for (channel, resized) in resized.iter().enumerate() {
            for top in (0..count).step_by(16) {
                // SAFETY: `top` is 0 or 16.
                let transposed = unsafe { transpose(resized, top) };
                for (index, line) in (top..count.min(top + 16)).zip(transposed) {
                    let plane = &mut out.plane(index, channel)[left..left + LANES];
                    // SAFETY: the slice has 32 bytes.
                    unsafe { _mm256_storeu_si256(plane.as_mut_ptr().cast(), line) };
                }
            }
        }
    }
}

/// The taps of one window, summed up.
///
/// Most windows are short, and a loop that counts costs them as much as what it does.
///
/// # Safety
/// AVX2, and as many words as there are pairs.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn convolve<const SPLIT: bool, const CHANNELS: usize>(
    words: *const [Words; CHANNELS],
    pairs: &[Pair],
    precision: u32,
) -> [Sums<SPLIT>; CHANNELS] {
    let mut sums = std::array::from_fn(|_| Sums::new(precision));
    // SAFETY: the caller's; a count that is written out is that of the pairs.
    unsafe {
        match pairs.len() {
            1 => add(&mut sums, words, pairs, 1),
            2 => add(&mut sums, words, pairs, 2),
            3 => add(&mut sums, words, pairs, 3),
            4 => add(&mut sums, words, pairs, 4),
            5 => add(&mut sums, words, pairs, 5),
            6 => add(&mut sums, words, pairs, 6),
            7 => add(&mut sums, words, pairs, 7),
            8 => add(&mut sums, words, pairs, 8),
            count => add(&mut sums, words, pairs, count),
        }
    }
    sums
}

/// Adds the first `count` pairs of taps.
///
/// # Safety
/// AVX2, and as many words and pairs.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add<const SPLIT: bool, const CHANNELS: usize>(
    sums: &mut [Sums<SPLIT>; CHANNELS],
    words: *const [Words; CHANNELS],
    pairs: &[Pair],
    count: usize,
) {
    for index in 0..count {
        // SAFETY: the caller's.
        let (words, pair) = unsafe { (&*words.add(index), *pairs.get_unchecked(index)) };
        for (sums, words) in sums.iter_mut().zip(words) {
            sums.add(words, pair);
        }
    }
}
