//! The core on one thread, for every instruction set that this processor has.
//!
//! ```text
//! cargo bench                            times, by criterion
//! cargo bench -- --names                 what there is
//! cargo bench -- --count NAME TIMES      so many runs, for benches/instructions.py
//! ```

use std::convert::Infallible;
use std::hint::black_box;

use criterion::Criterion;
use half::{bf16, f16};
use qvl_core::batch::{self, Image, Input, Owner};
use qvl_core::filter::{Axis, Filter};
use qvl_core::index::{Grids, interpolation_taps, position_ids, window_index};
use qvl_core::resize::{Source, resize};
use qvl_core::{
    Element, Isa, Normalization, PatchLayout, PixelView, Reference, RowWriter, Temporal,
};

/// (height, width).
type Size = (usize, usize);

/// A full-HD image becomes what Qwen2.5-VL reads of it at 1280 tokens.
const SOURCE: Size = (1080, 1920);
const TARGET: Size = (728, 1316);

/// Other sizes: hardly smaller, and photographs that shrink to less than a third and to less than a quarter.
const SIZES: [(Size, Size); 3] = [
    ((480, 640), (476, 644)),
    ((3072, 4096), (868, 1148)),
    ((1200, 1600), (224, 224)),
];

const LAYOUT: PatchLayout = PatchLayout {
    patch: 14,
    temporal_patch: 2,
    merge: 2,
};

const CLIP: Normalization = Normalization {
    rescale_factor: Some(1.0 / 255.0),
    mean_std: Some((
        [0.48145466, 0.4578275, 0.40821073],
        [0.26862954, 0.26130258, 0.27577711],
    )),
};

/// The name of a run, and what prepares it.
type Named = (String, Box<dyn Fn() -> Run>);

/// What is timed.
type Run = Box<dyn FnMut()>;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let runs = runs();
    match arguments[..] {
        ["--names", ..] => runs.iter().for_each(|(name, _)| {
            // A program's output.
            #[expect(clippy::print_stdout)]
            {
                println!("{name}");
            }
        }),
        ["--count", wanted, times, ..] => {
            let times = times.parse().expect("TIMES is a number");
            for (_, prepare) in runs.into_iter().filter(|(name, _)| name == wanted) {
                let mut run = prepare();
                for _ in 0..times {
                    measured(&mut run);
                }
            }
        }
        _ => {
            let mut criterion = Criterion::default().configure_from_args();
            for (name, prepare) in runs {
                criterion.bench_function(&name, |bencher| bencher.iter(prepare()));
            }
            criterion.final_summary();
        }
    }
}

/// What is counted of a run: valgrind looks for this name.
#[inline(never)]
fn measured(run: &mut dyn FnMut()) {
    run();
}

fn runs() -> Vec<Named> {
    let mut runs = Vec::new();
    for isa in Isa::available() {
        for reference in [Reference::Torchvision, Reference::Pillow12] {
            for pixels in Pixels::ALL {
                let target = (SOURCE.0, TARGET.1);
                runs.push(resized(
                    "horizontal",
                    pixels,
                    SOURCE,
                    target,
                    reference,
                    isa,
                ));
            }
            let target = (TARGET.0, SOURCE.1);
            runs.push(resized(
                "vertical",
                Pixels::Rgb,
                SOURCE,
                target,
                reference,
                isa,
            ));
            for (source, target) in SIZES.into_iter().chain([(SOURCE, TARGET)]) {
                runs.push(resized("both", Pixels::Rgb, source, target, reference, isa));
            }
        }
        runs.push(rows::<f32>("float32", isa, Temporal::Full));
        runs.push(rows::<f16>("float16", isa, Temporal::Full));
        runs.push(rows::<bf16>("bfloat16", isa, Temporal::Full));
        runs.push(rows::<u8>("uint8", isa, Temporal::Compact));
        // The whole, and what is left without the horizontal pass, without the vertical one, and without both.
        for height in [SOURCE.0, TARGET.0] {
            for width in [SOURCE.1, TARGET.1] {
                let source = (height, width);
                runs.push(image::<f32>("float32", source, isa, Temporal::Full));
                runs.push(image::<u8>("uint8", source, isa, Temporal::Compact));
            }
        }
    }
    let weights = || {
        let source = black_box(SOURCE.1);
        let axis = Axis::new(source, TARGET.1, Filter::Bicubic, Reference::Torchvision);
        drop(black_box(axis));
    };
    runs.push(("weights".into(), Box::new(move || Box::new(weights))));
    runs.extend(indices());
    runs
}

/// How the pixels of an image lie.
#[derive(Debug, Clone, Copy)]
enum Pixels {
    Rgb,
    Bgr,
    Planes,
    Rgbx,
    Rgba,
    Grey,
}

