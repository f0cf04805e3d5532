//! Tokens of an image whose tiles are put together again and whose padding is cut off.

/// How features of tiles become tokens in LLaVA-NeXT and LLaVA-OneVision: put together, cut to the image's
/// aspect ratio, and each row of them followed by a newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anyres {
    /// Features along a side of a tile.
    pub side: usize,
    /// Tiles whose features may be kept; beyond, they are scaled down. None for any number.
    pub most_tiles: Option<usize>,
}

impl Anyres {
    /// Rows and columns of features that are left of `tiles`, rows and columns of tiles, for an image of
    /// `(height, width)`.
    ///
    /// Semantics: `_get_unpadded_features` of the two processors in transformers. As much is cut off before
    /// as after, so that an odd surplus leaves one padded line.
    pub fn kept(self, tiles: (usize, usize), (height, width): (usize, usize)) -> (usize, usize) {
        let (mut rows, mut columns) = (self.side * tiles.0, self.side * tiles.1);
        let (h, w) = (height as f64, width as f64);
        if w / h > columns as f64 / rows as f64 {
            let shown = seven_digits(h * (columns as f64 / w));
            rows -= (rows - shown.min(rows)) / 2 * 2;
        } else {
            let shown = seven_digits(w * (rows as f64 / h));
            columns -= (columns - shown.min(columns)) / 2 * 2;
        }
        if let Some(most) = self.most_tiles {
            let (r, c) = (rows as f64, columns as f64);
            let ratio = (r * c / (most * self.side * self.side) as f64).sqrt();
            if ratio > 1.1 {
                // Python's floor division of floats is not the floor of the quotient.
                (rows, columns) = (floor_divided(r, ratio), floor_divided(c, ratio));
            }
        }
        (rows, columns)
    }

    /// Tokens of an image: those of the overview, and of each row of what is left one more.
    pub fn tokens(self, tiles: (usize, usize), size: (usize, usize)) -> usize {
        let (rows, columns) = self.kept(tiles, size);
        self.side * self.side + rows * (columns + 1)
    }
}

/// `int(round(value, 7))`.
fn seven_digits(value: f64) -> usize {
    // Only a value that close to the next integer is rounded up to it.
    let nearest = value.round();
    if (nearest - value).abs() <= 0.5e-7 {
        nearest as usize
    } else {
        value as usize
    }
}

/// `int(a // b)`.
fn floor_divided(a: f64, b: f64) -> usize {
    ((a - a % b) / b).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let next = Anyres {
            side: 24,
            most_tiles: None,
        };
        assert_eq!(next.kept((2, 2), (480, 640)), (36, 48));
        assert_eq!(next.tokens((2, 2), (480, 640)), 2340);
        assert_eq!(next.tokens((1, 2), (1, 2000)), 576);
        assert_eq!(next.tokens((1, 2), (2000, 1)), 600);
        assert_eq!(next.tokens((1, 3), (333, 1000)), 2328);
        let onevision = Anyres {
            side: 27,
            most_tiles: Some(9),
        };
        assert_eq!(onevision.kept((3, 5), (1080, 1920)), (60, 108));
        assert_eq!(onevision.tokens((6, 6), (2304, 2304)), 7371);
        assert_eq!(onevision.tokens((1, 6), (300, 3000)), 3500);
    }
}
