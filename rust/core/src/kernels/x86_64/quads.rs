//! The horizontal pass of turned scanlines, four samples of each and a byte of their weights at a time.
//!
//! What `vpdpbusd` multiplies are bytes, so that samples need not be widened; a weight of more bits is as
//! many digits as it takes, with two sums for each, so that no multiplication waits for the one before.
//! Sixteen scanlines are turned as words of four samples, and kept in a ring until no column needs them:
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
use crate::kernels::column::{COLUMN_STRIDE, Column, LINES};
use crate::kernels::isa::Avx512;
use crate::kernels::prefetch::Prefetch;
use crate::kernels::scalar;
use crate::kernels::staged::InPlace;
use crate::kernels::taps;
use crate::memory;
use crate::pixels::PixelFormat;

/// Samples of a quad.
const SAMPLES: usize = 4;

/// Quads that are turned at once: a cache line of each scanline.
const BLOCK: usize = 16;
const BLOCK_SAMPLES: usize = BLOCK * SAMPLES;

/// A quad of every scanline: a register of each channel.
type Registers = [__m512i; 3];

const _: () = assert!(size_of::<Column>() == size_of::<Registers>());
const _: () = assert!(align_of::<Column>() == align_of::<Registers>());

/// The tables of an axis.
#[derive(Debug)]
pub(in crate::kernels) struct Quads {
    precision: u32,
    /// Quads of an output, as many for every one: a loop that always ends at the same count is foreseen.
    quads: usize,
    /// The first quad of each output.
    starts: Vec<u32>,
    /// For each quad of each output the lowest digits of its weights, then the digits above.
    weights: Vec<[i8; SAMPLES]>,
    digits: usize,
}

