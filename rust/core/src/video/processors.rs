//! The rules of the video processors in transformers.

use super::{check_count, check_rate, scaled};
use crate::error::{Error, Result};
use crate::memory;

/// How many frames are asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// So many.
    Frames(i64),
    /// So many in a second of a video that has `source` of them.
    PerSecond {
        /// Frames per second that are taken.
        fps: f64,
        /// Frames per second that there are.
        source: f64,
    },
}

/// How many frames are taken at least and at most; [`Wanted::Frames`] is not bound by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Also of a video that has fewer in the seconds it lasts.
    pub min_frames: i64,
    /// Also of a video that has more.
    pub max_frames: i64,
}

impl Limits {
    fn check(self) -> Result<()> {
        check_count("min_frames", self.min_frames)?;
        check_count("max_frames", self.max_frames)
    }
}

impl Wanted {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Frames(frames) => check_count("num_frames", frames),
            Self::PerSecond { fps, source } => {
                check_rate("fps", fps)?;
                check_rate("fps of the video", source)
            }
        }
    }

    /// How many frames of `total` that is, rounded down.
    fn frames_of(self, total: i64) -> Result<i64> {
        self.check()?;
        match self {
            Self::Frames(frames) => Ok(frames),
            // What is too large for an integer is too many.
            Self::PerSecond { fps, source } => Ok(scaled(total, source, fps)? as i64),
        }
    }
}

/// The frames that Qwen2-VL and Qwen2.5-VL take of `total`: every so many-th, in whole groups.
///
/// Semantics: `Qwen2VLVideoProcessor.sample_frames`. The last may lie beyond the video where a step that
/// was rounded down fits in once more; the reference then fails.
pub fn qwen2_indices(
    total: i64,
    wanted: Option<Wanted>,
    limits: Limits,
    temporal_patch: i64,
) -> Result<Vec<i64>> {
    check_count("total_frames", total)?;
    check_count("temporal_patch_size", temporal_patch)?;
    wanted.map_or(Ok(()), Wanted::check)?;
    limits.check()?;
    let group = temporal_patch as f64;
    let frames = match wanted {
        None => return Err(neither()),
        Some(Wanted::Frames(frames)) => {
            let rounded = (frames as f64 / group).round_ties_even() * group;
            if rounded < 1.0 {
                let reason = format!(
                    "must come nearer to temporal_patch_size={temporal_patch} than to 0, got {frames}"
                );
                return Err(Error::invalid("num_frames", reason));
            }
            rounded
        }
        Some(Wanted::PerSecond { fps, source }) => {
            let most = (limits.max_frames.min(total) as f64 / group).floor() * group;
            let frames = scaled(total, source, fps)?;
            let frames = frames.max(limits.min_frames as f64).min(most);
            let frames = (frames.min(total as f64) / group).floor() * group;
            if frames < 1.0 {
                let reason = format!(
                    "must be at least temporal_patch_size={temporal_patch}, got {total} and \
                     max_frames={}",
                    limits.max_frames
                );
                return Err(Error::invalid("total_frames", reason));
            }
            frames
        }
    };
    check_there(frames as i64, total)?;
    arange(0.0, total, total as f64 / frames)
}

/// `torch.arange(start, total, step).int()`, which is float32 arithmetic: of 16 elements at a time the first of
/// each 8 is rounded to float32 before the others are counted from there, and only what is left over at
/// the end is computed element by element. So in one thread: of more than 32,768 elements torch gives each
/// of its threads a part, whose vectors begin anew.
fn arange(start: f64, total: i64, step: f64) -> Result<Vec<i64>> {
    const LANES: usize = 8;
    let count = ((total as f64 - start) / step).ceil() as usize;
    let whole_vectors = count - count % (2 * LANES);
    let value = |index: usize| {
        if index < whole_vectors {
            let lane = index % LANES;
            let base = (start + step * (index - lane) as f64) as f32;
            (f64::from(base) + step * lane as f64) as f32
        } else {
            (start + step * index as f64) as f32
        }
    };
    memory::collect((0..count).map(|index| value(index) as i64), "frame numbers")
}

/// The frames that Qwen3-VL takes of `total`: evenly from the first to the last; as many as the limits
/// allow if no number is wanted.
///
/// Semantics: `Qwen3VLVideoProcessor.sample_frames`. More frames than there are repeat some.
pub fn qwen3_indices(total: i64, wanted: Option<Wanted>, limits: Limits) -> Result<Vec<i64>> {
    check_count("total_frames", total)?;
    wanted.map_or(Ok(()), Wanted::check)?;
    limits.check()?;
    let within = |frames: i64| frames.max(limits.min_frames).min(limits.max_frames);
    let frames = match wanted {
        Some(Wanted::Frames(frames)) => frames,
        Some(Wanted::PerSecond { fps, source }) => {
            // What is too large for an integer ends at the limit anyway.
            within(scaled(total, source, fps)? as i64).min(total)
        }
        None => within(total),
    };
    linspace(total - 1, frames as usize)
}

/// The frames that LLaVA-OneVision takes of `total`: every so many-th, in integers; all if no number is wanted.
///
/// Semantics: `default_sample_indices_fn` of transformers, which video processors without a rule of their own use.
pub fn onevision_indices(total: i64, wanted: Option<Wanted>) -> Result<Vec<i64>> {
    check_count("total_frames", total)?;
    let frames = match wanted {
        None => total,
        Some(wanted) => wanted.frames_of(total)?.max(1),
    };
    check_there(frames, total)?;
    memory::collect(
        (0..frames as usize).map(|index| index as i64 * total / frames),
        "frame numbers",
    )
}

