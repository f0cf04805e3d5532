//! The inner loops, one by one, for every instruction set that this processor has.
//!
//! ```text
//! cargo bench                            times, by criterion
//! cargo bench -- --names                 what there is
//! cargo bench -- --once NAME             one run, for benches/instructions.py
//! ```

use std::hint::black_box;

use criterion::Criterion;
use half::bf16;
use qvl_core::image::{ImageView, RgbImage};
use qvl_core::index::{Grids, interpolation_taps, position_ids, window_index};
use qvl_core::resize::{Coefficients, PixelLayout, Resampler, Starts, plane_stride};
use qvl_core::simd::Isa;
use qvl_core::{Element, Normalization, PatchLayout, Reference, RowWriter, Temporal};

/// A full-HD image becomes what Qwen2.5-VL reads of it at 1280 tokens.
const SOURCE: (usize, usize) = (1080, 1920);
const TARGET: (usize, usize) = (728, 1316);

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

type Kernel = (String, Box<dyn FnMut()>);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let kernels = kernels();
    match arguments[..] {
        ["--names", ..] => kernels.iter().for_each(|(name, _)| {
            // A program's output.
            #[expect(clippy::print_stdout)]
            {
                println!("{name}");
            }
        }),
        ["--once", wanted, ..] => {
            for (_, mut run) in kernels.into_iter().filter(|(name, _)| name == wanted) {
                measured(&mut run);
            }
        }
        _ => {
            let mut criterion = Criterion::default().configure_from_args();
            for (name, mut run) in kernels {
                criterion.bench_function(&name, |bencher| bencher.iter(&mut run));
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

fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for isa in Isa::available() {
        for reference in [Reference::Torchvision, Reference::Pillow12] {
            for layout in [PixelLayout::Plane, PixelLayout::Rgb, PixelLayout::Rgbx] {
                kernels.push(pass(
                    "horizontal pass",
                    isa,
                    reference,
                    layout,
                    (SOURCE.0, TARGET.1),
                ));
            }
            let vertical = (TARGET.0, SOURCE.1);
            kernels.push(pass(
                "vertical pass",
                isa,
                reference,
                PixelLayout::Plane,
                vertical,
            ));
        }
        kernels.push(pass(
            "split",
            isa,
            Reference::Torchvision,
            PixelLayout::Rgb,
            SOURCE,
        ));
        kernels.push(rows::<f32>("float32", isa, Temporal::Full));
        kernels.push(rows::<bf16>("bfloat16", isa, Temporal::Full));
        kernels.push(rows::<u8>("uint8", isa, Temporal::Compact));
    }
    let tables = move || {
        let (from, to) = (black_box(SOURCE.1), TARGET.1);
        let table = Coefficients::new(from, to, Reference::Torchvision, Starts::Even);
        black_box(table).map(drop).unwrap_or_default();
    };
    kernels.push(("weights".into(), Box::new(tables)));
    kernels.extend(indices());
    kernels
}

/// One pass over an image; to `target`, which keeps one of the sides or both.
fn pass(
    name: &str,
    isa: Isa,
    reference: Reference,
    layout: PixelLayout,
    target: (usize, usize),
) -> Kernel {
    let (height, width) = SOURCE;
    let (step, channels) = (
        layout.step(),
        if layout == PixelLayout::Plane { 3 } else { 1 },
    );
    let bytes = noise(height * width * step * channels);
    let plane = if step == 1 { height * width } else { 1 };
    let strides = [width * step, step, plane].map(|stride| stride as isize);
    let resampler = Resampler::new(SOURCE, target, reference, isa).expect("sides are positive");
    let mut line = vec![0; 3 * plane_stride(target.1)];
    let run = move || {
        let view = ImageView::new(&bytes, 0, [height, width, 3], strides).expect("it fits");
        let image = RgbImage::new(view, reference).expect("nothing is copied");
        let mut lines = resampler.lines(&image, 0).expect("there is memory");
        for _ in 0..target.0 {
            lines.read(black_box(&mut line));
        }
    };
    let name = format!("{name}, {layout:?}, {reference:?}, {}", isa.name());
    (name, Box::new(run))
}

/// Rows of an image that keeps its size.
fn rows<T: Element + 'static>(dtype: &str, isa: Isa, temporal: Temporal) -> Kernel {
    let bytes = noise(TARGET.0 * TARGET.1 * 3);
    let writer = RowWriter::<T>::new(LAYOUT, temporal, &CLIP, Reference::Torchvision, isa);
    let writer = writer.expect("the settings are valid");
    let grid = LAYOUT
        .grid(1, TARGET.0, TARGET.1)
        .expect("sides are multiples");
    let mut out = vec![T::default(); grid.patches() * writer.columns()];
    let run = move || {
        let view = ImageView::packed_rgb(&bytes, TARGET.0, TARGET.1).expect("it fits");
        let written = writer.write(&[view], TARGET, black_box(&mut out));
        written.map(drop).expect("there is memory");
    };
    let name = format!("rows, {dtype} {temporal:?}, {}", isa.name());
    (name, Box::new(run))
}

/// Index tensors of 32 images.
fn indices() -> [Kernel; 3] {
    let grids = || Grids::new("grid_thw", &[[1, 52, 94]; 32], 2).expect("sides are even");
    let (a, b, c) = (grids(), grids(), grids());
    [
        (
            "position ids".into(),
            Box::new(move || drop(black_box(position_ids(&a)))),
        ),
        (
            "window index".into(),
            Box::new(move || drop(black_box(window_index(&b, 4)))),
        ),
        (
            "interpolation taps".into(),
            Box::new(move || drop(black_box(interpolation_taps(&c, 48)))),
        ),
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
