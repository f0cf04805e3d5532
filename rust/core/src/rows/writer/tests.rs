//! Rows against their definition, by every backend.

use super::*;
use crate::batch::{self, Image, Input, Owner};
use crate::geometry::{Fit, Layout, Overview};
use crate::kernels::band::RowShape;
use crate::resize::resize;
use half::{bf16, f16};
use proptest::prelude::*;

const LAYOUT: PatchLayout = PatchLayout {
    patch: 2,
    temporal_patch: 2,
    merge: 2,
};

/// Tells the channels apart.
const NORMALIZATION: Normalization = Normalization {
    rescale_factor: None,
    mean_std: Some(([0.0, -1000.0, -2000.0], [1.0; 3])),
};

/// Multiplies before it subtracts.
const RESCALING: Normalization = Normalization {
    rescale_factor: Some(1.0 / 255.0),
    mean_std: Some(([0.48, 0.46, 0.41], [0.27, 0.26, 0.28])),
};

/// Row and column order by their definition, from whole resized frames.
fn by_definition(frames: &[Vec<u8>], grid: Grid, layout: PatchLayout, slots: usize) -> Vec<f32> {
    let PatchLayout {
        patch,
        temporal_patch,
        merge,
    } = layout;
    let mut rows = Vec::new();
    for t in 0..grid.t {
        for block_y in 0..grid.h / merge {
            for block_x in 0..grid.w / merge {
                for (i, j) in (0..merge * merge).map(|k| (k / merge, k % merge)) {
                    for c in 0..3 {
                        for slot in 0..slots {
                            let frame = &frames[(t * temporal_patch + slot).min(frames.len() - 1)];
                            for (y, x) in (0..patch * patch).map(|k| (k / patch, k % patch)) {
                                let y = (block_y * merge + i) * patch + y;
                                let x = (block_x * merge + j) * patch + x;
                                let level = frame[(y * grid.w * patch + x) * 3 + c];
                                rows.push((1000 * c) as f32 + f32::from(level));
                            }
                        }
                    }
                }
            }
        }
    }
    rows
}

#[test]
fn refusals_name_the_argument_and_the_value() {
    let writer = |layout, temporal| {
        let reference = Reference::Torchvision;
        RowWriter::<f32>::new(layout, temporal, &NORMALIZATION, reference, Isa::best())
    };
    let no_patch = PatchLayout { patch: 0, ..LAYOUT };
    let message = writer(no_patch, Temporal::Full).unwrap_err().to_string();
    assert_eq!(message, "patch_size must be between 1 and 1024, got 0");

    let pixels = [0u8; 4 * 4 * 3];
    let frame = PixelView::packed(&pixels[..], 4, 4, 3).unwrap();
    let refused = |temporal, frames: &[PixelView<'_>], target, length| {
        let writer = writer(LAYOUT, temporal).unwrap();
        let mut out = vec![0.0; length];
        writer
            .write(frames, target, &mut out)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(Temporal::Full, &[], (4, 4), 96),
        "frames must hold at least one frame, got 0"
    );
    assert_eq!(
        refused(Temporal::Full, &[frame], (4, 6), 96),
        "width must be a positive multiple of patch_size * merge_size = 4, got 6"
    );
    assert_eq!(
        refused(Temporal::Full, &[frame], (4, 4), 95),
        "out must hold 4 x 24 elements, got 95"
    );
    assert_eq!(
        refused(Temporal::Compact, &[frame, frame], (4, 4), 48),
        "temporal \"compact\" is for one frame, got 2"
    );
}

