//! The horizontal pass of turned scanlines, four samples of each and a byte of their weights at a time.
//!
//! What `vpdpbusd` multiplies are bytes, so that samples need not be widened; a weight of more bits is as
//! many digits as it takes, with a sum for each. Sixteen scanlines are turned as words of four samples, and
//! kept in a ring until no column needs them:
//!
//! ```text
//! scanlines    a0 a1 a2 a3 a4 a5 a6 a7 ...      (bytes)
//!              b0 b1 b2 b3 b4 b5 b6 b7 ...
//! quads        a0 a1 a2 a3  b0 b1 b2 b3  ...  p0 p1 p2 p3
//!              a4 a5 a6 a7  b4 b5 b6 b7  ...  p4 p5 p6 p7
//! ```

use std::arch::x86_64::*;

use super::avx512::{pack, shift, store};
use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::ahead::Ahead;
use crate::kernels::scalar;
use crate::kernels::staged::InPlace;
use crate::kernels::taps;
use crate::kernels::turned::{COLUMN_STRIDE, LINES};
use crate::memory;
use crate::pixels::PixelFormat;

/// Samples of a quad.
const SAMPLES: usize = 4;

/// Quads that are turned at once: a cache line of each scanline.
const BLOCK: usize = 16;
const BLOCK_SAMPLES: usize = BLOCK * SAMPLES;

/// A quad of every scanline: a register for each channel.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::kernels) struct Quad([[u8; 64]; 3]);

/// The tables of an axis.
#[derive(Debug)]
pub(in crate::kernels) struct Quads {
    precision: u32,
    /// Quads of a window, as many for every column: a loop that always ends at the same count is foreseen.
    quads: usize,
    /// The first quad of each column's window.
    starts: Vec<u32>,
    /// For each quad of each window the lowest digits of its weights, then the digits above.
    weights: Vec<[i8; SAMPLES]>,
    digits: usize,
}

impl Quads {
    pub(in crate::kernels) fn new(axis: &Axis) -> Result<Self> {
        let windows = (0..axis.len()).map(|x| axis.bounds(x));
        let quads = windows
            .clone()
            .map(|(start, taps)| (start + taps.len()).div_ceil(SAMPLES) - start / SAMPLES)
            .max()
            .unwrap_or(0);
        let mut taps = windows.clone().flat_map(|(_, taps)| taps);
        // Three are more than any weight takes.
        let digits = if taps.all(|weight| taps::digits::<2>(*weight).is_some()) {
            2
        } else {
            3
        };
        let count = axis.len().saturating_mul(quads * digits);
        let mut weights = memory::filled(count, [0; SAMPLES], "horizontal weights")?;
        let records = weights.chunks_exact_mut(quads * digits);
        for ((start, taps), record) in windows.clone().zip(records) {
            for (tap, weight) in (start % SAMPLES..).zip(taps) {
                let all = taps::digits::<3>(*weight).unwrap_or_default();
                let sets = &mut record[tap / SAMPLES * digits..][..digits];
                for (set, digit) in sets.iter_mut().zip(all) {
                    set[tap % SAMPLES] = digit;
                }
            }
        }
        let starts = windows.map(|(start, _)| (start / SAMPLES) as u32);
        Ok(Self {
            precision: axis.precision(),
            quads,
            starts: memory::collect(starts, "horizontal weights")?,
            weights,
            digits,
        })
    }

    /// Samples of a plane that are read.
    pub(in crate::kernels) fn reach(&self) -> usize {
        let last = self.starts.last().map_or(0, |start| *start as usize);
        SAMPLES * (last + self.quads).next_multiple_of(BLOCK)
    }

    /// The ring: a window and a block fit in.
    pub(in crate::kernels) fn room(&self) -> Result<Vec<Quad>> {
        memory::filled(self.ring(), Quad([[0; 64]; 3]), "turned scanlines")
    }

    /// Quads of the ring.
    fn ring(&self) -> usize {
        (self.quads + BLOCK - 1).next_power_of_two()
    }

