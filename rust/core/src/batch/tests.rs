//! Batches on several threads against each image alone.

use super::*;
use crate::Reference;
use crate::decode;
use crate::geometry::{Cut, CutPlan, Fit, Layout, Overview, Pass, PatchLayout, Plan, Temporal};
use crate::kernels::Isa;
use crate::pixels::PixelView;
use crate::resize::Scanlines;
use crate::rows::Normalization;

/// Large enough that several are worth as many threads.
const SIZE: (usize, usize) = (420, 500);
const TARGET: (usize, usize) = (112, 84);

const LAYOUT: PatchLayout = PatchLayout {
    patch: 14,
    temporal_patch: 2,
    merge: 2,
};

fn writer() -> RowWriter<f32> {
    let normalization = Normalization {
        rescale_factor: Some(1.0 / 255.0),
        mean_std: None,
    };
    let (temporal, reference) = (Temporal::Full, Reference::Torchvision);
    RowWriter::new(LAYOUT, temporal, &normalization, reference, Isa::best()).unwrap()
}

/// Packed RGB that differs from image to image.
fn pixels(index: usize) -> Vec<u8> {
    let bytes = 0..SIZE.0 * SIZE.1 * 3;
    bytes
        .map(|byte| ((byte * byte * (index + 3)) >> 7) as u8)
        .collect()
}

fn view(pixels: &[u8]) -> PixelView<'_> {
    PixelView::packed(pixels, SIZE.0, SIZE.1, 3).unwrap()
}

fn png(pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIZE.1 as u32, SIZE.0 as u32);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    drop(writer);
    file
}

/// Gives every second image scanline by scanline, and has none where it should not be asked.
struct Images<'a>(Vec<Option<&'a [u8]>>);

impl Owner for Images<'_> {
    type Error = usize;

    fn open(&self, index: usize, _: usize) -> Result<Source<'_, usize>, usize> {
        let pixels = self.0[index].ok_or(index)?;
        Ok(match index % 2 {
            0 => Source::pixels(view(pixels)),
            _ => Source::scanlines(InOrder(pixels)),
        })
    }
}

/// What is left of an image.
struct InOrder<'a>(&'a [u8]);

impl Scanlines<usize> for InOrder<'_> {
    fn size(&self) -> (usize, usize) {
        SIZE
    }

    fn pixel_bytes(&self) -> usize {
        3
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), Failure<usize>> {
        out.copy_from_slice(self.0.split_off(..out.len()).unwrap());
        Ok(())
    }
}

#[test]
fn rows_are_those_of_each_image_alone_however_it_comes() {
    let writer = writer();
    let pixels: Vec<_> = (0..8).map(pixels).collect();
    let files: Vec<_> = pixels.iter().map(|pixels| png(pixels)).collect();
    let mut damaged = files.clone();
    for file in &mut damaged {
        let middle = file.len() / 2;
        file[middle] ^= 1;
    }
    let file = |bytes| Input::File {
        bytes,
        header: decode::header(bytes).unwrap(),
        orientation: 1,
        reduced: false,
    };
    // By their places: from memory, from files whole and damaged, and from the owner.
    let inputs = (0..8).map(|index| match index / 2 {
        0 => Input::Pixels(view(&pixels[index])),
        1 => file(&files[index]),
        2 => file(&damaged[index]),
        _ => Input::Owner { size: SIZE },
    });
    let inputs: Vec<_> = inputs.collect();
    let images: Vec<_> = inputs
        .chunks(1)
        .map(|frames| Image::resized(frames, TARGET, writer.cut()).unwrap())
        .collect();
    let asked = pixels
        .iter()
        .enumerate()
        .map(|(index, pixels)| match index {
            0..4 => None,
            _ => Some(&pixels[..]),
        });
    let owner = Images(asked.collect());

    let grid = LAYOUT.grid(1, TARGET.0, TARGET.1).unwrap();
    let each = grid.patches() * writer.columns();
    let mut expected = vec![0.0; images.len() * each];
    for (pixels, rows) in pixels.iter().zip(expected.chunks_exact_mut(each)) {
        writer.write(&[view(pixels)], TARGET, rows).unwrap();
    }
    for threads in [1, 2, 3, 4] {
        let mut rows = vec![0.0; expected.len()];
        write(&writer, &images, &owner, &mut rows, threads, || Ok(())).unwrap();
        assert!(rows == expected, "{threads} threads");
    }
    let short = &mut expected[1..];
    let stopped = write(&writer, &images, &owner, short, 2, || Ok(())).unwrap_err();
    assert!(matches!(
        stopped,
        Stop::Core(Error::Invalid {
            argument: "out",
            ..
        })
    ));
}

