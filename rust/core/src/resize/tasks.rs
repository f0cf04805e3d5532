//! Resizing frames of one size as tasks that threads can share, without computing a line twice.
//!
//! Pairs of source scanlines go through the horizontal pass in *chunks*, each into a slot of a ring that
//! all threads share. Output scanlines are combined from them in *bands*, which wait for the chunks that
//! they are made of and then let go of those that no later band needs. Whoever has nothing to do takes
//! the next band that is ready, or else the next chunk for which there is a slot:
//!
//! ```text
//! source    |--- chunk 0 ---|--- chunk 1 ---|--- chunk 2 ---|--- chunk 3 ---| ...
//! bands     |------ band 0 ------|
//!                          |------ band 1 ------|              needs chunks 1 and 2
//! ```

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::chunk::{Arrival, Chunk, common, room_for_copy};
use super::long::LongWindows;
use super::pace::Pace;
use super::resampler::{After, Resampler};
use super::source::{Failure, Source, lock, pass_over};
use super::upright::Stored;
use crate::error::Result;
use crate::kernels::Pair;
use crate::kernels::staged::Staged;
use crate::memory::{self, Buffer};
use crate::parallel::Step;

/// What becomes of resized bands.
pub(crate) trait BandWriter: Sync {
    /// Where the result of a band goes.
    type Part: Send;

    /// Takes one band of each frame as it is seen: scanlines of three planes, `stride` samples apart. Where the
    /// frames are stored on their side, a band is columns of them.
    fn write(&self, part: Self::Part, frames: &[&[u8]], stride: usize) -> Result<()>;
}

/// Adjacent bands and where their results go.
pub(crate) struct Bands<P> {
    /// The number of the first.
    pub(crate) first: usize,
    pub(crate) parts: Vec<P>,
}

/// Frames of one size on their way to bands.
pub(crate) struct Tasks<'a, W: BandWriter, E> {
    resampler: Arc<Resampler>,
    writer: W,
    frames: Vec<Frame<'a, E>>,
    /// Output scanlines of a band.
    band_lines: usize,
    /// Pairs of source scanlines of a chunk.
    chunk_pairs: usize,
    /// Whether bands are made of scanlines as they are, without any pass.
    direct: bool,
    /// The end of the chunks that are staged: those after it are read, and no more.
    staged_chunks: usize,
    /// Chunks that may have been read and not staged.
    read_ahead: usize,
    /// Slots of the ring; none if the windows are too long for one.
    slots: usize,
    /// Among the passes over the same source.
    pace: Pace,
    state: Mutex<State<W::Part>>,
    /// What tasks that are done worked in.
    scratch: Mutex<Vec<Scratch>>,
}

struct Frame<'a, E> {
    source: Source<'a, E>,
    arrival: Arrival,
    ring: Vec<RwLock<Chunk>>,
    /// What scanlines were copied to that have been staged.
    copies: Mutex<Vec<Buffer<u8>>>,
}

impl<E> Frame<'_, E> {
    /// Whether its scanlines have to be read in order.
    fn in_order(&self) -> bool {
        matches!(self.arrival, Arrival::InOrder { .. })
    }
}

/// What a task works in.
struct Scratch {
    staged: Staged,
    after: Option<After>,
    /// A band of each frame as it is stored.
    band: Buffer<u8>,
    /// The same as it is seen, where that is something else.
    upright: Buffer<u8>,
}

/// What has been begun and done.
struct State<P> {
    /// Chunks that have been read, where scanlines come in order, by frame.
    reads: Vec<InOrder>,
    /// Chunks of all frames in turns.
    stages: InOrder,
    bands: InOrder,
    parts: VecDeque<P>,
    at_work: usize,
}

impl<P> State<P> {
    /// Whether there is nothing left to begin. Scanlines are read to the last even where no window
    /// reaches it: a file may turn out damaged there.
    fn all_begun(&self) -> bool {
        self.bands.all_begun() && self.reads.iter().all(InOrder::all_begun)
    }

    fn begin_all(&mut self) {
        for numbers in self.reads.iter_mut().chain([&mut self.bands]) {
            numbers.begun = numbers.end;
        }
    }
}

enum Task<P> {
    Read { frame: usize, chunk: usize },
    Stage { frame: usize, chunk: usize },
    Band { band: usize, part: P },
    All(VecDeque<P>),
}

