//! How the tiles of a plan are cut into rows, and the grid that these make.

use super::{Grid, PatchLayout, Plan};
use crate::error::{Error, Result};

/// What rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Patches of a tile.
    Patches(PatchLayout),
    /// Whole tiles of `(height, width)`.
    Tiles((usize, usize)),
}

impl Cut {
    /// Frames that a row holds at most.
    pub fn frames(self) -> usize {
        match self {
            Self::Patches(layout) => layout.temporal_patch,
            Self::Tiles(_) => 1,
        }
    }
}

/// A [`Plan`] whose tiles are cut into rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutPlan {
    plan: Plan,
    cut: Cut,
    grid: Grid,
}

impl Plan {
    /// The same without what tiles have beyond whole merge blocks.
    ///
    /// # Errors
    /// Nothing is left of a tile, an image that is one tile has no whole blocks, or tiles that are rows have another
    /// size.
    pub fn cut(self, cut: Cut) -> Result<CutPlan> {
        let (plan, of_a_tile) = match cut {
            Cut::Patches(layout) => {
                let plan = self.trimmed(layout.patch * layout.merge);
                let (height, width) = plan.tile();
                (plan, layout.grid(1, height, width)?)
            }
            Cut::Tiles(tile) if tile == self.tile() => (self, Grid { t: 1, h: 1, w: 1 }),
            Cut::Tiles(tile) => {
                let reason = format!("must be {tile:?} for every image, got {:?}", self.tile());
                return Err(Error::invalid("tile", reason));
            }
        };
        Ok(CutPlan {
            plan,
            cut,
            grid: of_a_tile.repeated(plan.tiles()),
        })
    }
}

impl CutPlan {
    /// The plan, whose tiles are all rows.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How its tiles are cut.
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// The grid of a still image: its tiles count as groups of frames.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The grid of so many frames, of which each group has the tiles of an image.
    pub fn grid_of(&self, frames: usize) -> Grid {
        self.grid.repeated(frames.div_ceil(self.cut.frames()))
    }
}

impl Grid {
    /// The grid of so many times as many groups of frames.
    fn repeated(self, times: usize) -> Self {
        Self {
            t: self.t * times,
            ..self
        }
    }
}
