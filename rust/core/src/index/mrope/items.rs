//! The images and videos of a batch, in the order in which runs of placeholders take them.

use std::iter;

use super::super::Grids;
use super::rules::Interval;
use crate::error::{Error, Result};
use crate::geometry::Grid;

/// The images and videos that runs of placeholders stand for.
#[derive(Debug)]
pub struct TokenGrids {
    /// Grids of the images of the whole batch, in order.
    pub images: Grids,
    /// Grids of the videos of the whole batch, in order.
    pub videos: Grids,
    /// Whether text stands between the groups of frames of a video, each a run of its own.
    pub videos_in_groups: bool,
    /// That of every image; if there is none, images take theirs from `intervals`, as videos do.
    pub image_interval: Option<Interval>,
    /// One for each item that takes one, in the order of the tokens.
    pub intervals: Vec<Interval>,
}

impl TokenGrids {
    /// That of every video, if they take none from the list: where a group of frames has a run of
    /// its own, it is the first of its item.
    fn video_interval(&self) -> Option<Interval> {
        self.videos_in_groups.then_some(Interval::ONE)
    }

    /// Refuses intervals that are too many, too few or too long.
    fn check(&self) -> Result<()> {
        let videos = match self.video_interval() {
            Some(_) => 0,
            None => self.videos.grids.len(),
        };
        let (takers, named) = match self.image_interval {
            Some(_) => (videos, "videos"),
            None => (videos + self.images.grids.len(), "images and videos"),
        };
        if self.intervals.len() != takers {
            let reason = format!(
                "must have one entry for each of the {takers} {named}, got {}",
                self.intervals.len()
            );
            return Err(Error::invalid("second_per_grid_ts", reason));
        }
        self.intervals
            .iter()
            .try_for_each(|interval| interval.check())
    }
}

/// What a run of placeholders stands for: a grid of tokens.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub(super) grid: Grid,
    pub(super) interval: Interval,
}

/// The items that are still to come.
pub(super) struct Items<'a> {
    /// Of types 1 and 2.
    kinds: [Kind<'a>; 2],
    intervals: std::slice::Iter<'a, Interval>,
}

/// The items of one type. There may be far more than tokens: a list of them is never made.
struct Kind<'a> {
    name: &'static str,
    /// The grid of each run.
    to_come: Box<dyn Iterator<Item = Grid> + 'a>,
    /// That of every item, if they do not take theirs from the list.
    interval: Option<Interval>,
    taken: usize,
    count: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(grids: &'a TokenGrids) -> Result<Self> {
        grids.check()?;
        let TokenGrids {
            images,
            videos,
            videos_in_groups,
            image_interval,
            intervals,
        } = grids;
        let video_interval = grids.video_interval();
        let in_tokens = |grid: Grid, merge: usize| Grid {
            t: grid.t,
            h: grid.h / merge,
            w: grid.w / merge,
        };
        // Runs of a video, and groups of frames in each.
        let runs = |grid: Grid| match videos_in_groups {
            true => (grid.t, 1),
            false => (1, grid.t),
        };
        let video = move |grid: Grid| {
            let (count, t) = runs(grid);
            let grid = Grid {
                t,
                ..in_tokens(grid, videos.merge)
            };
            iter::repeat_n(grid, count)
        };
        Ok(Self {
            kinds: [
                Kind {
                    name: "image",
                    to_come: Box::new(images.iter().map(move |grid| in_tokens(grid, images.merge))),
                    interval: *image_interval,
                    taken: 0,
                    count: images.grids.len(),
                },
                Kind {
                    name: "video",
                    to_come: Box::new(videos.iter().flat_map(video)),
                    interval: video_interval,
                    taken: 0,
                    count: videos.iter().map(|grid| runs(grid).0).sum(),
                },
            ],
            intervals: intervals.iter(),
        })
    }

    /// The next item of type `kind`, which must fill a run of `tokens`.
    pub(super) fn take(&mut self, kind: i64, tokens: usize, row: usize) -> Result<Item> {
        let refused = |reason| Err(Error::invalid("mm_token_type_ids", reason));
        let index = usize::try_from(kind - 1).unwrap_or(usize::MAX);
        let Some(kind) = self.kinds.get_mut(index) else {
            return refused(format!("must be 0, 1 or 2, got {kind} in row {row}"));
        };
        let (name, number) = (kind.name, kind.taken);
        let Some(grid) = kind.to_come.next() else {
            return refused(format!(
                "has more runs of {name} tokens than the {number} that {name}_grid_thw has grids \
                 for, in row {row}"
            ));
        };
        let needed = grid.patches();
        if needed != tokens {
            return refused(format!(
                "has a run of {tokens} {name} tokens in row {row}, but {name} {number} has {needed}: \
                 items need text between them"
            ));
        }
        kind.taken += 1;
        // The list has one for each that takes one: see `TokenGrids::check`.
        let listed = || self.intervals.next().copied();
        let interval = kind.interval.or_else(listed).unwrap_or(Interval::ONE);
        Ok(Item { grid, interval })
    }

    /// Refuses items that no run stood for.
    pub(super) fn finish(self) -> Result<()> {
        for Kind {
            name, taken, count, ..
        } in self.kinds
        {
            if taken < count {
                let reason = format!(
                    "has {taken} runs of {name} tokens, but {name}_grid_thw has grids for {count}"
                );
                return Err(Error::invalid("mm_token_type_ids", reason));
            }
        }
        Ok(())
    }
}
