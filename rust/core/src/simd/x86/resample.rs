//! The horizontal pass.

use std::arch::x86_64::*;

use super::sums::{Sums, Words};
use super::tile::{Ahead, Stage, Tile};
use super::transpose::transpose;
use super::vector::Vector;
use crate::resize::{Coefficients, LineBlock, Pair, PixelLayout, PlanarLines};
use crate::simd::Isa;

/// Bytes of the widest register.
const WIDEST: usize = 64;

/// See [`crate::simd::stage_bytes`].
pub(in crate::simd) fn stage_bytes(isa: Isa, block: &LineBlock<'_>) -> usize {
    Stage::bytes(isa.lines_at_once(), block.length())
}

/// See [`crate::simd::resample_lines`].
///
/// Lines are transposed tile by tile, so that registers hold the same pixels of as many lines as they
/// have bytes; the convolution is then the same as between lines, and needs no shuffle. Pixels are
/// paired and widened once for all windows that they are in, which start at even pixels.
pub(in crate::simd) fn resample_lines(
    isa: Isa,
    block: &LineBlock<'_>,
    next: LineBlock<'_>,
    table: &Coefficients,
    stage: &mut [u8],
    out: &mut PlanarLines<'_>,
) {
    assert!(block.count() <= isa.lines_at_once() && block.count() <= out.count());
    let (last_start, last_weights) = table.window(table.len() - 1);
    assert!(last_start + last_weights.len() <= block.width());
    // Missing lines of the last block are computed from whatever is there and not stored.
    let stage = Stage::new(block, isa.lines_at_once(), stage);
    macro_rules! resample {
        ($split:literal, $channels:literal, $step:literal) => {
            // SAFETY: the processor has the instruction set of an `Isa`, and the stage has as many
            // lines as it takes at once, which are the bytes of its registers.
            unsafe {
                match isa {
                    Isa::Avx512 => {
                        avx512::<$split, $channels, $step>(&stage, block, next, table, out)
                    }
                    _ => avx2::<$split, $channels, $step>(&stage, block, next, table, out),
                }
            }
        };
    }
    match (table.is_split(), block.layout()) {
        (false, PixelLayout::Plane) => resample!(false, 1, 1),
        (false, PixelLayout::Rgb) => resample!(false, 3, 3),
        (false, PixelLayout::Rgbx) => resample!(false, 3, 4),
        (true, PixelLayout::Plane) => resample!(true, 1, 1),
        (true, PixelLayout::Rgb) => resample!(true, 3, 3),
        (true, PixelLayout::Rgbx) => resample!(true, 3, 4),
    }
}

/// # Safety
/// AVX2, and a stage of 32 lines.
#[target_feature(enable = "avx2")]
unsafe fn avx2<const SPLIT: bool, const CHANNELS: usize, const STEP: usize>(
    stage: &Stage<'_>,
    block: &LineBlock<'_>,
    next: LineBlock<'_>,
    table: &Coefficients,
    out: &mut PlanarLines<'_>,
) {
    // SAFETY: the caller's.
    unsafe { resample_tiles::<__m256i, SPLIT, CHANNELS, STEP>(stage, block, next, table, out) }
}

/// # Safety
/// AVX-512 F, BW and VNNI, and a stage of 64 lines.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn avx512<const SPLIT: bool, const CHANNELS: usize, const STEP: usize>(
    stage: &Stage<'_>,
    block: &LineBlock<'_>,
    next: LineBlock<'_>,
    table: &Coefficients,
    out: &mut PlanarLines<'_>,
) {
    // SAFETY: the caller's.
    unsafe { resample_tiles::<__m512i, SPLIT, CHANNELS, STEP>(stage, block, next, table, out) }
}

/// # Safety
/// The instruction set, and a stage of as many lines as a register has bytes.
#[inline(always)]
unsafe fn resample_tiles<V: Vector, const SPLIT: bool, const CHANNELS: usize, const STEP: usize>(
    stage: &Stage<'_>,
    block: &LineBlock<'_>,
    next: LineBlock<'_>,
    table: &Coefficients,
    out: &mut PlanarLines<'_>,
) {
    let precision = table.precision();
    // SAFETY: the caller's.
    let mut tile = unsafe { Tile::<V, CHANNELS, STEP>::new(table.pair_count()) };
    let mut ahead = Ahead::new(next, table.len());
    let mut resized = [[[0u8; WIDEST]; WIDEST]; CHANNELS];
    for left in (0..table.len()).step_by(V::BYTES) {
        let right = (left + V::BYTES).min(table.len());
        for (index, (start, pairs)) in table.windows(left..right).enumerate() {
            ahead.step();
            // SAFETY: the caller's; the tile then starts at `start` or before and reaches to the end of
            // the window; a place has room for a register.
            unsafe {
                if start + 2 * pairs.len() > tile.end {
                    tile.load(stage, start, block.width());
                }
                let words = tile.words.as_ptr().add((start - tile.start) / 2);
                let sums = convolve::<V, SPLIT, CHANNELS>(words, pairs, precision);
                for (resized, sums) in resized.iter_mut().zip(sums) {
                    sums.levels(precision).store(resized[index].as_mut_ptr());
                }
            }
        }
        for (channel, resized) in resized.iter().enumerate() {
            for top in (0..block.count()).step_by(16) {
                // SAFETY: places have `WIDEST` bytes, of which `top` and the 15 after it are lines.
                let lines =
                    unsafe { transpose::<V>(resized.as_ptr().cast::<u8>().add(top), WIDEST) };
                for (index, line) in (top..block.count().min(top + 16)).zip(lines) {
                    let plane = &mut out.plane(index, channel)[left..left + V::BYTES];
                    // SAFETY: the slice has the bytes of a register.
                    unsafe { line.store(plane.as_mut_ptr()) };
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
/// The instruction set, and as many words as there are pairs.
#[inline(always)]
unsafe fn convolve<V: Vector, const SPLIT: bool, const CHANNELS: usize>(
    words: *const [Words<V>; CHANNELS],
    pairs: &[Pair],
    precision: u32,
) -> [Sums<V, SPLIT>; CHANNELS] {
    // SAFETY: the caller's; a count that is written out is that of the pairs.
    unsafe {
        let mut sums = [Sums::new(precision); CHANNELS];
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
        sums
    }
}

/// Adds the first `count` pairs of taps.
///
/// # Safety
/// The instruction set, and as many words and pairs.
#[inline(always)]
unsafe fn add<V: Vector, const SPLIT: bool, const CHANNELS: usize>(
    sums: &mut [Sums<V, SPLIT>; CHANNELS],
    words: *const [Words<V>; CHANNELS],
    pairs: &[Pair],
    count: usize,
) {
    for index in 0..count {
        // SAFETY: the caller's.
        unsafe {
            let (words, pair) = (&*words.add(index), *pairs.get_unchecked(index));
            for (sums, words) in sums.iter_mut().zip(words) {
                sums.add(words, pair);
            }
        }
    }
}
