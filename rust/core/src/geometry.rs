//! Sizes: how large an image becomes, and the grid of patches it is cut into.

mod area;
mod budget;
mod cut;
mod layout;
mod pass;
mod tiles;
mod tokens;
pub mod utilities;
pub mod video;

pub use area::{Area, Small};
pub use budget::TokenBudget;
pub use cut::{Cut, CutPlan};
pub use layout::{Fit, Layout, Overview, Plan};
pub use pass::{Pass, Span};
pub use tokens::Anyres;

use crate::error::{Error, Result};

/// Sides differ by at most this factor (`smart_resize` of the Qwen2-VL image processor).
const MAX_ASPECT_RATIO: f64 = 200.0;

/// Areas up to here are exact in the float64 arithmetic that the reference does.
const MAX_AREA: i64 = 1 << 53;

/// A grid of patches: `t` groups of frames, `h` by `w` patches each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Groups of `temporal_patch` frames.
    pub t: usize,
    /// Patches from top to bottom.
    pub h: usize,
    /// Patches from left to right.
    pub w: usize,
}

impl Grid {
    /// Patches in the grid, which is the number of rows they fill.
    pub fn patches(self) -> usize {
        self.t * self.h * self.w
    }
}

impl From<Grid> for (usize, usize, usize) {
    fn from(Grid { t, h, w }: Grid) -> Self {
        (t, h, w)
    }
}

/// How pixels are cut into rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchLayout {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Frames that a row holds.
    pub temporal_patch: usize,
    /// Side, in patches, of the blocks that the model merges into one token.
    pub merge: usize,
}

/// Whether a still image's patch is stored for every frame of a row, or once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporal {
    /// `3 * temporal_patch * patch * patch` columns.
    Full,
    /// `3 * patch * patch` columns, for still images only.
    Compact,
}

impl PatchLayout {
    /// Refuses a layout without extent.
    pub(crate) fn check(self) -> Result<()> {
        for (argument, value) in [
            ("patch_size", self.patch),
            ("temporal_patch_size", self.temporal_patch),
            ("merge_size", self.merge),
        ] {
            if !(1..=1024).contains(&value) {
                return Err(Error::out_of_range(argument, "1 and 1024", value));
            }
        }
        Ok(())
    }

    /// The grid of `frames` frames of `height` by `width` pixels; an incomplete last group of
    /// frames counts. Sides must be multiples of `patch * merge`.
    pub fn grid(self, frames: usize, height: usize, width: usize) -> Result<Grid> {
        let factor = self.patch * self.merge;
        for (argument, side) in [("height", height), ("width", width)] {
            if side == 0 || side % factor != 0 {
                let reason = format!(
                    "must be a positive multiple of patch_size * merge_size = {factor}, got {side}"
                );
                return Err(Error::invalid(argument, reason));
            }
        }
        Ok(Grid {
            t: frames.div_ceil(self.temporal_patch),
            h: height / self.patch,
            w: width / self.patch,
        })
    }
}

/// The size an image is resized to: `(height, width)`, both multiples of `factor`, of an area
/// within `min_pixels..=max_pixels` where rounding allows, of about the same aspect ratio.
///
/// Semantics: `smart_resize` of the Qwen2-VL image processor in transformers, operation by
/// operation in float64. Sides are rounded half to even first; only an area outside the budget
/// then scales both sides. The result is not checked against the budget again, so it may leave it.
pub fn smart_resize(
    height: i64,
    width: i64,
    factor: i64,
    min_pixels: i64,
    max_pixels: i64,
) -> Result<(i64, i64)> {
    fit_area(height, width, factor, 1, min_pixels, max_pixels)
}

/// The same for a still image that is repeated for `frames` frames, whose area counts as often.
fn fit_area(
    height: i64,
    width: i64,
    factor: i64,
    frames: i64,
    min_pixels: i64,
    max_pixels: i64,
) -> Result<(i64, i64)> {
    check_positive(&[("height", height), ("width", width), ("factor", factor)])?;
    check_pixels((min_pixels, max_pixels))?;
    let frames = Frames {
        count: frames,
        rounded: frames,
    };
    let fitted = fit(frames, (height, width), factor, (min_pixels, max_pixels))?;
    Ok(fitted.size)
}

