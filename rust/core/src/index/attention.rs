//! Boundaries of attention segments, and the order that makes windows contiguous.

use std::collections::BTreeMap;

use super::Grids;
use crate::error::{Error, Result};
use crate::memory::{self, Buffer};

/// Boundaries between attention segments, of which each group of frames is one.
///
/// Semantics: `get_vision_cu_seqlens` of transformers.
pub fn cu_seqlens(grids: &Grids) -> Result<Vec<i32>> {
    let segments: usize = grids.iter().map(|grid| grid.t).sum();
    let mut boundaries = memory::with_capacity(segments + 1, "cu_seqlens")?;
    let mut end = 0;
    boundaries.push(end);
    for grid in grids.iter() {
        for _ in 0..grid.t {
            end += (grid.h * grid.w) as i32;
            boundaries.push(end);
        }
    }
    Ok(boundaries)
}

/// The lengths of the segments between `boundaries`, which never decrease, and how many segments have each,
/// the shortest first.
pub fn segment_lengths(boundaries: &[i32]) -> Vec<(i32, usize)> {
    // Nearly all segments have one of a few lengths, and neighbours the same.
    let mut counts = BTreeMap::new();
    let (mut length, mut count) = (0, 0);
    for ends in boundaries.windows(2) {
        let next = ends[1].saturating_sub(ends[0]);
        if next != length && count > 0 {
            *counts.entry(length).or_insert(0) += count;
            count = 0;
        }
        (length, count) = (next, count + 1);
    }
    if count > 0 {
        *counts.entry(length).or_insert(0) += count;
    }
    counts.into_iter().collect()
}

/// The order of tokens (merged patches) in which windows are contiguous, and the boundaries of the
/// windows in patches. `window` is the side of a window in tokens; windows at the edges are smaller.
///
/// Semantics: `get_vision_window_index` of transformers.
pub fn window_index(grids: &Grids, window: usize) -> Result<(Buffer<i64>, Vec<i32>)> {
    if window == 0 {
        let reason = "must be at least patch_size * merge_size, so that a window holds a token";
        return Err(Error::invalid("window_size", reason));
    }
    let merge = grids.merge;
    let unit = merge * merge;
    let mut index = Buffer::new(grids.patches() / unit, "window_index")?;
    let windows = |side: usize| (side / merge).div_ceil(window);
    let count: usize = grids
        .iter()
        .map(|grid| grid.t * windows(grid.h) * windows(grid.w))
        .sum();
    let mut boundaries = memory::with_capacity(count + 1, "cu_window_seqlens")?;
    boundaries.push(0);
    let (mut frame, mut placed) = (0, 0);
    for grid in grids.iter() {
        let (height, width) = (grid.h / merge, grid.w / merge);
        for _ in 0..grid.t {
            for top in (0..height).step_by(window) {
                for left in (0..width).step_by(window) {
                    let right = (left + window).min(width);
                    for line in top..(top + window).min(height) {
                        let start = frame + line * width;
                        let places = &mut index[placed..placed + right - left];
                        for (place, token) in places.iter_mut().zip(start + left..) {
                            *place = token as i64;
                        }
                        placed += right - left;
                    }
                    boundaries.push((placed * unit) as i32);
                }
            }
            frame += height * width;
        }
    }
    Ok((index, boundaries))
}

/// The permutation that undoes `window_index`.
///
/// # Errors
/// `window_index` is no permutation of `0..window_index.len()`, or [`Error::Memory`].
pub fn reverse_index(window_index: &[i64]) -> Result<Buffer<i64>> {
    const FREE: i64 = -1;
    let mut reverse = Buffer::new(window_index.len(), "reverse_window_index")?;
    reverse.fill(FREE);
    for (position, target) in window_index.iter().enumerate() {
        let place = usize::try_from(*target)
            .ok()
            .and_then(|target| reverse.get_mut(target))
            .filter(|place| **place == FREE);
        let Some(place) = place else {
            let reason = format!("must be a permutation, got {target} at position {position}");
            return Err(Error::invalid("window_index", reason));
        };
        *place = position as i64;
    }
    Ok(reverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_permutation_is_refused() {
        let message = |index: &[i64]| reverse_index(index).unwrap_err().to_string();
        for (index, expected) in [
            (&[5, 0][..], "got 5 at position 0"),
            (&[1, -1], "got -1 at position 1"),
            (&[0, 2, 0], "got 0 at position 2"),
        ] {
            let expected = format!("window_index must be a permutation, {expected}");
            assert_eq!(message(index), expected);
        }
    }

    #[test]
    fn windows_of_two_images() {
        let grids = Grids::new("grid_thw", &[[1, 8, 8], [2, 10, 6]], 2).unwrap();
        let (index, boundaries) = window_index(&grids, 4).unwrap();
        assert_eq!(boundaries, [0, 64, 112, 124, 172, 184]);
        assert_eq!(cu_seqlens(&grids).unwrap(), [0, 64, 124, 184]);
        let reverse = reverse_index(&index).unwrap();
        assert!((0..46).all(|token| index[reverse[token] as usize] == token as i64));
    }
}
