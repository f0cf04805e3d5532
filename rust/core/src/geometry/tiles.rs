//! Which canvas of tiles an image is fitted to.

use crate::error::{Error, Result};
use crate::memory;

/// Tiles of an image, at most; a bound for settings, far above those of released models.
const MOST_TILES: usize = 1024;

/// Refuses canvases that are no whole tiles: the reference would enlarge and crop ragged ones.
pub(super) fn check_pinpoints(canvases: &[(usize, usize)], tile: (usize, usize)) -> Result<()> {
    if canvases.is_empty() {
        return Err(Error::invalid("pinpoints", "must not be empty"));
    }
    for (height, width) in canvases {
        let whole = |side: usize, tile: usize| side > 0 && side.is_multiple_of(tile);
        let tiles = (height / tile.0).saturating_mul(width / tile.1);
        if !whole(*height, tile.0) || !whole(*width, tile.1) || tiles > MOST_TILES {
            let reason = format!(
                "must hold multiples of the tile {tile:?} of at most {MOST_TILES} tiles, got ({height}, {width})"
            );
            return Err(Error::invalid("pinpoints", reason));
        }
    }
    Ok(())
}

/// Refuses numbers of tiles that no grid has.
pub(super) fn check_bounds(least: usize, most: usize) -> Result<()> {
    if !(1..=MOST_TILES).contains(&most) {
        let ends = format_args!("1 and {MOST_TILES}");
        return Err(Error::out_of_range("max_patches", ends, most));
    }
    if least > most {
        let reason = format!("must be at most max_patches={most}, got {least}");
        return Err(Error::invalid("min_patches", reason));
    }
    Ok(())
}

/// The canvas on which an image of `(height, width)` keeps most of its pixels and wastes least; the first
/// of those that are equal.
///
/// Semantics: `select_best_resolution` of transformers, in float64, truncation included.
pub(super) fn best_canvas(
    (height, width): (usize, usize),
    canvases: &[(usize, usize)],
) -> (usize, usize) {
    let (h, w) = (height as f64, width as f64);
    let mut best = (canvases[0], -1, i64::MAX);
    for (canvas_height, canvas_width) in canvases {
        let scale = (*canvas_width as f64 / w).min(*canvas_height as f64 / h);
        let fitted = ((w * scale) as i64).saturating_mul((h * scale) as i64);
        let effective = fitted.min((height as i64).saturating_mul(width as i64));
        let wasted = (canvas_height * canvas_width) as i64 - effective;
        let (_, most, least) = best;
        if effective > most || (effective == most && wasted < least) {
            best = ((*canvas_height, *canvas_width), effective, wasted);
        }
    }
    best.0
}

/// The size of an image of `(height, width)` that has been fitted into `canvas`.
///
/// Semantics: `get_patch_output_size` of transformers, which rounds up what [`best_canvas`] rounds down.
pub(super) fn inside((height, width): (usize, usize), canvas: (usize, usize)) -> (usize, usize) {
    let (h, w) = (height as f64, width as f64);
    let (scale_h, scale_w) = (canvas.0 as f64 / h, canvas.1 as f64 / w);
    if scale_w < scale_h {
        (((h * scale_w).ceil() as usize).min(canvas.0), canvas.1)
    } else {
        (canvas.0, ((w * scale_h).ceil() as usize).min(canvas.1))
    }
}

/// Rows and columns of the grid of tiles whose aspect ratio is nearest to that of `(height, width)`. Of two
/// that are equally near, the larger is taken if the image has more than half its pixels.
///
/// Semantics: `get_optimal_tiled_canvas` of GotOcr2ImageProcessor in transformers. Ratios are compared by
/// their difference, so that tall grids are favoured.
pub(super) fn best_grid(
    (height, width): (usize, usize),
    tile: (usize, usize),
    least: usize,
    most: usize,
) -> Result<(usize, usize)> {
    let count = (1..=most).map(|columns| most / columns).sum();
    let mut grids = memory::with_capacity(count, "grids of tiles")?;
    let columns = 1..=most;
    grids.extend(
        columns
            .flat_map(|columns| (1..=most / columns).map(move |rows| (rows, columns)))
            .filter(|(rows, columns)| rows * columns >= least),
    );
    grids.sort_unstable_by_key(|(rows, columns)| (rows * columns, *columns));
    let ratio = width as f64 / height as f64;
    let area = height as f64 * width as f64;
    let (mut best, mut distance) = ((1, 1), f64::INFINITY);
    for (rows, columns) in grids {
        let there = (ratio - columns as f64 / rows as f64).abs();
        let half = 0.5 * (tile.0 * tile.1) as f64 * (rows * columns) as f64;
        if there < distance || (there == distance && area > half) {
            (best, distance) = ((rows, columns), there);
        }
    }
    Ok(best)
}
