//! Three-dimensional position ids for the language model (M-RoPE).

mod items;
mod rules;

pub use items::TokenGrids;
pub use rules::{Advance, Deltas, Frames, Interval, Rules};

use items::{Item, Items};

use crate::error::{Error, Result};
use crate::memory::{self, Buffer};

/// Position ids of a batch.
#[derive(Debug)]
pub struct MropeIds {
    /// `(3, rows, length)`: time, height, width.
    pub position_ids: Buffer<i64>,
    /// For each row, what to add to the number of a later token to get its position.
    pub deltas: Vec<i64>,
}

/// The ids of rows of `length` tokens of the given types: 0 text, 1 image, 2 video.
///
/// `kept` tells which tokens are not padding. Text counts on; a run of placeholders is spread over
/// its item's grid, in tokens, starting from the current count. Semantics: `get_rope_index` of
/// Qwen2VLModel, Qwen2_5_VLModel and Qwen3VLModel in transformers, of the versions that `rules` are
/// those of.
pub fn mrope_position_ids(
    types: &[i64],
    length: usize,
    kept: Option<&[bool]>,
    grids: &TokenGrids,
    rules: Rules,
) -> Result<MropeIds> {
    let mut items = Items::new(grids)?;
    let without_items = grids.images.grids.is_empty() && grids.videos.grids.is_empty();
    let mut position_ids = Buffer::new(3 * types.len(), "position_ids")?;
    position_ids.fill(rules.padding);
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
        let mut count = Count {
            ids: [&mut *time, &mut *height, &mut *width],
            next: 0,
            largest: 0,
        };
        for run in tokens.chunk_by(|a, b| types[*a] == types[*b]) {
            match types[run[0]] {
                TEXT => count.text(run),
                kind => count.item(run, items.take(kind, run.len(), row)?, rules, row)?,
            }
        }
        let mut largest = count.largest;
        if without_items && tokens.len() < length {
            // The reference then takes the largest of the whole row.
            largest = largest.max(rules.padding);
        }
        deltas.push(rules.deltas.of(largest, tokens.len(), length));
    }
    items.finish()?;
    Ok(MropeIds {
        position_ids,
        deltas,
    })
}

/// How far the ids of a row have come.
struct Count<'a> {
    /// Time, height and width of every token of the batch.
    ids: [&'a mut [i64]; 3],
    /// What is counted on from.
    next: i64,
    /// The largest id so far.
    largest: i64,
}

impl Count<'_> {
    /// Counts a run of text.
    fn text(&mut self, run: &[usize]) {
        let [time, height, width] = &mut self.ids;
        for (token, id) in run.iter().zip(self.next..) {
            (time[*token], height[*token], width[*token]) = (id, id, id);
        }
        self.next += run.len() as i64;
        self.largest = self.largest.max(self.next - 1);
    }

    /// Spreads the run of an item of `row` over its grid.
    fn item(&mut self, run: &[usize], item: Item, rules: Rules, row: usize) -> Result<()> {
        let Item { grid, interval } = item;
        let [time, height, width] = &mut self.ids;
        let next = self.next;
        let mut run = run.iter();
        let mut line = |t: i64, h: usize| {
            let h = next + h as i64;
            for (w, token) in (next..).zip(run.by_ref().take(grid.w)) {
                (time[*token], height[*token], width[*token]) = (t, h, w);
            }
        };
        let last = match rules.frames {
            Frames::Apart => next.saturating_add(interval.id(grid.t as i64 - 1)),
            Frames::Alike => interval.id(next),
        };
        if last > MOST {
            // Where all groups of an item are alike, each item may multiply the ids so far.
            let reason =
                format!("must make ids of at most 2**62, but those of row {row} are larger");
            return Err(Error::invalid("second_per_grid_ts", reason));
        }
        match rules.frames {
            Frames::Apart => {
                for group in 0..grid.t {
                    let t = next + interval.id(group as i64);
                    (0..grid.h).for_each(|h| line(t, h));
                }
            }
            Frames::Alike => {
                // The reference repeats each height as often as all groups need it.
                for h in 0..grid.h {
                    (0..grid.t).for_each(|_| line(last, h));
                }
            }
        }
        let side = grid.h.max(grid.w) as i64;
        let past = last.max(next + side - 1) + 1;
        self.largest = self.largest.max(past - 1);
        self.next = match rules.advance {
            Advance::Spatial => next + side,
            Advance::Spatiotemporal => past,
        };
        Ok(())
    }
}

const TEXT: i64 = 0;

