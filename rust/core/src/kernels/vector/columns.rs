//! The horizontal pass where neighbouring columns share the samples of a register.
//!
//! As many columns as a register has sums are computed together. Their taps overlap, so that
//! one load holds the samples of several; one shuffle gathers two neighbouring taps of every column and
//! widens them, one multiply-add multiplies. Nothing is transposed.
//!
//! Where the multiply-add takes bytes, a shuffle gathers four taps, and two multiply-adds, by the lower bytes of
//! the weights and by the upper ones, do the work of two shuffles and two multiply-adds.

use bytemuck::Zeroable;

use super::weight_parts::WeightParts;
use crate::error::Result;
use crate::filter::Axis;
#[cfg(target_arch = "aarch64")]
use crate::kernels::aarch64::neon;
use crate::kernels::isa::VectorIsa;
use crate::kernels::prefetch::Prefetch;
use crate::kernels::staged::Staged;
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86_64::{avx2, avx512};
use crate::kernels::{Pair, plane_stride, scalar};
use crate::memory::{self, CacheLine};
use crate::pixels::Bytes;

/// The tables of an axis.
#[derive(Debug)]
pub(in crate::kernels) struct Columns {
    isa: VectorIsa,
    width: usize,
    precision: u32,
    parts: WeightParts,
    loads: Loads,
    /// For each group of columns, in registers and in the order of their use: the patterns that pick each
    /// of the sets of a load, then the weights of each set, then the upper halves of those.
    records: Vec<CacheLine>,
}

/// What is loaded of a plane for each group of columns.
#[derive(Debug)]
struct Loads {
    /// Sets of taps that every column has: as many taps each as a multiply-add takes.
    sets: usize,
    /// How many of them lie within what is loaded at once.
    per_load: usize,
    /// For each group of columns, where the samples of its lanes begin.
    offsets: Vec<[u32; 2]>,
    /// Samples of a plane that are read: the last load of every lane ends there or before.
    reach: usize,
}

impl Columns {
    /// The tables of `axis`, or None if neighbouring columns lie too far apart.
    pub(in crate::kernels) fn new(axis: &Axis, isa: VectorIsa) -> Result<Option<Self>> {
        let Some(groups) = Groups::of(axis, isa) else {
            return Ok(None);
        };
        Ok(Some(Self {
            isa,
            width: axis.len(),
            precision: axis.precision(),
            parts: groups.parts,
            loads: groups.loads()?,
            records: groups.records()?,
        }))
    }

    /// Samples of a plane that are read.
    pub(in crate::kernels) fn reach(&self) -> usize {
        self.loads.reach
    }

