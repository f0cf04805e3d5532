//! Where every row and token is, computed from grids alone.
//!
//! Patches of an item follow each other in the order of its rows: groups of frames, lines of merge
//! blocks, blocks within the line, patches of a block line by line. Items follow each other in the
//! order given.

mod attention;
mod mrope;
mod packing;
mod placeholders;
mod positions;

pub use attention::{cu_seqlens, reverse_index, segment_lengths, window_index};
pub use mrope::{
    Advance, Deltas, Frames, Interval, MropeIds, Rules, TokenGrids, mrope_position_ids,
};
pub use packing::{Strategy, pack};
pub use placeholders::expand_placeholders;
pub use positions::{InterpolationTaps, interpolation_taps, position_ids};

use crate::error::{Error, Result};
use crate::geometry::Grid;
use crate::memory;

/// Grids of one batch, checked: every side is positive and divisible by the merge size, and the
/// patches of all of them can be counted in an int32, the type of packed boundaries.
#[derive(Debug, Clone)]
pub struct Grids {
    grids: Vec<Grid>,
    merge: usize,
}

impl Grids {
    /// Checks rows `(t, h, w)`, in patches, called `argument` in errors.
    pub fn new(argument: &'static str, rows: &[[i64; 3]], merge: i64) -> Result<Self> {
        if !(1..=1024).contains(&merge) {
            return Err(Error::out_of_range("merge_size", "1 and 1024", merge));
        }
        let mut total = 0i64;
        let mut grids = memory::with_capacity(rows.len(), "grids")?;
        for (index, row) in rows.iter().enumerate() {
            let refused = |what: &str| {
                Err(Error::invalid(
                    argument,
                    format!("row {index} {what}, got {row:?}"),
                ))
            };
            if row.iter().any(|side| *side < 1) {
                return refused("must be positive");
            }
            let [t, h, w] = *row;
            if h % merge != 0 || w % merge != 0 {
                return refused(&format!("must have sides divisible by merge_size={merge}"));
            }
            let patches = t.checked_mul(h).and_then(|patches| patches.checked_mul(w));
            total = match patches.and_then(|patches| patches.checked_add(total)) {
                Some(total) if total <= i64::from(i32::MAX) => total,
                _ => return refused("makes more patches than an int32 can count"),
            };
            grids.push(Grid {
                t: t as usize,
                h: h as usize,
                w: w as usize,
            });
        }
        Ok(Self {
            grids,
            merge: merge as usize,
        })
    }

    /// The grids, in order.
    pub fn iter(&self) -> impl Iterator<Item = Grid> + '_ {
        self.grids.iter().copied()
    }

    /// `out`, an element for each patch, in parts that belong to the grids.
    fn split<'a, T>(&'a self, mut out: &'a mut [T]) -> impl Iterator<Item = (Grid, &'a mut [T])> {
        self.iter().map(move |grid| {
            let (part, rest) = std::mem::take(&mut out).split_at_mut(grid.patches());
            out = rest;
            (grid, part)
        })
    }

    /// Patches of all grids together.
    pub fn patches(&self) -> usize {
        self.iter().map(Grid::patches).sum()
    }
}
