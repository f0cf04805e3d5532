//! Sizes that fit a budget of pixels or of patches.

use super::fit_area;
use crate::error::{Error, Result};

/// Sizes that are multiples of a factor, of an area within bounds and of about the same aspect ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// What both sides become multiples of.
    pub factor: usize,
    /// The least and the largest area in pixels.
    pub pixels: (i64, i64),
    /// Frames that the area counts: those that a still image is repeated for.
    pub frames: usize,
    /// What becomes of an image with a side below the factor before that.
    pub small: Small,
}

/// What becomes of an image with a side below the factor before its size is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Small {
    /// Nothing.
    Keep,
    /// Both sides are enlarged alike and rounded down (`smart_resize` of GLM-4V in transformers).
    Enlarge,
    /// One side after the other becomes the factor, and the other is rounded half to even
    /// (`smart_resize` of PaddleOCR-VL in transformers).
    EnlargeSides,
}

impl Area {
    /// The size of an image of `(height, width)`.
    pub(super) fn fit(self, size: (usize, usize)) -> Result<(usize, usize)> {
        let (height, width) = self.enlarged(size);
        let (least, most) = self.pixels;
        let (frames, factor) = (self.frames as i64, self.factor as i64);
        let (height, width) = fit_area(height, width, factor, frames, least, most)?;
        let side = |argument, side: i64| {
            let reason = || format!("must be at least 0, got {side}");
            usize::try_from(side).map_err(|_| Error::invalid(argument, reason()))
        };
        Ok((side("height", height)?, side("width", width)?))
    }

    fn enlarged(self, (height, width): (usize, usize)) -> (i64, i64) {
        let (mut h, mut w, f) = (height as f64, width as f64, self.factor as f64);
        match self.small {
            Small::Enlarge if h < f || w < f => {
                let scale = (f / h).max(f / w);
                (h, w) = ((h * scale).floor(), (w * scale).floor());
            }
            Small::EnlargeSides => {
                if h < f {
                    (h, w) = (f, (w * f / h).round_ties_even());
                }
                if w < f {
                    (h, w) = ((h * f / w).round_ties_even(), f);
                }
            }
            _ => {}
        }
        (h as i64, w as i64)
    }
}

/// The size of an image of `(height, width)` of which there may be so many patches in all, and along a side.
/// It never grows.
///
/// Semantics: `navit_resize` of Kimi-K2.5 in transformers, in float64.
pub(super) fn shrunk(
    (height, width): (usize, usize),
    patch: usize,
    patches: usize,
    side: usize,
) -> (usize, usize) {
    let (h, w) = (height as f64, width as f64);
    let longest = side.saturating_mul(patch);
    let count = (height / patch).max(1) as f64 * (width / patch).max(1) as f64;
    let scale = 1f64
        .min((patches as f64 / count).sqrt())
        .min(longest as f64 / h)
        .min(longest as f64 / w);
    let shrunk = |length: f64| ((length * scale) as usize).max(1).min(longest);
    (shrunk(h), shrunk(w))
}