    /// See [`crate::kernels::horizontal::Horizontal::run`].
    pub(in crate::kernels) fn run(&self, lines: &Staged, ahead: &[Bytes<'_>], out: &mut [Pair]) {
        assert!(lines.stride() >= self.reach() && lines.planes().len() == 6 * lines.stride());
        let prefetch = Prefetch::new(ahead, self.loads.offsets.len());
        // SAFETY: the processor has what it is proved to have, and planes are as long as the reach.
        unsafe {
            match (self.isa, self.parts) {
                #[cfg(target_arch = "x86_64")]
                (VectorIsa::Avx2(_) | VectorIsa::Avx512(_), WeightParts::Bytes(_)) => {
                    with_avx512_bytes::run::<true>(self, lines, prefetch, out);
                }
                #[cfg(target_arch = "x86_64")]
                (VectorIsa::Avx2(_), WeightParts::Whole) => {
                    with_avx2::run::<false>(self, lines, prefetch, out);
                }
                #[cfg(target_arch = "x86_64")]
                (VectorIsa::Avx2(_), WeightParts::Words) => {
                    with_avx2::run::<true>(self, lines, prefetch, out);
                }
                #[cfg(target_arch = "x86_64")]
                (VectorIsa::Avx512(_), WeightParts::Whole) => {
                    with_avx512::run::<false>(self, lines, prefetch, out);
                }
                #[cfg(target_arch = "x86_64")]
                (VectorIsa::Avx512(_), WeightParts::Words) => {
                    with_avx512::run::<true>(self, lines, prefetch, out);
                }
                #[cfg(target_arch = "aarch64")]
                (VectorIsa::Neon(_), WeightParts::Whole) => {
                    with_neon::run::<false>(self, lines, prefetch, out);
                }
                #[cfg(target_arch = "aarch64")]
                (VectorIsa::Neon(_), WeightParts::Words) => {
                    with_neon::run::<true>(self, lines, prefetch, out);
                }
            }
        }
    }
}

/// How the registers of a backend hold columns.
#[derive(Debug, Clone, Copy)]
struct Registers {
    /// Columns of a group.
    columns: usize,
    /// How many of them share a lane.
    lane_columns: usize,
    lane_bytes: usize,
    /// The sets of a load with which they are as fast as scanlines that are turned.
    fewest: usize,
}

impl Registers {
    fn of(isa: VectorIsa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx2(_) => Self {
                columns: avx2::SUMS,
                lane_columns: avx2::SUMS / 2,
                lane_bytes: avx2::BYTES / 2,
                fewest: 2,
            },
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx512(_) => Self {
                columns: avx512::SUMS,
                lane_columns: avx512::SUMS,
                lane_bytes: avx512::BYTES,
                fewest: 1,
            },
            #[cfg(target_arch = "aarch64")]
            VectorIsa::Neon(_) => Self {
                columns: neon::SUMS,
                lane_columns: neon::SUMS,
                lane_bytes: neon::BYTES,
                fewest: 2,
            },
        }
    }
}

/// The columns of an axis in groups that are computed together. Columns after the last are computed from the samples of
/// the last, with weights of zero.
struct Groups<'a> {
    axis: &'a Axis,
    registers: Registers,
    parts: WeightParts,
    /// See [`Loads`].
    sets: usize,
    per_load: usize,
}

impl<'a> Groups<'a> {
    /// None if a lane holds too few of the taps of its columns.
    fn of(axis: &'a Axis, isa: VectorIsa) -> Option<Self> {
        let (registers, parts) = (Registers::of(isa), WeightParts::of(axis, isa));
        let mut groups = Self {
            axis,
            registers,
            parts,
            sets: axis.most_taps().div_ceil(parts.taps()),
            per_load: 0,
        };
        let shared = registers.lane_bytes.saturating_sub(groups.spread());
        groups.per_load = (shared / parts.taps()).min(groups.sets);
        let suits = groups.per_load >= groups.sets.min(registers.fewest)
            && u32::try_from(groups.reach()).is_ok();
        suits.then_some(groups)
    }

    fn count(&self) -> usize {
        self.axis.len().div_ceil(self.registers.columns)
    }

    /// The first sample of a column.
    fn start(&self, x: usize) -> usize {
        self.axis.bounds(x.min(self.axis.len() - 1)).0
    }

    /// Samples from the start of the first column of a lane to that of the last, at most.
    fn spread(&self) -> usize {
        let Registers {
            columns,
            lane_columns,
            ..
        } = self.registers;
        let lanes = (0..self.count() * columns).step_by(lane_columns);
        let spread = lanes.map(|x| self.start(x + lane_columns - 1) - self.start(x));
        spread.max().unwrap_or(0)
    }

    /// Where the last load of a lane ends, from its start on.
    fn end_of_loads(&self) -> usize {
        let last = (self.sets - 1) / self.per_load * self.per_load;
        self.parts.taps() * last + self.registers.lane_bytes
    }

    /// Samples of a plane that are read.
    fn reach(&self) -> usize {
        self.start(self.axis.len()) + self.end_of_loads()
    }

