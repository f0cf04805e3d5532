//! Resizing against its definition, by every backend and every way that pixels come.

use super::resampler::Resampler;
use super::resampler::tests::by_definition;
use super::*;
use crate::filter::{Axis, Filter};
use crate::geometry::Span;
use crate::parallel::{self, Work};
use crate::pixels::{PixelFormat, flips, swaps, turned};
use proptest::prelude::*;
use std::ops::Range;
use std::sync::{Arc, Mutex};

#[test]
fn the_same_size_is_a_copy() {
    let pixels: Vec<u8> = (0..60).collect();
    let view = PixelView::packed(&pixels[..], 4, 5, 3).unwrap();
    let mut out = vec![0; 60];
    resize(&view, (4, 5), Reference::Torchvision, Isa::best(), &mut out).unwrap();
    assert_eq!(out, pixels);
}

#[test]
fn bad_targets_are_refused() {
    let pixels = [0u8; 60];
    let view = PixelView::packed(&pixels[..], 4, 5, 3).unwrap();
    let refused = |target, out: &mut [u8]| {
        resize(&view, target, Reference::Torchvision, Isa::best(), out)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused((0, 5), &mut []), "height must be at least 1, got 0");
    assert_eq!(refused((4, 0), &mut []), "width must be at least 1, got 0");
    assert_eq!(
        refused((2, 2), &mut [0; 11]),
        "out must hold 2x2x3 bytes, got 11"
    );
}

#[test]
fn alpha_counts_whichever_way_pixels_lie() {
    let (height, width, target) = (90, 70, (40, 50));
    let columns = noise(height * width * 4, 1);
    let strides = [4, 4 * height as isize, 1];
    let sideways = PixelView::new(&columns[..], 0, [height, width, 4], strides).unwrap();
    assert!(sideways.is_sideways());
    let pixel = |y, x| &columns[4 * (x * height + y)..][..4];
    let pixels = (0..height * width).flat_map(|at| pixel(at / width, at % width));
    let pixels: Vec<u8> = pixels.copied().collect();
    let packed = PixelView::packed(&pixels[..], height, width, 4).unwrap();
    let [expected, found] = [packed, sideways].map(|view| {
        let mut out = vec![0; 3 * target.0 * target.1];
        resize(&view, target, Reference::Torchvision, Isa::best(), &mut out).unwrap();
        out
    });
    assert!(found == expected);
}

/// Sizes that ask for every kernel: scales of about 1, of 2 to 5, and far more, on either axis.
fn sizes() -> impl Strategy<Value = ((usize, usize), (usize, usize))> {
    let axis = || {
        prop_oneof![
            4 => (1usize..150, 1usize..150),
            1 => (1usize..150).prop_map(|length| (length, length)),
            2 => (1usize..900, 1usize..200),
            1 => (200usize..1500, 1usize..20),
        ]
    };
    (axis(), axis()).prop_map(|((h, to_h), (w, to_w))| {
        // Of two long axes one is cut, so that a case stays small.
        let h = if h * w > 200_000 {
            h.min(200_000 / w).max(1)
        } else {
            h
        };
        ((h, w), (to_h, to_w))
    })
}

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        // Half of them at the ends, so that sums go beyond both.
        match state >> 24 {
            level @ 0..128 => level as u8 * 2,
            level if level % 2 == 0 => 0,
            _ => 255,
        }
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Formats of three channels.
fn formats() -> impl Strategy<Value = PixelFormat> {
    use PixelFormat::{Bgr, Bgrx, Planes, Rgb, Rgbx};
    prop::sample::select(vec![Rgb, Bgr, Rgbx, Bgrx, Planes])
}

/// Packed pixels in another format, and no byte after the last sample.
fn laid_out(pixels: &[u8], format: PixelFormat) -> Vec<u8> {
    let samples = |order: [usize; 3], filler: &'static [u8]| {
        let pixels = pixels.as_chunks::<3>().0.iter();
        let pixel = |pixel: &[u8; 3]| [&order.map(|channel| pixel[channel])[..], filler].concat();
        let mut bytes: Vec<u8> = pixels.flat_map(pixel).collect();
        bytes.truncate(bytes.len() - filler.len());
        bytes
    };
    match format {
        PixelFormat::Bgr => samples([2, 1, 0], &[]),
        PixelFormat::Rgbx => samples([0, 1, 2], &[99]),
        PixelFormat::Bgrx => samples([2, 1, 0], &[99]),
        PixelFormat::Planes => {
            let plane = |channel| pixels.iter().skip(channel).step_by(3).copied();
            (0..3).flat_map(plane).collect()
        }
        _ => samples([0, 1, 2], &[]),
    }
}

