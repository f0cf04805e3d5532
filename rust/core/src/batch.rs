//! Images of one batch, and groups of frames of videos, each on its way from pixels or files to its rows.

mod item;

use std::cmp::Reverse;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decode::{Decoder, Header, LineError};
use crate::error::{Error, Result};
use crate::geometry::{Pass, Plan};
use crate::memory;
use crate::parallel::{self, Step, Stopped, Work};
use crate::pixels::{PixelView, turned};
use crate::resize::{Ahead, Bands, Failure, Pace, Scanlines, Source, Tasks};
use crate::rows::{Element, RowWriter, Rows};
pub use item::Item;

/// One image of a batch, or one group of frames of a video.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Where the pixels of its frames come from, all of one size: an image has one frame, a group as many
    /// as a row holds at most.
    pub frames: &'a [Input<'a>],
    /// What becomes of them: tiles that the writer can cut.
    pub plan: Plan,
    /// Rows of zeros that are written after its own.
    pub padding: usize,
}

/// Where the pixels of a frame come from.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// From memory.
    Pixels(PixelView<'a>),
    /// From a file that is decoded here, unless it turns out unusual, or frames that share its rows are in
    /// another orientation: then from the [`Owner`].
    File {
        /// The whole file.
        bytes: &'a [u8],
        /// What [`crate::decode::header`] says of it.
        header: Header,
        /// Its EXIF orientation, 1 to 8.
        orientation: u8,
        /// Whether it may be decoded at a fraction of its size that is no smaller than what it is resized to, if
        /// it is the only frame and is not padded.
        reduced: bool,
    },
    /// From the [`Owner`].
    Owner {
        /// `(height, width)`.
        size: (usize, usize),
    },
}

impl<'a> Image<'a> {
    /// An image that is resized to `target`, `(height, width)`, and nothing else.
    pub fn resized(frames: &'a [Input<'a>], target: (usize, usize)) -> Self {
        let size = frames.first().map_or((0, 0), Input::size);
        Self {
            frames,
            plan: Plan::of(Pass::resize(size, target)),
            padding: 0,
        }
    }

    /// About how long it takes, in nanoseconds.
    fn cost(&self) -> u64 {
        self.frames.iter().map(Input::cost).sum()
    }
}

impl Input<'_> {
    /// `(height, width)` of the frame.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Pixels(view) => view.size(),
            Self::File {
                header,
                orientation,
                ..
            } => oriented(header, *orientation),
            Self::Owner { size } => *size,
        }
    }

    /// About how long it takes to get the pixels and to resize them, in nanoseconds.
    fn cost(&self) -> u64 {
        let (pixels, each) = match self {
            Self::Pixels(view) => (view.height() * view.width(), 1),
            Self::File { header, .. } => (header.height * header.width, 6),
            Self::Owner { size } => (size.0 * size.1, 4),
        };
        each * pixels as u64
    }
}

/// Whoever has the images that cannot be read here. Asked by several threads.
pub trait Owner: Sync {
    /// Why an image cannot be had.
    type Error: Send;

    /// The pixels of a frame of the image at `index`, of the size that was given for it.
    fn open(&self, index: usize, frame: usize) -> Result<Source<'_, Self::Error>, Self::Error>;
}

/// What stopped a batch.
#[derive(Debug)]
pub enum Stop<E> {
    /// The image at this index.
    Image(usize, Failure<E>),
    /// The output or the memory for it.
    Core(Error),
    /// The calling thread was interrupted.
    Interrupted(E),
}

