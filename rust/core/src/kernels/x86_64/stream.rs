//! Rows to memory, past the cache.

use std::arch::x86_64::*;

use super::elements::Constants;
use crate::kernels::values::Affine;
use crate::kernels::vector::{SAMPLES, Store};
use crate::memory;

/// Samples of a few rows in their order, on their way to elements that are stored past the cache.
///
/// A store of part of a cache line makes the processor read the line first. Elements that are stored one after
/// another, whichever pieces their samples were put together from, spare it that.
pub(in crate::kernels) struct Passing {
    samples: Vec<u8>,
    columns: usize,
    runs: Vec<Run>,
}

/// Registers one after another with the same arithmetic in the same lanes.
struct Run {
    registers: usize,
    constants: Constants,
}

impl Passing {
    /// For `rows` of `columns`, in which each of the `affines` is that of `each` elements in turn, no fewer than
    /// a register has. None if registers of `rows` do not lie as such stores need them, or there is no memory.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(in crate::kernels) fn new<T>(
        rows: &[T],
        columns: usize,
        affines: &[Affine],
        each: usize,
    ) -> Option<Self> {
        let aligned = rows
            .as_ptr()
            .addr()
            .is_multiple_of(SAMPLES * size_of::<T>())
            && rows.len().is_multiple_of(SAMPLES);
        // So many rows are whole registers.
        let count = [1, 2, 4, 8]
            .into_iter()
            .find(|count| (count * columns).is_multiple_of(SAMPLES))?;
        if !aligned {
            return None;
        }
        let samples = memory::filled(count * columns, 0, "a few rows").ok()?;
        let mut runs =
            memory::with_capacity(2 * samples.len().div_ceil(each), "a few rows").ok()?;
        let mut at = 0;
        while at < samples.len() {
            // As many registers as there are before the next affine, or else the one with both.
            let registers = (each - at % each) / SAMPLES;
            let registers = registers.clamp(1, (samples.len() - at) / SAMPLES);
            let affine = |lane: usize| affines[(at + lane) / each % affines.len()];
            runs.push(Run {
                registers,
                constants: Constants::by_lane(affine),
            });
            at += registers * SAMPLES;
        }
        Some(Self {
            samples,
            columns,
            runs,
        })
    }

    /// Fills `rows`, the samples of each of which `copy` writes.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(in crate::kernels) fn write<T: Store, const RESCALES: bool>(
        &mut self,
        rows: &mut [T],
        copy: impl Fn(usize, &mut [u8]),
    ) {
        let mut first = 0;
        for rows in rows.chunks_mut(self.samples.len()) {
            let samples = &mut self.samples[..rows.len()];
            for row in samples.chunks_exact_mut(self.columns) {
                copy(first, row);
                first += 1;
            }
            let registers = samples.as_chunks::<SAMPLES>().0.iter();
            let mut registers = registers.zip(rows.as_chunks_mut::<SAMPLES>().0);
            for Run {
                registers: count,
                constants,
            } in &self.runs
            {
                for (samples, out) in registers.by_ref().take(*count) {
                    // SAFETY: eight samples and elements; `new` found that those are aligned.
                    unsafe { T::stream::<RESCALES>(out.as_mut_ptr(), samples.as_ptr(), constants) };
                }
            }
        }
        // Whoever reads the rows next may be another thread.
        _mm_sfence();
    }
}