/// A view of what has been laid out.
fn viewed(bytes: &[u8], format: PixelFormat, (height, width): (usize, usize)) -> PixelView<'_> {
    let line = width as isize;
    let (origin, strides) = match format {
        PixelFormat::Bgr => (2, [3 * line, 3, -1]),
        PixelFormat::Rgbx => (0, [4 * line, 4, 1]),
        PixelFormat::Bgrx => (2, [4 * line, 4, -1]),
        PixelFormat::Planes => (0, [line, 1, height as isize * line]),
        _ => (0, [3 * line, 3, 1]),
    };
    PixelView::new(bytes, origin, [height, width, 3], strides).unwrap()
}

/// Scanlines out of memory.
struct InOrder<'a> {
    pixels: &'a [u8],
    size: (usize, usize),
    /// The byte that comes next.
    next: usize,
}

impl Scanlines<&'static str> for InOrder<'_> {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn pixel_bytes(&self) -> usize {
        3
    }

    fn skip(&mut self, count: usize) -> Result<(), Failure<&'static str>> {
        assert!(self.next == 0 && count < self.size.0);
        self.next = count * self.size.1 * 3;
        Ok(())
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), Failure<&'static str>> {
        out.copy_from_slice(&self.pixels[self.next..][..out.len()]);
        self.next += out.len();
        Ok(())
    }
}

/// Copies of some scanlines at a time, with a fourth byte of no meaning.
struct Copies<'a>(PixelView<'a>);

struct Copied {
    pixels: Vec<u8>,
    size: (usize, usize),
}

impl Pixels for Copied {
    fn view(&self) -> PixelView<'_> {
        PixelView::packed(&self.pixels[..], self.size.0, self.size.1, 4).unwrap()
    }
}

impl Strips<&'static str> for Copies<'_> {
    fn size(&self) -> (usize, usize) {
        self.0.size()
    }

    fn blended_by(&self) -> Option<Reference> {
        None
    }

    fn strip(&self, lines: Range<usize>) -> Result<Box<dyn Pixels + '_>, Failure<&'static str>> {
        let size = (lines.len(), self.0.width());
        let line = |y| {
            let line = self.0.scanline(y);
            (0..size.1)
                .flat_map(move |x| [line.sample(x, 0), line.sample(x, 1), line.sample(x, 2), 99])
        };
        let pixels = lines.flat_map(line).collect();
        Ok(Box::new(Copied { pixels, size }))
    }
}

fn tables(source: (usize, usize), target: (usize, usize), reference: Reference) -> Arc<Resampler> {
    let method = Method::new(reference, Isa::best());
    Arc::new(Resampler::new(Pass::resize(source, target), 1, method).unwrap())
}

/// What bands make together, as packed RGB.
struct Picture {
    width: usize,
    pixels: Mutex<Vec<u8>>,
}

impl BandWriter for Picture {
    /// Lines and columns of the picture.
    type Part = [Range<usize>; 2];

    fn write(&self, [lines, columns]: Self::Part, frames: &[&[u8]], stride: usize) -> Result<()> {
        let mut pixels = self.pixels.lock().unwrap();
        for (y, scanline) in lines.zip(frames[0].chunks_exact(3 * stride)) {
            for (x, at) in columns.clone().zip(0..) {
                for channel in 0..3 {
                    let sample = scanline[channel * stride + at];
                    pixels[3 * (y * self.width + x) + channel] = sample;
                }
            }
        }
        Ok(())
    }
}

