//! The public functions, with inputs that make them ask for memory in every way they can.

use std::cell::RefCell;
use std::convert::Infallible;

use qvl_core::batch::{self, Image, Input, Stop};
use qvl_core::index::{
    self, Advance, Deltas, Frames, Grids, Interval, Rules, Strategy, TokenGrids,
    expand_placeholders, mrope_position_ids, pack,
};
use qvl_core::memory::Buffer;
use qvl_core::resize::Failure;
use qvl_core::video::{self, Limits, Wanted};
use qvl_core::{
    Element, Error, Isa, Normalization, PatchLayout, PixelView, Reference, RowWriter, Temporal,
    decode, resize,
};

use crate::owner::Hands;
use crate::refusing::{check, error_without_memory, without_memory};

/// Takes what can be compared out of a buffer.
fn contents<T: bytemuck::Pod>(buffer: Buffer<T>) -> Vec<T> {
    buffer.to_vec()
}

pub(crate) fn indices() {
    let rows: Vec<_> = (1..400).map(|n| [n % 3 + 1, 2 * n % 50 + 2, 4]).collect();
    let rows = [&rows[..], &[[1, 2, 4000], [1, 4000, 2], [700, 2, 2]]].concat();
    let grids = Grids::new("grid_thw", &rows, 2).expect("valid grids");
    check(
        "Grids",
        || Grids::new("grid_thw", &rows, 2),
        |grids| grids.patches(),
    );
    check("cu_seqlens", || index::cu_seqlens(&grids), |ends| ends);
    check("position_ids", || index::position_ids(&grids), contents);
    check(
        "interpolation_taps",
        || index::interpolation_taps(&grids, 48),
        |taps| (contents(taps.indices), contents(taps.weights)),
    );
    check(
        "window_index",
        || index::window_index(&grids, 4),
        |(order, ends)| (contents(order), ends),
    );
    let (order, _) = index::window_index(&grids, 4).expect("valid grids");
    check("reverse_index", || index::reverse_index(&order), contents);

    let lengths: Vec<_> = (0..4000).map(|item| item * 7919 % 1000 + 1).collect();
    for strategy in [Strategy::Sequential, Strategy::Best] {
        check("pack", || pack(&lengths, 1_000_000, strategy), |bins| bins);
        check("pack", || pack(&lengths, 1000, strategy), |bins| bins);
    }
    let ids: Vec<_> = (0..4000).map(|id| id % 4).collect();
    check(
        "expand_placeholders",
        || expand_placeholders(&ids, 1, &[3; 1000]),
        |result| result,
    );
    mrope();
}

fn mrope() {
    let rules = Rules {
        advance: Advance::Spatial,
        frames: Frames::Apart,
        padding: 0,
        deltas: Deltas::Kept,
    };
    let grids = |images: &[[i64; 3]], videos: &[[i64; 3]], videos_in_groups| TokenGrids {
        images: Grids::new("image_grid_thw", images, 2).expect("valid grids"),
        videos: Grids::new("video_grid_thw", videos, 2).expect("valid grids"),
        videos_in_groups,
        image_interval: Some(Interval::ONE),
        intervals: match videos_in_groups {
            true => vec![],
            false => vec![Interval::ONE; videos.len()],
        },
    };
    // Text between images of one token, and between groups of frames of four.
    let images: Vec<_> = (0..6000).map(|token| token % 2).collect();
    let videos: Vec<_> = (0..6000)
        .map(|token| if token % 5 == 0 { 0 } else { 2 })
        .collect();
    for (types, grids) in [
        (images, grids(&[[1, 2, 2]; 3000], &[], false)),
        (videos, grids(&[], &[[6, 4, 4]; 200], true)),
    ] {
        check(
            "mrope_position_ids",
            || mrope_position_ids(&types, 3000, None, &grids, rules),
            |ids| (contents(ids.position_ids), ids.deltas),
        );
        let rows = types.len() / 5;
        check(
            "mrope_position_ids of many rows",
            || mrope_position_ids(&types[..rows * 5], 5, None, &grids, rules),
            |ids| (contents(ids.position_ids), ids.deltas),
        );
    }
    // Grids that stand for more tokens than there could be memory for, where there is one token.
    for in_groups in [false, true] {
        let grids = grids(&[], &[[536_870_911, 2, 2]], in_groups);
        let error = error_without_memory(|| mrope_position_ids(&[0], 1, None, &grids, rules));
        let runs = if in_groups { 536_870_911 } else { 1 };
        assert_eq!(
            error,
            format!(
                "mm_token_type_ids has 0 runs of video tokens, but video_grid_thw has grids for {runs}"
            )
        );
    }
}

/// Noise, of which any part is of any size.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Sizes that go every way from one to the other: through the ring, copied, through sums of long
/// windows, and with the lines combined first.
const SIZES: [((usize, usize), (usize, usize)); 6] = [
    ((300, 400), (140, 196)),
    ((300, 400), (700, 672)),
    ((300, 400), (300, 400)),
    ((20_000, 9), (4, 8)),
    ((3, 100_000), (4, 90_000)),
    ((900, 400), (28, 392)),
];

pub(crate) fn resizing() {
    let pixels = noise(4 * 900 * 400);
    for (source, target) in SIZES {
        let (height, width) = source;
        let packed = |channels| {
            PixelView::packed(
                &pixels[..height * width * channels],
                height,
                width,
                channels,
            )
        };
        let sideways = PixelView::packed(&pixels[..height * width * 3], width, height, 3);
        let views = [
            packed(1),
            packed(3),
            packed(4),
            sideways.map(|view| view.oriented(6)),
        ];
        for view in views.map(|view| view.expect("whole pixels")) {
            for (isa, reference) in Isa::available().into_iter().zip(Reference::ALL) {
                let out = RefCell::new(vec![0; target.0 * target.1 * 3]);
                check(
                    "resize",
                    || resize(&view, target, reference, isa, &mut out.borrow_mut()),
                    |()| out.take_copy(),
                );
            }
        }
    }
}

