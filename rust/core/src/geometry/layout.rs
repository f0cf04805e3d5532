//! What of an image a model sees, and at which size: the plan of its passes.

use super::area::{self, Area};
use super::budget::{self, TokenBudget};
use super::pass::{Pass, Span};
use super::{check_pixels, tiles};
use crate::error::{Error, Result};
use crate::filter::Reference;

/// Pixels of a side of what is resized and of what it is resized to, at most. Tables grow with the first, and
/// the precision of a table is that of the whole length even where most of it is cropped.
const MAX_SIDE: usize = 1 << 20;
const MAX_RESIZED: usize = 1 << 24;

/// Side of the square that an image is padded to, at most: all of it is resized.
const MAX_SQUARE: usize = 1 << 15;

/// How large an image becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// It keeps its size.
    Keep,
    /// Multiples of a factor, of an area within bounds, of about the same aspect ratio.
    Area(Area),
    /// No larger than so many patches, and padded at its right and bottom to multiples of a factor
    /// (`navit_resize` of Kimi-K2.5 in transformers).
    Shrink {
        /// Side of a patch in pixels.
        patch: usize,
        /// What sides are padded to multiples of.
        factor: usize,
        /// Patches of an image, at most.
        patches: usize,
        /// Patches along a side, at most.
        side: usize,
    },
    /// Between so many tokens, and padded at its right and bottom to whole ones (GLM-5).
    Tokens(TokenBudget),
    /// The largest size of whole patches, of which there may be so many (SigLIP 2).
    Patches {
        /// Side of a patch in pixels.
        patch: usize,
        /// Patches of an image, at most.
        most: usize,
    },
    /// Half as large, after its sides were brought between the roots of two areas (GLM-Image).
    Halved {
        /// What both sides become multiples of.
        factor: usize,
        /// The least and the largest area in pixels.
        pixels: (i64, i64),
    },
    /// `(height, width)`, whatever the aspect ratio.
    Stretch((usize, usize)),
    /// The shorter side becomes so long, the other keeps the aspect ratio.
    Shortest(usize),
    /// As large as fits into the best of these canvases, `(height, width)`, and in the middle of it.
    Pinpoints(Vec<(usize, usize)>),
    /// The grid of tiles whose aspect ratio is nearest, of so many tiles.
    Ratio {
        /// Tiles at least.
        least: usize,
        /// Tiles at most.
        most: usize,
    },
}

/// Whether the whole image is shown once more, stretched to one tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overview {
    /// No.
    None,
    /// Before the tiles.
    First,
    /// After the tiles, if there are several.
    Last,
}

/// What of an image a model sees, and at which size.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// How large it becomes.
    pub fit: Fit,
    /// `(height, width)` of a tile: what the image is cropped to, or cut into; None if the image as it is
    /// resized is all one tile.
    pub tile: Option<(usize, usize)>,
    /// Whether it is padded to a square first.
    pub square: bool,
    /// Whether the whole of it is shown besides.
    pub overview: Overview,
}

impl Layout {
    /// Images that are resized as `fit` says and seen whole.
    pub fn whole(fit: Fit) -> Self {
        Self {
            fit,
            tile: None,
            square: false,
            overview: Overview::None,
        }
    }