impl Quads {
    pub(in crate::kernels) fn new(axis: &Axis, _: Avx512) -> Result<Self> {
        let bounds = (0..axis.len()).map(|x| axis.bounds(x));
        let quads = bounds
            .clone()
            .map(|(start, taps)| (start + taps.len()).div_ceil(SAMPLES) - start / SAMPLES)
            .max()
            .unwrap_or(0);
        let mut taps = bounds.clone().flat_map(|(_, taps)| taps);
        // Three are more than any weight takes.
        let digits = if taps.all(|weight| taps::digits::<2>(*weight).is_some()) {
            2
        } else {
            3
        };
        let count = axis.len().saturating_mul(quads * digits);
        let mut weights = memory::filled(count, [0; SAMPLES], "horizontal weights")?;
        let records = weights.chunks_exact_mut(quads * digits);
        for ((start, taps), record) in bounds.clone().zip(records) {
            for (tap, weight) in (start % SAMPLES..).zip(taps) {
                let all = taps::digits::<3>(*weight).unwrap_or_default();
                let sets = &mut record[tap / SAMPLES * digits..][..digits];
                for (set, digit) in sets.iter_mut().zip(all) {
                    set[tap % SAMPLES] = digit;
                }
            }
        }
        let starts = bounds.map(|(start, _)| (start / SAMPLES) as u32);
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

    /// Quads of columns that there has to be room for, a ring: those of an output and a block fit in.
    pub(in crate::kernels) fn room(&self) -> usize {
        (self.quads + BLOCK - 1).next_power_of_two()
    }

    /// How many of the first pixels of scanlines of `width` may stay where they lie: whole blocks, and what is
    /// loaded with them.
    pub(in crate::kernels) fn in_place(&self, format: PixelFormat, width: usize) -> usize {
        whole_blocks(format, width)
    }

    /// Combines 16 scanlines of three planes, `stride` apart, to columns: 16 samples of each channel, one
    /// after another. What may stay in place is read from `in_place` if there is anything.
    pub(in crate::kernels) fn run(
        &self,
        planes: &[u8],
        stride: usize,
        in_place: InPlace<'_>,
        prefetch: Prefetch<'_>,
        ring: &mut [Column],
        out: &mut [u8],
    ) {
        assert!(stride >= self.reach() && planes.len() >= 3 * LINES * stride);
        assert!(ring.len().is_power_of_two() && ring.len() >= self.room());
        assert!(out.len() >= self.starts.len() * COLUMN_STRIDE);
        let lines = Whereabouts::of(in_place, |plane| planes[plane * stride..].as_ptr());
        // SAFETY: who has tables has proved what the processor has; what else is asked for was asserted.
        unsafe {
            match self.digits {
                2 => self.columns::<2>(&lines, prefetch, ring, out),
                _ => self.columns::<3>(&lines, prefetch, ring, out),
            }
        }
    }

    /// # Safety
    /// Scanlines as long as they say or as the reach, a ring that holds an output and a block, and room for the
    /// columns.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn columns<const DIGITS: usize>(
        &self,
        lines: &Whereabouts,
        mut prefetch: Prefetch<'_>,
        ring: &mut [Column],
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
                // SAFETY: scanlines hold the block, as the reach is whole blocks and so is the ring.
                unsafe { lines.turn(at, ring.add(turned & mask).cast()) };
                turned += BLOCK;
            }
            prefetch.step();
            let mut sums = [[[zero; 3]; DIGITS]; 2];
            sums[0][0] = [half; 3];
            let quad = |quad: usize| {
                // SAFETY: the ring has a place for every quad.
                unsafe { ring.add(quad & mask).cast::<Registers>().read() }
            };
            let (pairs, last) = record.as_chunks::<DIGITS>().0.as_chunks::<2>();
            for (first, [even, odd]) in (start..).step_by(2).zip(pairs) {
                multiply(&mut sums[0], quad(first), even);
                multiply(&mut sums[1], quad(first + 1), odd);
            }
            if let [last] = last {
                multiply(&mut sums[0], quad(start + self.quads - 1), last);
            }
            let [mut sums, odd] = sums;
            for (sums, odd) in sums.as_flattened_mut().iter_mut().zip(odd.as_flattened()) {
                *sums = _mm512_add_epi32(*sums, *odd);
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

/// Adds the products of a quad and each digit of its weights to the sums of that digit.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn multiply<const DIGITS: usize>(
    sums: &mut [Registers; DIGITS],
    samples: Registers,
    weights: &[[i8; SAMPLES]; DIGITS],
) {
    for (sums, weights) in sums.iter_mut().zip(weights) {
        let weights = _mm512_set1_epi32(i32::from_ne_bytes(weights.map(|w| w as u8)));
        for (sum, samples) in sums.iter_mut().zip(samples) {
            *sum = _mm512_dpbusd_epi32(*sum, samples, weights);
        }
    }
}

/// Where 16 scanlines of one channel begin.
type Plane = [*const u8; LINES];

/// Where 16 scanlines lie, some of each in one place and some in another.
struct Whereabouts {
    /// Pixels that each has in place.
    whole: usize,
    /// How they are packed there; None for planes.
    packed: Option<Pixels>,
    /// Where those begin: packed ones with any of their planes.
    in_place: [Plane; 3],
    /// Where there is what those lack.
    staged: [Plane; 3],
}

impl Whereabouts {
    /// Panics if there is anything `in_place` but not 16 scanlines.
    fn of(in_place: InPlace<'_>, staged: impl Fn(usize) -> *const u8) -> Self {
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
            whole: whole_blocks(format, width),
            packed,
            in_place,
            staged,
        }
    }

    /// Turns the block of 16 quads at `at`: those of red, green and blue one after another.
    ///
    /// # Safety
    /// Staged scanlines that hold the block, and room for it at `out`.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn turn(&self, at: usize, out: *mut __m512i) {
        // SAFETY: what is in place are whole blocks, with what is loaded beyond them. Scanlines hold the block, and
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
                    for (channel, lines) in planes.iter().enumerate() {
                        turn_plane(lines, at, out.add(channel));
                    }
                }
            }
        }
    }
}

