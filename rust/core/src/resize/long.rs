//! Windows of so many scanlines that they cannot all be kept: they are summed up as scanlines come.

use std::collections::VecDeque;

use super::chunk::{Arrival, Chunk, common, read, room_for_copy, room_for_pairs};
use super::resampler::Resampler;
use super::source::{Failure, Source};
use crate::error::{Error, Result};
use crate::kernels::Pair;
use crate::kernels::staged::Staged;
use crate::memory::{self, Buffer};
use crate::parallel::lock;

/// Bytes of the pairs that are taken at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Output scanlines of one frame from top to bottom.
pub(super) struct LongWindows<'a, 'b, E> {
    resampler: &'a Resampler,
    source: &'a Source<'b, E>,
    chunk: Chunk,
    chunk_pairs: usize,
    staged: Staged,
    /// The pair of scanlines that comes next.
    next: usize,
    /// The output scanline that is finished next, and the sums of that and some after it.
    position: usize,
    sums: VecDeque<Buffer<i32>>,
}

impl<'a, 'b, E> LongWindows<'a, 'b, E> {
    pub(super) fn new(resampler: &'a Resampler, source: &'a Source<'b, E>) -> Result<Self> {
        let arrival = Arrival::of(source);
        let pair_bytes = resampler.pair_samples() * size_of::<Pair>();
        let chunk_pairs = (CHUNK_BYTES / pair_bytes)
            .max(1)
            .next_multiple_of(resampler.group())
            .min(resampler.frame_pairs());
        let mut chunk = Chunk::new(arrival);
        chunk.copy = room_for_copy(resampler, arrival, chunk_pairs)?;
        chunk.pairs = Some(room_for_pairs(resampler, chunk_pairs)?);
        Ok(Self {
            resampler,
            source,
            chunk,
            chunk_pairs,
            staged: resampler.horizontal.staged()?,
            next: 0,
            position: 0,
            sums: VecDeque::new(),
        })
    }

    /// Writes the next output scanline.
    pub(super) fn combine(&mut self, out: &mut [u8]) -> Result<(), Failure<E>> {
        let vertical = &self.resampler.vertical;
        while self.next < vertical.pairs(self.position).end {
            self.take_chunk()?;
        }
        if let Some(sums) = self.sums.pop_front() {
            vertical.finish(&sums, out);
        }
        self.position += 1;
        Ok(())
    }

    /// Takes what comes after the last window: a file may turn out damaged there.
    pub(super) fn take_rest(&mut self) -> Result<(), Failure<E>> {
        while self.next < self.resampler.frame_pairs() {
            self.take_chunk()?;
        }
        Ok(())
    }

    /// Adds the next pairs of scanlines to all sums that they belong to.
    fn take_chunk(&mut self) -> Result<(), Failure<E>> {
        let resampler = self.resampler;
        let vertical = &resampler.vertical;
        let pairs = self.next..(self.next + self.chunk_pairs).min(resampler.frame_pairs());
        let lines = 2 * pairs.start..resampler.pass.height.frame.min(2 * pairs.end);
        if let Source::Scanlines(scanlines) = self.source {
            let lines = common(&lines, &resampler.source_lines());
            let room = self.chunk.copy.as_deref_mut().unwrap_or_default();
            read(&mut **lock(scanlines), lines.len(), room)?;
        }
        self.chunk
            .stage(resampler, self.source, lines, &mut self.staged)?;
        let scanlines = (0..pairs.len()).map(|index| self.chunk.pair(resampler, index));
        let scanlines = memory::collect(scanlines, "pairs of scanlines")?;
        for (index, position) in (self.position..vertical.height()).enumerate() {
            if vertical.pairs(position).start >= pairs.end {
                break;
            }
            if index == self.sums.len() {
                let mut sums = Buffer::new(resampler.pair_samples(), "sums of scanlines")?;
                sums.fill(vertical.initial_sum());
                self.sums.try_reserve(1).map_err(|_| Error::Memory {
                    bytes: size_of_val(&sums),
                    purpose: "sums of scanlines",
                })?;
                self.sums.push_back(sums);
            }
            vertical.accumulate(position, pairs.start, &scanlines, &mut self.sums[index]);
        }
        self.next = pairs.end;
        Ok(())
    }
}
