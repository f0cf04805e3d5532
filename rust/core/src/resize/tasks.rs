//! Resizing frames of one size as tasks that threads can share, without computing a line twice.
//!
//! Pairs of source scanlines go through the horizontal pass in *chunks*, each into a slot of a ring that
//! all threads share. Output scanlines are combined from them in *bands*, which wait for the chunks that
//! they are made of and then let go of those that no later band needs. Whoever has nothing to do takes
//! the next band that is ready, or else the next chunks for which there is [`Room`], all that a band lacks:
//!
//! ```text
//! source    |--- chunk 0 ---|--- chunk 1 ---|--- chunk 2 ---|--- chunk 3 ---| ...
//! bands     |------ band 0 ------|
//!                          |------ band 1 ------|              needs chunks 1 and 2
//! ```

mod perform;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::chunk::{Arrival, Chunk};
use super::pace::Pace;
use super::partition::Partition;
use super::resampler::Resampler;
use super::room::{Ahead, Room};
use super::sequence::Sequence;
use super::source::{Failure, Source, pass_over};
use crate::error::Result;
use crate::kernels::Pair;
use crate::memory::{self, Buffer};
use crate::parallel::{Step, despite_panics, lock};
use perform::Scratch;

/// How long it takes to pass over scanlines, of the time that it takes to read and resize them.
pub(crate) const SKIPPING: f64 = 0.3;

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
    partition: Partition,
    writer: W,
    frames: Vec<Frame<'a, E>>,
    /// The end of the chunks that are staged: those after it are read, and no more.
    staged_chunks: usize,
    /// Threads of the call.
    threads: usize,
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
    /// What chunks that no band needs any more were in.
    pairs: Mutex<Vec<Buffer<Pair>>>,
}

impl<'a, E> Frame<'a, E> {
    /// A frame of which the first scanlines are `passed_over` if they come in order.
    fn new(source: Source<'a, E>, passed_over: usize, slots: usize) -> Result<Self, Failure<E>> {
        if let Source::Scanlines(scanlines) = &source
            && passed_over > 0
        {
            pass_over(&mut **lock(scanlines), passed_over)?;
        }
        let arrival = Arrival::of(&source);
        let ring = (0..slots).map(|_| RwLock::new(Chunk::new(arrival)));
        Ok(Self {
            source,
            arrival,
            ring: memory::collect(ring, "a ring of chunks")?,
            copies: Mutex::new(Vec::new()),
            pairs: Mutex::new(Vec::new()),
        })
    }

    /// Whether its scanlines have to be read in order.
    fn in_order(&self) -> bool {
        matches!(self.arrival, Arrival::InOrder(_))
    }

    /// The slot of a chunk.
    fn slot(&self, chunk: usize) -> &RwLock<Chunk> {
        &self.ring[chunk % self.ring.len()]
    }

    /// Lets go of `chunks`, and of memory beyond what so many more would take.
    fn let_go(&self, chunks: Range<usize>, more: usize) {
        for chunk in chunks {
            // Where bands leave a gap somebody may still be staging one, who holds it and takes what is idle.
            let pairs = writing(self.slot(chunk)).pairs.take();
            lock(&self.pairs).extend(pairs);
        }
        lock(&self.pairs).truncate(more);
        lock(&self.copies).truncate(more.max(1));
    }
}

/// What has been begun and done.
struct State<P> {
    /// Chunks that have been read, where scanlines come in order, by frame.
    reads: Vec<Sequence>,
    /// Chunks of all frames in turns.
    stages: Sequence,
    bands: Sequence,
    parts: VecDeque<P>,
    at_work: usize,
    /// The end of the chunks that have, or had, a slot.
    taken: usize,
    /// Room for those that have one; none if the windows are too long for a ring.
    room: Option<Room>,
}

impl<P> State<P> {
    /// Whether there is nothing left to begin. Scanlines are read to the last even where no window
    /// reaches it: a file may turn out damaged there.
    fn all_begun(&self) -> bool {
        self.bands.all_begun() && self.reads.iter().all(Sequence::all_begun)
    }

    fn begin_all(&mut self) {
        self.reads.iter_mut().for_each(Sequence::begin_all);
        self.bands.begin_all();
    }
}

enum Task<P> {
    Read {
        frame: usize,
        chunk: usize,
    },
    /// Chunks of all frames in turns.
    Stage(Range<usize>),
    Band {
        band: usize,
        part: P,
    },
    All(VecDeque<P>),
}