    /// Refuses settings that do not go together.
    pub fn check(&self) -> Result<()> {
        let positive = |argument: &'static str, sides: &[usize]| match sides.iter().max() {
            Some(1..=MAX_SIDE) if !sides.contains(&0) => Ok(()),
            _ => {
                let (ends, sides) = (format_args!("1 and {MAX_SIDE}"), format_args!("{sides:?}"));
                Err(Error::out_of_range(argument, ends, sides))
            }
        };
        if let Some((height, width)) = self.tile {
            positive("tile", &[height, width])?;
        }
        match &self.fit {
            Fit::Keep => {}
            Fit::Area(area) => {
                positive("patch_size * merge_size", &[area.factor])?;
                positive("temporal_patch_size", &[area.frames])?;
                check_pixels(area.pixels)?;
            }
            Fit::Stretch((height, width)) => positive("size", &[*height, *width])?,
            Fit::Shortest(edge) => positive("size", &[*edge])?,
            Fit::Shrink {
                patch,
                factor,
                patches,
                side,
            } => positive("patches", &[*patch, *factor, *patches, *side])?,
            Fit::Tokens(budget) => budget.check()?,
            Fit::Patches { patch, most } => positive("max_num_patches", &[*patch, *most])?,
            Fit::Halved { factor, pixels } => {
                positive("patch_size * merge_size", &[*factor])?;
                check_pixels(*pixels)?;
            }
            Fit::Pinpoints(canvases) => {
                let tile = self.needed_tile()?;
                tiles::check_pinpoints(canvases, tile)?;
            }
            Fit::Ratio { least, most } => {
                self.needed_tile()?;
                tiles::check_bounds(*least, *most)?;
            }
        }
        if self.overview != Overview::None {
            self.needed_tile()?;
        }
        Ok(())
    }

    fn needed_tile(&self) -> Result<(usize, usize)> {
        let missing = || Error::invalid("tile", "must be given where images are cut into tiles");
        self.tile.ok_or_else(missing)
    }

    /// The passes of an image of `(height, width)`, in the order of what they write.
    ///
    /// `reference` decides where the odd pixel of a crop goes.
    pub fn plan(&self, size: (usize, usize), reference: Reference) -> Result<Plan> {
        let main = self.main(size, reference)?;
        let overview = match self.overview {
            Overview::Last if main.tiles() == 1 => None,
            Overview::None => None,
            Overview::First | Overview::Last => Some(Pass::resize(size, self.needed_tile()?)),
        };
        let passes = match (overview, self.overview) {
            (None, _) => [Some(main), None],
            (overview, Overview::First) => [overview, Some(main)],
            (overview, _) => [Some(main), overview],
        };
        Ok(Plan {
            passes,
            overview_first: self.overview == Overview::First,
            is_tiled: self.tile.is_some(),
        })
    }

    fn main(&self, size: (usize, usize), reference: Reference) -> Result<Pass> {
        let (height, width) = size;
        for (argument, side) in [("height", height), ("width", width)] {
            if side == 0 {
                return Err(Error::invalid(argument, "must be at least 1, got 0"));
            }
        }
        let mut pass = Pass::resize(size, size);
        if self.square {
            let side = height.max(width);
            if side > MAX_SQUARE {
                let reason = format!(
                    "must be at most {MAX_SQUARE} pixels a side to be padded to a square, got {height}x{width}"
                );
                return Err(Error::invalid("image", reason));
            }
            for span in [&mut pass.height, &mut pass.width] {
                span.before = (side - span.source) / 2;
                span.frame = side;
            }
        }
        let frame = pass.frame();
        let bounded = |argument, side: usize, most: usize| match side <= most {
            true => Ok(()),
            false => {
                let reason =
                    format!("must be at most {most} pixels, got {side} from {height}x{width}");
                Err(Error::invalid(argument, reason))
            }
        };
        if !matches!(self.fit, Fit::Keep | Fit::Area(_)) {
            bounded("height", frame.0, MAX_SIDE)?;
            bounded("width", frame.1, MAX_SIDE)?;
        }
        // Resized to the first, at the top left of the second.
        let padded_to = |resized: (usize, usize), canvas: (usize, usize)| Pass {
            height: resize(pass.height, resized.0).placed(0, canvas.0),
            width: resize(pass.width, resized.1).placed(0, canvas.1),
        };
        let resized = match &self.fit {
            Fit::Keep => frame,
            Fit::Area(area) => area.fit(frame)?,
            Fit::Stretch(target) => *target,
            Fit::Shortest(edge) => shortest(frame, *edge),
            Fit::Shrink {
                patch,
                factor,
                patches,
                side,
            } => {
                let resized = area::shrunk(frame, *patch, *patches, *side);
                let padded = |side: usize| side.next_multiple_of(*factor);
                return Ok(padded_to(resized, (padded(resized.0), padded(resized.1))));
            }
            Fit::Tokens(budget) => {
                let (resized, canvas) = budget.fit(frame);
                bounded("resized height", canvas.0, MAX_RESIZED)?;
                bounded("resized width", canvas.1, MAX_RESIZED)?;
                return Ok(padded_to(resized, canvas));
            }
            Fit::Patches { patch, most } => budget::most_patches(frame, *patch, *most),
            Fit::Halved { factor, pixels } => budget::halved(frame, *factor, *pixels)?,
            Fit::Pinpoints(canvases) => {
                let tile = self.needed_tile()?;
                let canvas = tiles::best_canvas(frame, canvases);
                let resized = tiles::inside(frame, canvas);
                let centred = |span, resized, canvas: usize, tile| {
                    let offset = (canvas - resized) / 2;
                    resize(span, resized).tiled(offset as isize, canvas / tile, tile)
                };
                return Ok(Pass {
                    height: centred(pass.height, resized.0, canvas.0, tile.0),
                    width: centred(pass.width, resized.1, canvas.1, tile.1),
                });
            }
            Fit::Ratio { least, most } => {
                let tile = self.needed_tile()?;
                let (rows, columns) = tiles::best_grid(frame, tile, *least, *most);
                return Ok(Pass {
                    height: resize(pass.height, rows * tile.0).tiled(0, rows, tile.0),
                    width: resize(pass.width, columns * tile.1).tiled(0, columns, tile.1),
                });
            }
        };
        if !matches!(self.fit, Fit::Area(_)) {
            bounded("resized height", resized.0, MAX_RESIZED)?;
            bounded("resized width", resized.1, MAX_RESIZED)?;
        }
        let tile = self.tile.unwrap_or(resized);
        let cropped = |span, resized, tile| {
            resize(span, resized).placed(crop_offset(resized, tile, reference), tile)
        };
        Ok(Pass {
            height: cropped(pass.height, resized.0, tile.0),
            width: cropped(pass.width, resized.1, tile.1),
        })
    }
}

