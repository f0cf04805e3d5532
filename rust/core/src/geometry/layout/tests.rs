//! Known plans, and settings that are refused.

use super::*;

const TORCH: Reference = Reference::Torchvision;

fn tiled(fit: Fit, tile: usize, overview: Overview) -> Layout {
    Layout {
        fit,
        tile: Some((tile, tile)),
        square: false,
        overview,
    }
}

fn next() -> Layout {
    let canvases = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)];
    tiled(Fit::Pinpoints(canvases.to_vec()), 336, Overview::First)
}

/// What the image is resized to, where that lies, and the canvas.
fn facts(pass: Pass) -> ((usize, usize), (isize, isize), (usize, usize)) {
    let offset = (pass.height.offset, pass.width.offset);
    (pass.resized(), offset, pass.target())
}

#[test]
fn the_middle_of_the_shorter_side() {
    let clip = tiled(Fit::Shortest(224), 224, Overview::None);
    let facts = |size| facts(clip.plan(size, TORCH).unwrap().passes().next().unwrap());
    for (size, resized, offset) in [
        ((224, 224), (224, 224), (0, 0)),
        ((480, 640), (224, 298), (0, -37)),
        ((640, 480), (298, 224), (-37, 0)),
        ((224, 227), (224, 227), (0, -1)),
        ((1, 40), (224, 8960), (0, -4368)),
        ((337, 1000), (224, 664), (0, -220)),
    ] {
        assert_eq!(facts(size), (resized, offset, (224, 224)));
    }
}

#[test]
fn the_odd_pixel_of_a_crop_that_pads_depends_on_the_reference() {
    let layout = tiled(Fit::Keep, 7, Overview::None);
    let offset = |size, reference| {
        let plan = layout.plan(size, reference).unwrap();
        facts(plan.passes().next().unwrap()).1
    };
    assert_eq!(offset((4, 10), TORCH), (1, -1));
    assert_eq!(offset((4, 10), Reference::Pillow13), (2, -1));
}

#[test]
fn a_square_has_the_image_in_its_middle() {
    let pad = Layout {
        square: true,
        ..tiled(Fit::Shortest(336), 336, Overview::None)
    };
    let before = |size| {
        let pass = pad.plan(size, TORCH).unwrap().passes().next().unwrap();
        (pass.height.before, pass.width.before, pass.frame())
    };
    assert_eq!(before((480, 640)), (80, 0, (640, 640)));
    assert_eq!(before((1, 40)), (19, 0, (40, 40)));
    assert_eq!(before((335, 336)), (0, 0, (336, 336)));
}

#[test]
fn the_best_canvas_and_what_lies_on_it() {
    for (size, canvas, resized, offset) in [
        ((336, 336), (336, 672), (336, 336), (0, 168)),
        ((480, 640), (672, 672), (504, 672), (84, 0)),
        ((300, 1000), (336, 1008), (303, 1008), (16, 0)),
        ((335, 337), (336, 672), (336, 339), (0, 166)),
        ((1, 2000), (336, 672), (1, 672), (167, 0)),
        ((2000, 1), (336, 672), (336, 1), (0, 335)),
    ] {
        let plan = next().plan(size, TORCH).unwrap();
        let [overview, tiles] = plan.passes().collect::<Vec<_>>()[..] else {
            panic!("{plan:?}");
        };
        assert_eq!(overview, Pass::resize(size, (336, 336)));
        assert_eq!(facts(tiles), (resized, offset, canvas));
    }
}

#[test]
fn an_overview_is_last_only_if_there_are_tiles() {
    let ratio = Fit::Ratio { least: 1, most: 12 };
    let internvl = tiled(ratio, 448, Overview::Last);
    let tiles = |size| internvl.plan(size, TORCH).unwrap().tiles();
    assert_eq!((tiles((448, 448)), tiles((480, 640))), (1, 13));
    let plan = internvl.plan((480, 640), TORCH).unwrap();
    let last = plan.passes().last().unwrap();
    assert_eq!(last, Pass::resize((480, 640), (448, 448)));
}

#[test]
fn a_small_image_is_padded_and_not_enlarged() {
    let kimi = Layout::whole(Fit::Shrink {
        patch: 14,
        factor: 28,
        patches: 16384,
        side: 512,
    });
    let facts = |size| facts(kimi.plan(size, TORCH).unwrap().passes().next().unwrap());
    assert_eq!(facts((30, 57)), ((30, 57), (0, 0), (56, 84)));
}

#[test]
fn only_tiles_are_cut_to_whole_patches() {
    let cut = |layout: Layout| layout.plan((30, 50), TORCH).unwrap().trimmed(14).tile();
    assert_eq!(cut(tiled(Fit::Keep, 30, Overview::None)), (28, 28));
    assert_eq!(cut(Layout::whole(Fit::Keep)), (30, 50));
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let message = |layout: Layout| layout.check().unwrap_err().to_string();
    let without_tile = |fit| Layout::whole(fit);
    let ratio = |least, most| Fit::Ratio { least, most };
    let area = |factor, pixels, frames| {
        Layout::whole(Fit::Area(Area {
            factor,
            pixels,
            frames,
            small: area::Small::Keep,
        }))
    };
    for (layout, expected) in [
        (
            area(0, (1, 9), 1),
            "patch_size * merge_size must be between 1 and 1048576, got [0]",
        ),
        (
            area(28, (1, 9), 0),
            "temporal_patch_size must be between 1 and 1048576, got [0]",
        ),
        (
            area(28, (1, 9), 1 << 63),
            "temporal_patch_size must be between 1 and 1048576, got [9223372036854775808]",
        ),
        (
            area(28, (9, 4), 1),
            "min_pixels must be at most max_pixels=4, got 9",
        ),
        (
            tiled(Fit::Pinpoints(vec![(336, 672)]), 224, Overview::First),
            "pinpoints must hold multiples of the tile (224, 224) of at most 1024 tiles, got (336, 672)",
        ),
        (
            tiled(Fit::Pinpoints(vec![]), 224, Overview::First),
            "pinpoints must not be empty",
        ),
        (
            without_tile(ratio(1, 12)),
            "tile must be given where images are cut into tiles",
        ),
        (
            tiled(ratio(3, 2), 448, Overview::Last),
            "min_patches must be at most max_patches=2, got 3",
        ),
        (
            tiled(ratio(0, 0), 448, Overview::Last),
            "max_patches must be between 1 and 1024, got 0",
        ),
        (
            without_tile(Fit::Stretch((0, 5))),
            "size must be between 1 and 1048576, got [0, 5]",
        ),
    ] {
        assert_eq!(message(layout), expected);
    }
}

#[test]
fn sizes_out_of_bounds_are_refused() {
    let message = |layout: &Layout, size| layout.plan(size, TORCH).unwrap_err().to_string();
    let clip = tiled(Fit::Shortest(224), 224, Overview::None);
    assert_eq!(message(&clip, (0, 5)), "height must be at least 1, got 0");
    assert_eq!(
        message(&clip, (1, 100_000)),
        "resized width must be at most 16777216 pixels, got 22400000 from 1x100000"
    );
    assert_eq!(
        message(&clip, (1, 2_000_000)),
        "width must be at most 1048576 pixels, got 2000000 from 1x2000000"
    );
}
