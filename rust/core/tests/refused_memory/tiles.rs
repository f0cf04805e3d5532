//! Images that are cut into tiles, as patches and as planes, with an overview and without.

use std::cell::RefCell;

use qvl_core::batch::{self, Image, Input};
use qvl_core::geometry::{Fit, Layout, Overview};
use qvl_core::{Isa, Normalization, PatchLayout, PixelView, Reference, RowWriter, Temporal};

use crate::cases::{TakeCopy, core, noise};
use crate::owner::Hands;
use crate::refusing::{check, without_memory};

const TILE: (usize, usize) = (40, 48);

fn tiled(fit: Fit, overview: Overview) -> Layout {
    Layout {
        fit,
        tile: Some(TILE),
        square: false,
        overview,
    }
}

fn canvases() -> Layout {
    let canvases = vec![(80, 96), (40, 192), (160, 48)];
    tiled(Fit::Pinpoints(canvases), Overview::First)
}

fn grids(most: usize) -> Layout {
    tiled(Fit::Ratio { least: 1, most }, Overview::Last)
}

/// Only where there may be very many tiles does a plan take memory.
pub(crate) fn layouts() {
    let plan = |layout: &Layout| layout.plan((300, 400), Reference::Torchvision);
    let many = grids(1024);
    check("Layout::plan", || plan(&many), |plan| plan);
    for few in [canvases(), grids(12), Layout::whole(Fit::Shortest(64))] {
        without_memory(|| few.check().and_then(|()| plan(&few))).expect("a valid layout");
    }
}

pub(crate) fn batches() {
    let squares = Layout {
        square: true,
        ..tiled(Fit::Stretch(TILE), Overview::None)
    };
    for layout in [canvases(), grids(6), squares] {
        layout.check().expect("a valid layout");
        check_layout(&layout);
    }
}

/// Images from each source.
fn check_layout(layout: &Layout) {
    let (reference, isa) = (Reference::Torchvision, Isa::best());
    let size = (300, 400);
    let pixels = noise(4 * size.0 * size.1);
    let view = PixelView::packed(&pixels[..], size.0, size.1, 4);
    let inputs = [
        Input::Owner { size },
        Input::Owner { size },
        Input::Owner { size },
        Input::Pixels(view.expect("whole pixels")),
    ];
    let normalization = Normalization {
        rescale_factor: Some(1.0 / 255.0),
        mean_std: None,
    };
    let patches = PatchLayout {
        patch: 8,
        temporal_patch: 1,
        merge: 1,
    };
    let writers = [
        RowWriter::<f32>::tiles(TILE, &normalization, reference, isa),
        RowWriter::new(patches, Temporal::Full, &normalization, reference, isa),
    ];
    let owner = Hands {
        pixels: &pixels,
        size,
    };
    for writer in writers {
        let writer = writer
            .expect("a valid configuration")
            .with_margin([9, 99, 200]);
        let plan = layout.plan(size, reference).expect("a valid layout");
        let plan = plan.cut(writer.cut()).expect("whole patches");
        let images: Vec<_> = inputs
            .chunks(1)
            .map(|frames| Image {
                frames,
                plan,
                padding: 1,
            })
            .collect();
        let rows = images.len() * (plan.grid().patches() + 1);
        let out = RefCell::new(vec![0.0; rows * writer.columns()]);
        for threads in [1, 3] {
            let write = || {
                let out = &mut out.borrow_mut();
                batch::write(&writer, &images, &owner, out, threads, || Ok(())).map_err(core)
            };
            check("batch::write of tiles", write, |()| out.take_copy());
        }
    }
}