/// What was written, which is wiped out.
pub(crate) trait TakeCopy<T> {
    fn take_copy(&self) -> Vec<T>;
}

impl<T: Copy + Default> TakeCopy<T> for RefCell<Vec<T>> {
    fn take_copy(&self) -> Vec<T> {
        let copy = self.borrow().clone();
        self.borrow_mut().fill(T::default());
        copy
    }
}

fn writer<T: Element>(temporal: Temporal) -> RowWriter<T> {
    let layout = PatchLayout {
        patch: 14,
        temporal_patch: 2,
        merge: 2,
    };
    let normalization = Normalization {
        rescale_factor: Some(1.0 / 255.0),
        mean_std: Some(([0.5; 3], [0.25; 3])),
    };
    RowWriter::new(
        layout,
        temporal,
        &normalization,
        Reference::Torchvision,
        Isa::best(),
    )
    .expect("a valid configuration")
}

pub(crate) fn rows() {
    let pixels = noise(5 * 60 * 70 * 3);
    let frames: Vec<_> = pixels
        .chunks(60 * 70 * 3)
        .map(|pixels| PixelView::packed(pixels, 60, 70, 3).expect("whole pixels"))
        .collect();
    // Rows that stay in the cache, also with their columns in another order, and rows that do not, which are
    // written past it.
    for (target, channels_last) in [((56, 84), false), ((56, 84), true), ((896, 896), false)] {
        let writer = writer::<f32>(Temporal::Full).with_channels_last(channels_last);
        let out = RefCell::new(vec![0.0; 3 * target.0 * target.1 * 6]);
        check(
            "RowWriter::write",
            || writer.write(&frames, target, &mut out.borrow_mut()),
            |grid| (grid, out.take_copy()),
        );
    }
}

pub(crate) fn batches() {
    let pixels = noise(4 * 500 * 700);
    let of_size = |height: usize, width: usize| {
        let view = PixelView::packed(&pixels[..height * width * 4], height, width, 4);
        Input::Pixels(view.expect("whole pixels"))
    };
    let size = (300, 400);
    // Some of every source, and so many that a list of them is large.
    let mut some = vec![
        of_size(300, 400),
        Input::Owner { size },
        Input::Owner { size },
        Input::Owner { size },
    ];
    let mut many = vec![of_size(28, 28); 600];
    let mut many_size = size;
    if cfg!(feature = "jpeg") {
        let file = include_bytes!("../../../../samples/rocket.jpg");
        let header = decode::header(file).expect("a JPEG file");
        let decoded = |bytes, orientation| Input::File {
            bytes,
            header,
            orientation,
            reduced: false,
        };
        some.extend([decoded(file, 1), decoded(file, 6)]);
        // It is begun before it turns out that its end is missing, and then asked of the owner.
        many.push(decoded(&file[..file.len() - 1000], 1));
        many_size = (header.height, header.width);
    }
    check_batch(
        &some,
        (252, 336),
        Hands {
            pixels: &pixels,
            size,
        },
    );
    let size = many_size;
    check_batch(
        &many,
        (28, 28),
        Hands {
            pixels: &pixels,
            size,
        },
    );
}

pub(crate) fn videos() {
    let limits = Limits {
        min_frames: 4,
        max_frames: 100_000,
    };
    let wanted = Some(Wanted::Frames(5000));
    check(
        "qwen2_indices",
        || video::qwen2_indices(100_000, wanted, limits, 2),
        |frames| frames,
    );
    check(
        "qwen3_indices",
        || video::qwen3_indices(100_000, None, limits),
        |frames| frames,
    );
    check(
        "onevision_indices",
        || video::onevision_indices(5000, None),
        |frames| frames,
    );
    check(
        "internvl_indices",
        || video::internvl_indices(100_000, wanted),
        |frames| frames,
    );
    for fused in [false, true] {
        check(
            "linspace_indices",
            || video::linspace_indices(0, 100_000, 5000, fused),
            |frames| frames,
        );
    }
}

/// Headers are read without memory of any size.
pub(crate) fn headers() {
    let files: [&[u8]; 2] = [
        include_bytes!("../../../../samples/coffee.png"),
        include_bytes!("../../../../samples/rocket.jpg"),
    ];
    for file in files {
        assert!(without_memory(|| decode::header(file)).is_some());
    }
}

fn check_batch(inputs: &[Input<'_>], target: (usize, usize), owner: Hands<'_>) {
    let writer = writer::<u8>(Temporal::Compact);
    let images = inputs
        .chunks(1)
        .map(|frames| Image::resized(frames, target, writer.cut()).expect("whole patches"));
    let images: Vec<_> = images.collect();
    let out = RefCell::new(vec![0; images.len() * 3 * target.0 * target.1]);
    for threads in [1, 3] {
        let write = || {
            let out = &mut out.borrow_mut();
            batch::write(&writer, &images, &owner, out, threads, || Ok(())).map_err(core)
        };
        check("batch::write", write, |()| out.take_copy());
    }
}

pub(crate) fn core(stop: Stop<Infallible>) -> Error {
    match stop {
        Stop::Core(error) | Stop::Image(_, Failure::Core(error)) => error,
        other => panic!("{other:?}"),
    }
}
