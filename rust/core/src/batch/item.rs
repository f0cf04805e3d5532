//! Frames of an image or a video, in groups that share rows.

use std::ops::Range;

use crate::error::Result;
use crate::geometry::{CutPlan, Grid, Plan};
use crate::rows::{Element, RowWriter};

/// An image, or a video: frames of one size, of which each group is an [`Image`](super::Image) of a batch.
#[derive(Debug, Clone)]
pub struct Item {
    /// Their places among those of the batch.
    pub frames: Range<usize>,
    /// What becomes of each.
    pub plan: CutPlan,
}

impl Item {
    /// `frames` of which each becomes what `plan` says, cut as `writer` does it.
    ///
    /// # Errors
    /// There is no frame, or the writer cannot cut the plan or put several frames into a row.
    pub fn new<T: Element>(
        writer: &RowWriter<T>,
        frames: Range<usize>,
        plan: Plan,
    ) -> Result<Self> {
        let cut = writer.cut();
        writer.check_group(frames.len().min(cut.frames()))?;
        let plan = plan.cut(cut)?;
        Ok(Self { frames, plan })
    }

    /// The grid of all groups.
    pub fn grid(&self) -> Grid {
        self.plan.grid_of(self.frames.len())
    }

    /// The frames of each group. The last may have fewer than a row holds.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        let (end, most) = (self.frames.end, self.plan.cut().frames());
        let starts = self.frames.clone().step_by(most);
        starts.map(move |start| start..end.min(start + most))
    }
}
