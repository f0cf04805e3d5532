//! Frames of an image or a video, in groups that share rows.

use std::ops::Range;

use crate::error::Result;
use crate::geometry::{Grid, Plan};
use crate::rows::{Element, RowWriter};

/// An image, or a video: frames of one size, of which each group is an [`Image`](super::Image) of a batch.
#[derive(Debug, Clone)]
pub struct Item {
    /// Their places among those of the batch.
    pub frames: Range<usize>,
    /// What becomes of each: tiles that the writer can cut.
    pub plan: Plan,
    /// The grid of all groups, each of which has the tiles of an image.
    pub grid: Grid,
    /// Rows of each group.
    pub rows: usize,
    most: usize,
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
        let most = writer.frames_of_a_row();
        writer.check_group(frames.len().min(most))?;
        let plan = writer.trimmed(plan)?;
        let image = writer.grid(&plan)?;
        Ok(Self {
            plan,
            grid: Grid {
                t: image.t * frames.len().div_ceil(most),
                ..image
            },
            rows: image.patches(),
            frames,
            most,
        })
    }

    /// The frames of each group. The last may have fewer than a row holds.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        let (end, most) = (self.frames.end, self.most);
        let starts = self.frames.clone().step_by(most);
        starts.map(move |start| start..end.min(start + most))
    }
}
