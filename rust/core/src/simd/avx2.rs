//! AVX2 arms: 32 lines, or 32 columns, in the bytes of a register.
//!
//! A convolution takes its taps two at a time. Bytes of tap a and tap b are interleaved and widened
//! to 16 bits, and one multiply-add with their pair of weights gives a 32-bit partial sum:
//!
//! ```text
//! a:  a0 a1 a2 ...        unpacklo(a, b):  a0 b0 a1 b1 ...       (bytes)
//! b:  b0 b1 b2 ...        widened:         a0    b0    a1 ...    (16 bits)
//!                         madd (wa, wb):   a0*wa + b0*wb  ...    (32 bits)
//! ```
//!
//! The unpack instructions work within each half of a register; the pack instructions that narrow
//! the sums do too, in the inverse order, so that bytes come out where they went in.
#![expect(
    unsafe_code,
    reason = "intrinsics and the unchecked loads and stores that they need"
)]

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::scalar;
use crate::resize::{Coefficients, LineBlock, Pair, PixelLayout, PlanarLines};
use crate::rows::{Affine, Band, RowShape, Values};

/// Bytes in a register.
const LANES: usize = 32;

/// Pixels in the tile of [`resample_lines`], so that what is made of them fits in a first-level cache.
const TILE: usize = 96;

/// See [`super::combine_lines`].
pub(super) fn combine_lines(
    lines: &[&[u8]],
    table: &Coefficients,
    position: usize,
    out: &mut [u8],
) {
    assert!(lines.len() == table.window(position).1.len());
    assert!(lines.iter().all(|line| line.len() == out.len()));
    let vectors = out.len() / LANES;
    // SAFETY: `Isa::Avx2` exists only where the processor has AVX2. Lines and `out` hold at least
    // `vectors * 32` bytes each, which is all that is read and written.
    unsafe {
        if table.is_split() {
            combine_columns::<true>(lines, table, position, vectors, out.as_mut_ptr());
        } else {
            combine_columns::<false>(lines, table, position, vectors, out.as_mut_ptr());
        }
    }
    scalar::combine_columns(lines, table, position, vectors * LANES, out);
}

/// # Safety
/// AVX2, one line for each tap, and `vectors` times 32 bytes in each line and in `out`.
#[target_feature(enable = "avx2")]
unsafe fn combine_columns<const SPLIT: bool>(
    lines: &[&[u8]],
    table: &Coefficients,
    position: usize,
    vectors: usize,
    out: *mut u8,
) {
    let precision = table.precision();
    // The second of an odd last pair has no weight: any line will do.
    let taps: Vec<_> = lines
        .chunks(2)
        .zip(table.pairs(position))
        .map(|(lines, pair)| (lines[0].as_ptr(), lines[lines.len() - 1].as_ptr(), *pair))
        .collect();
    for column in (0..vectors).map(|vector| vector * LANES) {
        let mut sums = Sums::<SPLIT>::new(precision);
        for (a, b, pair) in &taps {
            // SAFETY: `column + 32 <= vectors * 32`, which the lines hold.
            let words = unsafe { widen(load(a.add(column)), load(b.add(column))) };
            sums.add(&words, *pair);
        }
        // SAFETY: as above, for `out`.
        unsafe { _mm256_storeu_si256(out.add(column).cast(), sums.levels(precision)) };
    }
}