proptest! {
    #[test]
    fn every_backend_writes_the_rows_of_the_definition(
        (patch, temporal_patch, merge) in (1usize..18, 1usize..4, 1usize..4),
        (blocks_y, blocks_x) in (1usize..3, 1usize..4),
        (count, height, width) in (1usize..6, 1usize..20, 1usize..20),
        reference in Reference::any(),
        compact in any::<bool>(),
        noise in proptest::collection::vec(any::<u8>(), 5 * 20 * 20 * 3),
    ) {
        let layout = PatchLayout { patch, temporal_patch, merge };
        let count = if compact { 1 } else { count };
        let target = (blocks_y * merge * patch, blocks_x * merge * patch);
        let frames: Vec<_> = noise
            .chunks_exact(height * width * 3)
            .take(count)
            .map(|pixels| PixelView::packed(pixels, height, width, 3).unwrap())
            .collect();
        let resized: Vec<Vec<u8>> = frames
            .iter()
            .map(|frame| {
                let mut out = vec![0; target.0 * target.1 * 3];
                resize(frame, target, reference, Isa::SCALAR, &mut out).unwrap();
                out
            })
            .collect();
        let temporal = if compact { Temporal::Compact } else { Temporal::Full };
        let grid = layout.grid(count, target.0, target.1).unwrap();
        let slots = if compact { 1 } else { temporal_patch };
        let expected = by_definition(&resized, grid, layout, slots);
        let rounded = |round: fn(f32) -> u16| expected.iter().copied().map(round);
        for isa in Isa::available() {
            macro_rules! written {
                ($element:ty) => {{
                    let writer = RowWriter::<$element>::new(
                        layout, temporal, &NORMALIZATION, reference, isa,
                    ).unwrap();
                    let mut rows = vec![<$element>::default(); expected.len()];
                    prop_assert_eq!(writer.write(&frames, target, &mut rows).unwrap(), grid);
                    rows
                }};
            }
            prop_assert_eq!(&written!(f32), &expected, "{:?}", isa);
            let halves = written!(f16).into_iter().map(f16::to_bits);
            prop_assert!(halves.eq(rounded(|value| f16::from_f32(value).to_bits())));
            let bhalves = written!(bf16).into_iter().map(bf16::to_bits);
            prop_assert!(bhalves.eq(rounded(|value| bf16::from_f32(value).to_bits())));
            let levels = expected.iter().map(|value| (value % 1000.0) as u8);
            prop_assert!(written!(u8).into_iter().eq(levels));
        }
    }
}

proptest! {
    #[test]
    fn rows_are_those_of_portable_code_wherever_they_begin(
        patch in prop_oneof![1usize..=20, Just(24)], merge in 1usize..=2, blocks in 1usize..=4,
        (slots, frames) in (1usize..=3).prop_flat_map(|slots| (Just(slots), 1..=slots)),
        (left, right) in (0usize..9, 0usize..9), start in 0usize..32, rescales: bool,
        noise in proptest::collection::vec(any::<u8>(), 3 * 3 * 48 * (192 + 16)),
    ) {
        let shape = RowShape { patch, merge, slots };
        let layout = PatchLayout { patch, temporal_patch: slots, merge };
        let (lines, stride) = (merge * patch, left + blocks * merge * patch + right);
        let bands: Vec<_> = noise
            .chunks_exact(3 * lines * stride)
            .take(frames)
            .map(|samples| Band::new(samples, stride).starting_at(0, left))
            .collect();
        let normalization = if rescales { RESCALING } else { NORMALIZATION };
        let length = blocks * merge * merge * shape.columns();
        for isa in Isa::available() {
            macro_rules! same {
                ($element:ty) => {{
                    let (temporal, reference) = (Temporal::Full, Reference::Pillow13);
                    let writer = RowWriter::<$element>::new(
                        layout, temporal, &normalization, reference, isa,
                    ).unwrap();
                    let written = |isa, stream| {
                        let mut out = vec![<$element>::default(); start + length + 32];
                        bytemuck::cast_slice_mut::<_, u8>(&mut out).fill(7);
                        let rows = &mut out[start..][..length];
                        write_band(isa, &bands, shape, &writer.values, rows, stream);
                        out
                    };
                    let expected = written(Isa::SCALAR, false);
                    for stream in [false, true] {
                        prop_assert!(written(isa, stream) == expected, "{:?}, {}", isa, stream);
                    }
                }};
            }
            same!(f32);
            same!(f16);
            same!(bf16);
            same!(u8);
        }
    }

    #[test]
    fn planes_are_those_of_portable_code_wherever_they_begin(
        (width, lines) in (1usize..100, 1usize..5), channel in 0usize..3,
        (left, right) in (0usize..9, 0usize..9), start in 0usize..32, rescales: bool,
        noise in proptest::collection::vec(any::<u8>(), 3 * 5 * (100 + 16)),
    ) {
        let stride = left + width + right;
        let band = Band::new(&noise[..3 * lines * stride], stride).starting_at(0, left);
        let normalization = if rescales { RESCALING } else { NORMALIZATION };
        for isa in Isa::available() {
            macro_rules! same {
                ($element:ty) => {{
                    let reference = Reference::Torchvision;
                    let writer = RowWriter::<$element>::tiles(
                        (1, 1), &normalization, reference, isa,
                    ).unwrap();
                    let written = |isa, stream| {
                        let mut out = vec![<$element>::default(); start + width * lines + 32];
                        bytemuck::cast_slice_mut::<_, u8>(&mut out).fill(7);
                        let plane = &mut out[start..][..width * lines];
                        write_plane(isa, band, channel, width, &writer.values, plane, stream);
                        out
                    };
                    let expected = written(Isa::SCALAR, false);
                    for stream in [false, true] {
                        prop_assert!(written(isa, stream) == expected, "{:?}, {}", isa, stream);
                    }
                }};
            }
            same!(f32);
            same!(f16);
            same!(bf16);
            same!(u8);
        }
    }
}

