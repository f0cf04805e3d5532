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

    /// The pass over an image, padded where it has to be, that leaves it as large as it is.
    fn framed(&self, size: (usize, usize)) -> Result<Pass> {
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
        if !matches!(self.fit, Fit::Keep | Fit::Area(_)) {
            check_sides(["height", "width"], pass.frame(), MAX_SIDE, size)?;
        }
        Ok(pass)
    }

    /// The pass that is not the overview.
    fn main(&self, size: (usize, usize), reference: Reference) -> Result<Pass> {
        let pass = self.framed(size)?;
        let frame = pass.frame();
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
                let canvas = (padded(resized.0), padded(resized.1));
                return Ok(padded_to(canvas, pass, resized));
            }
            Fit::Tokens(budget) => {
                let (resized, canvas) = budget.fit(frame);
                check_resized(canvas, size)?;
                return Ok(padded_to(canvas, pass, resized));
            }
            Fit::Patches { patch, most } => budget::most_patches(frame, *patch, *most),
            Fit::Halved { factor, pixels } => budget::halved(frame, *factor, *pixels)?,
            Fit::Pinpoints(canvases) => {
                let canvas = tiles::best_canvas(frame, canvases);
                return Ok(in_the_middle(canvas, pass, self.needed_tile()?));
            }
            Fit::Ratio { least, most } => {
                let tile = self.needed_tile()?;
                let grid = tiles::best_grid(frame, tile, *least, *most)?;
                return Ok(stretched_to(grid, pass, tile));
            }
        };
        if !matches!(self.fit, Fit::Area(_)) {
            check_resized(resized, size)?;
        }
        let tile = self.tile.unwrap_or(resized);
        Ok(cropped_to(tile, pass, resized, reference))
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
    pub(super) fn trimmed(self, unit: usize) -> Self {
        if !self.is_tiled {
            return self;
        }
        Self {
            passes: self.passes.map(|pass| pass.map(|pass| pass.trimmed(unit))),
            ..self
        }
    }
}

/// Refuses what an image of `(height, width)` is resized to, if that is too large.
fn check_resized(resized: (usize, usize), image: (usize, usize)) -> Result<()> {
    let arguments = ["resized height", "resized width"];
    check_sides(arguments, resized, MAX_RESIZED, image)
}

fn check_sides(
    arguments: [&'static str; 2],
    sides: (usize, usize),
    most: usize,
    (height, width): (usize, usize),
) -> Result<()> {
    for (argument, side) in arguments.into_iter().zip([sides.0, sides.1]) {
        if side > most {
            let reason = format!("must be at most {most} pixels, got {side} from {height}x{width}");
            return Err(Error::invalid(argument, reason));
        }
    }
    Ok(())
}

/// `resized`, at the top left of a canvas of one tile.
fn padded_to(canvas: (usize, usize), pass: Pass, resized: (usize, usize)) -> Pass {
    Pass {
        height: resize(pass.height, resized.0).placed(0, canvas.0),
        width: resize(pass.width, resized.1).placed(0, canvas.1),
    }
}

/// As large as fits into a canvas of whole tiles, and in its middle.
fn in_the_middle(canvas: (usize, usize), pass: Pass, tile: (usize, usize)) -> Pass {
    let resized = tiles::inside(pass.frame(), canvas);
    let centred = |span, resized, canvas: usize, tile| {
        let offset = (canvas - resized) / 2;
        resize(span, resized).tiled(offset as isize, canvas / tile, tile)
    };
    Pass {
        height: centred(pass.height, resized.0, canvas.0, tile.0),
        width: centred(pass.width, resized.1, canvas.1, tile.1),
    }
}

/// As large as all tiles of a grid of so many from top to bottom and from left to right.
fn stretched_to((rows, columns): (usize, usize), pass: Pass, tile: (usize, usize)) -> Pass {
    Pass {
        height: resize(pass.height, rows * tile.0).tiled(0, rows, tile.0),
        width: resize(pass.width, columns * tile.1).tiled(0, columns, tile.1),
    }
}

/// The middle of `resized` that a tile holds.
fn cropped_to(
    tile: (usize, usize),
    pass: Pass,
    resized: (usize, usize),
    reference: Reference,
) -> Pass {
    let cropped = |span, resized, tile| {
        resize(span, resized).placed(crop_offset(resized, tile, reference), tile)
    };
    Pass {
        height: cropped(pass.height, resized.0, tile.0),
        width: cropped(pass.width, resized.1, tile.1),
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
mod tests;