    /// How many of the first pixels of scanlines of `width` may stay where they lie: whole blocks, and what is
    /// loaded with them.
    pub(in crate::kernels) fn in_place(format: PixelFormat, width: usize) -> usize {
        let pixels = match (format, Pixels::of(format)) {
            (PixelFormat::Planes, _) => width,
            (_, Some(pixels)) => width.saturating_sub(pixels.beyond()),
            _ => 0,
        };
        pixels / BLOCK_SAMPLES * BLOCK_SAMPLES
    }

    /// Combines 16 scanlines of three planes, `stride` apart, to columns: 16 samples of each channel, one
    /// after another. What may stay in place is read from `in_place` if there is anything.
    pub(in crate::kernels) fn run(
        &self,
        planes: &[u8],
        stride: usize,
        in_place: InPlace<'_>,
        ahead: Ahead<'_>,
        ring: &mut [Quad],
        out: &mut [u8],
    ) {
        assert!(stride >= self.reach() && planes.len() >= 3 * LINES * stride);
        assert!(ring.len().is_power_of_two() && ring.len() >= self.ring());
        assert!(out.len() >= self.starts.len() * COLUMN_STRIDE);
        let rows = Rows::new(in_place, |plane| planes[plane * stride..].as_ptr());
        // SAFETY: only a backend that has these instructions makes tables; what else is asked for was asserted.
        unsafe {
            match self.digits {
                2 => self.columns::<2>(&rows, ahead, ring, out),
                _ => self.columns::<3>(&rows, ahead, ring, out),
            }
        }
    }

    /// # Safety
    /// As above, and rows that are as long as they say or as the reach, a ring that holds a window and a block,
    /// and room for the columns.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn columns<const DIGITS: usize>(
        &self,
        rows: &Rows,
        mut ahead: Ahead<'_>,
        ring: &mut [Quad],
        out: &mut [u8],
    ) {
        let half = _mm512_set1_epi32(scalar::half(self.precision));
        let zero = _mm512_setzero_si512();
        let shift = shift(self.precision);
        let mask = ring.len() - 1;
        let ring = ring.as_mut_ptr();
        let mut turned = 0;
        let records = self.weights.chunks_exact(self.quads * DIGITS);
        let columns = out.as_chunks_mut::<COLUMN_STRIDE>().0.iter_mut();
        for ((start, record), out) in self.starts.iter().zip(records).zip(columns) {
            let start = *start as usize;
            while turned < start + self.quads {
                let at = SAMPLES * turned;
                // SAFETY: rows hold the block, as the reach is whole blocks and so is the ring.
                unsafe { rows.turn(at, ring.add(turned & mask).cast()) };
                turned += BLOCK;
            }
            ahead.step();
            let mut sums = [[zero; 3]; DIGITS];
            sums[0] = [half; 3];
            for (quad, weights) in (start..).zip(record.as_chunks::<DIGITS>().0) {
                // SAFETY: the ring has a place for every quad.
                let samples = unsafe { ring.add(quad & mask).cast::<[__m512i; 3]>().read() };
                for (sums, weights) in sums.iter_mut().zip(weights) {
                    let weights = _mm512_set1_epi32(i32::from_ne_bytes(weights.map(|w| w as u8)));
                    for (sum, samples) in sums.iter_mut().zip(samples) {
                        *sum = _mm512_dpbusd_epi32(*sum, samples, weights);
                    }
                }
            }
            let sums = [0, 1, 2].map(|channel| {
                let digits = sums[..DIGITS - 1].iter().rev();
                digits.fold(sums[DIGITS - 1][channel], |upper, lower| {
                    let upper = _mm512_slli_epi32::<{ taps::DIGIT_BITS }>(upper);
                    _mm512_add_epi32(upper, lower[channel])
                })
            });
            let [red, green, blue] = sums;
            store(pack([red, green, blue, zero], shift), out);
        }
    }
}

/// Where 16 scanlines of one channel begin.
type Plane = [*const u8; LINES];

