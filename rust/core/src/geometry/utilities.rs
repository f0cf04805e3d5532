//! Sizes as the Qwen utilities (`qwen_vl_utils`) choose them, before a processor sees the pixels.

use super::{check_positive, check_ratio};
use crate::error::{Error, Result};

/// Frames that the utilities' `total_pixels` counts once: a clip may have this many times as many
/// pixels, where `size["longest_edge"]` of the Qwen3-VL processor counts each frame.
const FRAME_FACTOR: f64 = 2.0;

/// The size that the utilities resize an image to. Unlike [`smart_resize`](super::smart_resize) it
/// rounds no side to 0, but may shrink one to 0.
///
/// Semantics: `smart_resize` of `qwen_vl_utils`. The bounds are floats there: a share of
/// `total_pixels` need not be whole.
pub fn smart_resize(
    height: i64,
    width: i64,
    factor: i64,
    min_pixels: f64,
    max_pixels: f64,
) -> Result<(i64, i64)> {
    check_positive(&[("height", height), ("width", width), ("factor", factor)])?;
    for (argument, value) in [("min_pixels", min_pixels), ("max_pixels", max_pixels)] {
        if !(value > 0.0 && value.is_finite()) {
            let reason = format!("must be positive and finite, got {value}");
            return Err(Error::invalid(argument, reason));
        }
    }
    if min_pixels > max_pixels {
        let reason = format!("must be at most max_pixels={max_pixels}, got {min_pixels}");
        return Err(Error::invalid("min_pixels", reason));
    }
    check_ratio(height, width)?;
    let (h, w, f) = (height as f64, width as f64, factor as f64);
    let area = (i128::from(height) * i128::from(width)) as f64;
    let rounded = |side: f64| f.max((side / f).round_ties_even() * f);
    let rounded_area = rounded(h) * rounded(w);
    let side: &dyn Fn(f64) -> f64 = if rounded_area > max_pixels {
        let shrink = (area / max_pixels).sqrt();
        &move |side| (side / shrink / f).floor() * f
    } else if rounded_area < min_pixels {
        let grow = (min_pixels / area).sqrt();
        &move |side| (side * grow / f).ceil() * f
    } else {
        &rounded
    };
    Ok((side(h) as i64, side(w) as i64))
}

/// The largest area of each of `frames` frames: what `total_pixels` leaves it, at most `max_pixels`,
/// at least 1.05 times `min_pixels`.
///
/// Semantics: `fetch_video` of `qwen_vl_utils`.
pub fn frame_pixels(
    frames: i64,
    min_pixels: f64,
    max_pixels: f64,
    total_pixels: f64,
) -> Result<f64> {
    check_positive(&[("frames", frames)])?;
    let share = total_pixels / frames as f64 * FRAME_FACTOR;
    Ok(max_pixels.min(share).max((min_pixels * 1.05).trunc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let size = |h, w, most| smart_resize(h, w, 28, 100_352.0, most).unwrap();
        assert_eq!(size(480, 640, 602_112.0), (476, 644));
        assert_eq!(size(1080, 1920, 602_112.0), (560, 1008));
        // A side may vanish, which the processors' rule prevents.
        assert_eq!(smart_resize(28, 5600, 28, 784.0, 3136.0).unwrap(), (0, 784));
        assert_eq!(
            frame_pixels(768, 100_352.0, 602_112.0, 90_316_800.0).unwrap(),
            235_200.0
        );
        assert_eq!(
            frame_pixels(4, 100_352.0, 602_112.0, 90_316_800.0).unwrap(),
            602_112.0
        );
        assert_eq!(
            frame_pixels(9999, 100_352.0, 602_112.0, 90_316_800.0).unwrap(),
            105_369.0
        );
    }

    #[test]
    fn refusals_name_the_argument_and_the_value() {
        let refused = |h, least, most| smart_resize(h, 5, 28, least, most).unwrap_err().to_string();
        assert_eq!(
            refused(0, 1.0, 9.0),
            "height must be between 1 and 2**53, got 0"
        );
        assert_eq!(
            refused(5, f64::NAN, 9.0),
            "min_pixels must be positive and finite, got NaN"
        );
        assert_eq!(
            refused(5, 10.0, 9.0),
            "min_pixels must be at most max_pixels=9, got 10"
        );
    }
}