/// Writes one image on so many threads, whether it is worth them or not.
fn written(writer: &RowWriter<f32>, input: Input<'_>, plan: CutPlan, threads: usize) -> Vec<f32> {
    let mut rows = vec![-1.0; plan.grid().patches() * writer.columns()];
    let image = Image {
        frames: &[input],
        plan,
        padding: 0,
    };
    let out = bytemuck::cast_slice_mut(&mut rows);
    let owner = Images(vec![]);
    write_bytes(writer, &[image], &owner, out, threads, || Ok(())).unwrap();
    rows
}

#[test]
fn a_file_has_as_many_threads_as_its_decoder_leaves_work_for() {
    let file = |height, width, skips| Input::File {
        bytes: &[],
        header: decode::Header {
            format: decode::Format::Jpeg,
            height,
            width,
            channels: 3,
            orientation: Some(1),
            skips,
        },
        orientation: 1,
        reduced: false,
    };
    let threads = |inputs: &[Input<'_>], bytes: usize| {
        let images: Vec<_> = inputs
            .chunks(1)
            .map(|frames| Image::resized(frames, TARGET, writer().cut()).unwrap())
            .collect();
        worthwhile(&images, bytes)
    };
    let (full_hd, large) = (file(1080, 1920, true), file(3072, 4096, true));
    let rows = 24 << 20;
    assert_eq!(threads(&[full_hd], rows), 1);
    assert_eq!(threads(&[full_hd], 2 * rows), 2);
    assert_eq!(threads(&[full_hd; 2], 2 * rows), 3);
    // As many small ones as there are threads.
    assert_eq!(threads(&[file(240, 320, true); 16], rows / 4), 17);
    // One that can be divided between decoders, and one that cannot.
    assert_eq!(threads(&[large], rows), 4);
    assert_eq!(threads(&[file(3072, 4096, false)], rows), 1);
    // Of pixels that need no decoder, every half a millisecond.
    let pixels = pixels(0);
    assert_eq!(threads(&[Input::Pixels(view(&pixels))], rows), 7);
}

#[test]
fn a_call_is_brief_if_it_is_known_to_take_little() {
    let pixels = pixels(0);
    let known = Input::Pixels(view(&pixels));
    let asked = Input::Owner { size: (1, 1) };
    let brief = |inputs: &[Input<'_>], bytes: usize| {
        let images: Vec<_> = inputs
            .chunks(1)
            .map(|frames| Image::resized(frames, TARGET, writer().cut()).unwrap())
            .collect();
        is_brief(&images, bytes)
    };
    let rows = 24 << 20;
    assert!(brief(&[known], rows) && !brief(&[known], 8 * rows));
    assert!(!brief(&[known, asked], rows));
}

#[test]
fn a_file_in_any_orientation_gives_the_rows_of_what_is_seen() {
    let normalization = Normalization {
        rescale_factor: None,
        mean_std: None,
    };
    let (reference, isa) = (Reference::Pillow13, Isa::best());
    let patches = |merge| {
        let layout = PatchLayout { merge, ..LAYOUT };
        RowWriter::<f32>::new(layout, Temporal::Full, &normalization, reference, isa).unwrap()
    };
    let planes = |tile| RowWriter::<f32>::tiles(tile, &normalization, reference, isa).unwrap();
    let tiled = |tile, overview| Layout {
        fit: Fit::Ratio { least: 2, most: 6 },
        tile: Some(tile),
        square: false,
        overview,
    };
    let padded = Layout {
        square: true,
        ..Layout::whole(Fit::Stretch((90, 90)))
    };
    let canvas = Layout::whole(Fit::Shrink {
        patch: 14,
        factor: 28,
        patches: 60,
        side: 30,
    });
    let stretched = |target| Layout::whole(Fit::Stretch(target));
    let cases = [
        (patches(2), stretched(TARGET)),
        (patches(1), stretched((70, 196))),
        (patches(2).with_channels_last(true), stretched((56, 28))),
        (patches(2), canvas),
        (patches(2), tiled((70, 42), Overview::Last)),
        // Lengths that bands of 16 do not divide.
        (planes((37, 50)), stretched((37, 50))),
        (planes((90, 90)).with_margin([9, 99, 200]), padded),
        (planes((30, 34)), tiled((30, 34), Overview::First)),
    ];
    let pixels = pixels(5);
    let file = png(&pixels);
    for (writer, layout) in cases {
        for orientation in 1..=8 {
            let seen = view(&pixels).oriented(orientation);
            let plan = layout.plan(seen.size(), reference).unwrap();
            let plan = plan.cut(writer.cut()).unwrap();
            let expected = written(&writer, Input::Pixels(seen), plan, 1);
            let input = Input::File {
                bytes: &file,
                header: decode::header(&file).unwrap(),
                orientation,
                reduced: false,
            };
            for threads in [1, 3] {
                let rows = written(&writer, input, plan, threads);
                assert!(rows == expected, "{layout:?} {orientation} {threads}");
            }
        }
    }
}

