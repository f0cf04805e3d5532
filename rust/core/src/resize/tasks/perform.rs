//! What each task does.

use std::collections::VecDeque;
use std::ops::Range;

use super::{BandWriter, Finished, Frame, Task, Tasks, reading, writing};
use crate::error::Result;
use crate::kernels::staged::Staged;
use crate::memory::{self, Buffer};
use crate::parallel::lock;
use crate::resize::chunk::{common, read, room_for_copy, room_for_pairs};
use crate::resize::long::LongWindows;
use crate::resize::partition::Partition;
use crate::resize::resampler::After;
use crate::resize::source::{Failure, Source};
use crate::resize::upright::Stored;

/// What a task works in.
pub(super) struct Scratch {
    staged: Staged,
    after: Option<After>,
    /// A band of each frame as it is stored.
    band: Buffer<u8>,
    /// The same as it is seen, where that is something else.
    upright: Buffer<u8>,
}

impl<W: BandWriter, E> Tasks<'_, W, E> {
    pub(super) fn perform(&self, task: Task<W::Part>) -> Result<Finished, Failure<E>> {
        match task {
            Task::Read { frame, chunk } => {
                self.read(frame, chunk)?;
                Ok(Finished::Read { frame, chunk })
            }
            Task::Stage(units) => {
                self.with_scratch(|scratch| {
                    units.clone().try_for_each(|unit| self.stage(unit, scratch))
                })??;
                Ok(Finished::Stage(units))
            }
            Task::Band { band, part } => {
                self.with_scratch(|scratch| self.band(band, part, scratch))??;
                Ok(Finished::Band(band))
            }
            Task::All(parts) => {
                self.sum_up(parts)?;
                Ok(Finished::All)
            }
        }
    }

    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> Result<T> {
        let kept = lock(&self.scratch).pop();
        let mut scratch = match kept {
            Some(scratch) => scratch,
            None => self.new_scratch()?,
        };
        let result = work(&mut scratch);
        lock(&self.scratch).push(scratch);
        Ok(result)
    }

    fn new_scratch(&self) -> Result<Scratch> {
        let band = self.frames.len() * self.partition.band_lines * self.line_samples();
        let upright = if self.partition.resampler.orientation == 1 {
            0
        } else {
            band
        };
        Ok(Scratch {
            staged: self.partition.resampler.horizontal.staged()?,
            after: After::new(&self.partition.resampler)?,
            band: Buffer::new(band, "a band of scanlines")?,
            upright: Buffer::new(upright, "a band of scanlines")?,
        })
    }

    /// Samples of one output scanline.
    fn line_samples(&self) -> usize {
        3 * self.partition.resampler.stride()
    }

    /// Reads the scanlines of a chunk.
    fn read(&self, frame: usize, chunk: usize) -> Result<(), Failure<E>> {
        let frame = &self.frames[frame];
        if let Source::Scanlines(scanlines) = &frame.source {
            let source_lines = self.partition.resampler.source_lines();
            let count = common(&self.partition.scanlines(chunk), &source_lines).len();
            let mut copy = self.room_for_copy(frame)?;
            read(
                &mut **lock(scanlines),
                count,
                copy.as_deref_mut().unwrap_or_default(),
            )?;
            if chunk < self.staged_chunks {
                writing(frame.slot(chunk)).copy = copy;
            } else {
                lock(&frame.copies).extend(copy);
            }
        }
        Ok(())
    }

    /// Takes the scanlines of a chunk through the horizontal pass.
    fn stage(&self, unit: usize, scratch: &mut Scratch) -> Result<(), Failure<E>> {
        let (chunk, frame) = self.place(unit);
        let Partition {
            resampler,
            chunk_pairs,
            ..
        } = &self.partition;
        let frame = &self.frames[frame];
        let mut slot = writing(frame.slot(chunk));
        if slot.copy.is_none() {
            slot.copy = self.room_for_copy(frame)?;
        }
        if slot.pairs.is_none() {
            let idle = lock(&frame.pairs).pop();
            slot.pairs = Some(match idle {
                Some(pairs) => pairs,
                None => room_for_pairs(resampler, *chunk_pairs)?,
            });
        }
        let scanlines = self.partition.scanlines(chunk);
        slot.stage(resampler, &frame.source, scanlines, &mut scratch.staged)?;
        lock(&frame.copies).extend(slot.copy.take());
        Ok(())
    }

    /// Room for a copy of the scanlines of a chunk, if they have to be copied.
    fn room_for_copy(&self, frame: &Frame<'_, E>) -> Result<Option<Buffer<u8>>> {
        let Partition {
            resampler,
            chunk_pairs,
            ..
        } = &self.partition;
        let idle = lock(&frame.copies).pop();
        match idle {
            Some(room) => Ok(Some(room)),
            None => room_for_copy(resampler, frame.arrival, *chunk_pairs),
        }
    }

    /// Combines a band and hands it on.
    fn band(&self, band: usize, part: W::Part, scratch: &mut Scratch) -> Result<()> {
        let Scratch {
            after,
            band: out,
            upright,
            ..
        } = scratch;
        let Partition {
            resampler,
            chunk_pairs,
            direct,
            ..
        } = &self.partition;
        let (lines, chunks) = (self.partition.lines(band), self.partition.chunks(band));
        let needed = resampler.pairs(lines.clone());
        let length = lines.len() * self.line_samples();
        let out = &mut out[..self.frames.len() * length];
        for (frame, out) in self.frames.iter().zip(out.chunks_exact_mut(length)) {
            if let (true, Source::Pixels(pixels)) = (direct, &frame.source) {
                let view = pixels.view();
                for (y, out) in lines.clone().zip(out.chunks_exact_mut(self.line_samples())) {
                    resampler.stage(&view, y, None, out);
                }
                continue;
            }
            let ring = chunks.clone().map(|chunk| reading(frame.slot(chunk)));
            let ring = memory::collect(ring, "chunks of a band")?;
            let pair = |pair: usize| {
                let chunk = &ring[pair / chunk_pairs - chunks.start];
                chunk.pair(resampler, pair % chunk_pairs)
            };
            let pairs = memory::collect(needed.clone().map(pair), "pairs of scanlines")?;
            let combine = |lines: Range<usize>, out: &mut [u8]| {
                let range = resampler.pairs(lines.clone());
                let pairs = &pairs[range.start - needed.start..range.end - needed.start];
                resampler.vertical.run_together(lines, pairs, out);
            };
            resampler.finish(lines.clone(), after.as_mut(), combine, out);
        }
        self.hand_on(part, out, upright)
    }

    /// Hands on a band of each frame, one after the other in `stored`, as it is seen.
    fn hand_on(&self, part: W::Part, stored: &[u8], upright: &mut [u8]) -> Result<()> {
        let resampler = &self.partition.resampler;
        let length = stored.len() / self.frames.len();
        let (mut bands, mut stride) = (stored, resampler.stride());
        if resampler.orientation != 1 {
            let frames = stored.chunks_exact(length);
            for (samples, upright) in frames.zip(upright.chunks_exact_mut(length)) {
                let stored = Stored {
                    samples,
                    stride: resampler.stride(),
                    width: resampler.pass.width.length(),
                };
                stride = stored.turn_upright(resampler.orientation, upright);
            }
            bands = &upright[..stored.len()];
        }
        let bands = memory::collect(bands.chunks_exact(length), "bands of frames")?;
        self.writer.write(part, &bands, stride)
    }

    /// Does everything, where windows are too long for a ring.
    fn sum_up(&self, parts: VecDeque<W::Part>) -> Result<(), Failure<E>> {
        let mut frames = memory::with_capacity(self.frames.len(), "frames")?;
        for frame in &self.frames {
            frames.push(LongWindows::new(&self.partition.resampler, &frame.source)?);
        }
        let mut scratch = self.new_scratch()?;
        for (band, part) in parts.into_iter().enumerate() {
            let lines = self.partition.lines(band);
            let length = lines.len() * self.line_samples();
            let out = &mut scratch.band[..frames.len() * length];
            for (frame, out) in frames.iter_mut().zip(out.chunks_exact_mut(length)) {
                let mut failure = None;
                let combine = |lines: Range<usize>, out: &mut [u8]| {
                    let length = out.len() / lines.len();
                    for out in out.chunks_exact_mut(length) {
                        if failure.is_none() {
                            failure = frame.combine(out).err();
                        }
                    }
                };
                let after = scratch.after.as_mut();
                self.partition
                    .resampler
                    .finish(lines.clone(), after, combine, out);
                if let Some(failure) = failure {
                    return Err(failure);
                }
            }
            self.hand_on(part, out, &mut scratch.upright)?;
        }
        frames.iter_mut().try_for_each(LongWindows::take_rest)
    }
}