    fn loads(&self) -> Result<Loads> {
        let (columns, reach, end) = (self.registers.columns, self.reach(), self.end_of_loads());
        let firsts = (0..self.count()).map(|group| group * columns);
        let offsets =
            firsts.map(|first| [first, first + columns / 2].map(|x| self.start(x) as u32));
        let offsets = memory::collect(offsets, "horizontal weights")?;
        let mut lanes = offsets.iter().flatten();
        assert!(lanes.all(|offset| *offset as usize + end <= reach));
        Ok(Loads {
            sets: self.sets,
            per_load: self.per_load,
            offsets,
            reach,
        })
    }

    /// See [`Columns`].
    fn records(&self) -> Result<Vec<CacheLine>> {
        let registers = self.per_load + self.sets * self.parts.registers();
        let record = registers * self.registers.columns;
        let bytes = self.count().saturating_mul(record * size_of::<[u8; 4]>());
        let mut records = memory::filled(
            bytes.div_ceil(size_of::<CacheLine>()),
            CacheLine::zeroed(),
            "horizontal weights",
        )?;
        let elements: &mut [[u8; 4]] = bytemuck::cast_slice_mut(&mut records);
        for (group, record) in (0..self.count()).zip(elements.chunks_exact_mut(record)) {
            for index in 0..self.registers.columns {
                self.fill(group, index, record);
            }
        }
        Ok(records)
    }

    /// Writes what the record of a group has of the column at `index` in it.
    fn fill(&self, group: usize, index: usize, record: &mut [[u8; 4]]) {
        let Registers {
            columns,
            lane_columns,
            ..
        } = self.registers;
        let (sets, taps) = (self.sets, self.parts.taps());
        let x = group * columns + index;
        let at = self.start(x) - self.start(x - index % lane_columns);
        let (patterns, weights) = record.split_at_mut(self.per_load * columns);
        for (set, pattern) in patterns.chunks_exact_mut(columns).enumerate() {
            pattern[index] = self.parts.pattern(at + set * taps);
        }
        if x >= self.axis.len() {
            return;
        }
        let (low, high) = weights.split_at_mut(sets * columns);
        for (set, taps) in self.axis.bounds(x).1.chunks(taps).enumerate() {
            let [lower, upper] = self.parts.weights(taps);
            low[set * columns + index] = lower;
            if let Some(high) = high.get_mut(set * columns + index) {
                *high = upper;
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
                prefetch: Prefetch<'_>,
                out: &mut [Pair],
            ) {
                // Loops whose counts the compiler knows take half the time.
                // SAFETY: the counts are those of the table, whose planes are asked for.
                unsafe {
                    match (table.loads.sets, table.loads.per_load) {
                        $(
                            ($sets, $per_load) => {
                                resample::<$sets, $per_load, HALVES>(table, lines, prefetch, out);
                            }
                        )*
                        _ => resample::<0, 0, HALVES>(table, lines, prefetch, out),
                    }
                }
            }

            /// `SETS` and `PER_LOAD` are those of `table`, or 0 for any.
            ///
            /// # Safety
            /// As of [`run`].
            #[target_feature(enable = $features)]
            unsafe fn resample<const SETS: usize, const PER_LOAD: usize, const HALVES: bool>(
                table: &Columns,
                lines: &Staged,
                mut prefetch: Prefetch<'_>,
                out: &mut [Pair],
            ) {
                let loads = &table.loads;
                let sets = if SETS == 0 { loads.sets } else { SETS };
                let per_load = if PER_LOAD == 0 { loads.per_load } else { PER_LOAD };
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
                    records.zip(&loads.offsets).zip(out)
                {
                    prefetch.step();
                    let (patterns, weights) = record.split_at(per_load);
                    let mut sums = [[half; 3]; 2];
                    for (line, sums) in sums.iter_mut().enumerate() {
                        let mut highs = [zero; 3];
                        for first in (0..sets).step_by(per_load) {
                            let mut loaded = [splat(0); 3];
                            for (channel, loaded) in loaded.iter_mut().enumerate() {
                                let at = (3 * line + channel) * stride + $taps * first;
                                // SAFETY: no load ends after the reach, and planes are as long.
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