#[test]
fn frames_that_do_not_agree_in_their_orientation_are_the_owners() {
    let writer = writer();
    let pixels: Vec<_> = (0..2).map(pixels).collect();
    let files: Vec<_> = pixels.iter().map(|pixels| png(pixels)).collect();
    let file = |index: usize, orientation| Input::File {
        bytes: &files[index],
        header: decode::header(&files[index]).unwrap(),
        orientation,
        reduced: false,
    };
    // The owner gives pixels as they are stored, whatever is said here: so one sees who was asked.
    for (orientations, seen) in [([3, 3], [3, 3]), ([3, 1], [1, 1]), ([1, 4], [1, 1])] {
        let group = [file(0, orientations[0]), file(1, orientations[1])];
        let views = [0, 1].map(|frame| view(&pixels[frame]).oriented(seen[frame]));
        let grid = LAYOUT.grid(2, TARGET.0, TARGET.1).unwrap();
        let mut expected = vec![0.0; grid.patches() * writer.columns()];
        writer.write(&views, TARGET, &mut expected).unwrap();
        let mut rows = vec![-1.0; expected.len()];
        let image = Image::resized(&group, TARGET, writer.cut()).unwrap();
        let (owner, out) = (Frames(&pixels), bytemuck::cast_slice_mut(&mut rows));
        write_bytes(&writer, &[image], &owner, out, 2, || Ok(())).unwrap();
        assert!(rows == expected, "{orientations:?}");
    }
}

/// Gives the frames of groups of two, by their number.
struct Frames<'a>(&'a [Vec<u8>]);

impl Owner for Frames<'_> {
    type Error = usize;

    fn open(&self, index: usize, frame: usize) -> Result<Source<'_, usize>, usize> {
        Ok(Source::scanlines(InOrder(&self.0[2 * index + frame])))
    }
}

#[test]
fn frames_of_a_group_share_its_rows_however_they_come() {
    let writer = writer();
    let pixels: Vec<_> = (0..5).map(pixels).collect();
    let mut files: Vec<_> = pixels.iter().map(|pixels| png(pixels)).collect();
    let middle = files[3].len() / 2;
    files[3][middle] ^= 1;
    let file = |bytes| Input::File {
        bytes,
        header: decode::header(bytes).unwrap(),
        orientation: 1,
        reduced: false,
    };
    // The last group is not full, and a file in the second is damaged.
    let inputs = [
        Input::Pixels(view(&pixels[0])),
        file(&files[1]),
        Input::Owner { size: SIZE },
        file(&files[3]),
        file(&files[4]),
    ];
    let groups: Vec<_> = inputs
        .chunks(2)
        .map(|frames| Image::resized(frames, TARGET, writer.cut()).unwrap())
        .collect();

    let views: Vec<_> = pixels.iter().map(|pixels| view(pixels)).collect();
    let grid = LAYOUT.grid(views.len(), TARGET.0, TARGET.1).unwrap();
    let mut expected = vec![0.0; grid.patches() * writer.columns()];
    writer.write(&views, TARGET, &mut expected).unwrap();
    for threads in [1, 3] {
        let mut rows = vec![0.0; expected.len()];
        write(
            &writer,
            &groups,
            &Frames(&pixels),
            &mut rows,
            threads,
            || Ok(()),
        )
        .unwrap();
        assert!(rows == expected, "{threads} threads");
    }
}

