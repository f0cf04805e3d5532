//! Which frames of a video are taken.
//!
//! Every rule is floating-point arithmetic whose last bit decides about a frame now and then, so each is
//! written with the operations, the precision and the order of its reference.

mod processors;
mod utilities;

pub use processors::{
    Limits, Wanted, internvl_indices, onevision_indices, qwen2_indices, qwen3_indices,
};
pub use utilities::{NframesLimits, linspace_indices, smart_nframes};

use crate::error::{Error, Result};

/// Frames up to here are counted: numbers of them are whole in float64, and a list of them fits in memory.
const MAX_FRAMES: i64 = 1 << 31;

fn check_count(argument: &'static str, value: i64) -> Result<()> {
    if !(1..=MAX_FRAMES).contains(&value) {
        return Err(Error::out_of_range(argument, "1 and 2**31", value));
    }
    Ok(())
}

fn check_rate(argument: &'static str, value: f64) -> Result<()> {
    if !(value > 0.0 && value.is_finite()) {
        let reason = format!("must be positive and finite, got {value}");
        return Err(Error::invalid(argument, reason));
    }
    Ok(())
}

/// `numerator / denominator * factor`, which must come out finite.
fn scaled(numerator: i64, denominator: f64, factor: f64) -> Result<f64> {
    let frames = numerator as f64 / denominator * factor;
    if !frames.is_finite() {
        let reason = format!("must give a finite number of frames, got {factor} of {denominator}");
        return Err(Error::invalid("fps", reason));
    }
    Ok(frames)
}