/// Bytes that the ring of a frame takes at most; longer windows are summed up.
const RING_BYTES: usize = 4 << 20;

/// Source pixels of a chunk at least, so that a task is worth its bookkeeping, and pairs of scanlines.
const CHUNK_PIXELS: usize = 16 << 10;
const CHUNK_PAIRS: usize = 8;

impl<'a, W: BandWriter, E> Tasks<'a, W, E> {
    /// Tasks for frames from `sources`, of the resampler's source size, in bands of `band_lines`, of which the
    /// last may have less, for up to `threads` threads. Scanlines that come in order are at their first; those
    /// before what `bands` are made of are passed over.
    pub(crate) fn new(
        resampler: Arc<Resampler>,
        writer: W,
        sources: Vec<Source<'a, E>>,
        band_lines: usize,
        Bands { first, parts }: Bands<W::Part>,
        threads: usize,
    ) -> Result<Self, Failure<E>> {
        assert!(
            sources
                .iter()
                .all(|source| source.size() == resampler.pass.source())
        );
        let height = resampler.height();
        let bands = first..first + parts.len();
        let (begins, ends) = (first == 0, bands.end == height.div_ceil(band_lines));
        let chunk_pairs = chunk_pairs(&resampler);
        let in_place = |source| Arrival::of(source) == Arrival::InPlace;
        let direct = resampler.is_copy() && sources.iter().all(in_place);
        let needed = |bands: Range<usize>| {
            let pairs =
                resampler.pairs(bands.start * band_lines..height.min(bands.end * band_lines));
            pairs.start / chunk_pairs..pairs.end.div_ceil(chunk_pairs)
        };
        let chunks = if direct { 0..0 } else { needed(bands.clone()) };
        // Scanlines are read to the last even where no window reaches it.
        let read = match ends && !direct {
            true => chunks.start..resampler.frame_pairs().div_ceil(chunk_pairs),
            false => chunks.clone(),
        };
        let most = bands.clone().map(|band| needed(band..band + 1).len()).max();
        // Beside the chunks of one band, some that threads are busy with.
        let slots = most.unwrap_or(0) + 2 * threads - 1;
        let slots = slots.min(chunks.len());
        let slot_samples = chunk_pairs * resampler.pair_samples();
        let fits = slots.saturating_mul(slot_samples * size_of::<Pair>()) <= RING_BYTES * threads;
        let slots = if fits || !(begins && ends) { slots } else { 0 };
        let mut frames = memory::with_capacity(sources.len(), "frames")?;
        let passed_over = (2 * chunk_pairs * chunks.start)
            .saturating_sub(resampler.source_lines().start)
            .min(resampler.pass.height.source);
        for source in sources {
            let arrival = Arrival::of(&source);
            if let Source::Scanlines(scanlines) = &source
                && passed_over > 0
            {
                pass_over(&mut **lock(scanlines), passed_over)?;
            }
            let mut ring = memory::with_capacity(slots, "a ring of chunks")?;
            for _ in 0..slots {
                ring.push(RwLock::new(Chunk::new(&resampler, arrival, chunk_pairs)?));
            }
            frames.push(Frame {
                source,
                arrival,
                ring,
                copies: Mutex::new(Vec::new()),
            });
        }
        let reads = frames.iter().map(|frame: &Frame<'_, E>| {
            InOrder::new(if frame.in_order() { read.clone() } else { 0..0 })
        });
        let state = State {
            reads: memory::collect(reads, "frames")?,
            stages: InOrder::new(chunks.start * frames.len()..chunks.end * frames.len()),
            bands: InOrder::new(bands),
            parts: parts.into(),
            at_work: 0,
        };
        Ok(Self {
            resampler,
            writer,
            frames,
            band_lines,
            chunk_pairs,
            direct,
            staged_chunks: chunks.end,
            read_ahead: threads + 1,
            slots,
            pace: Pace::alone(),
            state: Mutex::new(state),
            scratch: Mutex::new(Vec::new()),
        })
    }

    /// The same in step with other passes over the same source.
    pub(crate) fn at(self, pace: Pace) -> Self {
        let tasks = Self { pace, ..self };
        if tasks.slots == 0 {
            // It does not stop on its way, nor does it look at chunks where it is direct.
            tasks.pace.finish();
        } else {
            // It may begin further down than the others, who need not wait for it until then.
            tasks.tell_pace(&lock(&tasks.state));
        }
        tasks
    }

    /// Lets go of the last bands, for somebody who reads the scanlines anew and passes over the first. None
    /// where that gains nothing.
    ///
    /// Whoever reads scanlines in order is alone with that. Another gets to the bands from k on by the
    /// time that band k is reached here if passing over what is before them and doing them takes as long
    /// as it takes to get there.
    pub(crate) fn divide(&self) -> Option<Bands<W::Part>> {
        /// How long it takes to pass over scanlines, of the time that it takes to read and resize them.
        const SKIPPING: f64 = 0.3;
        /// Bands that are worth it.
        const LEAST: usize = 4;
        let [frame] = &self.frames[..] else {
            return None;
        };
        let mut state = lock(&self.state);
        let State { reads, bands, .. } = &*state;
        if !frame.in_order() || self.slots == 0 {
            return None;
        }
        let first = ((bands.end + bands.begun) as f64 / (2.0 - SKIPPING)).ceil() as usize;
        if first + LEAST > bands.end || first <= bands.begun + LEAST {
            return None;
        }
        let chunks = self.chunks(first - 1).end;
        if chunks <= reads[0].begun {
            return None;
        }
        let kept = first - bands.begun;
        state.reads[0].end = chunks;
        state.stages.end = chunks;
        state.bands.end = first;
        let parts = state.parts.split_off(kept).into();
        Some(Bands { first, parts })
    }

    /// Whether some thread is at work here.
    pub(crate) fn is_shared(&self) -> bool {
        lock(&self.state).at_work > 0
    }

    /// Does a task that can be begun.
    pub(crate) fn step(&self) -> Step<Failure<E>> {
        let mut state = lock(&self.state);
        if state.all_begun() {
            return Step::Finished;
        }
        let Some(task) = self.claim(&mut state) else {
            return Step::Waiting;
        };
        state.at_work += 1;
        drop(state);
        let done = self.perform(task);
        let mut state = lock(&self.state);
        state.at_work -= 1;
        match done {
            Ok(Finished::Read { frame, chunk }) => state.reads[frame].finish(chunk),
            Ok(Finished::Stage { frame, chunk }) => {
                let unit = chunk * self.frames.len() + frame;
                state.stages.finish(unit);
            }
            Ok(Finished::Band(band)) => state.bands.finish(band),
            Ok(Finished::All) => {}
            Err(failure) => return Step::Failed(failure),
        }
        self.tell_pace(&state);
        Step::Done
    }

    /// The task to do next, if one can be begun.
    fn claim(&self, state: &mut State<W::Part>) -> Option<Task<W::Part>> {
        if self.slots == 0 && !self.direct {
            // Windows are summed up by one thread, from top to bottom.
            state.begin_all();
            return Some(Task::All(std::mem::take(&mut state.parts)));
        }
        // Whoever reads scanlines in order keeps the others waiting, so that it is done first as long as
        // somebody else lets go of slots.
        if state.at_work > 0
            && let Some(task) = self.claim_read(state)
        {
            return Some(task);
        }
        if let Some(band) = state.bands.next() {
            let chunks = self.chunks(band);
            if state.stages.done() >= chunks.end * self.frames.len()
                && let Some(part) = state.parts.pop_front()
            {
                state.bands.begin();
                return Some(Task::Band { band, part });
            }
        }
        if let Some(unit) = state.stages.next() {
            let (chunk, frame) = (unit / self.frames.len(), unit % self.frames.len());
            let here = if self.frames[frame].in_order() {
                state.reads[frame].done() > chunk
            } else {
                self.may_take(state, chunk)
            };
            if here {
                state.stages.begin();
                return Some(Task::Stage { frame, chunk });
            }
        }
        self.claim_read(state)
    }

    /// The next scanlines to read, unless somebody is reading or there is no slot.
    fn claim_read(&self, state: &mut State<W::Part>) -> Option<Task<W::Part>> {
        for frame in 0..self.frames.len() {
            let reads = &state.reads[frame];
            if let Some(chunk) = reads.next()
                && reads.done() == chunk
                && self.may_take(state, chunk)
                && (state.stages.all_done()
                    || chunk < state.stages.done() / self.frames.len() + self.read_ahead)
            {
                state.reads[frame].begin();
                return Some(Task::Read { frame, chunk });
            }
        }
        None
    }

    /// Whether the scanlines of `chunk` can be taken: no band that is to be done needs what lies in its slot, and
    /// no other pass is too far behind.
    fn may_take(&self, state: &State<W::Part>, chunk: usize) -> bool {
        let first = state.bands.done();
        let has_slot = state.bands.all_done() || chunk < self.chunks(first).start + self.slots;
        has_slot && self.pace.allows(self.source_line(chunk))
    }

    /// Tells the other passes how far this one has come.
    fn tell_pace(&self, state: &State<W::Part>) {
        let (taken, last) = match self.frames.iter().position(Frame::in_order) {
            Some(frame) => (state.reads[frame].done(), state.reads[frame].all_done()),
            None => (
                state.stages.done() / self.frames.len(),
                state.stages.all_done(),
            ),
        };
        if last {
            self.pace.finish();
        } else {
            self.pace.reach(self.source_line(taken));
        }
    }

    /// The first scanline of the source that `chunk` takes, or the next after it.
    fn source_line(&self, chunk: usize) -> usize {
        let first = self.scanlines(chunk).start;
        first.saturating_sub(self.resampler.source_lines().start)
    }

    /// The chunks that a band is made of.
    fn chunks(&self, band: usize) -> Range<usize> {
        if self.direct {
            return 0..0;
        }
        let pairs = self.resampler.pairs(self.lines(band));
        pairs.start / self.chunk_pairs..pairs.end.div_ceil(self.chunk_pairs)
    }

    /// The output scanlines of a band.
    fn lines(&self, band: usize) -> Range<usize> {
        let first = band * self.band_lines;
        first..self.resampler.height().min(first + self.band_lines)
    }

    /// The scanlines of a chunk, in the frame.
    fn scanlines(&self, chunk: usize) -> Range<usize> {
        let height = self.resampler.pass.height.frame;
        let first = 2 * chunk * self.chunk_pairs;
        first..height.min(first + 2 * self.chunk_pairs)
    }

    fn perform(&self, task: Task<W::Part>) -> Result<Finished, Failure<E>> {
        match task {
            Task::Read { frame, chunk } => {
                self.read(frame, chunk)?;
                Ok(Finished::Read { frame, chunk })
            }
            Task::Stage { frame, chunk } => {
                self.with_scratch(|scratch| self.stage(frame, chunk, scratch))??;
                Ok(Finished::Stage { frame, chunk })
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
        let band = self.frames.len() * self.band_lines * self.line_samples();
        let upright = if self.resampler.orientation == 1 {
            0
        } else {
            band
        };
        Ok(Scratch {
            staged: self.resampler.horizontal.staged()?,
            after: After::new(&self.resampler)?,
            band: Buffer::new(band, "a band of scanlines")?,
            upright: Buffer::new(upright, "a band of scanlines")?,
        })
    }

    /// Samples of one output scanline.
    fn line_samples(&self) -> usize {
        3 * self.resampler.stride()
    }

    /// Reads the scanlines of a chunk.
    fn read(&self, frame: usize, chunk: usize) -> Result<(), Failure<E>> {
        let Frame {
            source,
            ring,
            copies,
            ..
        } = &self.frames[frame];
        if let Source::Scanlines(scanlines) = source {
            let count = common(&self.scanlines(chunk), &self.resampler.source_lines()).len();
            let mut slot = writing(&ring[chunk % self.slots]);
            slot.copy = self.room_for_copy(frame)?;
            slot.read(&mut **lock(scanlines), count)?;
            if chunk >= self.staged_chunks {
                lock(copies).extend(slot.copy.take());
            }
        }
        Ok(())
    }

    /// Takes the scanlines of a chunk through the horizontal pass.
    fn stage(&self, frame: usize, chunk: usize, scratch: &mut Scratch) -> Result<()> {
        let Frame {
            source,
            ring,
            copies,
            ..
        } = &self.frames[frame];
        let (scanlines, staged) = (self.scanlines(chunk), &mut scratch.staged);
        let mut slot = writing(&ring[chunk % self.slots]);
        if slot.copy.is_none() {
            slot.copy = self.room_for_copy(frame)?;
        }
        slot.stage(&self.resampler, source, scanlines, staged)?;
        lock(copies).extend(slot.copy.take());
        Ok(())
    }

    /// Room for a copy of the scanlines of a chunk, if they have to be copied.
    fn room_for_copy(&self, frame: usize) -> Result<Option<Buffer<u8>>> {
        let Frame {
            arrival, copies, ..
        } = &self.frames[frame];
        match lock(copies).pop() {
            Some(room) => Ok(Some(room)),
            None => room_for_copy(&self.resampler, *arrival, self.chunk_pairs),
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
        let (lines, chunks) = (self.lines(band), self.chunks(band));
        let needed = self.resampler.pairs(lines.clone());
        let length = lines.len() * self.line_samples();
        let out = &mut out[..self.frames.len() * length];
        for (frame, out) in self.frames.iter().zip(out.chunks_exact_mut(length)) {
            if let (true, Source::Pixels(pixels)) = (self.direct, &frame.source) {
                let view = pixels.view();
                for (y, out) in lines.clone().zip(out.chunks_exact_mut(self.line_samples())) {
                    self.resampler.stage(&view, y, None, out);
                }
                continue;
            }
            let ring = chunks
                .clone()
                .map(|chunk| reading(&frame.ring[chunk % self.slots]));
            let ring = memory::collect(ring, "chunks of a band")?;
            let pair = |pair: usize| {
                let chunk = &ring[pair / self.chunk_pairs - chunks.start];
                chunk.pair(pair % self.chunk_pairs)
            };
            let pairs = memory::collect(needed.clone().map(pair), "pairs of scanlines")?;
            let vertical = &self.resampler.vertical;
            let combine = |lines: Range<usize>, out: &mut [u8]| {
                let range = self.resampler.pairs(lines.clone());
                let pairs = &pairs[range.start - needed.start..range.end - needed.start];
                vertical.run_together(lines, pairs, out);
            };
            self.resampler
                .finish(lines.clone(), after.as_mut(), combine, out);
        }
        self.hand_on(part, out, upright)
    }

    /// Hands on a band of each frame, one after the other in `stored`, as it is seen.
    fn hand_on(&self, part: W::Part, stored: &[u8], upright: &mut [u8]) -> Result<()> {
        let resampler = &self.resampler;
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
            frames.push(LongWindows::new(&self.resampler, &frame.source)?);
        }
        let mut scratch = self.new_scratch()?;
        for (band, part) in parts.into_iter().enumerate() {
            let lines = self.lines(band);
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
                self.resampler.finish(lines.clone(), after, combine, out);
                if let Some(failure) = failure {
                    return Err(failure);
                }
            }
            self.hand_on(part, out, &mut scratch.upright)?;
        }
        frames.iter_mut().try_for_each(LongWindows::take_rest)
    }
}