/// What `pass` makes of a source that is stored as `orientation` says, in bands of `band` scanlines.
fn picture(
    pass: Pass,
    orientation: u8,
    method: Method,
    source: Source<'_, &'static str>,
    band: usize,
    threads: usize,
) -> Vec<u8> {
    let resampler = Arc::new(Resampler::new(pass, orientation, method).unwrap());
    let (height, width) = pass.target();
    let lines = resampler.height();
    let parts = (0..lines).step_by(band).map(|first| {
        let last = lines.min(first + band);
        let [reversed, _] = flips(orientation);
        let lines = if reversed {
            lines - last..lines - first
        } else {
            first..last
        };
        if swaps(orientation) {
            [0..height, lines]
        } else {
            [lines, 0..width]
        }
    });
    let bands = Bands {
        first: 0,
        parts: parts.collect(),
    };
    let picture = Picture {
        width,
        pixels: Mutex::new(vec![0; 3 * height * width]),
    };
    let ahead = Ahead::of(threads);
    let tasks = Tasks::new(resampler, &picture, vec![source], band, bands, &ahead).unwrap();
    parallel::run(threads, &tasks, || Ok(())).unwrap();
    drop(tasks);
    picture.pixels.into_inner().unwrap()
}

impl<W: BandWriter> BandWriter for &W {
    type Part = W::Part;

    fn write(&self, part: Self::Part, frames: &[&[u8]], stride: usize) -> Result<()> {
        (**self).write(part, frames, stride)
    }
}

impl<W: BandWriter, E: Send> Work for Tasks<'_, W, E> {
    type Error = Failure<E>;

    fn step(&self) -> Step<Failure<E>> {
        self.step()
    }
}