#[test]
fn channels_are_put_last_with_frames_behind_them() {
    // By channel, frame and pixel.
    let planes = [111, 112, 121, 122, 211, 212, 221, 222, 311, 312, 321, 322];
    let mut out = [0; 12];
    put_channels_last(&planes, &mut out, 2);
    let expected = [111, 121, 211, 221, 311, 321, 112, 122, 212, 222, 312, 322];
    assert_eq!(out, expected);
}

/// Tiles of a canvas, written as rows of patches and as planes, by all backends.
#[test]
fn tiles_are_written_one_after_another() {
    const SIZE: (usize, usize) = (30, 50);
    let pixels: Vec<u8> = (0..SIZE.0 * SIZE.1 * 3)
        .map(|at| (at * 7 % 251) as u8)
        .collect();
    let view = PixelView::packed(&pixels[..], SIZE.0, SIZE.1, 3).unwrap();
    let (tile, columns) = (34, 3);
    let layout = Layout {
        fit: Fit::Ratio { least: 6, most: 6 },
        tile: Some((tile, tile)),
        square: false,
        overview: Overview::Last,
    };
    let reference = Reference::Pillow13;
    let plan = layout.plan(SIZE, reference).unwrap();
    let resized = |target: (usize, usize)| {
        let mut out = vec![0; target.0 * target.1 * 3];
        resize(&view, target, reference, Isa::SCALAR, &mut out).unwrap();
        out
    };
    let (whole, overview) = (resized((2 * tile, columns * tile)), resized((tile, tile)));
    let level = |index: usize, y: usize, x: usize, channel: usize| {
        let (frame, width, top, left) = match index {
            6 => (&overview, tile, 0, 0),
            _ => (
                &whole,
                columns * tile,
                index / columns * tile,
                index % columns * tile,
            ),
        };
        let at = ((top + y) * width + left + x) * 3 + channel;
        (1000 * channel) as f32 + f32::from(frame[at])
    };
    let patches = PatchLayout {
        patch: 8,
        temporal_patch: 1,
        merge: 2,
    };
    for isa in Isa::available() {
        let planes = RowWriter::<f32>::tiles((tile, tile), &NORMALIZATION, reference, isa).unwrap();
        let rows = RowWriter::new(patches, Temporal::Full, &NORMALIZATION, reference, isa);
        let rows: RowWriter<f32> = rows.unwrap();
        for (writer, kept) in [(planes, tile), (rows, 32)] {
            let plan = plan.cut(writer.cut()).unwrap();
            let mut out = vec![-1.0; plan.grid().patches() * writer.columns()];
            let input = [Input::Pixels(view)];
            let image = Image {
                frames: &input,
                plan,
                padding: 0,
            };
            batch::write(&writer, &[image], &Nobody, &mut out, 2, || Ok(())).unwrap();
            let mut expected = Vec::new();
            for index in 0..7 {
                // The patches of a tile: those of a block, line by line, before the next block.
                let corners: Vec<_> = match kept {
                    32 => (0..16)
                        .map(|at| (at / 4, at % 4))
                        .map(|(block, k)| (block / 2 * 2 + k / 2, block % 2 * 2 + k % 2))
                        .map(|(i, j)| (8 * i, 8 * j))
                        .collect(),
                    _ => vec![(0, 0)],
                };
                let side = if kept == 32 { 8 } else { tile };
                for (top, left) in corners {
                    for channel in 0..3 {
                        for (y, x) in (0..side * side).map(|at| (at / side, at % side)) {
                            expected.push(level(index, top + y, left + x, channel));
                        }
                    }
                }
            }
            assert!(out == expected, "{isa:?}, {kept} of a tile");
        }
    }
}

/// Is asked for no image.
struct Nobody;

impl Owner for Nobody {
    type Error = Infallible;

    fn open(&self, _: usize, _: usize) -> std::result::Result<Source<'_, Infallible>, Infallible> {
        unreachable!("all pixels are in memory")
    }
}