/// See [`super::resample_lines`].
///
/// Lines are transposed tile by tile, so that registers hold the same pixels of 32 lines; the
/// convolution is then the same as between lines, and needs no shuffle. Pixels are paired and widened
/// once for all windows that they are in, which start at even pixels.
pub(super) fn resample_lines(
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

/// Two taps of 32 columns or lines, interleaved and widened to 16 bits.
type Words = [__m256i; 4];

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
    let mut tile = Tile::<CHANNELS, STEP>::new(table.pair_count());
    let mut resized = [[_mm256_setzero_si256(); LANES]; CHANNELS];
    for left in (0..table.len()).step_by(LANES) {
        let right = (left + LANES).min(table.len());
        for position in left..right {
            let (start, _) = table.window(position);
            let pairs = table.pairs(position);
            if start + 2 * pairs.len() > tile.end {
                tile.load(&lines, start);
            }
            let words = &tile.words[(start - tile.start) / 2..][..pairs.len()];
            let mut sums: [_; CHANNELS] = std::array::from_fn(|_| Sums::<SPLIT>::new(precision));
            for (words, pair) in words.iter().zip(pairs) {
                for (sums, words) in sums.iter_mut().zip(words) {
                    sums.add(words, *pair);
                }
            }
            for (resized, sums) in resized.iter_mut().zip(sums) {
                resized[position - left] = sums.levels(precision);
            }
        }
        for (channel, resized) in resized.iter().enumerate() {
            let rows = std::array::from_fn(|x| resized[x].as_bytes());
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

/// Some pixels of 32 lines, two by two. `STEP` bytes lie from a pixel to the next.
struct Tile<const CHANNELS: usize, const STEP: usize> {
    /// After the last pixel of the lines whatever an earlier tile left, which meets zero weights.
    words: Vec<[Words; CHANNELS]>,
    /// The first pixel, and where the room for pixels ends.
    start: usize,
    end: usize,
}

impl<const CHANNELS: usize, const STEP: usize> Tile<CHANNELS, STEP> {
    /// Pairs of pixels in 16 bytes of a line, or 12 of packed RGB.
    const PAIRS: usize = if CHANNELS == 3 { 2 } else { 8 };

    /// Room for several windows of `pairs` pairs. Nothing is in it.
    #[target_feature(enable = "avx2")]
    fn new(pairs: usize) -> Self {
        let pairs = (TILE / 2).max(pairs).next_multiple_of(Self::PAIRS);
        Self {
            words: vec![[[_mm256_setzero_si256(); 4]; CHANNELS]; pairs],
            start: 0,
            end: 0,
        }
    }

    /// Takes pixels from `start` on, as many as there is room for or the lines have.
    #[target_feature(enable = "avx2")]
    fn load(&mut self, lines: &[&[u8]; LANES], start: usize) {
        let length = lines[0].len();
        let step = 2 * Self::PAIRS * STEP;
        let next = (start + 2 * self.words.len()) * STEP;
        for line in lines {
            // Too many streams for the processor to foresee the tile after this one.
            for ahead in (next..(2 * next - start * STEP).min(length)).step_by(64) {
                _mm_prefetch::<_MM_HINT_T1>(line[ahead..].as_ptr().cast());
            }
        }
        let mut edge = [[0u8; 16]; LANES];
        for (from, words) in (start * STEP..length)
            .step_by(step)
            .zip(self.words.chunks_exact_mut(Self::PAIRS))
        {
            if from + 16 <= length {
                // SAFETY: the lines, all of one length, have bytes `from..from + 16`.
                unsafe { Self::pair_up(lines, from, words) };
            } else {
                for (edge, line) in edge.iter_mut().zip(lines) {
                    edge[..length - from].copy_from_slice(&line[from..]);
                }
                // SAFETY: the copies have 16 bytes each.
                unsafe { Self::pair_up(&std::array::from_fn(|index| &edge[index][..]), 0, words) };
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

/// Bytes `from..from + 16` of row `index` and, in the upper half, of the row 16 after it.
///
/// # Safety
/// AVX2, and rows of at least `from + 16` bytes.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load_rows(rows: &[&[u8]; LANES], index: usize, from: usize) -> __m256i {
    debug_assert!(rows[index].len() >= from + 16 && rows[index + 16].len() >= from + 16);
    // SAFETY: the caller's.
    unsafe {
        let low = _mm_loadu_si128(rows[index].as_ptr().add(from).cast());
        let high = _mm_loadu_si128(rows[index + 16].as_ptr().add(from).cast());
        _mm256_set_m128i(high, low)
    }
}

/// Bytes `from..from + 16` of 32 rows, column by column.
///
/// Row r and row r + 16 share a register, one half each. Four rounds of interleaving neighbours at
/// twice the distance then bring the bytes of a column together:
///
/// ```text
/// bytes    rows 0 and 8, 1 and 9, ...   ->  column pairs of two rows
/// 4 times  the same of the results      ->  one column of 16 rows in each half
/// ```
///
/// # Safety
/// AVX2, and rows of at least `from + 16` bytes.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn transpose(rows: &[&[u8]; LANES], from: usize) -> [__m256i; 16] {
    // SAFETY: the caller's.
    let mut registers: [__m256i; 16] =
        std::array::from_fn(|index| unsafe { load_rows(rows, index, from) });
    // Each round interleaves register i with register i + 8. Seen as a 16 x 16 matrix of bytes
    // with 4-bit indices of row and column, a round rotates the 8 bits of (register, byte) by one;
    // after four rounds rows and columns have changed places.
    for _ in 0..4 {
        let mut next = [_mm256_setzero_si256(); 16];
        for index in 0..8 {
            next[2 * index] = _mm256_unpacklo_epi8(registers[index], registers[index + 8]);
            next[2 * index + 1] = _mm256_unpackhi_epi8(registers[index], registers[index + 8]);
        }
        registers = next;
    }
    registers
}

/// Running sums of 32 bytes, in the order of the unpack instructions.
struct Sums<const SPLIT: bool> {
    low: [__m256i; 4],
    high: [__m256i; 4],
}

impl<const SPLIT: bool> Sums<SPLIT> {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(precision: u32) -> Self {
        Self {
            low: [_mm256_set1_epi32(1 << (precision - 1)); 4],
            high: [_mm256_setzero_si256(); 4],
        }
    }

    /// Adds two taps times their weights.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn add(&mut self, words: &Words, pair: Pair) {
        let weights = _mm256_set1_epi32(pair.low);
        for (sum, words) in self.low.iter_mut().zip(words) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*words, weights));
        }
        if SPLIT {
            let weights = _mm256_set1_epi32(pair.high);
            for (sum, words) in self.high.iter_mut().zip(words) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*words, weights));
            }
        }
    }

    /// The sums shifted to whole levels and clamped to a byte.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn levels(self, precision: u32) -> __m256i {
        let shift = _mm_cvtsi32_si128(precision as i32);
        let mut levels = self.low;
        for (sum, high) in levels.iter_mut().zip(self.high) {
            if SPLIT {
                let high = _mm256_slli_epi32::<{ Pair::SHIFT as i32 }>(high);
                *sum = _mm256_add_epi32(*sum, high);
            }
            *sum = _mm256_sra_epi32(*sum, shift);
        }
        _mm256_packus_epi16(
            _mm256_packs_epi32(levels[0], levels[1]),
            _mm256_packs_epi32(levels[2], levels[3]),
        )
    }
}

