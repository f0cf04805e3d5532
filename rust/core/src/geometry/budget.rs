//! Sizes that fit a budget of tokens or of patches.

use crate::error::{Error, Result};

use super::MAX_AREA;

/// How an image fits a budget of tokens: scaled as a whole, then padded at its right and bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBudget {
    /// Side of a token in pixels, which sides are padded to multiples of.
    pub factor: usize,
    /// Frames that a still image is repeated for.
    pub frames: usize,
    /// Tokens at least; smaller images grow.
    pub least: usize,
    /// Tokens at most.
    pub most: usize,
}

impl TokenBudget {
    pub(super) fn check(self) -> Result<()> {
        let Self {
            factor,
            frames,
            least,
            most,
        } = self;
        let bounded = |argument: &'static str, value: usize| match value {
            1..=0x10_0000 => Ok(()),
            _ => Err(Error::out_of_range(argument, "1 and 2**20", value)),
        };
        bounded("temporal_patch_size", frames)?;
        bounded("patch_size * merge_size", factor)?;
        bounded("min_image_tokens", least)?;
        bounded("max_image_tokens", most)?;
        if least > most {
            let reason = format!("must be at most max_image_tokens={most}, got {least}");
            return Err(Error::invalid("min_image_tokens", reason));
        }
        if (frames as u128) * (factor as u128).pow(2) * (most as u128) > MAX_AREA as u128 {
            let reason =
                format!("must be of at most 2**53 pixels of side {factor} in all, got {most}");
            return Err(Error::invalid("max_image_tokens", reason));
        }
        Ok(())
    }

    /// What an image of `(height, width)` is resized to, and what that is padded to.
    ///
    /// Semantics: `smart_resize` and `resize` of the image processor of GLM-5 in transformers, in float64.
    pub(super) fn fit(self, (height, width): (usize, usize)) -> ((usize, usize), (usize, usize)) {
        let Self { factor, frames, .. } = self;
        let tokens = |tokens: usize| frames * factor * factor * tokens;
        let area =
            |(height, width): (usize, usize)| frames.saturating_mul(height).saturating_mul(width);
        let align = |side: usize| side.next_multiple_of(factor);
        let (h, w) = (height as f64, width as f64);

        let mut canvas = (align(height), align(width));
        if area(canvas) < tokens(self.least) {
            let scale = (tokens(self.least) as f64 / area((height, width)) as f64).sqrt();
            let grown = |side: f64| align(((side * scale).ceil() as usize).max(1));
            canvas = (grown(h), grown(w));
        }
        if area(canvas) > tokens(self.most) {
            canvas = self.largest((height, width));
        }

        let mut scale = (canvas.0 as f64 / h).min(canvas.1 as f64 / w);
        if area((height, width)) >= tokens(self.least) {
            scale = scale.min(1.0);
        }
        let scaled = |side: f64, most| ((side * scale).floor() as usize).clamp(1, most);
        ((scaled(h, canvas.0), scaled(w, canvas.1)), canvas)
    }

    /// The largest canvas within the budget that has about the image's aspect ratio, by bisection of the
    /// height that it shows; one token if there is none.
    fn largest(self, (height, width): (usize, usize)) -> (usize, usize) {
        let align = |side: usize| side.next_multiple_of(self.factor);
        let mut best = (self.factor, self.factor);
        let (mut low, mut high) = (1, height);
        while low <= high {
            let middle = (low + high) / 2;
            let canvas = (align(middle), align((width * middle / height).max(1)));
            if canvas.0 * canvas.1 <= self.most * self.factor * self.factor {
                best = canvas;
                low = middle + 1;
            } else {
                high = middle - 1;
            }
        }
        best
    }
}

/// The largest size of whole patches, at most `most` of them and at least one, of an image of `(height,
/// width)`; sides are rounded up by themselves. No side becomes more than a hundred times as long.
///
/// Semantics: `get_image_size_for_max_num_patches` of SigLIP 2 in transformers, a bisection in float64.
pub(super) fn most_patches(
    (height, width): (usize, usize),
    patch: usize,
    most: usize,
) -> (usize, usize) {
    const PRECISION: f64 = 1e-5;
    let scaled = |scale: f64| {
        let side = |side: usize| {
            let patches = (side as f64 * scale / patch as f64).ceil() as usize;
            patches.max(1) * patch
        };
        (side(height), side(width))
    };
    let (mut low, mut high) = (PRECISION / 10.0, 100.0);
    while high - low >= PRECISION {
        let middle = (low + high) / 2.0;
        let (h, w) = scaled(middle);
        if (h / patch).saturating_mul(w / patch) <= most {
            low = middle;
        } else {
            high = middle;
        }
    }
    scaled(low)
}

/// The size of half of an image of `(height, width)`, in multiples of `factor`, whose shorter side was
/// enlarged to the root of the least area and whose longer was reduced to that of the largest.
///
/// Semantics: `smart_resize` of the image processor of GLM-Image in transformers, in float64.
pub(super) fn halved(
    (height, width): (usize, usize),
    factor: usize,
    (least, most): (i64, i64),
) -> Result<(usize, usize)> {
    let (short, long) = (height.min(width), height.max(width));
    if short < factor {
        let reason = format!("must be at least {factor} pixels a side, got {height}x{width}");
        return Err(Error::invalid("image", reason));
    }
    if long > 4 * short {
        let reason = format!("must have an aspect ratio of at most 4, got {height}x{width}");
        return Err(Error::invalid("image", reason));
    }
    let edge = |area: i64| (area as f64).sqrt().round_ties_even();
    let (shortest, longest) = (edge(least), edge(most));
    let (short, long, f) = (short as f64, long as f64, factor as f64);
    let mut scale = 1.0;
    if short < shortest {
        scale = shortest / short;
    }
    if long * scale > longest {
        scale = longest / long;
    }
    let rounded = |side: usize| ((side / 2) as f64 * scale / f).round_ties_even().max(1.0) * f;
    let (mut h, mut w) = (rounded(height), rounded(width));
    if h.max(w) > longest {
        let excess = h.max(w) / longest;
        let reduced = |side: f64| ((side / excess) / f).floor().max(1.0) * f;
        (h, w) = (reduced(h), reduced(w));
    }
    Ok((h as usize, w as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLM: TokenBudget = TokenBudget {
        factor: 28,
        frames: 2,
        least: 16,
        most: 8000,
    };

    #[test]
    fn only_images_below_the_budget_grow() {
        assert_eq!(GLM.fit((480, 640)), ((480, 640), (504, 644)));
        assert_eq!(GLM.fit((28, 28)), ((112, 112), (112, 112)));
        let ((height, width), canvas) = GLM.fit((4000, 6000));
        assert!(height <= canvas.0 && width <= canvas.1);
        assert!(canvas.0 / 28 * (canvas.1 / 28) <= 8000);
    }

    #[test]
    fn patches_fill_the_budget() {
        assert_eq!(most_patches((480, 640), 16, 256), (224, 288));
        assert_eq!(most_patches((1, 1), 16, 256), (112, 112));
        assert_eq!(most_patches((1, 100_000), 16, 256), (16, 4096));
    }

    #[test]
    fn what_cannot_be_halved_is_refused() {
        let message = |size| halved(size, 28, (3136, 1_003_520)).unwrap_err().to_string();
        assert_eq!(
            message((27, 40)),
            "image must be at least 28 pixels a side, got 27x40"
        );
        assert_eq!(
            message((401, 100)),
            "image must have an aspect ratio of at most 4, got 401x100"
        );
    }
}