impl<'a, W: BandWriter, E> Tasks<'a, W, E> {
    /// Tasks for frames from `sources`, of the resampler's source size, in bands of `band_lines`, of which the
    /// last may have less, for the threads of a call. Scanlines that come in order are at their first; those
    /// before what `bands` are made of are passed over.
    pub(crate) fn new(
        resampler: Arc<Resampler>,
        writer: W,
        sources: Vec<Source<'a, E>>,
        band_lines: usize,
        Bands { first, parts }: Bands<W::Part>,
        ahead: &Arc<Ahead>,
    ) -> Result<Self, Failure<E>> {
        let size = resampler.pass.source();
        assert!(sources.iter().all(|source| source.size() == size));
        let in_place = |source| Arrival::of(source) == Arrival::InPlace;
        let direct = resampler.is_copy() && sources.iter().all(in_place);
        let partition = Partition::new(resampler, band_lines, direct);
        let bands = first..first + parts.len();
        let chunks = partition.chunks(first).start..partition.chunks(bands.end - 1).end;
        let most = bands.clone().map(|band| partition.chunks(band).len()).max();
        let read = match bands.end == partition.bands() && !direct {
            true => chunks.start..partition.end(),
            false => chunks.clone(),
        };
        let in_order = |source| matches!(Arrival::of(source), Arrival::InOrder(_));
        let in_order = sources.iter().any(in_order);
        let room = Room::new(ahead, most.unwrap_or(0), partition.chunk_bytes(), in_order);
        let slots = room.as_ref().map_or(0, Room::most).min(chunks.len());
        let passed_over = partition.source_line(chunks.start).min(size.0);
        let mut frames = memory::with_capacity(sources.len(), "frames")?;
        for source in sources {
            frames.push(Frame::new(source, passed_over, slots)?);
        }
        let reads = frames.iter().map(|frame: &Frame<'_, E>| {
            Sequence::new(if frame.in_order() { read.clone() } else { 0..0 })
        });
        let state = State {
            reads: memory::collect(reads, "frames")?,
            stages: Sequence::new(chunks.start * frames.len()..chunks.end * frames.len()),
            bands: Sequence::new(bands),
            parts: parts.into(),
            at_work: 0,
            taken: chunks.start,
            room,
        };
        Ok(Self {
            partition,
            writer,
            frames,
            staged_chunks: chunks.end,
            threads: ahead.threads(),
            pace: Pace::alone(),
            state: Mutex::new(state),
            scratch: Mutex::new(Vec::new()),
        })
    }

    /// The same in step with other passes over the same source.
    pub(crate) fn at(self, pace: Pace) -> Self {
        let tasks = Self { pace, ..self };
        let state = lock(&tasks.state);
        if state.room.is_none() || tasks.partition.direct {
            // It does not stop on its way, nor does it look at chunks where it is direct.
            tasks.pace.finish();
        } else {
            // It may begin further down than the others, who need not wait for it until then.
            tasks.tell_pace(&state);
        }
        drop(state);
        tasks
    }

    /// Lets go of the last bands, for somebody who reads the scanlines anew and passes over the first. None
    /// where that gains nothing.
    ///
    /// Whoever reads scanlines in order is alone with that. Another gets to the bands from k on by the
    /// time that band k is reached here if passing over what is before them and doing them takes as long
    /// as it takes to get there.
    pub(crate) fn divide(&self) -> Option<Bands<W::Part>> {
        let mut state = lock(&self.state);
        let (first, chunks) = self.division(&state)?;
        let bands = state.bands.left();
        // Who has no memory for it goes on without.
        let mut parts = memory::with_capacity(bands.end - first, "bands of an image").ok()?;
        parts.extend(state.parts.drain(first - bands.start..));
        state.reads[0].end_at(chunks);
        state.stages.end_at(chunks);
        state.bands.end_at(first);
        Some(Bands { first, parts })
    }

    /// Whether [`Tasks::divide`] would let go of any.
    pub(crate) fn is_divisible(&self) -> bool {
        self.division(&lock(&self.state)).is_some()
    }

    /// The first band to let go of, and how many chunks are needed until then.
    fn division(&self, state: &State<W::Part>) -> Option<(usize, usize)> {
        /// Bands that are worth it.
        const LEAST: usize = 4;
        let [frame] = &self.frames[..] else {
            return None;
        };
        // What it takes of the room that images share would be taken twice.
        if !frame.in_order() || state.room.as_ref().is_none_or(Room::is_long) {
            return None;
        }
        let bands = state.bands.left();
        let first = ((bands.end + bands.start) as f64 / (2.0 - SKIPPING)).ceil() as usize;
        if first + LEAST > bands.end || first <= bands.start + LEAST {
            return None;
        }
        let chunks = self.partition.chunks(first - 1).end;
        (chunks > state.reads[0].left().start).then_some((first, chunks))
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
        let Some(task) = self.begin(&mut state) else {
            return Step::Waiting;
        };
        drop(state);
        match self.perform(task) {
            Ok(done) => self.finish(done),
            Err(failure) => return Step::Failed(failure),
        }
        Step::Done
    }

    /// Begins the task to do next, if one can be begun.
    fn begin(&self, state: &mut State<W::Part>) -> Option<Task<W::Part>> {
        let task = self.claim(state)?;
        state.at_work += 1;
        Some(task)
    }

    /// A task is done.
    fn finish(&self, done: Finished) {
        let mut state = lock(&self.state);
        state.at_work -= 1;
        match done {
            Finished::Read { frame, chunk } => state.reads[frame].finish(chunk),
            Finished::Stage(units) => units.for_each(|unit| state.stages.finish(unit)),
            Finished::Band(band) => self.finish_band(&mut state, band),
            Finished::All => {}
        }
        // One for whoever has just worked, and for each of the others one more.
        lock(&self.scratch).truncate(state.at_work + 1);
        self.tell_pace(&state);
    }

    /// A band is done, and lets go of the chunks that none needs any more.
    fn finish_band(&self, state: &mut State<W::Part>, band: usize) {
        let State {
            bands, taken, room, ..
        } = state;
        let first = self.partition.chunks(bands.done()).start;
        bands.finish(band);
        let needed = match bands.all_done() {
            true => *taken,
            false => self.partition.chunks(bands.done()).start.min(*taken),
        };
        if let Some(room) = room {
            let kept = *taken - needed;
            room.hold(kept);
            for frame in &self.frames {
                frame.let_go(first..needed, room.beside(kept));
            }
        }
    }

    /// A task that can be begun and has been noted as such.
    fn claim(&self, state: &mut State<W::Part>) -> Option<Task<W::Part>> {
        if state.room.is_none() {
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
            let chunks = self.partition.chunks(band);
            if state.stages.done() >= chunks.end * self.frames.len()
                && let Some(part) = state.parts.pop_front()
            {
                state.bands.begin();
                return Some(Task::Band { band, part });
            }
        }
        self.claim_stage(state).or_else(|| self.claim_read(state))
    }

    /// The next chunks to stage that can be.
    fn claim_stage(&self, state: &mut State<W::Part>) -> Option<Task<W::Part>> {
        let first = state.stages.next()?;
        let end = self.end_of_run(state, first);
        let mut units = first..first;
        while units.end < end && self.may_stage(state, units.end) {
            state.stages.begin();
            units.end += 1;
        }
        (!units.is_empty()).then_some(Task::Stage(units))
    }

    /// Where those end that one thread had better stage from `first` on: all that the next band lacks, which the
    /// thread will then find in its own cache.
    fn end_of_run(&self, state: &State<W::Part>, first: usize) -> usize {
        let (chunk, frame) = self.place(first);
        let bands = state.bands.left();
        // Towards the end one after another, so that no thread has much to do when the others are done.
        if self.frames[frame].in_order() || bands.len() < 2 * self.threads {
            return first + 1;
        }
        let mut ends = bands.map(|band| self.partition.chunks(band).end);
        let end = ends.find(|end| *end > chunk);
        end.map_or(first + 1, |end| end * self.frames.len())
    }

    /// Whether the next of all chunks can be staged, for which there is room from then on.
    fn may_stage(&self, state: &mut State<W::Part>, unit: usize) -> bool {
        let (chunk, frame) = self.place(unit);
        if self.frames[frame].in_order() {
            state.reads[frame].done() > chunk
        } else {
            self.may_take(state, chunk)
        }
    }

    /// The chunk and the frame that are staged as number `unit`.
    fn place(&self, unit: usize) -> (usize, usize) {
        (unit / self.frames.len(), unit % self.frames.len())
    }

    /// The next scanlines to read, unless somebody is reading or there is no room.
    fn claim_read(&self, state: &mut State<W::Part>) -> Option<Task<W::Part>> {
        for frame in 0..self.frames.len() {
            let reads = &state.reads[frame];
            // Beside what is staged there are a few that have been read, about one for each thread.
            if let Some(chunk) = reads.next()
                && reads.done() == chunk
                && (state.stages.all_done()
                    || chunk <= state.stages.done() / self.frames.len() + self.threads)
                && self.may_take(state, chunk)
            {
                state.reads[frame].begin();
                return Some(Task::Read { frame, chunk });
            }
        }
        None
    }

    /// Whether the scanlines of `chunk` can be taken: there is room for it, if it is staged, beside those that bands
    /// need, and no other pass is too far behind.
    fn may_take(&self, state: &mut State<W::Part>, chunk: usize) -> bool {
        if !self.pace.allows(self.partition.source_line(chunk)) {
            return false;
        }
        if chunk < state.taken || chunk >= self.staged_chunks {
            return true;
        }
        let first = self.partition.chunks(state.bands.done()).start;
        let kept = (chunk + 1).saturating_sub(first);
        let has_room = state.room.as_mut().is_some_and(|room| room.hold(kept));
        if has_room {
            state.taken = chunk + 1;
        }
        has_room
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
            self.pace.reach(self.partition.source_line(taken));
        }
    }
}

fn reading(chunk: &RwLock<Chunk>) -> RwLockReadGuard<'_, Chunk> {
    despite_panics(chunk.read())
}

fn writing(chunk: &RwLock<Chunk>) -> RwLockWriteGuard<'_, Chunk> {
    despite_panics(chunk.write())
}

/// What a task has done.
enum Finished {
    Read { frame: usize, chunk: usize },
    Stage(Range<usize>),
    Band(usize),
    All,
}

#[cfg(test)]
mod tests;
