//! The rules of the Qwen utilities (`qwen_vl_utils`).

use super::{Wanted, check_count, scaled};
use crate::error::{Error, Result};
use crate::memory;

/// Numbers of frames are multiples of this.
const FRAME_FACTOR: f64 = 2.0;

/// How many frames are taken at least and at most, before both are rounded to whole pairs. None stands for the
/// constant of the utilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NframesLimits {
    /// 4 by default.
    pub min_frames: Option<i64>,
    /// 768 by default, or as many as there are.
    pub max_frames: Option<i64>,
}

/// How many frames are taken of `total`.
///
/// Semantics: `smart_nframes` of `qwen_vl_utils`.
pub fn smart_nframes(total: i64, wanted: Wanted, limits: NframesLimits) -> Result<i64> {
    check_count("total_frames", total)?;
    wanted.check()?;
    let pairs = |frames: f64, round: fn(f64) -> f64| round(frames / FRAME_FACTOR) * FRAME_FACTOR;
    let frames = match wanted {
        Wanted::Frames(frames) => pairs(frames as f64, f64::round_ties_even),
        Wanted::PerSecond { fps, source } => {
            let least = limits.min_frames.unwrap_or(4);
            let most = limits.max_frames.unwrap_or(total.min(768));
            check_count("min_frames", least)?;
            check_count("max_frames", most)?;
            let frames = scaled(total, source, fps)?.max(pairs(least as f64, f64::ceil));
            let frames = frames.min(pairs(most as f64, f64::floor)).min(total as f64);
            pairs(frames, f64::floor)
        }
    };
    if !(FRAME_FACTOR..=total as f64).contains(&frames) {
        let reason = format!(
            "must be in [{FRAME_FACTOR}, {total}], got {frames}; ask for fewer frames, or take a longer \
             clip"
        );
        return Err(Error::invalid("nframes", reason));
    }
    Ok(frames as i64)
}

/// `count` frames from `start` to `end`: `torch.linspace(start, end, count).round().long()`.
///
/// That is float32 arithmetic, counted from both ends. `fused` says whether torch multiplies and adds in one
/// operation: it does where the processor has AVX2 or AVX-512 and `ATEN_CPU_CAPABILITY` does not say
/// otherwise.
pub fn linspace_indices(start: i64, end: i64, count: i64, fused: bool) -> Result<Vec<i64>> {
    check_count("count", count)?;
    let (first, last) = (start as f32, end as f32);
    let step = (last - first) / (count - 1) as f32;
    let from = |base: f32, step: f32, steps: i64| {
        if fused {
            step.mul_add(steps as f32, base)
        } else {
            base + step * steps as f32
        }
    };
    let value = |index: i64| {
        let value = match index {
            _ if count == 1 => first,
            index if index < count / 2 => from(first, step, index),
            index => from(last, -step, count - 1 - index),
        };
        value.round_ties_even() as i64
    };
    memory::collect(
        (0..count as usize).map(|index| value(index as i64)),
        "frame numbers",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let of = |total, fps, source| {
            smart_nframes(
                total,
                Wanted::PerSecond { fps, source },
                NframesLimits::default(),
            )
        };
        assert_eq!(of(100, 2.0, 30.0).unwrap(), 6);
        assert_eq!(of(100_000, 2.0, 30.0).unwrap(), 768);
        assert_eq!(of(5, 2.0, 30.0).unwrap(), 4);
        for fused in [false, true] {
            assert_eq!(
                linspace_indices(0, 99, 6, fused).unwrap(),
                [0, 20, 40, 59, 79, 99]
            );
            assert_eq!(linspace_indices(7, 7, 1, fused).unwrap(), [7]);
        }
    }

    #[test]
    fn fusing_decides_about_a_frame_now_and_then() {
        let fused = |last| {
            let indices = |fused| linspace_indices(0, last, 768, fused).unwrap();
            indices(true) != indices(false)
        };
        assert!((5_000..15_000).any(fused));
    }

    #[test]
    fn refusals_name_the_argument_and_the_value() {
        let refused = |total, frames| {
            smart_nframes(total, Wanted::Frames(frames), NframesLimits::default())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(9, 16),
            "nframes must be in [2, 9], got 16; ask for fewer frames, or take a longer clip"
        );
        assert_eq!(
            refused(9, 0),
            "num_frames must be between 1 and 2**31, got 0"
        );
    }
}
