//! Layouts: what becomes of an image of any size, step by step and by the core.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use qvl_core::batch::{self, Input, Owner};
use qvl_core::geometry::{Area, Fit, Layout, Overview, Pass, Plan, Small, Span, TokenBudget};
use qvl_core::resize::Source;
use qvl_core::{
    Isa, Normalization, PatchLayout, PixelView, Reference, RowWriter, Temporal, resize,
};

use crate::pixels::Image;

const RAW: Normalization = Normalization {
    rescale_factor: None,
    mean_std: None,
};
const MARGIN: [u8; 3] = [51, 102, 204];

/// Images whose tiles are small enough to be made step by step: padded, resized, put on a canvas and cut, each
/// step by the scalar backend and for whole images.
pub fn write_any(input: &mut Unstructured<'_>) -> Result<()> {
    let tile = (input.int_in_range(1..=40)?, input.int_in_range(1..=40)?);
    let layout = layout(tile, input)?;
    let reference = *input.choose(&Reference::ALL)?;
    let image = Image::any(input)?;
    let view = image.view();
    let Ok(plan) = layout
        .check()
        .and_then(|()| layout.plan(view.size(), reference))
    else {
        return Ok(());
    };
    let patches = PatchLayout {
        patch: match &layout.fit {
            Fit::Tokens(budget) => budget.factor,
            _ => input.int_in_range(1..=tile.0.min(tile.1).min(16))?,
        },
        temporal_patch: 1,
        merge: 1,
    };
    let as_planes = layout.tile.is_some() && input.arbitrary()?;
    let writer = |isa| {
        let writer = if as_planes {
            RowWriter::<u8>::tiles(tile, &RAW, reference, isa)
        } else {
            RowWriter::new(patches, Temporal::Full, &RAW, reference, isa)
        };
        writer.expect("the settings are valid").with_margin(MARGIN)
    };
    let scalar = writer(Isa::SCALAR);
    let plan = plan.cut(scalar.cut()).expect("a tile has a patch");

    let mut expected = Vec::new();
    for pass in plan.plan().passes() {
        for pixels in tiles(&view, pass, reference) {
            let (height, width) = pass.tile();
            if as_planes {
                let plane = |channel| pixels.iter().skip(channel).step_by(3);
                expected.extend((0..3).flat_map(plane));
            } else {
                let tile = PixelView::packed(&pixels[..], height, width, 3).expect("it fits");
                let count = height / patches.patch * (width / patches.patch);
                let mut rows = vec![0; count * scalar.columns()];
                let frames = [tile];
                scalar
                    .write(&frames, (height, width), &mut rows)
                    .expect("whole patches");
                expected.extend(rows);
            }
        }
    }

    let isa = *input.choose(&Isa::available())?;
    let threads = input.int_in_range(1..=3)?;
    let padding = input.int_in_range(0..=2)?;
    let other = writer(isa);
    let own = expected.len();
    let mut rows = vec![1; own + padding * other.columns()];
    let frames = [Input::Pixels(view)];
    let image = batch::Image {
        frames: &frames,
        plan,
        padding,
    };
    batch::write(&other, &[image], &Nobody, &mut rows, threads, || Ok(())).expect("memory");
    assert!(
        rows[..own] == expected[..],
        "{isa:?} on {threads} threads: {layout:?} {reference:?} of {:?}",
        view.size()
    );
    assert!(rows[own..].iter().all(|level| *level == 0));
    Ok(())
}

/// Settings and sizes of any magnitude, most of which are refused: nothing panics, and a plan is within bounds.
pub fn plan_any(input: &mut Unstructured<'_>) -> Result<()> {
    let mut any = || -> Result<usize> {
        let bits = input.int_in_range(0..=63)?;
        Ok(input.arbitrary::<usize>()? >> bits)
    };
    let fit = match any()? % 9 {
        0 => Fit::Stretch((any()?, any()?)),
        1 => Fit::Shortest(any()?),
        2 => Fit::Pinpoints(vec![(any()?, any()?), (any()?, any()?)]),
        3 => Fit::Ratio {
            least: any()?,
            most: any()?,
        },
        4 => Fit::Shrink {
            patch: any()?,
            factor: any()?,
            patches: any()?,
            side: any()?,
        },
        5 => Fit::Tokens(TokenBudget {
            factor: any()?,
            frames: any()?,
            least: any()?,
            most: any()?,
        }),
        6 => Fit::Patches {
            patch: any()?,
            most: any()?,
        },
        7 => Fit::Halved {
            factor: any()?,
            pixels: (any()?.cast_signed() as i64, any()?.cast_signed() as i64),
        },
        _ => Fit::Area(Area {
            factor: any()?,
            pixels: (any()?.cast_signed() as i64, any()?.cast_signed() as i64),
            frames: any()?,
            small: [Small::Keep, Small::Enlarge, Small::EnlargeSides][any()? % 3],
        }),
    };
    let (tile, size) = ((any()?, any()?), (any()?, any()?));
    let layout = Layout {
        fit,
        tile: input.arbitrary::<bool>()?.then_some(tile),
        square: input.arbitrary()?,
        overview: *input.choose(&[Overview::None, Overview::First, Overview::Last])?,
    };
    if layout.check().is_err() {
        return Ok(());
    }
    for reference in Reference::ALL {
        let plan: Option<Plan> = layout.plan(size, reference).ok();
        for pass in plan.iter().flat_map(Plan::passes) {
            for span in [pass.height, pass.width] {
                assert!(
                    span.resized > 0 && span.resized <= 1 << 31,
                    "{span:?} of {layout:?}"
                );
                assert!(
                    span.before + span.source <= span.frame,
                    "{span:?} of {layout:?}"
                );
            }
        }
    }
    Ok(())
}