/// The largest time id of an item: so far below the largest int64 that what is counted on from there fits.
const MOST: i64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::super::Grids;
    use super::*;

    const NEWEST: Rules = Rules {
        advance: Advance::Spatial,
        frames: Frames::Apart,
        padding: 0,
        deltas: Deltas::Kept,
    };
    const OLDEST: Rules = Rules {
        advance: Advance::Spatiotemporal,
        padding: 1,
        deltas: Deltas::Length,
        ..NEWEST
    };

    fn token_grids(images: &[[i64; 3]], videos: &[[i64; 3]], interval: Interval) -> TokenGrids {
        TokenGrids {
            images: Grids::new("image_grid_thw", images, 2).unwrap(),
            videos: Grids::new("video_grid_thw", videos, 2).unwrap(),
            videos_in_groups: false,
            image_interval: Some(Interval::ONE),
            intervals: vec![interval; videos.len()],
        }
    }

    fn video(interval: f32, rules: Rules) -> MropeIds {
        let types = [vec![0; 3], vec![2; 40], vec![0; 2]].concat();
        let grids = token_grids(&[], &[[10, 4, 4]], Interval::Single([1.0, interval]));
        mrope_position_ids(&types, 45, None, &grids, rules).unwrap()
    }

    #[test]
    fn a_video_between_text() {
        let ids = video(1.0, NEWEST);
        assert_eq!(ids.position_ids[42], 12);
        assert_eq!(ids.position_ids[43..45], [5, 6]);
        assert_eq!(ids.deltas, [-32]);
        let older = video(1.0, OLDEST);
        assert_eq!(older.position_ids[43..45], [13, 14]);
        assert_eq!(older.deltas, [-30]);
        let by_time = video(4.0, NEWEST);
        assert_eq!(by_time.position_ids[42], 39);
        assert_eq!(by_time.position_ids[43..45], [5, 6]);
    }

    #[test]
    fn frames_alike_share_a_time_and_repeat_their_heights() {
        let grids = token_grids(&[], &[[2, 4, 4]], Interval::Whole([3, 1]));
        let rules = Rules {
            frames: Frames::Alike,
            ..NEWEST
        };
        let types = [vec![0; 2], vec![2; 8], vec![0]].concat();
        let ids = mrope_position_ids(&types, 11, None, &grids, rules).unwrap();
        let axes: Vec<_> = ids.position_ids.chunks(11).collect();
        assert_eq!(axes[0], [0, 1, 6, 6, 6, 6, 6, 6, 6, 6, 4]);
        assert_eq!(axes[1], [0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4]);
        assert_eq!(axes[2], [0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4]);
        assert_eq!(ids.deltas, [-4]);
    }

    #[test]
    fn padding_counts_where_the_rules_say_so() {
        let kept = [false, false, true, true, true];
        let ids = |images: &[[i64; 3]], types: &[i64], rules| {
            let grids = token_grids(images, &[], Interval::ONE);
            mrope_position_ids(types, 5, Some(&kept), &grids, rules).unwrap()
        };
        let clamped = Rules {
            deltas: Deltas::LengthNotNegative,
            ..NEWEST
        };
        let image = [[1, 2, 2]];
        let types = [0, 0, 0, 1, 0];
        for (rules, padding, delta) in [(NEWEST, 0, 0), (OLDEST, 1, -2), (clamped, 0, 0)] {
            let ids = ids(&image, &types, rules);
            assert_eq!(ids.position_ids[..5], [padding, padding, 0, 1, 2]);
            assert_eq!(ids.deltas, [delta]);
        }
        // One token of text: the largest id of the row is that of the padding.
        let grids = token_grids(&[], &[], Interval::ONE);
        let alone = mrope_position_ids(&[0; 3], 3, Some(&kept[..3]), &grids, OLDEST).unwrap();
        assert_eq!(alone.deltas, [-1]);
    }

    #[test]
    fn images_take_from_the_list_where_they_have_no_interval() {
        let types = [0, 1, 1, 0, 2, 2, 0];
        let mut grids = token_grids(&[[1, 2, 4]], &[[2, 2, 2]], Interval::Whole([5, 1]));
        grids.image_interval = None;
        let rules = Rules {
            frames: Frames::Alike,
            ..NEWEST
        };
        let refused = mrope_position_ids(&types, 7, None, &grids, rules).unwrap_err();
        assert!(refused.to_string().contains("2 images and videos, got 1"));
        grids.intervals = vec![Interval::Whole([2, 1]), Interval::Whole([1, 7])];
        let ids = mrope_position_ids(&types, 7, None, &grids, rules).unwrap();
        assert_eq!(ids.position_ids[..7], [0, 2, 2, 3, 28, 28, 5]);
    }

    #[test]
    fn intervals_that_no_id_can_hold_are_refused() {
        for interval in [f64::NAN, -1.0, 1e18, f64::INFINITY] {
            let grids = token_grids(&[], &[[40, 2, 2]], Interval::Double([interval, 1.0]));
            let refused = mrope_position_ids(&[2; 40], 40, None, &grids, OLDEST);
            let message = refused.unwrap_err().to_string();
            assert!(message.starts_with("second_per_grid_ts times"), "{message}");
        }
    }

    #[test]
    fn ids_that_grow_with_every_item_are_refused_before_they_overflow() {
        let types = [0, 2, 0, 2, 0, 2, 0, 2];
        for interval in [
            Interval::Whole([1 << 31, 1]),
            Interval::Double([2f64.powi(31), 1.0]),
        ] {
            let grids = token_grids(&[], &[[1, 2, 2]; 4], interval);
            let rules = Rules {
                frames: Frames::Alike,
                advance: Advance::Spatiotemporal,
                ..NEWEST
            };
            let refused = mrope_position_ids(&types, 8, None, &grids, rules).unwrap_err();
            assert!(refused.to_string().contains("at most 2**62"), "{refused}");
        }
    }

    #[test]
    fn disagreements_are_refused() {
        let refused = |types: &[i64], images: &[[i64; 3]], kept: Option<&[bool]>| {
            let grids = token_grids(images, &[], Interval::ONE);
            mrope_position_ids(types, types.len(), kept, &grids, NEWEST)
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
