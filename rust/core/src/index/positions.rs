//! Where each patch lies in its image, and in a square table of learned positions.

use super::Grids;
use crate::error::{Error, Result};
use crate::geometry::Grid;
use crate::memory;

/// `(h, w)` of each patch in its frame, in the order of the rows.
///
/// Semantics: `get_vision_position_ids` of transformers.
pub fn position_ids(grids: &Grids) -> Result<Vec<[i64; 2]>> {
    let mut ids = memory::with_capacity(grids.patches(), "position_ids")?;
    for grid in grids.iter() {
        for_frames(&mut ids, grid, |ids| {
            in_row_order(grid, grids.merge, |h, w| ids.push([h as i64, w as i64]));
        });
    }
    Ok(ids)
}

/// Entries of a table of learned positions to read for each patch, and their weights.
#[derive(Debug, PartialEq)]
pub struct InterpolationTaps {
    /// Four entries of the flattened table.
    pub indices: Vec<[i64; 4]>,
    /// Their bilinear weights.
    pub weights: Vec<[f32; 4]>,
}

/// Where to read a `side` by `side` table of positions for each patch, stretched over its frame with
/// the corners aligned: the four nearest entries and their bilinear weights.
///
/// Semantics: `get_vision_interpolation_indices_and_weights` of transformers with
/// `mode="bilinear"` and `align_corners=True`, in its float32 order of operations.
pub fn interpolation_taps(grids: &Grids, side: i64) -> Result<InterpolationTaps> {
    if !(1..=1 << 16).contains(&side) {
        let reason = format!("must be between 1 and 65536, got {side}");
        return Err(Error::invalid("side", reason));
    }
    let mut indices = memory::with_capacity(grids.patches(), "interpolation taps")?;
    let mut weights = memory::with_capacity(grids.patches(), "interpolation weights")?;
    for grid in grids.iter() {
        let lines: Vec<_> = (0..grid.h).map(|h| axis_taps(h, grid.h, side)).collect();
        let columns: Vec<_> = (0..grid.w).map(|w| axis_taps(w, grid.w, side)).collect();
        for_frames(&mut indices, grid, |indices| {
            in_row_order(grid, grids.merge, |h, w| {
                let ([above, below], [left, right]) = (lines[h].0, columns[w].0);
                indices.push([
                    above * side + left,
                    above * side + right,
                    below * side + left,
                    below * side + right,
                ]);
            });
        });
        for_frames(&mut weights, grid, |weights| {
            in_row_order(grid, grids.merge, |h, w| {
                let ([above, below], [left, right]) = (lines[h].1, columns[w].1);
                weights.push([above * left, above * right, below * left, below * right]);
            });
        });
    }
    Ok(InterpolationTaps { indices, weights })
}

/// The two entries of a table of `side` that position `index` of `length` lies between, and their
/// weights.
fn axis_taps(index: usize, length: usize, side: i64) -> ([i64; 2], [f32; 2]) {
    let last = side - 1;
    let position = index as f32 * last as f32 / (length - 1).max(1) as f32;
    let floor = position.floor();
    let tap = |offset: i64| (floor as i64 + offset).clamp(0, last);
    let weight = |offset: f32| (1.0 - (position - floor - offset).abs()).max(0.0);
    ([tap(0), tap(1)], [weight(0.0), weight(1.0)])
}

/// Appends what `first` appends for one frame, once for every group of frames.
fn for_frames<T: Copy>(out: &mut Vec<T>, grid: Grid, first: impl FnOnce(&mut Vec<T>)) {
    let start = out.len();
    first(out);
    let end = out.len();
    for _ in 1..grid.t {
        out.extend_from_within(start..end);
    }
}

/// Calls `visit` with `(h, w)` of each patch of a frame, in the order of the rows.
fn in_row_order(grid: Grid, merge: usize, mut visit: impl FnMut(usize, usize)) {
    for top in (0..grid.h).step_by(merge) {
        for left in (0..grid.w).step_by(merge) {
            for h in top..top + merge {
                for w in left..left + merge {
                    visit(h, w);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_of_a_merge_block_are_adjacent() {
        let grids = Grids::new("grid_thw", &[[2, 2, 4]], 2).unwrap();
        let frame = [
            [0, 0],
            [0, 1],
            [1, 0],
            [1, 1],
            [0, 2],
            [0, 3],
            [1, 2],
            [1, 3],
        ];
        assert_eq!(position_ids(&grids).unwrap(), [frame, frame].concat());
    }

    #[test]
    fn corners_read_the_corners_of_the_table() {
        let grids = Grids::new("grid_thw", &[[1, 2, 4], [1, 1, 1]], 1).unwrap();
        let InterpolationTaps { indices, weights } = interpolation_taps(&grids, 48).unwrap();
        assert_eq!((indices[0][0], weights[0]), (0, [1.0, 0.0, 0.0, 0.0]));
        assert_eq!((indices[7], weights[7][0]), ([48 * 48 - 1; 4], 1.0));
        assert_eq!((indices[8][0], weights[8][0]), (0, 1.0));
    }

    #[test]
    fn weights_of_a_patch_sum_to_one() {
        let grids = Grids::new("grid_thw", &[[1, 52, 94]], 2).unwrap();
        for weights in interpolation_taps(&grids, 48).unwrap().weights {
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}