/// Writes the rows of `images`, one after another, to `out`, which must hold exactly these, on up to
/// `threads` threads. `interrupted` is asked by the calling thread now and then.
pub fn write<T: Element, O: Owner>(
    writer: &RowWriter<T>,
    images: &[Image<'_>],
    owner: &O,
    out: &mut [T],
    threads: usize,
    mut interrupted: impl FnMut() -> Result<(), O::Error>,
) -> Result<(), Stop<O::Error>> {
    let mut every =
        memory::collect(0..images.len(), "the images of a batch").map_err(Stop::Core)?;
    let threads = worthwhile(images, size_of_val(out)).min(threads).max(1);
    if threads > 1 {
        // The largest first, so that no thread is left alone with one that has to be decoded.
        every.sort_unstable_by_key(|index| (Reverse(images[*index].cost()), *index));
    }
    let mut pass = |indices, reopening| {
        let interrupted = &mut interrupted;
        write_some(
            writer,
            images,
            owner,
            out,
            indices,
            reopening,
            threads,
            interrupted,
        )
    };
    let damaged = pass(every, false)?;
    if !damaged.is_empty() {
        // What has been written of these is written again, from pixels of the owner's.
        pass(damaged, true)?;
    }
    Ok(())
}

/// How many threads the work is worth: one more for each half a millisecond, which waking and sharing
/// must not outweigh.
fn worthwhile(images: &[Image<'_>], out_bytes: usize) -> usize {
    const WORTH: u64 = 500_000;
    let cost: u64 = images.iter().map(Image::cost).sum();
    let written = out_bytes as u64 / 8;
    usize::try_from((cost + written) / WORTH)
        .unwrap_or(usize::MAX)
        .saturating_add(1)
}

/// Writes the rows of the images at `indices`, and returns which of them were damaged. With `reopening`,
/// files are asked of the owner.
#[expect(clippy::too_many_arguments, reason = "one more than those of `write`")]
fn write_some<T: Element, O: Owner>(
    writer: &RowWriter<T>,
    images: &[Image<'_>],
    owner: &O,
    out: &mut [T],
    indices: Vec<usize>,
    reopening: bool,
    threads: usize,
    interrupted: &mut impl FnMut() -> Result<(), O::Error>,
) -> Result<Vec<usize>, Stop<O::Error>> {
    let stream = Rows::outgrow_the_cache(out);
    let parts = split(writer, images, out).map_err(Stop::Core)?;
    let run = Run {
        writer,
        images,
        owner,
        reopening,
        ahead: Ahead::of(threads),
        stream,
        state: Mutex::new(State {
            damaged: memory::with_capacity(indices.len(), "damaged images").map_err(Stop::Core)?,
            next: indices.into_iter(),
            parts,
            opening: 0,
            open: Vec::new(),
        }),
    };
    match parallel::run(threads, &run, || interrupted().map_err(Stop::Interrupted)) {
        Ok(()) => {
            let state = run.state.into_inner();
            let mut damaged = state.unwrap_or_else(PoisonError::into_inner).damaged;
            damaged.sort_unstable();
            damaged.dedup();
            Ok(damaged)
        }
        Err(Stopped::Failed(stop) | Stopped::Interrupted(stop)) => Err(stop),
    }
}

/// `out` in parts that belong to the images.
fn split<'a, T: Element>(
    writer: &RowWriter<T>,
    images: &[Image<'_>],
    mut out: &'a mut [T],
) -> Result<Vec<&'a mut [T]>> {
    let (given, columns) = (out.len(), writer.columns());
    let mut parts = memory::with_capacity(images.len(), "parts of the output")?;
    let mut rows = 0;
    for image in images {
        writer.check_group(image.frames.len())?;
        let own = writer.grid(&image.plan)?.patches() + image.padding;
        rows += own;
        parts.extend(out.split_off_mut(..own * columns));
    }
    if rows * columns != given {
        let reason = format!("must hold {rows} x {columns} elements, got {given}");
        return Err(Error::invalid("out", reason));
    }
    Ok(parts)
}

/// `(height, width)` of a file as its image is seen.
pub fn oriented(header: &Header, orientation: u8) -> (usize, usize) {
    turned((header.height, header.width), orientation)
}

/// Pixels from which on a file is opened twice, each time for a part of its bands. What is passed over is
/// work that one thread would not have, and lost where the other has no processor to itself.
const DIVIDED: usize = 8 << 20;

/// A batch that threads work on.
struct Run<'a, T: Element, O: Owner> {
    writer: &'a RowWriter<T>,
    images: &'a [Image<'a>],
    owner: &'a O,
    reopening: bool,
    ahead: Arc<Ahead>,
    stream: bool,
    state: Mutex<State<'a, T, O::Error>>,
}

struct State<'a, T: Element, E> {
    /// Images that nobody has opened.
    next: std::vec::IntoIter<usize>,
    /// Where the rows of each image go, empty where it has been opened.
    parts: Vec<&'a mut [T]>,
    /// Images that are being opened.
    opening: usize,
    /// What has tasks to begin.
    open: Vec<Arc<Open<'a, T, E>>>,
    damaged: Vec<usize>,
}

/// An image, or some bands of one.
struct Open<'a, T: Element, E> {
    /// The image's place.
    index: usize,
    tasks: ImageTasks<'a, T, E>,
}

