//! The horizontal pass where windows are long: one column after another, sixteen taps at a time.

use super::ahead::Ahead;
use crate::error::Result;
use crate::filter::Axis;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::staged::Staged;
use crate::kernels::taps::halves;
use crate::kernels::{Pair, plane_stride};
use crate::memory;
use crate::pixels::Bytes;

/// Taps that are multiplied at once.
pub(in crate::kernels) const TAPS: usize = 16;

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
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx2, false) => with_avx2::resample::<false>(self, lines, ahead, out),
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx2, true) => with_avx2::resample::<true>(self, lines, ahead, out),
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx512, false) => with_vnni::resample::<false>(self, lines, ahead, out),
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx512, true) => with_vnni::resample::<true>(self, lines, ahead, out),
                #[cfg(target_arch = "aarch64")]
                (Backend::Neon, false) => with_neon::resample::<false>(self, lines, ahead, out),
                #[cfg(target_arch = "aarch64")]
                (Backend::Neon, true) => with_neon::resample::<true>(self, lines, ahead, out),
            }
        }
    }
}

macro_rules! kernel {
    ($module:ident, $operations:path, $multiply_add:ident, $features:literal) => {
        mod $module {
            use super::*;
            use operations::{join, pairs, totals, widened, zero, $multiply_add as multiply_add};
            use $operations as operations;

            #[target_feature(enable = $features)]
            pub(super) fn resample<const WIDE: bool>(
                table: &Dots,
                lines: &Staged,
                mut ahead: Ahead<'_>,
                out: &mut [Pair],
            ) {
                let stride = plane_stride(table.starts.len());
                let record = table.blocks * (1 + usize::from(WIDE));
                let records = table.weights.chunks_exact(record);
                for (x, (start, record)) in table.starts.iter().zip(records).enumerate() {
                    ahead.step();
                    let (low, high) = record.split_at(table.blocks);
                    let mut sums = [totals([zero(); 3]); 2];
                    for (line, sums) in sums.iter_mut().enumerate() {
                        let (mut lows, mut highs) = ([zero(); 3], [zero(); 3]);
                        for channel in 0..3 {
                            let (samples, _) = lines.plane(line, channel)[*start..].as_chunks();
                            for (block, samples) in samples[..table.blocks].iter().enumerate() {
                                let samples = widened(samples);
                                let (lows, highs) = (&mut lows[channel], &mut highs[channel]);
                                *lows = multiply_add(*lows, samples, &low[block]);
                                if WIDE {
                                    *highs = multiply_add(*highs, samples, &high[block]);
                                }
                            }
                        }
                        *sums = totals(lows);
                        if WIDE {
                            *sums = join(*sums, totals(highs));
                        }
                    }
                    let [a, b] = sums;
                    for (channel, pair) in pairs(a, b, table.precision)[..3].iter().enumerate() {
                        out[channel * stride + x] = *pair;
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(
    with_avx2,
    crate::kernels::x86_64::dots,
    multiply_add,
    "avx2"
);
#[cfg(target_arch = "x86_64")]
kernel!(
    with_vnni,
    crate::kernels::x86_64::dots,
    multiply_accumulate,
    "avx2,avx512vl,avx512vnni"
);
#[cfg(target_arch = "aarch64")]
kernel!(
    with_neon,
    crate::kernels::aarch64::dots,
    multiply_add,
    "neon"
);
