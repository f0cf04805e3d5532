//! How threads share the images of a batch.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use super::image::{Image, Input};
use super::{Owner, Stop};
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::geometry::Pass;
use crate::memory;
use crate::parallel::{self, Step, Stopped, Work, despite_panics, lock};
use crate::pixels::turned;
use crate::resize::{Ahead, Bands, Failure, Pace, Source, Tasks};
use crate::rows::{PieceWriter, Rows, tasks};

/// A batch that threads work on.
pub(super) struct Run<'a, O: Owner> {
    pub(super) writer: &'a dyn PieceWriter,
    pub(super) images: &'a [Image<'a>],
    pub(super) owner: &'a O,
    /// Whether files are asked of the owner.
    pub(super) reopening: bool,
    pub(super) ahead: Arc<Ahead>,
    /// Whether rows are written past the cache.
    pub(super) stream: bool,
    pub(super) state: Mutex<State<'a, O::Error>>,
}

pub(super) struct State<'a, E> {
    /// Images that nobody has opened.
    next: std::vec::IntoIter<usize>,
    /// Where the rows of each image go, empty where it has been opened.
    parts: Vec<&'a mut [u8]>,
    /// Images that are being opened.
    opening: usize,
    /// What has tasks to begin.
    open: Vec<Arc<Open<'a, E>>>,
    damaged: Vec<usize>,
}

impl<'a, E> State<'a, E> {
    /// Of a run over the images at `indices`, of which each has a part of the output.
    pub(super) fn new(indices: Vec<usize>, parts: Vec<&'a mut [u8]>) -> Result<Self> {
        Ok(Self {
            damaged: memory::with_capacity(indices.len(), "damaged images")?,
            next: indices.into_iter(),
            parts,
            opening: 0,
            open: Vec::new(),
        })
    }
}

/// An image, or some bands of one.
struct Open<'a, E> {
    /// The image's place.
    index: usize,
    tasks: ImageTasks<'a, E>,
    /// Whether it stays as it is, as was found when it could have been divided: a second decoder takes more
    /// of a crowded machine than it gives back.
    is_whole: AtomicBool,
}

type ImageTasks<'a, E> = Tasks<'a, Rows<'a>, E>;

/// A pass and the bands of it that are to be written.
type PassBands<'a> = (Pass, Bands<Vec<&'a mut [u8]>>);

/// Tasks of the passes of an image, or why there are none.
type Opened<'a, E> = Result<Vec<ImageTasks<'a, E>>, Failure<E>>;

impl<'a, O: Owner> Run<'a, O> {
    /// Writes the rows of all images on up to so many threads, and returns which were damaged.
    pub(super) fn finish(
        self,
        threads: usize,
        mut interrupted: impl FnMut() -> Result<(), O::Error>,
    ) -> Result<Vec<usize>, Stop<O::Error>> {
        match parallel::run(threads, &self, || interrupted().map_err(Stop::Interrupted)) {
            Ok(()) => {
                let mut damaged = despite_panics(self.state.into_inner()).damaged;
                damaged.sort_unstable();
                damaged.dedup();
                Ok(damaged)
            }
            Err(Stopped::Failed(stop) | Stopped::Interrupted(stop)) => Err(stop),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a, O::Error>> {
        lock(&self.state)
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
    fn bands(&self, index: usize, mut part: &'a mut [u8]) -> Result<Vec<PassBands<'a>>> {
        let mut every = memory::with_capacity(2, "passes")?;
        let (form, orientation) = (self.writer.form(), self.orientation(index));
        for pass in self.images[index].plan.plan().passes() {
            let (own, rest) = part.split_at_mut(form.bytes(pass));
            every.push((pass, form.bands(pass, orientation, own)?));
            part = rest;
        }
        // Padding is zero, whatever the elements.
        part.fill(0);
        Ok(every)
    }

    /// Opens anew an image that somebody reads in order, for its last bands. None if there is no such image.
    fn open_again(&self) -> Option<Step<Stop<O::Error>>> {
        let (open, pass) = self.lock().open.iter().find_map(|open| {
            let may_be = !open.is_whole.load(Relaxed) && open.tasks.is_divisible();
            let pass = self.images[open.index].divided().filter(|_| may_be)?;
            Some((Arc::clone(open), pass))
        })?;
        // Files of the system are read for this: nobody waits for the lock meanwhile.
        if parallel::is_crowded() {
            open.is_whole.store(true, Relaxed);
            return None;
        }
        let mut state = self.lock();
        let bands = open.tasks.divide()?;
        state.opening += 1;
        drop(state);
        Some(self.open(open.index, memory::collect([(pass, bands)], "passes")))
    }

    /// Opens an image for some of its bands.
    fn open(&self, index: usize, bands: Result<Vec<PassBands<'a>>>) -> Step<Stop<O::Error>> {
        let bands = bands.map_err(Failure::Core);
        let opened = bands.and_then(|bands| self.opened(index, bands));
        let mut state = self.lock();
        state.opening -= 1;
        let opened = opened.and_then(|tasks| {
            memory::reserve(&mut state.open, tasks.len(), "images at work")?;
            Ok(tasks)
        });
        match opened {
            Ok(tasks) => {
                let open = tasks.into_iter().map(|tasks| Open {
                    index,
                    tasks,
                    is_whole: AtomicBool::new(false),
                });
                state.open.extend(open.map(Arc::new));
                Step::Done
            }
            Err(failure) => {
                drop(state);
                self.fail(index, failure)
            }
        }
    }

    fn opened(&self, index: usize, bands: Vec<PassBands<'a>>) -> Opened<'a, O::Error> {
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
        let mut every = memory::with_capacity(passes, "passes")?;
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
            let own = tasks(
                self.writer,
                pass,
                orientation,
                sources,
                bands,
                stream,
                ahead,
            )?;
            every.push(own.at(pace));
        }
        Ok(every)
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

impl<O: Owner> Work for Run<'_, O> {
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