/// The bytes of `a` and `b`, interleaved and widened to 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn widen(a: __m256i, b: __m256i) -> Words {
    let zero = _mm256_setzero_si256();
    let (front, back) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
    [
        _mm256_unpacklo_epi8(front, zero),
        _mm256_unpackhi_epi8(front, zero),
        _mm256_unpacklo_epi8(back, zero),
        _mm256_unpackhi_epi8(back, zero),
    ]
}

/// The bytes of a register in memory.
trait AsBytes {
    fn as_bytes(&self) -> &[u8];
}

impl AsBytes for __m256i {
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: a register is 32 bytes without padding, and every value of a byte is valid.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), LANES) }
    }
}

/// # Safety
/// 32 readable bytes.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load(bytes: *const u8) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_loadu_si256(bytes.cast()) }
}

/// Element types that this arm writes eight at a time.
pub trait Lanes: Sized {
    /// Whether elements are computed from levels by [`Affine`].
    const COMPUTED: bool;

    /// Stores the elements of eight levels.
    ///
    /// # Safety
    /// AVX2 and F16C, 8 readable bytes at `levels` and 8 writable elements at `out`.
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine);
}

/// Eight levels as float32, normalised.
///
/// # Safety
/// AVX2, 8 readable bytes.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn normalised(levels: *const u8, affine: &Affine) -> __m256 {
    // SAFETY: the caller's.
    let levels = unsafe { _mm_loadl_epi64(levels.cast()) };
    let mut values = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(levels));
    if affine.divisor != 1.0 {
        values = _mm256_div_ps(values, _mm256_set1_ps(affine.divisor));
    }
    let centred = _mm256_sub_ps(values, _mm256_set1_ps(affine.mean));
    _mm256_div_ps(centred, _mm256_set1_ps(affine.std))
}