#[test]
fn an_item_has_as_many_groups_as_its_frames_fill() {
    let writer = writer();
    let plan = Plan::of(Pass::resize(SIZE, TARGET));
    let item = Item::new(&writer, 3..8, plan).unwrap();
    assert!(item.groups().eq([3..5, 5..7, 7..8]));
    assert_eq!(item.grid(), LAYOUT.grid(5, TARGET.0, TARGET.1).unwrap());
    assert_eq!(3 * item.plan.grid().patches(), item.grid().patches());
    let none = Item::new(&writer, 3..3, plan).unwrap_err();
    assert_eq!(
        none.to_string(),
        "frames of a group must be 1 to temporal_patch_size=2, got 0"
    );
}

#[test]
fn groups_that_no_row_holds_are_refused() {
    let writer = writer();
    let pixels = pixels(0);
    let small = PixelView::packed(&pixels[..60], 4, 5, 3).unwrap();
    let large = Input::Pixels(view(&pixels));
    for (frames, message) in [
        (
            &[] as &[_],
            "frames of a group must be 1 to temporal_patch_size=2, got 0",
        ),
        (
            &[large; 3],
            "frames of a group must be 1 to temporal_patch_size=2, got 3",
        ),
        (
            &[large, Input::Pixels(small)],
            "frames must have one size in all frames of a group",
        ),
    ] {
        let image = Image::resized(frames, TARGET, writer.cut()).unwrap();
        let grid = LAYOUT.grid(1, TARGET.0, TARGET.1).unwrap();
        let mut rows = vec![0.0; grid.patches() * writer.columns()];
        let stopped = write(&writer, &[image], &Images(vec![]), &mut rows, 1, || Ok(()));
        match stopped.unwrap_err() {
            Stop::Core(error) | Stop::Image(0, Failure::Core(error)) => {
                assert_eq!(error.to_string(), message);
            }
            stop => panic!("{stop:?}"),
        }
    }
}

#[test]
fn an_image_of_another_size_than_was_said_is_refused() {
    let writer = writer();
    let pixels = pixels(0);
    let said = Input::Owner {
        size: (SIZE.0 + 28, SIZE.1),
    };
    let layouts = [
        Layout::whole(Fit::Stretch(TARGET)),
        Layout {
            square: true,
            ..Layout::whole(Fit::Stretch(TARGET))
        },
    ];
    for layout in layouts {
        let plan = layout.plan(said.size(), Reference::Torchvision).unwrap();
        let image = Image {
            frames: &[said],
            plan: plan.cut(writer.cut()).unwrap(),
            padding: 0,
        };
        let mut rows = vec![0.0; image.plan.grid().patches() * writer.columns()];
        let owner = Images(vec![Some(&pixels)]);
        let stopped = write(&writer, &[image], &owner, &mut rows, 1, || Ok(())).unwrap_err();
        let Stop::Image(0, Failure::Core(error)) = stopped else {
            panic!("{stopped:?}");
        };
        assert_eq!(
            error.to_string(),
            "image must be of size (448, 500), got (420, 500)"
        );
    }
}

#[test]
fn an_image_that_was_cut_for_another_writer_is_refused() {
    let writer = writer();
    let pixels = pixels(0);
    let frames = [Input::Pixels(view(&pixels))];
    let image = Image::resized(&frames, TARGET, Cut::Tiles(TARGET)).unwrap();
    let mut rows = vec![0.0; 3 * 2 * TARGET.0 * TARGET.1];
    let stopped = write(&writer, &[image], &Images(vec![]), &mut rows, 1, || Ok(()));
    let Stop::Core(error) = stopped.unwrap_err() else {
        panic!("the images are not looked at");
    };
    let message = error.to_string();
    assert!(
        message.starts_with("plan must be cut into Patches"),
        "{message}"
    );
}

#[test]
fn an_image_that_cannot_be_had_stops_the_batch() {
    let writer = writer();
    let pixels = pixels(0);
    let input = Input::Owner { size: SIZE };
    let frames = &[input];
    let images = [Image::resized(frames, TARGET, writer.cut()).unwrap(); 5];
    let mut has: Vec<_> = vec![Some(&pixels[..]); 5];
    has[3] = None;
    let grid = LAYOUT.grid(1, TARGET.0, TARGET.1).unwrap();
    for threads in [1, 3] {
        let mut rows = vec![0.0; 5 * grid.patches() * writer.columns()];
        let owner = Images(has.clone());
        let stopped = write(&writer, &images, &owner, &mut rows, threads, || Ok(())).unwrap_err();
        assert!(matches!(stopped, Stop::Image(3, Failure::Owner(3))));
    }
}
