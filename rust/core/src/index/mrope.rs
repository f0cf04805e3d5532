//! Three-dimensional position ids for the language model (M-RoPE).

use std::iter;

use super::Grids;
use crate::error::{Error, Result};
use crate::geometry::Grid;
use crate::memory::{self, Buffer};

/// How far the positions advance after an image or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// By the longer side in tokens, as in transformers 5.
    Spatial,
    /// To one past the largest of the item's ids, time included, as in transformers 4.
    Spatiotemporal,
}

/// Ids between one group of frames and the next, in the precision that the reference multiplies in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Interval {
    /// float32, truncated.
    Single(f32),
    /// float64, truncated.
    Double(f64),
}

impl Interval {
    /// The time id of the group of frames at `index`.
    fn id(self, index: usize) -> i64 {
        match self {
            Self::Single(interval) => (index as f32 * interval) as i64,
            Self::Double(interval) => (index as f64 * interval) as i64,
        }
    }

    /// Refuses an interval whose ids an int64 might not hold, of as many groups as there may be.
    fn check(self) -> Result<()> {
        let interval = match self {
            Self::Single(interval) => f64::from(interval),
            Self::Double(interval) => interval,
        };
        if (0.0..=f64::from(1u32 << 31)).contains(&interval) {
            return Ok(());
        }
        let reason = format!("times tokens_per_second must be between 0 and 2**31, got {interval}");
        Err(Error::invalid("second_per_grid_ts", reason))
    }
}

/// The images and videos that runs of placeholders stand for.
#[derive(Debug)]
pub struct TokenGrids {
    /// Grids of the images of the whole batch, in order.
    pub images: Grids,
    /// Grids of the videos of the whole batch, in order.
    pub videos: Grids,
    /// One for each video.
    pub intervals: Vec<Interval>,
    /// Whether text stands between the groups of frames of a video, each a run of its own.
    pub videos_in_groups: bool,
}

/// Position ids of a batch.
#[derive(Debug)]
pub struct MropeIds {
    /// `(3, rows, length)`: time, height, width. 0 where the mask is.
    pub position_ids: Buffer<i64>,
    /// For each row, what to add to the number of a later token to get its position.
    pub deltas: Vec<i64>,
}

/// The ids of rows of `length` tokens of the given types: 0 text, 1 image, 2 video.
///
/// `kept` tells which tokens are not padding. Text counts on; a run of placeholders is spread over
/// its item's grid, in tokens, starting from the current count. Semantics: `get_rope_index` of
/// Qwen2VLModel, Qwen2_5_VLModel and Qwen3VLModel in transformers.
pub fn mrope_position_ids(
    types: &[i64],
    length: usize,
    kept: Option<&[bool]>,
    grids: &TokenGrids,
    advance: Advance,
) -> Result<MropeIds> {
    let mut items = Items::new(grids)?;
    let mut position_ids = Buffer::new(3 * types.len(), "position_ids")?;
    position_ids.fill(0);
    let rows = types.len() / length.max(1);
    let mut deltas = memory::with_capacity(rows, "deltas")?;
    let mut tokens = memory::with_capacity(length, "tokens of a row")?;
    let (time, space) = position_ids.split_at_mut(types.len());
    let (height, width) = space.split_at_mut(types.len());
    for start in (0..types.len()).step_by(length.max(1)) {
        let row = deltas.len();
        tokens.clear();
        tokens.extend((start..start + length).filter(|token| kept.is_none_or(|kept| kept[*token])));
        if tokens.is_empty() {
            let reason =
                format!("must keep at least one token of each row, but keeps none of row {row}");
            return Err(Error::invalid("attention_mask", reason));
        }
        let (mut next, mut largest) = (0, 0);
        for run in tokens.chunk_by(|a, b| types[*a] == types[*b]) {
            let kind = types[run[0]];
            if kind == TEXT {
                for (token, id) in run.iter().zip(next..) {
                    (time[*token], height[*token], width[*token]) = (id, id, id);
                }
                next += run.len() as i64;
                largest = largest.max(next - 1);
                continue;
            }
            let Item { grid, interval } = items.take(kind, run.len(), row)?;
            let mut run = run.iter();
            for t in 0..grid.t {
                let t = next + interval.id(t);
                for h in (0..grid.h).map(|h| next + h as i64) {
                    for (w, token) in (next..).zip(run.by_ref().take(grid.w)) {
                        (time[*token], height[*token], width[*token]) = (t, h, w);
                    }
                }
            }
            let side = grid.h.max(grid.w) as i64;
            let reach = side.max(interval.id(grid.t - 1) + 1);
            largest = largest.max(next + reach - 1);
            next += match advance {
                Advance::Spatial => side,
                Advance::Spatiotemporal => reach,
            };
        }
        deltas.push(largest + 1 - tokens.len() as i64);
    }
    items.finish()?;
    Ok(MropeIds {
        position_ids,
        deltas,
    })
}

const TEXT: i64 = 0;

/// What a run of placeholders stands for: a grid of tokens.
#[derive(Clone, Copy)]
struct Item {
    grid: Grid,
    interval: Interval,
}

/// The items that are still to come, of types 1 and 2.
struct Items<'a>([Kind<'a>; 2]);

/// The items of one type. There may be far more than tokens: a list of them is never made.
struct Kind<'a> {
    name: &'static str,
    to_come: Box<dyn Iterator<Item = Item> + 'a>,
    taken: usize,
    count: usize,
}