impl Lanes for f32 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine) {
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_ps(out, normalised(levels, affine)) };
    }
}

impl Lanes for f16 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine) {
        // SAFETY: the caller's.
        unsafe {
            let values = normalised(levels, affine);
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values);
            _mm_storeu_si128(out.cast(), halves);
        }
    }
}

impl Lanes for bf16 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, affine: &Affine) {
        // The upper half of the bits, after adding just under half of its last place, and the rest
        // of that half if the last place is odd. Levels normalise to no NaN.
        // SAFETY: the caller's.
        let bits = unsafe { _mm256_castps_si256(normalised(levels, affine)) };
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        let upper = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, bias));
        let packed = _mm256_packus_epi32(upper, upper);
        let joined = _mm256_permute4x64_epi64::<0b10_00>(packed);
        // SAFETY: the caller's.
        unsafe { _mm_storeu_si128(out.cast(), _mm256_castsi256_si128(joined)) };
    }
}

impl Lanes for u8 {
    const COMPUTED: bool = false;

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn store(out: *mut Self, levels: *const u8, _: &Affine) {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(levels, out, 8) };
    }
}

/// See [`super::write_band`].
pub(super) fn write_band<T: Lanes + Copy>(
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
) {
    const IDENTITY: Affine = Affine {
        divisor: 1.0,
        mean: 0.0,
        std: 1.0,
    };
    let affine = match values.affine {
        Some(affine) => affine,
        None if !T::COMPUTED => [IDENTITY; 3],
        None => return scalar::write_band(bands, shape, values, rows),
    };
    if shape.patch < 8 {
        return scalar::write_band(bands, shape, values, rows);
    }
    // SAFETY: `Isa::Avx2` exists only where the processor has AVX2 and F16C.
    unsafe { write_rows(bands, shape, &affine, rows) };
}

/// # Safety
/// AVX2 and F16C, and patches of at least 8 pixels.
#[target_feature(enable = "avx2,f16c")]
unsafe fn write_rows<T: Lanes + Copy>(
    bands: &[Band<'_>],
    shape: RowShape,
    affine: &[Affine; 3],
    rows: &mut [T],
) {
    let patch = shape.patch;
    // One store after another, the last moved back to end where the run of pixels does.
    let full = patch / 8;
    let tail = patch - 8;
    for (index, row) in rows.chunks_exact_mut(shape.columns()).enumerate() {
        let (top, left) = shape.corner(index);
        for (channel, plane) in row
            .chunks_exact_mut(shape.slots * patch * patch)
            .enumerate()
        {
            let affine = &affine[channel];
            for (slot, band) in plane.chunks_exact_mut(patch * patch).zip(bands) {
                for (y, run) in slot.chunks_exact_mut(patch).enumerate() {
                    let levels = &band.plane(top + y, channel)[left..left + patch];
                    let (out, levels) = (run.as_mut_ptr(), levels.as_ptr());
                    // SAFETY: both have `patch` elements, and every store ends within them.
                    unsafe {
                        for x in 0..full {
                            T::store(out.add(8 * x), levels.add(8 * x), affine);
                        }
                        T::store(out.add(tail), levels.add(tail), affine);
                    }
                }
            }
            // The last frame stands for those that its group lacks.
            for slot in bands.len()..shape.slots {
                let written = slot * patch * patch;
                plane.copy_within(written - patch * patch..written, written);
            }
        }
    }
}