/// Refuses arguments that are not positive, or too large for exact arithmetic.
fn check_positive(arguments: &[(&'static str, i64)]) -> Result<()> {
    for (argument, value) in arguments {
        if !(1..=MAX_AREA).contains(value) {
            return Err(Error::out_of_range(argument, "1 and 2**53", value));
        }
    }
    Ok(())
}

/// Refuses bounds of an area between which there is none.
fn check_pixels((least, most): (i64, i64)) -> Result<()> {
    check_positive(&[("min_pixels", least), ("max_pixels", most)])?;
    if least > most {
        let reason = format!("must be at most max_pixels={most}, got {least}");
        return Err(Error::invalid("min_pixels", reason));
    }
    Ok(())
}

/// How many frames share a budget.
#[derive(Debug, Clone, Copy)]
struct Frames {
    count: i64,
    /// The same in whole groups, which is what the budget is compared with.
    rounded: i64,
}

/// A size within a budget, and which of its ends made it differ from the nearest one.
struct Fitted {
    size: (i64, i64),
    bound: Option<End>,
}

/// An end of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Least,
    Most,
}

/// The size of frames whose volume is to lie within `pixels`; all arguments are positive.
fn fit(
    frames: Frames,
    (height, width): (i64, i64),
    factor: i64,
    (least, most): (i64, i64),
) -> Result<Fitted> {
    let volume = height
        .checked_mul(width)
        .and_then(|area| area.checked_mul(frames.count))
        .filter(|volume| *volume <= MAX_AREA)
        .ok_or_else(|| match frames.count {
            1 => {
                let reason = format!("must be at most 2**53, got {height} * {width}");
                Error::invalid("height * width", reason)
            }
            count => {
                let reason = format!("must be at most 2**53, got {count} * {height} * {width}");
                Error::invalid("frames * height * width", reason)
            }
        })? as f64;
    check_ratio(height, width)?;

    let (h, w, f) = (height as f64, width as f64, factor as f64);
    let rounded_h = (h / f).round_ties_even() * f;
    let rounded_w = (w / f).round_ties_even() * f;
    let rounded_volume = frames.rounded as f64 * rounded_h * rounded_w;
    // The order of the divisions and multiplications below decides the last bit, and with it,
    // now and then, the size.
    let ((resized_h, resized_w), bound) = if rounded_volume > most as f64 {
        let shrink = (volume / most as f64).sqrt();
        let side = |side: f64| f.max((side / shrink / f).floor() * f);
        ((side(h), side(w)), Some(End::Most))
    } else if rounded_volume < least as f64 {
        let grow = (least as f64 / volume).sqrt();
        let side = |side: f64| (side * grow / f).ceil() * f;
        ((side(h), side(w)), Some(End::Least))
    } else {
        ((rounded_h, rounded_w), None)
    };
    Ok(Fitted {
        size: (resized_h as i64, resized_w as i64),
        bound,
    })
}

/// Refuses sides that differ too much.
fn check_ratio(height: i64, width: i64) -> Result<()> {
    let ratio = height.max(width) as f64 / height.min(width) as f64;
    if ratio > MAX_ASPECT_RATIO {
        return Err(Error::invalid(
            "aspect ratio of height and width",
            format!("must be at most {MAX_ASPECT_RATIO}, got {ratio} from {height}x{width}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        let default = |h, w| smart_resize(h, w, 28, 3136, 1_003_520).unwrap();
        assert_eq!(default(480, 640), (476, 644));
        assert_eq!(default(1080, 1920), (728, 1316));
        assert_eq!(default(14, 28), (56, 84));
        assert_eq!(default(42, 70), (56, 56));
        assert_eq!(default(1, 200), (28, 812));
        assert_eq!(default(512, 512), (504, 504));
        assert_eq!(default(40, 400), (28, 392));
    }

    #[test]
    fn refusals_name_the_argument_and_the_value() {
        for (arguments, message) in [
            (
                (0, 5, 28, 1, 9),
                "height must be between 1 and 2**53, got 0",
            ),
            (
                (5, -1, 28, 1, 9),
                "width must be between 1 and 2**53, got -1",
            ),
            ((5, 5, 0, 1, 9), "factor must be between 1 and 2**53, got 0"),
            (
                (5, 5, 28, 9, 4),
                "min_pixels must be at most max_pixels=4, got 9",
            ),
            (
                (1, 201, 28, 1, 9),
                "aspect ratio of height and width must be at most 200, got 201 from 1x201",
            ),
            (
                (1 << 40, 1 << 40, 28, 1, 9),
                "height * width must be at most 2**53, got 1099511627776 * 1099511627776",
            ),
        ] {
            let (h, w, f, min, max) = arguments;
            assert_eq!(
                smart_resize(h, w, f, min, max).unwrap_err().to_string(),
                message
            );
        }
    }

    proptest! {
        #[test]
        fn sides_are_positive_multiples(
            h in 1i64..5000, w in 1i64..5000, f in 1i64..100, min in 1i64..2_000_000, more in 0i64..2_000_000,
        ) {
            prop_assume!(h.max(w) <= 200 * h.min(w));
            let (rh, rw) = smart_resize(h, w, f, min, min + more).unwrap();
            prop_assert!(rh > 0 && rw > 0 && rh % f == 0 && rw % f == 0);
        }
    }
}
