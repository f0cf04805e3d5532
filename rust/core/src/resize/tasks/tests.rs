//! What images of one call hold while more threads are at work than this machine has.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::*;
use crate::filter::Reference;
use crate::geometry::Pass;
use crate::kernels::Isa;
use crate::parallel::Work;
use crate::parallel::simulation::{Machine, Report};
use crate::pixels::PixelView;
use crate::resize::Scanlines;
use crate::resize::resampler::Method;

/// Bands go nowhere.
struct Nowhere;

impl BandWriter for Nowhere {
    type Part = ();

    fn write(&self, (): (), _: &[&[u8]], _: usize) -> Result<()> {
        Ok(())
    }
}

/// Of one byte a pixel, without end.
struct Grey {
    size: (usize, usize),
}

/// So tall that there are more chunks than all threads may hold.
const SIZE: (usize, usize) = (4500, 1000);

impl Scanlines<Infallible> for Grey {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn pixel_bytes(&self) -> usize {
        1
    }

    fn read(&mut self, _: &mut [u8]) -> Result<(), Failure<Infallible>> {
        Ok(())
    }
}

type Images<'a> = Tasks<'a, Nowhere, Infallible>;

/// Chunks that `images` have memory for, and chunks whose scanlines they have memory to copy to.
fn held(images: &[Images<'_>]) -> [usize; 2] {
    let mut held = [0; 2];
    for frame in images.iter().flat_map(|image| &image.frames) {
        held[0] += lock(&frame.pairs).len();
        held[1] += lock(&frame.copies).len();
        for slot in &frame.ring {
            let slot = reading(slot);
            held[0] += usize::from(slot.pairs.is_some());
            held[1] += usize::from(slot.copy.is_some());
        }
    }
    held
}

/// Does all tasks as so many threads would that are at one image for a while, and at others where that has nothing
/// for them. Returns the most that was held.
fn most_held(threads: usize, images: &[Images<'_>]) -> [usize; 2] {
    let mut random = 1u32;
    let mut below = |end: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % end
    };
    let (mut begun, mut favourite, mut most) = (Vec::new(), 0, [0; 2]);
    loop {
        if below(40) == 0 {
            favourite = below(images.len());
        }
        let others = (0..images.len()).map(|other| (favourite + other) % images.len());
        let next = others
            .take_while(|_| begun.len() < threads)
            .find_map(|image| {
                let task = images[image].begin(&mut lock(&images[image].state))?;
                Some((image, task))
            });
        let is_busy = next.is_some();
        begun.extend(next);
        if is_busy && below(3) > 0 {
            continue;
        }
        if begun.is_empty() {
            break;
        }
        let (image, task) = begun.swap_remove(below(begun.len()));
        images[image].finish(images[image].perform(task).unwrap());
        for (most, held) in most.iter_mut().zip(held(images)) {
            *most = held.max(*most);
        }
    }
    let is_done = |image: &Images<'_>| lock(&image.state).all_begun();
    assert!(images.iter().all(is_done));
    most
}

#[test]
fn memory_grows_with_the_threads_and_not_with_their_square() {
    const LINES: usize = 28;
    let pixels = vec![0; SIZE.0 * SIZE.1];
    let method = Method::new(Reference::Torchvision, Isa::best());
    let pass = Pass::resize(SIZE, (2240, 504));
    let resampler = Arc::new(Resampler::new(pass, 1, method).unwrap());
    for in_order in [false, true] {
        let image = |ahead: &Arc<Ahead>| {
            let source = match in_order {
                true => Source::scanlines(Grey { size: SIZE }),
                false => Source::pixels(PixelView::packed(&pixels[..], SIZE.0, SIZE.1, 1).unwrap()),
            };
            let bands = Bands {
                first: 0,
                parts: vec![(); 2240 / LINES],
            };
            Tasks::new(
                Arc::clone(&resampler),
                Nowhere,
                vec![source],
                LINES,
                bands,
                ahead,
            )
            .unwrap()
        };
        // What an image takes of which nobody is ahead.
        let [own, copies] = most_held(1, &[image(&Ahead::of(1))]);
        assert!(own >= 5 && copies == usize::from(in_order));
        for threads in [8, 32] {
            for count in [1, threads] {
                let ahead = Ahead::of(threads);
                let images: Vec<_> = (0..count).map(|_| image(&ahead)).collect();
                let [chunks, copies] = most_held(threads, &images);
                // For one, a band of each thread; for many, what is ahead has at most a portion for each.
                let most = match count {
                    1 => (own + 1) * threads,
                    _ => count * own + 32 * threads,
                };
                assert!(
                    chunks <= most && copies <= count * own + 2 * threads,
                    "{chunks} {copies} on {threads}"
                );
                // Where there is but one image, all are at work there.
                assert!(
                    in_order || count > 1 || chunks > own + threads,
                    "{chunks} on {threads}"
                );
            }
        }
    }
}

/// An image whose tasks take time on a simulated machine.
struct Timed<'a> {
    machine: &'a Machine,
    image: Images<'a>,
    /// What tasks that have been begun take together.
    spent: AtomicU64,
}