/// The frames that InternVL takes of `total`: the middles of as many equal parts.
///
/// Semantics: `InternVLVideoProcessor.sample_frames` of transformers with its `initial_shift`.
pub fn internvl_indices(total: i64, wanted: Option<Wanted>) -> Result<Vec<i64>> {
    check_count("total_frames", total)?;
    let wanted = wanted.ok_or_else(neither)?;
    let frames = wanted.frames_of(total)?;
    if frames == 0 {
        let reason = format!("must last long enough for a frame at that rate, got {total}");
        return Err(Error::invalid("total_frames", reason));
    }
    check_there(frames, total)?;
    let step = total as f64 / frames as f64;
    arange(step / 2.0, total, step)
}

fn neither() -> Error {
    Error::invalid("fps", "must be given, or num_frames, got neither")
}

/// Refuses to take more frames than there are.
fn check_there(frames: i64, total: i64) -> Result<()> {
    if frames > total {
        let reason = format!("must be at most total_frames={total}, got {frames}; take fewer");
        return Err(Error::invalid("num_frames", reason));
    }
    Ok(())
}

/// `numpy.linspace(0, last, count).round()`.
fn linspace(last: i64, count: usize) -> Result<Vec<i64>> {
    let step = last as f64 / (count as f64 - 1.0);
    let value = |index: usize| match index {
        _ if count == 1 => 0,
        _ if index + 1 == count => last,
        index => (index as f64 * step).round_ties_even() as i64,
    };
    memory::collect((0..count).map(value), "frame numbers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        min_frames: 4,
        max_frames: 768,
    };

    fn frames(frames: i64) -> Option<Wanted> {
        Some(Wanted::Frames(frames))
    }

    fn per_second(fps: f64, source: f64) -> Option<Wanted> {
        Some(Wanted::PerSecond { fps, source })
    }

    #[test]
    fn known_answers() {
        assert_eq!(
            qwen2_indices(100, per_second(2.0, 30.0), LIMITS, 2).unwrap(),
            [0, 16, 33, 50, 66, 83]
        );
        assert_eq!(
            qwen3_indices(100, per_second(2.0, 30.0), LIMITS).unwrap(),
            [0, 20, 40, 59, 79, 99]
        );
        assert_eq!(
            qwen3_indices(3, frames(5), LIMITS).unwrap(),
            [0, 0, 1, 2, 2]
        );
        assert_eq!(qwen3_indices(9, frames(1), LIMITS).unwrap(), [0]);
        assert_eq!(qwen3_indices(1, None, LIMITS).unwrap(), [0; 4]);
        assert_eq!(onevision_indices(10, frames(4)).unwrap(), [0, 2, 5, 7]);
        assert_eq!(onevision_indices(3, None).unwrap(), [0, 1, 2]);
        assert_eq!(onevision_indices(9, per_second(1.0, 30.0)).unwrap(), [0]);
        assert_eq!(internvl_indices(10, frames(4)).unwrap(), [1, 3, 6, 8]);
        assert_eq!(
            internvl_indices(100, per_second(1.0, 30.0)).unwrap(),
            [16, 50, 83]
        );
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let message = |indices: Result<Vec<i64>>| indices.unwrap_err().to_string();
        assert_eq!(
            message(onevision_indices(9, frames(10))),
            "num_frames must be at most total_frames=9, got 10; take fewer"
        );
        assert_eq!(
            message(internvl_indices(9, per_second(1.0, 30.0))),
            "total_frames must last long enough for a frame at that rate, got 9"
        );
        assert_eq!(
            message(internvl_indices(9, None)),
            "fps must be given, or num_frames, got neither"
        );
    }

    #[test]
    fn float32_decides_about_long_videos() {
        let indices = qwen2_indices(199_999, frames(48_000), LIMITS, 2).unwrap();
        let step = 199_999.0 / 48_000.0;
        let by_float64 = (0..48_000).map(|index| (f64::from(index) * step) as i64);
        assert!(indices.into_iter().zip(by_float64).any(|(a, b)| a != b));
    }

    #[test]
    fn refusals_name_the_argument_and_the_value() {
        let refused = |total, wanted| {
            qwen2_indices(total, wanted, LIMITS, 2)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(0, frames(4)),
            "total_frames must be between 1 and 2**31, got 0"
        );
        assert_eq!(
            refused(9, None),
            "fps must be given, or num_frames, got neither"
        );
        assert_eq!(
            refused(9, frames(16)),
            "num_frames must be at most total_frames=9, got 16; take fewer"
        );
        assert_eq!(
            refused(9, per_second(0.0, 30.0)),
            "fps must be positive and finite, got 0"
        );
        assert_eq!(
            refused(1, per_second(2.0, 30.0)),
            "total_frames must be at least temporal_patch_size=2, got 1 and max_frames=768"
        );
    }

    proptest! {
        #[test]
        fn frames_do_not_decrease(
            total in 1i64..300_000, count in 1i64..5000, fps in 1e-3f64..1e3, source in 1e-3f64..1e3,
        ) {
            for wanted in [frames(count), per_second(fps, source), None] {
                let first = [
                    qwen2_indices(total, wanted, LIMITS, 2),
                    qwen3_indices(total, wanted, LIMITS),
                    onevision_indices(total, wanted),
                ];
                for indices in first.iter().flatten() {
                    prop_assert_eq!(indices[0], 0);
                }
                let middle = internvl_indices(total, wanted);
                for indices in first.into_iter().chain([middle]).flatten() {
                    prop_assert!(indices.is_sorted());
                    prop_assert!(*indices.last().unwrap() <= total);
                }
            }
        }
    }
}