/// Scanlines that lie in two places.
struct Rows {
    /// Pixels that each has in place.
    whole: usize,
    /// How they are packed there; None for planes.
    packed: Option<Pixels>,
    /// Where those begin: packed ones with any of their planes.
    in_place: [Plane; 3],
    /// Where there is what those lack.
    staged: [Plane; 3],
}

impl Rows {
    /// Panics if there is anything `in_place` but not 16 scanlines.
    fn new(in_place: InPlace<'_>, staged: impl Fn(usize) -> *const u8) -> Self {
        let InPlace { format, memory } = in_place;
        let every = |plane: &dyn Fn(usize, usize) -> *const u8| {
            [0, 1, 2].map(|channel| std::array::from_fn(|line| plane(channel, line)))
        };
        let staged = every(&|channel, line| staged(3 * line + channel));
        let packed = Pixels::of(format);
        let planes = if packed.is_some() { 1 } else { 3 };
        assert!(memory.is_empty() || memory.len() == planes * LINES);
        let bytes = memory.iter().map(|line| line.len()).min().unwrap_or(0);
        let width = bytes.div_ceil(packed.map_or(1, |pixels| pixels.bytes));
        let in_place = match memory {
            [] => staged,
            _ => every(&|channel, line| memory[channel % planes * LINES + line].as_ptr()),
        };
        Self {
            whole: Quads::in_place(format, width),
            packed,
            in_place,
            staged,
        }
    }

    /// Turns the block of 16 quads at `at`: those of red, green and blue one after another.
    ///
    /// # Safety
    /// Staged rows that hold the block, and room for it at `out`.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn turn(&self, at: usize, out: *mut __m512i) {
        // SAFETY: what is in place are whole blocks, with what is loaded beyond them. Rows hold the block, and
        // there is room for it.
        unsafe {
            match (at < self.whole, self.packed) {
                (true, Some(Pixels { bytes: 3, order })) => {
                    turn_pixels::<3>(&self.in_place[0], at, order, out);
                }
                (true, Some(Pixels { order, .. })) => {
                    turn_pixels::<4>(&self.in_place[0], at, order, out);
                }
                (in_place, _) => {
                    let planes = if in_place {
                        &self.in_place
                    } else {
                        &self.staged
                    };
                    for (channel, rows) in planes.iter().enumerate() {
                        turn_plane(rows, at, out.add(channel));
                    }
                }
            }
        }
    }
}

/// Packed pixels, whose bytes are brought in the order of their channels as they are turned.
#[derive(Debug, Clone, Copy)]
struct Pixels {
    /// Bytes of a pixel.
    bytes: usize,
    /// Where the samples of four pixels are: of the first channel, the second and the third.
    order: [u8; LANE],
}

impl Pixels {
    /// None for another format.
    fn of(format: PixelFormat) -> Option<Self> {
        let (bytes, channels) = match format {
            PixelFormat::Rgb => (3, [0, 1, 2]),
            PixelFormat::Bgr => (3, [2, 1, 0]),
            PixelFormat::Rgbx => (4, [0, 1, 2]),
            PixelFormat::Bgrx => (4, [2, 1, 0]),
            _ => return None,
        };
        /// What a shuffle takes for no byte.
        const NONE: u8 = 0x80;
        let place = |channel: &usize| {
            let channel = *channel;
            (0..SAMPLES).map(move |pixel| bytes * pixel + channel)
        };
        let mut order = [NONE; LANE];
        for (place, byte) in order.iter_mut().zip(channels.iter().flat_map(place)) {
            *place = byte as u8;
        }
        Some(Self { bytes, order })
    }

    /// Pixels after a block of which something may be loaded with it, or whose last byte may be missing.
    fn beyond(self) -> usize {
        (LANE - self.bytes * SAMPLES).div_ceil(self.bytes).max(1)
    }
}

/// Bytes of a quarter of a register.
const LANE: usize = 16;

/// Parts of what is loaded of a row at once.
const PARTS: usize = 4;