proptest! {
    #[test]
    fn every_backend_equals_the_definition(
        (source, target) in sizes(),
        reference in Reference::any(),
        format in formats(),
        seed in any::<u32>(),
    ) {
        let pixels = noise(source.0 * source.1 * 3, seed);
        let expected = by_definition(&pixels, source, target, Filter::Bicubic, reference);
        let bytes = laid_out(&pixels, format);
        let view = viewed(&bytes, format, source);
        for isa in Isa::available() {
            let mut out = vec![0; target.0 * target.1 * 3];
            resize(&view, target, reference, isa, &mut out).unwrap();
            prop_assert!(out == expected, "{:?}", isa);
        }
    }

    #[test]
    fn neither_threads_nor_the_way_that_lines_come_change_anything(
        (source, target) in sizes(),
        reference in Reference::any(),
        threads in 1usize..5,
        band in 1usize..40,
        seed in any::<u32>(),
    ) {
        let pixels = noise(source.0 * source.1 * 3, seed);
        let view = PixelView::packed(&pixels[..], source.0, source.1, 3).unwrap();
        let mut expected = vec![0; target.0 * target.1 * 3];
        resize(&view, target, reference, Isa::best(), &mut expected).unwrap();
        let resampler = tables(source, target, reference);
        let in_order = InOrder { pixels: &pixels, size: source, next: 0 };
        let ways = [Source::pixels(view), Source::scanlines(in_order), Source::strips(Copies(view))];
        for source in ways {
            let mut out = vec![0; expected.len()];
            let bands = Bands { first: 0, parts: out.chunks_mut(band * 3 * target.1).collect() };
            let packed = Packed { isa: Isa::best(), width: target.1, out: PhantomData };
            let ahead = Ahead::of(threads);
            let frames = vec![source];
            let tasks = Tasks::new(Arc::clone(&resampler), packed, frames, band, bands, &ahead);
            parallel::run(threads, &tasks.unwrap(), || Ok(())).unwrap();
            prop_assert!(out == expected);
        }
    }

    #[test]
    fn lines_as_they_are_stored_give_what_they_are_seen_as(
        (source, target) in sizes(),
        reference in Reference::any(),
        orientation in 1u8..9,
        (band, threads) in (1usize..40, 1usize..4),
        seed in any::<u32>(),
    ) {
        let pixels = noise(source.0 * source.1 * 3, seed);
        let seen = PixelView::packed(&pixels[..], source.0, source.1, 3).unwrap().oriented(orientation);
        for isa in Isa::available() {
            let mut expected = vec![0; target.0 * target.1 * 3];
            resize(&seen, target, reference, isa, &mut expected).unwrap();
            let in_order = Source::scanlines(InOrder { pixels: &pixels, size: source, next: 0 });
            let pass = Pass::resize(seen.size(), target);
            let method = Method::new(reference, isa);
            let out = picture(pass, orientation, method, in_order, band, threads);
            prop_assert!(out == expected, "{:?}", isa);
        }
    }

    #[test]
    fn every_pass_is_a_part_of_the_whole_on_black(
        (source, target) in sizes(),
        (before, after) in ((0usize..30, 0usize..30), (0usize..30, 0usize..30)),
        (offset_y, offset_x) in (-60isize..60, -60isize..60),
        ((rows, columns), (tile_h, tile_w)) in ((1usize..4, 1usize..4), (1usize..60, 1usize..60)),
        trimmed in 0usize..20,
        (filter, reference) in (Filter::any(), Reference::any()),
        (threads, way, format) in (1usize..4, 0..3, formats()),
        orientation in 1u8..9,
        seed in any::<u32>(),
    ) {
        const MARGIN: [u8; 3] = [122, 0, 255];
        let (height, width) = source;
        let span = |source, before, after, resized, offset, tiles, tile: usize| Span {
            source,
            frame: before + source + after,
            before,
            resized,
            offset,
            tiles,
            tile,
            kept: tile.saturating_sub(trimmed).max(1),
        };
        let pass = Pass {
            height: span(height, before.0, after.0, target.0, offset_y, rows, tile_h),
            width: span(width, before.1, after.1, target.1, offset_x, columns, tile_w),
        };
        let pixels = noise(height * width * 3, seed);
        let bytes = laid_out(&pixels, format);
        let size = turned(source, orientation);
        let stored = PixelView::packed(&pixels[..], size.0, size.1, 3).unwrap();
        let (frame_height, frame_width) = pass.frame();
        let mut frame = MARGIN.repeat(frame_height * frame_width);
        for y in 0..height {
            let line = stored.oriented(orientation).scanline(y);
            let at = 3 * ((y + before.0) * frame_width + before.1);
            for (at, sample) in frame[at..at + 3 * width].iter_mut().enumerate() {
                *sample = line.sample(at / 3, at % 3);
            }
        }
        let whole = by_definition(&frame, pass.frame(), target, filter, reference);
        let level = |y: isize, x: isize, channel: usize| {
            let inside = (0..target.0 as isize).contains(&y) && (0..target.1 as isize).contains(&x);
            let at = 3 * (y * target.1 as isize + x);
            if inside { whole[at as usize + channel] } else { 0 }
        };
        let expected: Vec<u8> = pass
            .height
            .positions()
            .flat_map(|y| pass.width.positions().map(move |x| (y, x)))
            .flat_map(|(y, x)| [0, 1, 2].map(|channel| level(y, x, channel)))
            .collect();
        for isa in Isa::available() {
            let method = Method { filter, margin: MARGIN, ..Method::new(reference, isa) };
            let view = viewed(&bytes, format, size);
            let source = match way {
                0 => Source::scanlines(InOrder { pixels: &pixels, size, next: 0 }),
                1 => Source::strips(Copies(view)),
                _ => Source::pixels(view),
            };
            let out = picture(pass, orientation, method, source, 7, threads);
            prop_assert!(out == expected, "{:?} {:?}", isa, pass);
        }
    }
}

/// Also those that are made of nothing but what the frame is padded with.
#[test]
fn bands_that_were_let_go_of_are_done_elsewhere() {
    const LINES: usize = 8;
    let (source, target) = ((700, 300), (560, 200));
    let pixels = noise(source.0 * source.1 * 3, 3);
    let view = PixelView::packed(&pixels[..], source.0, source.1, 3).unwrap();
    let method = Method::new(Reference::Torchvision, Isa::best());
    for frame in [source.0, 6 * source.0] {
        let mut pass = Pass::resize(source, target);
        pass.height.frame = frame;
        let expected = picture(pass, 1, method, Source::pixels(view), LINES, 1);
        let resampler = Arc::new(Resampler::new(pass, 1, method).unwrap());
        for steps in [0, 1, 20] {
            let picture = Picture {
                width: target.1,
                pixels: Mutex::new(vec![0; expected.len()]),
            };
            let ahead = Ahead::of(2);
            let tasks = |bands: Bands<_>| {
                let in_order = InOrder {
                    pixels: &pixels,
                    size: source,
                    next: 0,
                };
                let frames = vec![Source::scanlines(in_order)];
                Tasks::new(
                    Arc::clone(&resampler),
                    &picture,
                    frames,
                    LINES,
                    bands,
                    &ahead,
                )
                .unwrap()
            };
            let parts = (0..target.0).step_by(LINES);
            let parts = parts.map(|y| [y..y + LINES, 0..target.1]).collect();
            let first = tasks(Bands { first: 0, parts });
            for _ in 0..steps {
                assert!(matches!(first.step(), Step::Done));
            }
            let bands = first.divide().unwrap();
            assert!(bands.first > 40 && bands.parts.len() > 10);
            let second = tasks(bands);
            for half in [&first, &second] {
                parallel::run(2, half, || Ok(())).unwrap();
            }
            drop((first, second));
            let made = picture.pixels.into_inner().unwrap();
            assert!(made == expected, "{frame}, {steps}");
        }
    }
}

