//! The horizontal pass where windows are long: one column after another, sixteen taps at a time.

use std::arch::x86_64::*;

use super::ahead::Ahead;
use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::staged::Staged;
use crate::kernels::taps::{LOW_BITS, halves};
use crate::kernels::{Pair, plane_stride, scalar};
use crate::memory;
use crate::pixels::Bytes;

/// Taps that are multiplied at once.
const TAPS: usize = 16;

/// The tables of an axis.
#[derive(Debug)]
pub(in crate::kernels) struct Dots {
    isa: Isa,
    precision: u32,
    wide: bool,
    /// The first tap of each column.
    starts: Vec<usize>,
    /// Blocks of taps that every column has.
    blocks: usize,
    /// For each column its weights in blocks, with zeros at the end; then the upper halves of those.
    weights: Vec<[i16; TAPS]>,
    reach: usize,
}

impl Dots {
    pub(super) fn new(axis: &Axis, isa: Isa) -> Result<Self> {
        let (width, wide) = (axis.len(), axis.is_wide());
        let blocks = axis.most_taps().div_ceil(TAPS);
        let record = blocks * (1 + usize::from(wide));
        let mut weights = memory::filled(
            width.saturating_mul(record),
            [0; TAPS],
            "horizontal weights",
        )?;
        let mut starts = memory::with_capacity(width, "horizontal weights")?;
        for (position, record) in weights.chunks_exact_mut(record).enumerate() {
            let (start, taps) = axis.bounds(position);
            starts.push(start);
            let (low, high) = record.split_at_mut(blocks);
            let (low, high) = (low.as_flattened_mut(), high.as_flattened_mut());
            for (tap, weight) in taps.iter().enumerate() {
                let [lower, upper] = halves(*weight, wide);
                low[tap] = lower;
                if wide {
                    high[tap] = upper;
                }
            }
        }
        let last = starts.last().copied().unwrap_or(0);
        Ok(Self {
            isa,
            precision: axis.precision(),
            wide,
            starts,
            blocks,
            weights,
            reach: last + blocks * TAPS,
        })
    }

    /// Samples of a plane that are read.
    pub(super) fn reach(&self) -> usize {
        self.reach
    }

    /// See [`crate::kernels::horizontal::Horizontal::run`].
    pub(super) fn run(&self, lines: &Staged, ahead: &[Bytes<'_>], out: &mut [Pair]) {
        assert!(lines.stride() >= self.reach);
        let ahead = Ahead::new(ahead, self.starts.len());
        // SAFETY: the processor has the instructions of an `Isa`.
        unsafe {
            match (self.isa.backend(), self.wide) {
                (Backend::Scalar, _) => {}
                (Backend::Avx2, false) => with_avx2::resample::<false>(self, lines, ahead, out),
                (Backend::Avx2, true) => with_avx2::resample::<true>(self, lines, ahead, out),
                (Backend::Avx512, false) => with_vnni::resample::<false>(self, lines, ahead, out),
                (Backend::Avx512, true) => with_vnni::resample::<true>(self, lines, ahead, out),
            }
        }
    }
}

macro_rules! kernel {
    ($module:ident, $multiply_add:ident, $features:literal) => {
        mod $module {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) fn resample<const WIDE: bool>(
                table: &Dots,
                lines: &Staged,
                mut ahead: Ahead<'_>,
                out: &mut [Pair],
            ) {
                let half = _mm_set1_epi32(scalar::half(table.precision));
                let precision = _mm_cvtsi32_si128(table.precision as i32);
                let stride = plane_stride(table.starts.len());
                let record = table.blocks * (1 + usize::from(WIDE));
                let records = table.weights.chunks_exact(record);
                for (x, (start, record)) in table.starts.iter().zip(records).enumerate() {
                    ahead.step();
                    let (low, high) = record.split_at(table.blocks);
                    let mut sums = [half; 2];
                    for (line, sums) in sums.iter_mut().enumerate() {
                        let mut lows = [_mm256_setzero_si256(); 3];
                        let mut highs = [_mm256_setzero_si256(); 3];
                        for channel in 0..3 {
                            let (samples, _) = lines.plane(line, channel)[*start..].as_chunks();
                            for (block, samples) in samples[..table.blocks].iter().enumerate() {
                                let samples = widened(samples);
                                lows[channel] = $multiply_add(lows[channel], samples, &low[block]);
                                if WIDE {
                                    highs[channel] =
                                        $multiply_add(highs[channel], samples, &high[block]);
                                }
                            }
                        }
                        *sums = _mm_add_epi32(*sums, totals(lows));
                        if WIDE {
                            let upper = _mm_slli_epi32::<{ LOW_BITS as i32 }>(totals(highs));
                            *sums = _mm_add_epi32(*sums, upper);
                        }
                    }
                    let [a, b] = sums.map(|sums| clamped(_mm_sra_epi32(sums, precision)));
                    let both = _mm_or_si128(a, _mm_slli_epi32::<16>(b));
                    for (channel, pair) in pairs(both)[..3].iter().enumerate() {
                        out[channel * stride + x] = *pair;
                    }
                }
            }
        }
    };
}

kernel!(with_avx2, multiply_add, "avx2");
kernel!(with_vnni, multiply_accumulate, "avx2,avx512vl,avx512vnni");

/// Sixteen samples in 16 bits each.
#[target_feature(enable = "avx2")]
#[inline]
fn widened(samples: &[u8; TAPS]) -> __m256i {
    // SAFETY: 16 bytes.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(samples.as_ptr().cast()) })
}

#[target_feature(enable = "avx2")]
#[inline]
fn multiply_add(sums: __m256i, samples: __m256i, weights: &[i16; TAPS]) -> __m256i {
    // SAFETY: 16 times 2 bytes.
    let weights = unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) };
    _mm256_add_epi32(sums, _mm256_madd_epi16(samples, weights))
}

/// The same in one instruction.
#[target_feature(enable = "avx2,avx512vl,avx512vnni")]
#[inline]
fn multiply_accumulate(sums: __m256i, samples: __m256i, weights: &[i16; TAPS]) -> __m256i {
    // SAFETY: 16 times 2 bytes.
    let weights = unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) };
    _mm256_dpwssd_epi32(sums, samples, weights)
}

/// The sums of each register, and nothing of meaning in the last place.
///
/// ```text
/// r, g     r0+r1 r2+r3 g0+g1 g2+g3 | ..    (horizontal additions work within lanes)
/// b, b     b0+b1 b2+b3 b0+b1 b2+b3 | ..
/// both     r0..3 g0..3 b0..3 b0..3 | r4..7 g4..7 b4..7 b4..7
/// ```
#[target_feature(enable = "avx2")]
#[inline]
fn totals([red, green, blue]: [__m256i; 3]) -> __m128i {
    let both = _mm256_hadd_epi32(_mm256_hadd_epi32(red, green), _mm256_hadd_epi32(blue, blue));
    _mm_add_epi32(
        _mm256_castsi256_si128(both),
        _mm256_extracti128_si256::<1>(both),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn clamped(samples: __m128i) -> __m128i {
    _mm_min_epi32(
        _mm_max_epi32(samples, _mm_setzero_si128()),
        _mm_set1_epi32(255),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn pairs(register: __m128i) -> [Pair; 4] {
    let mut pairs = [[0; 2]; 4];
    // SAFETY: 16 bytes.
    unsafe { _mm_storeu_si128(pairs.as_mut_ptr().cast(), register) };
    pairs
}
