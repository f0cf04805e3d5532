//! What differs between the versions of the reference that number tokens.

use crate::error::{Error, Result};

/// How the tokens of a batch are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How far the positions advance after an image or video.
    pub advance: Advance,
    /// Which time ids the groups of frames of an item have.
    pub frames: Frames,
    /// The ids of padding.
    pub padding: i64,
    /// What deltas are relative to.
    pub deltas: Deltas,
}

/// How far the positions advance after an image or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// By the longer side in tokens.
    Spatial,
    /// To one past the largest of the item's ids, time included.
    Spatiotemporal,
}

/// Which time ids the groups of frames of an item have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// The count so far plus what the interval makes of the number of the group.
    Apart,
    /// All the same: what the interval makes of the count so far.
    Alike,
}

/// The number of tokens that a delta is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deltas {
    /// That of the tokens that are kept.
    Kept,
    /// The length of the row, padding included.
    Length,
    /// The same, and a delta below 0 becomes 0.
    LengthNotNegative,
}

impl Deltas {
    /// The delta of a row of `length` tokens, `kept` of them, whose largest id is `largest`.
    pub(super) fn of(self, largest: i64, kept: usize, length: usize) -> i64 {
        let past = largest + 1;
        match self {
            Self::Kept => past - kept as i64,
            Self::Length => past - length as i64,
            Self::LengthNotNegative => (past - length as i64).max(0),
        }
    }
}

/// Ids between one group of frames and the next: factors that a number is multiplied by one after
/// the other, in the precision of the reference, and then truncated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Interval {
    /// In float32.
    Single([f32; 2]),
    /// In float64.
    Double([f64; 2]),
    /// In integers.
    Whole([i64; 2]),
}

impl Interval {
    /// The next id for the next group of frames.
    pub const ONE: Self = Self::Whole([1, 1]);

    /// What the interval makes of a number; the largest int64 if that is still larger.
    pub(super) fn id(self, number: i64) -> i64 {
        match self {
            Self::Single([first, second]) => (number as f32 * first * second) as i64,
            Self::Double([first, second]) => (number as f64 * first * second) as i64,
            Self::Whole([first, second]) => number.saturating_mul(first).saturating_mul(second),
        }
    }

    /// Refuses an interval whose ids an int64 might not hold, of as many groups as there may be.
    pub(super) fn check(self) -> Result<()> {
        let interval = match self {
            Self::Single([first, second]) => f64::from(first) * f64::from(second),
            Self::Double([first, second]) => first * second,
            Self::Whole([first, second]) => first as f64 * second as f64,
        };
        if (0.0..=f64::from(1u32 << 31)).contains(&interval) {
            return Ok(());
        }
        let reason = format!("times tokens_per_second must be between 0 and 2**31, got {interval}");
        Err(Error::invalid("second_per_grid_ts", reason))
    }
}