/// Two signed bytes hold no weight above 32,639; nearly all axes have none.
#[test]
fn the_largest_weights_are_exact() {
    let axis = |width| {
        let reference = Reference::Torchvision;
        Axis::new(width, 20, Filter::Bicubic, reference).unwrap()
    };
    let is_large = |width: &usize| {
        (0..20).any(|x| {
            axis(*width)
                .bounds(x)
                .1
                .iter()
                .any(|weight| *weight > 32_639)
        })
    };
    let width = (100..5000).find(is_large).unwrap();
    let (source, target) = ((18, width), (18, 20));
    let pixels = noise(18 * width * 3, 11);
    let expected = by_definition(
        &pixels,
        source,
        target,
        Filter::Bicubic,
        Reference::Torchvision,
    );
    let view = PixelView::packed(&pixels[..], 18, width, 3).unwrap();
    for isa in Isa::available() {
        let mut out = vec![0; expected.len()];
        resize(&view, target, Reference::Torchvision, isa, &mut out).unwrap();
        assert!(out == expected, "{isa:?}");
    }
}

#[test]
fn windows_of_any_length_are_summed_up_as_lines_come() {
    for (source, target) in [
        ((60_001, 2), (2, 1)),
        ((40_000, 30), (3, 30)),
        ((9, 200_000), (4, 150_000)),
    ] {
        let pixels = noise(source.0 * source.1 * 3, 7);
        for reference in Reference::ALL {
            let expected = by_definition(&pixels, source, target, Filter::Bicubic, reference);
            let view = PixelView::packed(&pixels[..], source.0, source.1, 3).unwrap();
            for isa in Isa::available() {
                let mut out = vec![0; expected.len()];
                resize(&view, target, reference, isa, &mut out).unwrap();
                assert!(
                    out == expected,
                    "{source:?} {target:?} {reference:?} {isa:?}"
                );
            }
        }
    }
}

#[test]
fn a_failure_ends_the_work() {
    struct Fails(Mutex<usize>);
    impl Scanlines<&'static str> for Fails {
        fn size(&self) -> (usize, usize) {
            (400, 400)
        }
        fn pixel_bytes(&self) -> usize {
            1
        }
        fn read(&mut self, _: &mut [u8]) -> Result<(), Failure<&'static str>> {
            let calls = self.0.get_mut().unwrap();
            *calls += 1;
            if *calls < 3 {
                Ok(())
            } else {
                Err(Failure::Owner("no more"))
            }
        }
    }
    let resampler = tables((400, 400), (56, 56), Reference::Torchvision);
    let mut out = vec![0; 56 * 56 * 3];
    let bands = Bands {
        first: 0,
        parts: out.chunks_mut(3 * 56 * 8).collect(),
    };
    let packed = Packed {
        isa: Isa::best(),
        width: 56,
        out: PhantomData,
    };
    let frames = vec![Source::scanlines(Fails(Mutex::new(0)))];
    let ahead = Ahead::of(2);
    let tasks = Tasks::new(resampler, packed, frames, 8, bands, &ahead).unwrap();
    let stopped = parallel::run(2, &tasks, || Ok(())).unwrap_err();
    assert!(matches!(
        stopped,
        parallel::Stopped::Failed(Failure::Owner("no more"))
    ));
}
