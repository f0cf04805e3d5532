//! Where each patch lies in its image, and in a square table of learned positions.

use super::Grids;
use crate::error::{Error, Result};
use crate::geometry::Grid;
use crate::memory::{self, Buffer};

/// `(h, w)` of each patch in its frame, in the order of the rows.
///
/// Semantics: `get_vision_position_ids` of transformers.
pub fn position_ids(grids: &Grids) -> Result<Buffer<[i64; 2]>> {
    let mut ids = Buffer::new(grids.patches(), "position_ids")?;
    for (grid, ids) in grids.split(&mut ids) {
        let lines = memory::collect(0..grid.h, "lines of a grid")?;
        let columns = memory::collect(0..grid.w, "columns of a grid")?;
        let ids_of = |h: usize, w: usize| [h as i64, w as i64];
        fill(ids, grid, grids.merge, &lines, &columns, ids_of)?;
    }
    Ok(ids)
}

/// Entries of a table of learned positions to read for each patch, and their weights.
#[derive(Debug)]
pub struct InterpolationTaps {
    /// Four entries of the flattened table.
    pub indices: Buffer<[i64; 4]>,
    /// Their bilinear weights.
    pub weights: Buffer<[f32; 4]>,
}

/// Where to read a `side` by `side` table of positions for each patch, stretched over its frame with
/// the corners aligned: the four nearest entries and their bilinear weights.
///
/// Semantics: `get_vision_interpolation_indices_and_weights` of transformers with
/// `mode="bilinear"` and `align_corners=True`, in its float32 order of operations.
pub fn interpolation_taps(grids: &Grids, side: i64) -> Result<InterpolationTaps> {
    if !(1..=1 << 16).contains(&side) {
        return Err(Error::out_of_range("side", "1 and 65536", side));
    }
    let mut indices = Buffer::new(grids.patches(), "interpolation taps")?;
    let mut weights = Buffer::new(grids.patches(), "interpolation weights")?;
    let parts = grids.split(&mut indices).zip(grids.split(&mut weights));
    for ((grid, indices), (_, weights)) in parts {
        let axis = |length: usize| {
            let taps = (0..length).map(|index| axis_taps(index, length, side));
            memory::collect(taps, "interpolation taps of an axis")
        };
        let (lines, columns) = (axis(grid.h)?, axis(grid.w)?);
        let entries = |line: AxisTaps, column: AxisTaps| {
            let [above, below] = line.indices.map(|index| index * side);
            let [left, right] = column.indices;
            [above + left, above + right, below + left, below + right]
        };
        fill(indices, grid, grids.merge, &lines, &columns, entries)?;
        let products = |line: AxisTaps, column: AxisTaps| {
            let ([above, below], [left, right]) = (line.weights, column.weights);
            [above * left, above * right, below * left, below * right]
        };
        fill(weights, grid, grids.merge, &lines, &columns, products)?;
    }
    Ok(InterpolationTaps { indices, weights })
}

/// The two entries of a table that a position lies between, and their weights.
#[derive(Clone, Copy)]
struct AxisTaps {
    indices: [i64; 2],
    weights: [f32; 2],
}

/// The taps of position `index` of `length` in a table of `side`.
fn axis_taps(index: usize, length: usize, side: i64) -> AxisTaps {
    let last = side - 1;
    let position = index as f32 * last as f32 / (length - 1).max(1) as f32;
    let floor = position.floor();
    let tap = |offset: i64| (floor as i64 + offset).clamp(0, last);
    let weight = |offset: f32| (1.0 - (position - floor - offset).abs()).max(0.0);
    AxisTaps {
        indices: [tap(0), tap(1)],
        weights: [weight(0.0), weight(1.0)],
    }
}

/// Writes `value` of line and column to the patches of one item, in the order of the rows, for every
/// group of frames.
fn fill<T: Copy, L: Copy, C: Copy>(
    out: &mut [T],
    grid: Grid,
    merge: usize,
    lines: &[L],
    columns: &[C],
    value: impl Fn(L, C) -> T,
) -> Result<()> {
    // One line of merge blocks: the line within the block, and the column. The others are the same
    // further down.
    let mut block_line = memory::with_capacity(merge * grid.w, "a line of merge blocks")?;
    for block in columns.chunks_exact(merge) {
        for line in 0..merge {
            block_line.extend(block.iter().map(|column| (line, *column)));
        }
    }
    let (first, others) = out.split_at_mut(grid.h * grid.w);
    for (out, lines) in first
        .chunks_exact_mut(block_line.len())
        .zip(lines.chunks_exact(merge))
    {
        for (out, (line, column)) in out.iter_mut().zip(&block_line) {
            *out = value(lines[*line], *column);
        }
    }
    for later in others.chunks_exact_mut(first.len()) {
        later.copy_from_slice(first);
    }
    Ok(())
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
        assert_eq!(position_ids(&grids).unwrap()[..], [frame, frame].concat());
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
        for weights in interpolation_taps(&grids, 48).unwrap().weights.iter() {
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}