type ImageTasks<'a, T, E> = Tasks<'a, Rows<'a, T>, E>;

/// A pass and the bands of it that are to be written.
type PassBands<'a, T> = (Pass, Bands<Vec<&'a mut [T]>>);

/// Tasks of the passes of an image, or why there are none.
type Opened<'a, T, E> = Result<Vec<ImageTasks<'a, T, E>>, Failure<E>>;

impl<'a, T: Element, O: Owner> Run<'a, T, O> {
    fn lock(&self) -> MutexGuard<'_, State<'a, T, O::Error>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a task of what is open, and others are at work on or not, as `shared` says. None if there is none
    /// to begin.
    fn step_open(&self, shared: bool) -> Option<Step<Stop<O::Error>>> {
        let mut passed = 0;
        loop {
            let open = Arc::clone(self.lock().open.get(passed)?);
            if open.tasks.is_shared() != shared {
                passed += 1;
                continue;
            }
            match open.tasks.step() {
                Step::Done => return Some(Step::Done),
                Step::Waiting => passed += 1,
                Step::Finished => self.lock().open.retain(|other| !Arc::ptr_eq(other, &open)),
                Step::Failed(failure) => return Some(self.fail(open.index, failure)),
            }
        }
    }

    /// Opens the next image. None if there is no more.
    fn open_next(&self) -> Option<Step<Stop<O::Error>>> {
        let mut state = self.lock();
        let index = state.next.next()?;
        let part = mem::take(&mut state.parts[index]);
        state.opening += 1;
        drop(state);
        Some(self.open(index, self.bands(index, part)))
    }