impl<'a> Items<'a> {
    fn new(grids: &'a TokenGrids) -> Result<Self> {
        let TokenGrids {
            images,
            videos,
            intervals,
            videos_in_groups,
        } = grids;
        if intervals.len() != videos.grids.len() {
            let reason = format!(
                "must have one entry for each of the {} videos, got {}",
                videos.grids.len(),
                intervals.len()
            );
            return Err(Error::invalid("second_per_grid_ts", reason));
        }
        for interval in &grids.intervals {
            interval.check()?;
        }
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
        let image = move |grid| Item {
            grid: in_tokens(grid, images.merge),
            interval: Interval::Single(1.0),
        };
        let video = move |(grid, interval): (Grid, &Interval)| {
            let (count, t) = runs(grid);
            let grid = Grid {
                t,
                ..in_tokens(grid, videos.merge)
            };
            let interval = *interval;
            iter::repeat_n(Item { grid, interval }, count)
        };
        Ok(Self([
            Kind {
                name: "image",
                to_come: Box::new(images.iter().map(image)),
                taken: 0,
                count: images.grids.len(),
            },
            Kind {
                name: "video",
                to_come: Box::new(videos.iter().zip(intervals).flat_map(video)),
                taken: 0,
                count: videos.iter().map(|grid| runs(grid).0).sum(),
            },
        ]))
    }

    /// The next item of type `kind`, which must fill a run of `tokens`.
    fn take(&mut self, kind: i64, tokens: usize, row: usize) -> Result<Item> {
        let refused = |reason| Err(Error::invalid("mm_token_type_ids", reason));
        let index = usize::try_from(kind - 1).unwrap_or(usize::MAX);
        let Some(kind) = self.0.get_mut(index) else {
            return refused(format!("must be 0, 1 or 2, got {kind} in row {row}"));
        };
        let (name, number) = (kind.name, kind.taken);
        let Some(item) = kind.to_come.next() else {
            return refused(format!(
                "has more runs of {name} tokens than the {number} that {name}_grid_thw has grids \
                 for, in row {row}"
            ));
        };
        let needed = item.grid.patches();
        if needed != tokens {
            return refused(format!(
                "has a run of {tokens} {name} tokens in row {row}, but {name} {number} has {needed}: \
                 items need text between them"
            ));
        }
        kind.taken += 1;
        Ok(item)
    }

    /// Refuses items that no run stood for.
    fn finish(self) -> Result<()> {
        for Kind {
            name, taken, count, ..
        } in self.0
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

#[cfg(test)]
mod tests {
    use super::*;

    fn video(interval: f32, advance: Advance) -> MropeIds {
        let types = [vec![0; 3], vec![2; 40], vec![0; 2]].concat();
        let grids = TokenGrids {
            images: Grids::new("image_grid_thw", &[], 2).unwrap(),
            videos: Grids::new("video_grid_thw", &[[10, 4, 4]], 2).unwrap(),
            intervals: vec![Interval::Single(interval)],
            videos_in_groups: false,
        };
        mrope_position_ids(&types, 45, None, &grids, advance).unwrap()
    }

    #[test]
    fn a_video_between_text() {
        let ids = video(1.0, Advance::Spatial);
        assert_eq!(ids.position_ids[42], 12);
        assert_eq!(ids.position_ids[43..45], [5, 6]);
        assert_eq!(ids.deltas, [-32]);
        let older = video(1.0, Advance::Spatiotemporal);
        assert_eq!(older.position_ids[43..45], [13, 14]);
        let by_time = video(4.0, Advance::Spatial);
        assert_eq!(by_time.position_ids[42], 39);
        assert_eq!(by_time.position_ids[43..45], [5, 6]);
    }

    #[test]
    fn intervals_that_no_id_can_hold_are_refused() {
        for interval in [f64::NAN, -1.0, 1e18, f64::INFINITY] {
            let grids = TokenGrids {
                images: Grids::new("image_grid_thw", &[], 2).unwrap(),
                videos: Grids::new("video_grid_thw", &[[40, 2, 2]], 2).unwrap(),
                intervals: vec![Interval::Double(interval)],
                videos_in_groups: false,
            };
            let refused = mrope_position_ids(&[2; 40], 40, None, &grids, Advance::Spatiotemporal);
            let message = refused.unwrap_err().to_string();
            assert!(message.starts_with("second_per_grid_ts times"), "{message}");
        }
    }

    #[test]
    fn disagreements_are_refused() {
        let refused = |types: &[i64], images: &[[i64; 3]], kept: Option<&[bool]>| {
            let grids = TokenGrids {
                images: Grids::new("image_grid_thw", images, 2).unwrap(),
                videos: Grids::new("video_grid_thw", &[], 2).unwrap(),
                intervals: vec![],
                videos_in_groups: false,
            };
            mrope_position_ids(types, types.len(), kept, &grids, Advance::Spatial)
                .unwrap_err()
                .to_string()
        };
        let two = [[1, 2, 2], [1, 2, 2]];
        assert!(refused(&[0, 1, 1], &two, None).ends_with("items need text between them"));
        assert!(refused(&[0, 1, 0], &two, None).contains("has 1 runs of image tokens"));
        assert!(refused(&[1, 0, 1, 0, 1], &two, None).contains("more runs of image tokens"));
        assert!(refused(&[0, 3], &[], None).contains("must be 0, 1 or 2, got 3"));
        assert!(
            refused(&[0, 0], &[], Some(&[false, false])).starts_with("attention_mask must keep")
        );
    }
}
