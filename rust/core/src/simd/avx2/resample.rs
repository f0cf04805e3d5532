//! The horizontal pass.

use std::arch::x86_64::*;

use super::LANES;
use super::sums::Sums;
use super::tile::Tile;
use super::transpose::transpose;
use crate::resize::{Coefficients, LineBlock, PixelLayout, PlanarLines};

/// Of 32 lines that are a multiple of this apart, more than eight share a place in a first-level cache.
const ALIASED: isize = 2048;

/// See [`crate::simd::resample_lines`].
///
/// Lines are transposed tile by tile, so that registers hold the same pixels of 32 lines; the
/// convolution is then the same as between lines, and needs no shuffle. Pixels are paired and widened
/// once for all windows that they are in, which start at even pixels.
pub(in crate::simd) fn resample_lines(
    block: &LineBlock<'_>,
    table: &Coefficients,
    out: &mut PlanarLines<'_>,
) {
    assert!(block.count() <= LANES && block.count() <= out.count());
    let (last_start, last_weights) = table.window(table.len() - 1);
    assert!(last_start + last_weights.len() <= block.width());
    // SAFETY: `Isa::Avx2` exists only where the processor has AVX2.
    unsafe {
        match (table.is_split(), block.layout()) {
            (false, PixelLayout::Plane) => resample_tiles::<false, 1, 1>(block, table, out),
            (false, PixelLayout::Rgb) => resample_tiles::<false, 3, 3>(block, table, out),
            (false, PixelLayout::Rgbx) => resample_tiles::<false, 3, 4>(block, table, out),
            (true, PixelLayout::Plane) => resample_tiles::<true, 1, 1>(block, table, out),
            (true, PixelLayout::Rgb) => resample_tiles::<true, 3, 3>(block, table, out),
            (true, PixelLayout::Rgbx) => resample_tiles::<true, 3, 4>(block, table, out),
        }
    }
}

/// # Safety
/// AVX2.
#[target_feature(enable = "avx2")]
unsafe fn resample_tiles<const SPLIT: bool, const CHANNELS: usize, const STEP: usize>(
    block: &LineBlock<'_>,
    table: &Coefficients,
    out: &mut PlanarLines<'_>,
) {
    let (count, precision) = (block.count(), table.precision());
    // Missing lines of the last block are computed as copies and not stored.
    let lines: [&[u8]; LANES] = std::array::from_fn(|index| block.line(index.min(count - 1)));
    let aliased = block.stride().rem_euclid(ALIASED) == 0;
    let mut tile = Tile::<CHANNELS, STEP>::new(table.pair_count());
    let mut resized = [[[0u8; LANES]; LANES]; CHANNELS];
    for left in (0..table.len()).step_by(LANES) {
        let right = (left + LANES).min(table.len());
        for position in left..right {
            let (start, _) = table.window(position);
            let pairs = table.pairs(position);
            if start + 2 * pairs.len() > tile.end {
                tile.load(&lines, start, aliased);
            }
            let words = &tile.words[(start - tile.start) / 2..][..pairs.len()];
            let mut sums: [_; CHANNELS] = std::array::from_fn(|_| Sums::<SPLIT>::new(precision));
            for (words, pair) in words.iter().zip(pairs) {
                for (sums, words) in sums.iter_mut().zip(words) {
                    sums.add(words, *pair);
                }
            }
            for (resized, sums) in resized.iter_mut().zip(sums) {
                let place = &mut resized[position - left];
                // SAFETY: the place has 32 bytes.
                unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), sums.levels(precision)) };
            }
        }
        for (channel, resized) in resized.iter().enumerate() {
            let rows = std::array::from_fn(|x| &resized[x][..]);
            for top in (0..count).step_by(16) {
                // SAFETY: each of the rows has 32 bytes.
                let transposed = unsafe { transpose(&rows, top) };
                for (index, line) in (top..count.min(top + 16)).zip(transposed) {
                    let plane = &mut out.plane(index, channel)[left..left + LANES];
                    // SAFETY: the slice has 32 bytes.
                    unsafe { _mm256_storeu_si256(plane.as_mut_ptr().cast(), line) };
                }
            }
        }
    }
}
