//! The horizontal pass where neighbouring columns share the samples of a register.
//!
//! As many columns as a register has sums are computed together. Their windows of taps overlap, so that
//! one load holds the samples of several; one shuffle gathers two neighbouring taps of every column and
//! widens them, one multiply-add multiplies. Nothing is transposed.
//!
//! Where the multiply-add takes bytes, a shuffle gathers four taps, and two multiply-adds, by the lower bytes of
//! the weights and by the upper ones, do the work of two shuffles and two multiply-adds.

use bytemuck::Zeroable;

use super::cut::Cut;
use crate::error::Result;
use crate::filter::Axis;
#[cfg(target_arch = "aarch64")]
use crate::kernels::aarch64::neon;
use crate::kernels::ahead::Ahead;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::staged::Staged;
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86_64::{avx2, avx512};
use crate::kernels::{Pair, plane_stride, scalar};
use crate::memory::{self, CacheLine};
use crate::pixels::Bytes;

/// The tables of an axis.
#[derive(Debug)]
pub(in crate::kernels) struct Columns {
    isa: Isa,
    width: usize,
    precision: u32,
    cut: Cut,
    /// Sets of taps that every column has: as many taps each as a multiply-add takes.
    sets: usize,
    /// How many of them lie within what is loaded at once.
    per_load: usize,
    /// For each group of columns, where the samples of its lanes begin.
    offsets: Vec<[u32; 2]>,
    /// For each group of columns, in registers and in the order of their use: the patterns that pick each
    /// of the sets of a load, then the weights of each set, then the upper halves of those.
    records: Vec<CacheLine>,
    reach: usize,
}

impl Columns {
    /// The tables of `axis`, or None if neighbouring columns lie too far apart.
    pub(in crate::kernels) fn new(axis: &Axis, isa: Isa) -> Result<Option<Self>> {
        // Columns of a group, of which `lane_columns` share a lane of `lane_bytes` each.
        let (columns, lane_columns, lane_bytes) = match isa.backend() {
            Backend::Scalar => return Ok(None),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => (avx2::SUMS, avx2::SUMS / 2, avx2::BYTES / 2),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => (avx512::SUMS, avx512::SUMS, avx512::BYTES),
            #[cfg(target_arch = "aarch64")]
            Backend::Neon => (neon::SUMS, neon::SUMS, neon::BYTES),
        };
        let (width, cut) = (axis.len(), Cut::of(axis, isa));
        // Columns after the last are computed from the samples of the last, with weights of zero.
        let start = |x: usize| axis.bounds(x.min(width - 1)).0;
        let groups = width.div_ceil(columns);
        let lanes = (0..groups * columns).step_by(lane_columns);
        let spread = lanes.map(|x| start(x + lane_columns - 1) - start(x));
        let spread = spread.max().unwrap_or(0);
        let sets = axis.most_taps().div_ceil(cut.taps());
        let per_load = (lane_bytes.saturating_sub(spread) / cut.taps()).min(sets);
        if per_load < 2.min(sets) {
            return Ok(None);
        }
        let last_load = (sets - 1) / per_load * cut.taps() * per_load;
        let reach = start(width) + last_load + lane_bytes;
        if u32::try_from(reach).is_err() {
            return Ok(None);
        }
        let registers = per_load + sets * cut.registers();
        let bytes = groups.saturating_mul(registers * 4 * columns);
        let mut records = memory::filled(
            bytes.div_ceil(size_of::<CacheLine>()),
            CacheLine::zeroed(),
            "horizontal weights",
        )?;
        let mut offsets = memory::with_capacity(groups, "horizontal weights")?;
        let elements: &mut [[u8; 4]] = bytemuck::cast_slice_mut(&mut records);
        for (group, record) in elements
            .chunks_exact_mut(registers * columns)
            .take(groups)
            .enumerate()
        {
            let first = group * columns;
            offsets.push([first, first + columns / 2].map(|x| start(x) as u32));
            for index in 0..columns {
                let x = first + index;
                let lane = x - index % lane_columns;
                let (patterns, weights) = record.split_at_mut(per_load * columns);
                let at = start(x) - start(lane);
                for (set, pattern) in patterns.chunks_exact_mut(columns).enumerate() {
                    pattern[index] = cut.pattern(at + set * cut.taps());
                }
                if x >= width {
                    continue;
                }
                let (_, taps) = axis.bounds(x);
                let (low, high) = weights.split_at_mut(sets * columns);
                for (set, taps) in taps.chunks(cut.taps()).enumerate() {
                    let [lower, upper] = cut.weights(taps);
                    low[set * columns + index] = lower;
                    if let Some(high) = high.get_mut(set * columns + index) {
                        *high = upper;
                    }
                }
            }
        }
        Ok(Some(Self {
            isa,
            width,
            precision: axis.precision(),
            cut,
            sets,
            per_load,
            offsets,
            records,
            reach,
        }))
    }

    /// Samples of a plane that are read.
    pub(in crate::kernels) fn reach(&self) -> usize {
        self.reach
    }

    /// See [`crate::kernels::horizontal::Horizontal::run`].
    pub(in crate::kernels) fn run(&self, lines: &Staged, ahead: &[Bytes<'_>], out: &mut [Pair]) {
        assert!(lines.stride() >= self.reach && lines.planes().len() == 6 * lines.stride());
        let ahead = Ahead::new(ahead, self.offsets.len());
        // SAFETY: the processor has the instructions of an `Isa`, and planes are as long as the reach.
        unsafe {
            match (self.isa.backend(), self.cut) {
                (Backend::Scalar, _) => {}
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx2, Cut::Whole) => with_avx2::run::<false>(self, lines, ahead, out),
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx2, _) => with_avx2::run::<true>(self, lines, ahead, out),
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx512, Cut::Whole) => {
                    with_avx512::run::<false>(self, lines, ahead, out);
                }
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx512, Cut::Words) => with_avx512::run::<true>(self, lines, ahead, out),
                #[cfg(target_arch = "x86_64")]
                (Backend::Avx512, Cut::Bytes) => {
                    with_avx512_bytes::run::<true>(self, lines, ahead, out);
                }
                #[cfg(target_arch = "aarch64")]
                (Backend::Neon, Cut::Whole) => with_neon::run::<false>(self, lines, ahead, out),
                #[cfg(target_arch = "aarch64")]
                (Backend::Neon, _) => with_neon::run::<true>(self, lines, ahead, out),
            }
        }
    }
}