fn layout(tile: (usize, usize), input: &mut Unstructured<'_>) -> Result<Layout> {
    let mut some = |most| input.int_in_range(1..=most);
    let fit = match some(8)? {
        1 => Fit::Keep,
        2 => Fit::Stretch((some(60)?, some(60)?)),
        3 => Fit::Shortest(some(50)?),
        4 => Fit::Pinpoints(vec![
            (some(3)? * tile.0, some(3)? * tile.1),
            (some(3)? * tile.0, some(3)? * tile.1),
        ]),
        5 => {
            let most = some(7)?;
            let least = some(most)?;
            Fit::Ratio { least, most }
        }
        6 => Fit::Tokens(TokenBudget {
            factor: some(9)?,
            frames: some(2)?,
            least: some(9)?,
            most: 9 + some(90)?,
        }),
        7 => Fit::Patches {
            patch: some(9)?,
            most: some(90)?,
        },
        _ => Fit::Area(Area {
            factor: some(9)?,
            pixels: (some(900)? as i64, 900 + some(900)? as i64),
            frames: some(2)?,
            small: Small::Enlarge,
        }),
    };
    // Images that are padded to whole tokens have none of another size.
    let whole = matches!(fit, Fit::Tokens(_));
    Ok(Layout {
        tile: (!whole).then_some(tile),
        square: !whole && input.ratio(1, 4)?,
        overview: match whole {
            true => Overview::None,
            false => *input.choose(&[Overview::None, Overview::First, Overview::Last])?,
        },
        fit,
    })
}

/// The tiles of a pass as packed RGB, each with what of it comes out.
fn tiles(image: &PixelView<'_>, pass: Pass, reference: Reference) -> Vec<Vec<u8>> {
    let resized = |view: &PixelView<'_>, target: (usize, usize)| {
        let mut out = vec![0; target.0 * target.1 * 3];
        resize(view, target, reference, Isa::SCALAR, &mut out).expect("it fits");
        out
    };
    let colours = resized(image, image.size());
    let mut frame = MARGIN.repeat(pass.frame().0 * pass.frame().1);
    let before = (pass.height.before as isize, pass.width.before as isize);
    put(&colours, image.size(), &mut frame, pass.frame(), before);
    let view = PixelView::packed(&frame[..], pass.frame().0, pass.frame().1, 3).expect("it fits");
    let pixels = resized(&view, pass.resized());

    let length = |span: Span| span.tiles * span.tile;
    let canvas_size = (length(pass.height), length(pass.width));
    let mut canvas = vec![0; canvas_size.0 * canvas_size.1 * 3];
    let offset = (pass.height.offset, pass.width.offset);
    put(&pixels, pass.resized(), &mut canvas, canvas_size, offset);

    let corners = (0..pass.height.tiles)
        .flat_map(|y| (0..pass.width.tiles).map(move |x| (y, x)))
        .map(|(y, x)| (y * pass.height.tile, x * pass.width.tile));
    let cut = |(top, left): (usize, usize)| {
        let mut tile = vec![0; pass.tile().0 * pass.tile().1 * 3];
        let corner = (-(top as isize), -(left as isize));
        put(&canvas, canvas_size, &mut tile, pass.tile(), corner);
        tile
    };
    corners.map(cut).collect()
}

/// Puts one packed image on another, at `offset`; what lies outside is left out.
fn put(
    image: &[u8],
    (height, width): (usize, usize),
    onto: &mut [u8],
    (out_height, out_width): (usize, usize),
    offset: (isize, isize),
) {
    for y in 0..height {
        for x in 0..width {
            let place = (
                y.checked_add_signed(offset.0),
                x.checked_add_signed(offset.1),
            );
            let (Some(out_y), Some(out_x)) = place else {
                continue;
            };
            if out_y < out_height && out_x < out_width {
                let (from, to) = ((y * width + x) * 3, (out_y * out_width + out_x) * 3);
                onto[to..to + 3].copy_from_slice(&image[from..from + 3]);
            }
        }
    }
}

/// Is asked for no image.
struct Nobody;

#[derive(Debug)]
enum Never {}

impl Owner for Nobody {
    type Error = Never;

    fn open(&self, _: usize, _: usize) -> std::result::Result<Source<'_, Never>, Never> {
        unreachable!("all pixels are in memory")
    }
}