/// What tasks take, in ticks of about 20 microseconds for an image of a screen: to decode what a chunk holds takes twice
/// as long as all else that becomes of it.
const READ: u64 = 8;
const STAGE: u64 = 2;
const BAND: u64 = 3;

impl Work for Timed<'_> {
    type Error = Failure<Infallible>;

    fn step(&self) -> Step<Self::Error> {
        let image = &self.image;
        let mut state = lock(&image.state);
        if state.all_begun() {
            return Step::Finished;
        }
        let Some(task) = image.begin(&mut state) else {
            return Step::Waiting;
        };
        drop(state);
        let ticks = match task {
            Task::Read { .. } => READ,
            Task::Stage(ref units) => units.len() as u64 * STAGE,
            Task::Band { .. } => BAND,
            Task::All(_) => unreachable!("windows are short"),
        };
        self.spent.fetch_add(ticks, Relaxed);
        self.machine.spend(ticks);
        match image.perform(task) {
            Ok(done) => image.finish(done),
            Err(failure) => return Step::Failed(failure),
        }
        Step::Done
    }
}

/// Only decoding, which nobody can share, keeps processors from being of use.
#[test]
fn an_image_takes_as_long_as_it_is_decoded_or_leaves_few_processors_idle() {
    const LINES: usize = 28;
    let (size, target) = ((1080, 1920), (728, 1316));
    let pixels = vec![0; size.0 * size.1];
    let method = Method::new(Reference::Torchvision, Isa::best());
    let resampler = Arc::new(Resampler::new(Pass::resize(size, target), 1, method).unwrap());
    for in_order in [false, true] {
        for processors in [(|| 1) as fn() -> usize, || 2, || 8, || 32] {
            let threads = processors();
            let source = match in_order {
                true => Source::scanlines(Grey { size }),
                false => Source::pixels(PixelView::packed(&pixels[..], size.0, size.1, 1).unwrap()),
            };
            let bands = Bands {
                first: 0,
                parts: vec![(); target.0 / LINES],
            };
            let ahead = Ahead::of(threads);
            let image = Tasks::new(
                Arc::clone(&resampler),
                Nowhere,
                vec![source],
                LINES,
                bands,
                &ahead,
            );
            let machine = Machine::new(processors);
            let work = Timed {
                machine: &machine,
                image: image.unwrap(),
                spent: AtomicU64::new(0),
            };
            let chunks = work.image.staged_chunks as u64;
            let Report { time, idle } = machine.run(threads, &work);
            let spent = work.spent.load(Relaxed);
            let report = format!("{time} of {spent} on {threads}, {idle} idle, {in_order}");
            let at_once = spent.div_ceil(threads as u64);
            // All chunks are read one after another; the last is staged, and a band made of it.
            let chain = u64::from(in_order) * chunks * READ + STAGE + BAND;
            assert_eq!(idle, time * threads as u64 - spent, "{report}");
            match in_order && threads > 1 {
                true => assert_eq!(time, chain, "{report}"),
                // At the beginning and at the end there is not enough for all.
                false => assert!(time <= at_once + STAGE + BAND, "{report}"),
            }
        }
    }
}

/// Whoever stages a chunk holds it and takes idle memory for it. Where bands leave a gap another may let go of
/// it in the meantime.
#[test]
fn who_waits_for_a_chunk_keeps_nobody_waiting_for_idle_memory() {
    let pixels = [0; 3];
    let view = PixelView::packed(&pixels[..], 1, 1, 3).unwrap();
    let source: Source<'_, Infallible> = Source::pixels(view);
    let Ok(frame) = Frame::new(source, 0, 1) else {
        panic!("one frame");
    };
    let has_idle = thread::scope(|scope| {
        let chunk = writing(frame.slot(0));
        let letting_go = scope.spawn(|| frame.let_go(0..1, 1));
        thread::sleep(Duration::from_millis(50));
        let has_idle = frame.pairs.try_lock().is_ok();
        drop(chunk);
        // The thread sanitizer does not see what ends a scope.
        letting_go.join().unwrap();
        has_idle
    });
    assert!(has_idle);
}