/// Turns the block of 16 quads at `at` of each of 16 rows of one channel, to a register every three.
///
/// ```text
/// loaded       a0 a1 a2 a3 | e0 e1 e2 e3 | ...      (words, in the lanes 0 to 3)
///              b0 b1 b2 b3 | f0 f1 f2 f3 | ...
///              c0 c1 c2 c3 | g0 g1 g2 g3 | ...
///              d0 d1 d2 d3 | h0 h1 h2 h3 | ...
/// turned       a0 b0 c0 d0 | e0 f0 g0 h0 | ...
///              a1 b1 c1 d1 | e1 f1 g1 h1 | ...
/// ```
///
/// # Safety
/// Rows that hold the block, and room for it at `out`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn turn_plane(rows: &Plane, at: usize, out: *mut __m512i) {
    // SAFETY: by the contract above.
    let parts = unsafe { load::<LANE>(rows, at) };
    for (part, words) in parts.into_iter().enumerate() {
        for (quad, register) in turned(words).into_iter().enumerate() {
            // SAFETY: by the contract above.
            unsafe { _mm512_storeu_si512(out.add(3 * (4 * part + quad)).cast(), register) };
        }
    }
}

/// The same of pixels of `BYTES` bytes, to registers of red, green and blue: what is loaded are four pixels in
/// a lane, and words of one channel after they have been shuffled.
///
/// # Safety
/// Rows that hold the block and what is loaded beyond it, and room for it at `out`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn turn_pixels<const BYTES: usize>(
    rows: &Plane,
    at: usize,
    order: [u8; LANE],
    out: *mut __m512i,
) {
    // SAFETY: 16 bytes.
    let order = unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(order.as_ptr().cast())) };
    for first in (0..BLOCK).step_by(PARTS) {
        let from = BYTES * (at + SAMPLES * first);
        // SAFETY: by the contract above.
        let parts = unsafe {
            match BYTES {
                3 => load::<12>(rows, from),
                _ => load::<16>(rows, from),
            }
        };
        for (part, pixels) in parts.into_iter().enumerate() {
            let words = pixels.map(|pixels| _mm512_shuffle_epi8(pixels, order));
            let [red, green, blue, _] = turned(words);
            // SAFETY: by the contract above.
            unsafe {
                let out = out.add(3 * (first + part)).cast::<[__m512i; 3]>();
                out.write([red, green, blue]);
            }
        }
    }
}

/// Four parts of 16 rows from `at` on, `STEP` bytes apart, 16 bytes each: in the lanes of a register those of the
/// rows 0, 4, 8 and 12, in the next those of the rows after these.
///
/// # Safety
/// Rows that hold them.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn load<const STEP: usize>(rows: &Plane, at: usize) -> [[__m512i; 4]; PARTS] {
    // So many rows are not foreseen by the processor: the next part of each comes closer meanwhile.
    for row in rows {
        _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(at + PARTS * STEP).cast());
    }
    // SAFETY: by the contract above.
    let lane = |row: usize, at: usize| unsafe { _mm_loadu_si128(rows[row].add(at).cast()) };
    // All of four cache lines before the next four: of scanlines that lie a multiple of a page apart a
    // first-level cache holds no more than eight.
    let rows = [0, 1, 2, 3].map(|row| {
        [0, 1, 2, 3].map(|part| {
            let at = at + part * STEP;
            let first = _mm512_castsi128_si512(lane(row, at));
            let second = _mm512_inserti32x4::<1>(first, lane(row + 4, at));
            let third = _mm512_inserti32x4::<2>(second, lane(row + 8, at));
            _mm512_inserti32x4::<3>(third, lane(row + 12, at))
        })
    });
    [0, 1, 2, 3].map(|part| rows.map(|parts| parts[part]))
}

/// Words of four rows in each lane, by their place in the row.
#[target_feature(enable = "avx512f")]
#[inline]
fn turned([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab, ab_after) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd, cd_after) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab, cd),
        _mm512_unpackhi_epi64(ab, cd),
        _mm512_unpacklo_epi64(ab_after, cd_after),
        _mm512_unpackhi_epi64(ab_after, cd_after),
    ]
}