macro_rules! kernel {
    ($module:ident, $register:path, $taps:literal, $features:literal,
     [$(($sets:literal, $per_load:literal)),*]) => {
        mod $module {
            use super::*;
            use $register as register;
            use register::{
                BYTES, begin, join, load, load_samples, multiply_add, pair_up, pick, shift, splat,
                store_pairs,
            };

            /// # Safety
            /// Planes of `lines` are as long as the reach of `table`. Its sets are of as many taps as this
            /// kernel's, with `HALVES` where weights are cut in two.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn run<const HALVES: bool>(
                table: &Columns,
                lines: &Staged,
                ahead: Ahead<'_>,
                out: &mut [Pair],
            ) {
                // Loops whose counts the compiler knows take half the time.
                // SAFETY: by the contract above.
                unsafe {
                    match (table.sets, table.per_load) {
                        $(
                            ($sets, $per_load) => {
                                resample::<$sets, $per_load, HALVES>(table, lines, ahead, out);
                            }
                        )*
                        _ => resample::<0, 0, HALVES>(table, lines, ahead, out),
                    }
                }
            }

            /// `SETS` and `PER_LOAD` are those of `table`, or 0 for any.
            ///
            /// # Safety
            /// As above.
            #[target_feature(enable = $features)]
            unsafe fn resample<const SETS: usize, const PER_LOAD: usize, const HALVES: bool>(
                table: &Columns,
                lines: &Staged,
                mut ahead: Ahead<'_>,
                out: &mut [Pair],
            ) {
                let sets = if SETS == 0 { table.sets } else { SETS };
                let per_load = if PER_LOAD == 0 { table.per_load } else { PER_LOAD };
                let (half, zero) = (begin(scalar::half(table.precision)), begin(0));
                let shift = shift(table.precision);
                let (samples, stride) = (lines.planes().as_ptr(), lines.stride());
                let records: &[[u8; BYTES]] = bytemuck::cast_slice(&table.records);
                let records = records.chunks_exact(per_load + sets * (1 + usize::from(HALVES)));
                let (red, rest) = out.split_at_mut(plane_stride(table.width));
                let (green, blue) = rest.split_at_mut(plane_stride(table.width));
                let [red, green, blue] = [red, green, blue].map(|plane| plane.as_chunks_mut().0);
                let out = red.iter_mut().zip(green).zip(blue);
                for ((record, offsets), ((red, green), blue)) in
                    records.zip(&table.offsets).zip(out)
                {
                    ahead.step();
                    let (patterns, weights) = record.split_at(per_load);
                    let mut sums = [[half; 3]; 2];
                    for (line, sums) in sums.iter_mut().enumerate() {
                        let mut highs = [zero; 3];
                        for first in (0..sets).step_by(per_load) {
                            let mut loaded = [splat(0); 3];
                            for (channel, loaded) in loaded.iter_mut().enumerate() {
                                let at = (3 * line + channel) * stride + $taps * first;
                                // SAFETY: the reach ends after the last load of the last group, and
                                // planes are as long.
                                *loaded = unsafe { load_samples(samples.add(at), *offsets) };
                            }
                            for set in first..sets.min(first + per_load) {
                                let pattern = load(&patterns[set - first]);
                                let low = load(&weights[set]);
                                for channel in 0..3 {
                                    let taps = pick(loaded[channel], pattern);
                                    sums[channel] = multiply_add(sums[channel], taps, low);
                                    if HALVES {
                                        let high = load(&weights[sets + set]);
                                        highs[channel] = multiply_add(highs[channel], taps, high);
                                    }
                                }
                            }
                        }
                        if HALVES {
                            for (sum, high) in sums.iter_mut().zip(highs) {
                                *sum = join(*sum, high);
                            }
                        }
                    }
                    for (channel, out) in [red, green, blue].into_iter().enumerate() {
                        store_pairs(pair_up(sums[0][channel], sums[1][channel], shift), out);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(
    with_avx2,
    crate::kernels::x86_64::avx2,
    2,
    "avx2",
    [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
        (5, 4),
        (6, 4),
        (6, 3),
        (7, 3),
        (7, 2),
        (8, 2)
    ]
);
#[cfg(target_arch = "x86_64")]
kernel!(
    with_avx512,
    crate::kernels::x86_64::avx512,
    2,
    "avx512f,avx512bw,avx512vbmi,avx512vnni",
    [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
        (6, 6),
        (7, 7),
        (8, 6),
        (8, 5)
    ]
);
#[cfg(target_arch = "x86_64")]
kernel!(
    with_avx512_bytes,
    crate::kernels::x86_64::avx512_bytes,
    4,
    "avx512f,avx512bw,avx512vbmi,avx512vnni",
    [(3, 3), (4, 3), (4, 2)]
);
#[cfg(target_arch = "aarch64")]
kernel!(
    with_neon,
    crate::kernels::aarch64::neon,
    2,
    "neon",
    [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
        (5, 4),
        (6, 4),
        (6, 3),
        (7, 3),
        (7, 2),
        (8, 2)
    ]
);