impl Pixels {
    const ALL: [Self; 6] = [
        Self::Rgb,
        Self::Bgr,
        Self::Planes,
        Self::Rgbx,
        Self::Rgba,
        Self::Grey,
    ];

    /// A view of so many `bytes`, of which there are enough for any format.
    fn view(self, bytes: &[u8], (height, width): Size) -> PixelView<'_> {
        let (origin, channels, strides) = match self {
            Self::Rgb => (0, 3, [3 * width, 3, 1].map(usize::cast_signed)),
            Self::Bgr => (2, 3, [3 * width as isize, 3, -1]),
            Self::Planes => (0, 3, [width, 1, height * width].map(usize::cast_signed)),
            Self::Rgbx => (0, 3, [4 * width, 4, 1].map(usize::cast_signed)),
            Self::Rgba => (0, 4, [4 * width, 4, 1].map(usize::cast_signed)),
            Self::Grey => (0, 1, [width, 1, 1].map(usize::cast_signed)),
        };
        PixelView::new(bytes, origin, [height, width, channels], strides).expect("it fits")
    }
}

/// One pass, where `target` keeps a side of `source`, or both.
fn resized(
    passes: &str,
    pixels: Pixels,
    source: Size,
    target: Size,
    reference: Reference,
    isa: Isa,
) -> Named {
    let prepare = move || -> Run {
        let bytes = noise(source.0 * source.1 * 4);
        let mut out = vec![0; target.0 * target.1 * 3];
        Box::new(move || {
            let view = pixels.view(&bytes, source);
            resize(&view, target, reference, isa, black_box(&mut out)).expect("there is memory");
        })
    };
    let name = format!(
        "{passes}, {pixels:?} of {}x{}, {reference:?}, {}",
        source.0,
        source.1,
        isa.name()
    );
    (name, Box::new(prepare))
}

/// The rows of an image that keeps its size.
fn rows<T: Element + 'static>(dtype: &str, isa: Isa, temporal: Temporal) -> Named {
    let prepare = move || -> Run {
        let bytes = noise(TARGET.0 * TARGET.1 * 3);
        let (writer, mut out) = writer::<T>(isa, temporal);
        Box::new(move || {
            let view = Pixels::Rgb.view(&bytes, TARGET);
            let written = writer.write(&[view], TARGET, black_box(&mut out));
            written.map(drop).expect("there is memory");
        })
    };
    let name = format!("rows, {dtype} {temporal:?}, {}", isa.name());
    (name, Box::new(prepare))
}

/// A whole image, as a batch of one.
fn image<T: Element + 'static>(dtype: &str, source: Size, isa: Isa, temporal: Temporal) -> Named {
    let prepare = move || -> Run {
        let bytes = noise(source.0 * source.1 * 3);
        let (writer, mut out) = writer::<T>(isa, temporal);
        Box::new(move || {
            let frames = [Input::Pixels(Pixels::Rgb.view(&bytes, source))];
            let image = Image::resized(&frames, TARGET, writer.cut()).expect("whole patches");
            let out = black_box(&mut out[..]);
            batch::write(&writer, &[image], &Nobody, out, 1, || Ok(())).expect("there is memory");
        })
    };
    let (height, width) = source;
    let name = format!(
        "image of {height}x{width}, {dtype} {temporal:?}, {}",
        isa.name()
    );
    (name, Box::new(prepare))
}

/// A writer, and room for the rows of an image of [`TARGET`].
fn writer<T: Element>(isa: Isa, temporal: Temporal) -> (RowWriter<T>, Vec<T>) {
    let writer = RowWriter::new(LAYOUT, temporal, &CLIP, Reference::Torchvision, isa);
    let writer = writer.expect("the settings are valid");
    let grid = LAYOUT.grid(1, TARGET.0, TARGET.1);
    let rows = grid.expect("sides are multiples").patches();
    let out = vec![T::default(); rows * writer.columns()];
    (writer, out)
}

/// The owner of no image.
#[derive(Debug)]
struct Nobody;

impl Owner for Nobody {
    type Error = Infallible;

    fn open(&self, _: usize, _: usize) -> Result<Source<'_, Infallible>, Infallible> {
        unreachable!("all pixels are in memory")
    }
}

/// Index tensors of 32 images.
fn indices() -> [Named; 3] {
    fn named(name: &str, run: fn(&Grids)) -> Named {
        let prepare = move || -> Run {
            let grids = Grids::new("grid_thw", &[[1, 52, 94]; 32], 2).expect("sides are even");
            Box::new(move || run(&grids))
        };
        (name.into(), Box::new(prepare))
    }
    [
        named("position ids", |grids| drop(black_box(position_ids(grids)))),
        named("window index", |grids| {
            drop(black_box(window_index(grids, 4)))
        }),
        named("interpolation taps", |grids| {
            drop(black_box(interpolation_taps(grids, 48)));
        }),
    ]
}

/// Bytes without a pattern, the same each time (a linear congruential generator).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