/// How many of the first pixels of scanlines of `width` are whole blocks, with what is loaded beyond them.
fn whole_blocks(format: PixelFormat, width: usize) -> usize {
    let pixels = match (format, Pixels::of(format)) {
        (PixelFormat::Planes, _) => width,
        (_, Some(pixels)) => width.saturating_sub(pixels.beyond()),
        _ => 0,
    };
    pixels / BLOCK_SAMPLES * BLOCK_SAMPLES
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

/// Parts of what is loaded of a scanline at once.
const PARTS: usize = 4;

/// Turns the block of 16 quads at `at` of each of 16 scanlines of one channel, to a register every three.
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
/// Scanlines that hold the block, and room for it at `out`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn turn_plane(lines: &Plane, at: usize, out: *mut __m512i) {
    // SAFETY: a block is four parts of 16 bytes.
    let parts = unsafe { load::<LANE>(lines, at) };
    for (part, words) in parts.into_iter().enumerate() {
        for (quad, register) in turned(words).into_iter().enumerate() {
            // SAFETY: a block is 16 times three registers, of which this is one.
            unsafe { _mm512_storeu_si512(out.add(3 * (4 * part + quad)).cast(), register) };
        }
    }
}

/// The same of pixels of `BYTES` bytes, to registers of red, green and blue: what is loaded are four pixels in
/// a lane, and words of one channel after they have been shuffled. Of pixels r g b:
///
/// ```text
/// loaded       r0 g0 b0 r1 | g1 b1 r2 g2 | b2 r3 g3 b3 | ....      (bytes, a lane)
/// order         0  3  6  9 |  1  4  7 10 |  2  5  8 11 | 80 80 80 80
/// words        r0 r1 r2 r3 | g0 g1 g2 g3 | b0 b1 b2 b3 | zero
/// ```
///
/// # Safety
/// Scanlines that hold the block and what is loaded beyond it, and room for it at `out`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn turn_pixels<const BYTES: usize>(
    lines: &Plane,
    at: usize,
    order: [u8; LANE],
    out: *mut __m512i,
) {
    // SAFETY: 16 bytes.
    let order = unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(order.as_ptr().cast())) };
    for first in (0..BLOCK).step_by(PARTS) {
        let from = BYTES * (at + SAMPLES * first);
        // SAFETY: four times four pixels of the block, each with what makes 16 bytes.
        let parts = unsafe {
            match BYTES {
                3 => load::<12>(lines, from),
                _ => load::<16>(lines, from),
            }
        };
        for (part, pixels) in parts.into_iter().enumerate() {
            let words = pixels.map(|pixels| _mm512_shuffle_epi8(pixels, order));
            let [red, green, blue, _] = turned(words);
            // SAFETY: a block is 16 times three registers, of which these are three.
            unsafe {
                let out = out.add(3 * (first + part)).cast::<Registers>();
                out.write([red, green, blue]);
            }
        }
    }
}

/// Four parts of 16 scanlines from `at` on, `STEP` bytes apart, 16 bytes each: in the lanes of a register those of the
/// scanlines 0, 4, 8 and 12, in the next those of the scanlines after these.
///
/// # Safety
/// Scanlines that hold them.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn load<const STEP: usize>(lines: &Plane, at: usize) -> [[__m512i; 4]; PARTS] {
    // So many scanlines are not foreseen by the processor: the next part of each comes closer meanwhile.
    for line in lines {
        _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(at + PARTS * STEP).cast());
    }
    // SAFETY: 16 bytes of a part, which the scanline holds.
    let lane = |line: usize, at: usize| unsafe { _mm_loadu_si128(lines[line].add(at).cast()) };
    // All of four cache lines before the next four: of scanlines that lie a multiple of a page apart a
    // first-level cache holds no more than eight.
    let fours = [0, 1, 2, 3].map(|line| {
        [0, 1, 2, 3].map(|part| {
            let at = at + part * STEP;
            let first = _mm512_castsi128_si512(lane(line, at));
            let second = _mm512_inserti32x4::<1>(first, lane(line + 4, at));
            let third = _mm512_inserti32x4::<2>(second, lane(line + 8, at));
            _mm512_inserti32x4::<3>(third, lane(line + 12, at))
        })
    });
    [0, 1, 2, 3].map(|part| fours.map(|parts| parts[part]))
}

/// Words of four scanlines in each lane, by their place in the scanline: see [`turn_plane`].
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