/// The passes of one image: that of its tiles, and an overview before or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    passes: [Option<Pass>; 2],
    overview_first: bool,
    /// Whether tiles have a size of their own, rather than the image's.
    is_tiled: bool,
}

impl Plan {
    /// One pass.
    pub fn of(pass: Pass) -> Self {
        Self {
            passes: [Some(pass), None],
            overview_first: false,
            is_tiled: false,
        }
    }

    /// The pass of the tiles, or of all of the image.
    pub fn tiled(&self) -> Pass {
        self.passes[usize::from(self.overview_first)].expect("the overview does not stand alone")
    }

    /// The passes, in the order of what they write.
    pub fn passes(&self) -> impl Iterator<Item = Pass> + Clone {
        self.passes.into_iter().flatten()
    }

    /// Tiles of all passes.
    pub fn tiles(&self) -> usize {
        self.passes().map(Pass::tiles).sum()
    }

    /// `(height, width)` of what comes out of a tile.
    pub fn tile(&self) -> (usize, usize) {
        self.passes().next().map_or((0, 0), Pass::tile)
    }

    /// The same with tiles cut to multiples of `unit` pixels at their right and bottom, as a convolution of
    /// that stride leaves them; an image that is resized as a whole is not cut.
    pub fn trimmed(self, unit: usize) -> Self {
        if !self.is_tiled {
            return self;
        }
        Self {
            passes: self.passes.map(|pass| pass.map(|pass| pass.trimmed(unit))),
            ..self
        }
    }
}

fn resize(span: Span, resized: usize) -> Span {
    Span {
        resized,
        tile: resized,
        kept: resized,
        ..span
    }
}

/// Where `resized` pixels lie on a canvas of `tile` in its middle: negative if they are cropped.
///
/// Where they are padded, the odd pixel is after them in torchvision and before them in Pillow's backend
/// (`center_crop` of the two in transformers).
fn crop_offset(resized: usize, tile: usize, reference: Reference) -> isize {
    match tile.checked_sub(resized) {
        Some(missing) if reference == Reference::Torchvision => (missing / 2) as isize,
        Some(missing) => missing.div_ceil(2) as isize,
        None => -(((resized - tile) / 2) as isize),
    }
}

/// `get_resize_output_image_size` of transformers: the long side is rounded down.
fn shortest((height, width): (usize, usize), edge: usize) -> (usize, usize) {
    let long = |long: usize, short: usize| {
        let length = edge as u128 * long as u128 / short as u128;
        usize::try_from(length).unwrap_or(usize::MAX)
    };
    if width <= height {
        (long(height, width), edge)
    } else {
        (edge, long(width, height))
    }
}

#[cfg(test)]
mod tests {
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
}