    /// The bands of each pass of an image that is written to `part`.
    fn bands(&self, index: usize, mut part: &'a mut [T]) -> Result<Vec<PassBands<'a, T>>> {
        let mut every = memory::with_capacity(2, "passes")?;
        let orientation = self.orientation(index);
        for pass in self.images[index].plan.passes() {
            let (own, rest) = part.split_at_mut(self.writer.elements(pass));
            every.push((pass, self.writer.bands(pass, orientation, own)?));
            part = rest;
        }
        part.fill(T::default());
        Ok(every)
    }

    /// Opens anew an image that somebody reads in order, for its last bands. None if there is no such image.
    fn open_again(&self) -> Option<Step<Stop<O::Error>>> {
        let mut state = self.lock();
        let divided = state.open.iter().find_map(|open| {
            let [Input::File { header, .. }] = self.images[open.index].frames else {
                return None;
            };
            // Several passes would have to be divided alike.
            let mut passes = self.images[open.index].plan.passes();
            let (Some(pass), None) = (passes.next(), passes.next()) else {
                return None;
            };
            let worth = header.skips && header.height * header.width >= DIVIDED;
            let bands = worth.then(|| open.tasks.divide()).flatten()?;
            Some((open.index, (pass, bands)))
        });
        let (index, bands) = divided?;
        state.opening += 1;
        drop(state);
        Some(self.open(index, Ok(vec![bands])))
    }

    /// Opens an image for some of its bands.
    fn open(&self, index: usize, bands: Result<Vec<PassBands<'a, T>>>) -> Step<Stop<O::Error>> {
        let bands = bands.map_err(Failure::Core);
        let opened = bands.and_then(|bands| self.opened(index, bands));
        let mut state = self.lock();
        state.opening -= 1;
        match opened {
            Ok(tasks) => {
                let open = tasks.into_iter().map(|tasks| Open { index, tasks });
                state.open.extend(open.map(Arc::new));
                Step::Done
            }
            Err(failure) => {
                drop(state);
                self.fail(index, failure)
            }
        }
    }

    fn opened(&self, index: usize, bands: Vec<PassBands<'a, T>>) -> Opened<'a, T, O::Error> {
        let passes = bands.len();
        let orientation = self.orientation(index);
        let mut frames = memory::with_capacity(self.images[index].frames.len(), "frames")?;
        for frame in 0..self.images[index].frames.len() {
            let only = bands.first().filter(|_| passes == 1).map(|(pass, _)| *pass);
            frames.push(
                self.source(index, frame, only)?
                    .for_passes(passes)?
                    .into_iter(),
            );
        }
        let mut tasks = memory::with_capacity(passes, "passes")?;
        for ((pass, bands), pace) in bands.into_iter().zip(Pace::of(passes)) {
            let mut sources = memory::with_capacity(frames.len(), "frames")?;
            sources.extend(frames.iter_mut().filter_map(Iterator::next));
            let size = sources.first().map_or((0, 0), Source::size);
            if sources.iter().any(|source| source.size() != size) {
                let reason = "must have one size in all frames of a group";
                return Err(Error::invalid("frames", reason).into());
            }
            let seen = turned(size, orientation);
            let pass = if self.reduces(index, pass) {
                pass.of_source(seen)
            } else if seen == pass.source() {
                pass
            } else {
                let reason = format!("must be of size {:?}, got {seen:?}", pass.source());
                return Err(Error::invalid("image", reason).into());
            };
            let (stream, ahead) = (self.stream, &self.ahead);
            let own = self
                .writer
                .tasks(pass, orientation, sources, bands, stream, ahead)?;
            tasks.push(own.at(pace));
        }
        Ok(tasks)
    }

    /// The EXIF orientation that all frames of an image come in: none, where they do not agree.
    fn orientation(&self, index: usize) -> u8 {
        let mut orientations = self.images[index].frames.iter().map(|frame| match frame {
            Input::File { orientation, .. } if !self.reopening => *orientation,
            _ => 1,
        });
        let first = orientations.next().unwrap_or(1);
        if orientations.all(|other| other == first) {
            first
        } else {
            1
        }
    }

    /// The pixels of a frame, in the orientation of the image, for the `only` pass over it or for several.
    fn source(
        &self,
        index: usize,
        frame: usize,
        only: Option<Pass>,
    ) -> Result<Source<'a, O::Error>, Failure<O::Error>> {
        let (bytes, header, orientation) = match self.images[index].frames[frame] {
            Input::Pixels(view) => return Ok(Source::pixels(view)),
            Input::File {
                bytes,
                header,
                orientation,
                ..
            } if !self.reopening && orientation == self.orientation(index) => {
                (bytes, header, orientation)
            }
            Input::File { .. } | Input::Owner { .. } => {
                return self.owner.open(index, frame).map_err(Failure::Owner);
            }
        };
        let least = only
            .filter(|pass| self.reduces(index, *pass))
            .map(|pass| turned(pass.resized(), orientation));
        let lines = Decoder::open(bytes, &header, least)?;
        lines.map(Source::scanlines).ok_or(Failure::Damaged)
    }

    /// Whether the file of an image may be decoded at a fraction of its size for `pass`.
    fn reduces(&self, index: usize, pass: Pass) -> bool {
        let frames = self.images[index].frames;
        matches!(frames, [Input::File { reduced: true, .. }])
            && !self.reopening
            && !pass.is_padded()
    }

    /// A damaged image is put aside, any other failure ends the run.
    fn fail(&self, index: usize, failure: Failure<O::Error>) -> Step<Stop<O::Error>> {
        let Failure::Damaged = failure else {
            return Step::Failed(Stop::Image(index, failure));
        };
        let mut state = self.lock();
        state.damaged.push(index);
        state.open.retain(|open| open.index != index);
        Step::Done
    }
}

impl<T: Element, O: Owner> Work for Run<'_, T, O> {
    type Error = Stop<O::Error>;

    /// An image that was opened is done before another is, so that few are open at a time, but each by as
    /// few threads as there are images for the others; where there are not, threads share.
    fn step(&self) -> Step<Self::Error> {
        let step = self
            .step_open(false)
            .or_else(|| self.open_next())
            .or_else(|| self.open_again())
            .or_else(|| self.step_open(true));
        step.unwrap_or_else(|| {
            let state = self.lock();
            if state.opening > 0 || !state.open.is_empty() {
                Step::Waiting
            } else {
                Step::Finished
            }
        })
    }
}

impl<E> From<LineError> for Failure<E> {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Damaged => Self::Damaged,
            LineError::Core(error) => Self::Core(error),
        }
    }
}

impl<E> Scanlines<E> for Decoder<'_> {
    fn size(&self) -> (usize, usize) {
        (self.height(), self.width())
    }

    fn pixel_bytes(&self) -> usize {
        self.channels()
    }

    fn skip(&mut self, count: usize) -> Result<(), Failure<E>> {
        Ok(self.skip(count)?)
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), Failure<E>> {
        Ok(self.read(out)?)
    }
}

#[cfg(test)]
mod tests;