fn reading(chunk: &RwLock<Chunk>) -> RwLockReadGuard<'_, Chunk> {
    chunk.read().unwrap_or_else(PoisonError::into_inner)
}

fn writing(chunk: &RwLock<Chunk>) -> RwLockWriteGuard<'_, Chunk> {
    chunk.write().unwrap_or_else(PoisonError::into_inner)
}

/// Pairs of scanlines of a chunk.
fn chunk_pairs(resampler: &Resampler) -> usize {
    let width = resampler.pass.width.source.max(resampler.columns.len());
    let pairs = (CHUNK_PIXELS / 2 / width).max(CHUNK_PAIRS);
    let pairs = pairs.next_multiple_of(resampler.group());
    pairs.min(resampler.frame_pairs())
}

/// What a task has done.
enum Finished {
    Read { frame: usize, chunk: usize },
    Stage { frame: usize, chunk: usize },
    Band(usize),
    All,
}

/// Numbers that are begun in order, and done in any.
struct InOrder {
    begun: usize,
    end: usize,
    /// All below are done.
    done: usize,
    /// Those that are done before one below them is.
    early: Vec<usize>,
}

impl InOrder {
    fn new(numbers: Range<usize>) -> Self {
        Self {
            begun: numbers.start,
            end: numbers.end,
            done: numbers.start,
            early: Vec::new(),
        }
    }

    /// The number to begin next.
    fn next(&self) -> Option<usize> {
        (self.begun < self.end).then_some(self.begun)
    }

    fn begin(&mut self) {
        self.begun += 1;
    }

    fn all_begun(&self) -> bool {
        self.begun == self.end
    }

    /// The first that is not done.
    fn done(&self) -> usize {
        self.done
    }

    fn all_done(&self) -> bool {
        self.done == self.end
    }

    fn finish(&mut self, number: usize) {
        self.early.push(number);
        while let Some(place) = self.early.iter().position(|early| *early == self.done) {
            self.early.swap_remove(place);
            self.done += 1;
        }
    }
}
