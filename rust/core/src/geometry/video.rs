//! How large the frames of a video become: budgets of each frame, and of all frames together.

use super::{End, Frames, MAX_AREA, PatchLayout, check_positive, fit};
use crate::error::{Error, Result};

/// What the budget of a video is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// The area of a frame (Qwen2-VL, Qwen2.5-VL).
    Frame,
    /// The volume of a clip: the areas of all its frames together (Qwen3-VL).
    Clip,
}

/// What decided the size of frames, where it is not the nearest one that can be cut into patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The least number of pixels, or what a cap leaves each frame at least: 1.05 times as many.
    Least,
    /// The largest number of pixels.
    Most,
    /// The tokens that the cap of a frame reckons with.
    Tokens,
}

/// How the frames of a video get their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoFit {
    /// How they are cut.
    pub layout: PatchLayout,
    /// What `pixels` are of.
    pub budget: Budget,
    /// The least and the largest number of pixels; None where frames keep their size.
    pub pixels: Option<(i64, i64)>,
    /// `max_video_tokens` of the reference where it caps the pixels of a frame: tokens of the model's
    /// context for [`Budget::Frame`], of a frame for [`Budget::Clip`].
    pub tokens: Option<i64>,
}

impl VideoFit {
    /// The size that `frames` frames of `(height, width)` are resized to, and what decided it.
    ///
    /// Semantics: `resize` of `Qwen2VLVideoProcessor` and `Qwen3VLVideoProcessor` in transformers.
    pub fn target(
        self,
        frames: i64,
        (height, width): (i64, i64),
    ) -> Result<((usize, usize), Option<Bound>)> {
        check_positive(&[("frames", frames), ("height", height), ("width", width)])?;
        let Some((least, most)) = self.pixels else {
            return Ok(((height as usize, width as usize), None));
        };
        check_positive(&[("min_pixels", least), ("max_pixels", most)])?;
        if least > most {
            let reason = format!("must be at most max_pixels={most}, got {least}");
            return Err(Error::invalid("min_pixels", reason));
        }
        let factor = (self.layout.patch * self.layout.merge) as i64;
        let (most, capped_by) = self.capped(frames, factor, (least, most))?;
        let (sharing, size) = match self.budget {
            Budget::Frame => {
                let frame = Frames {
                    count: 1,
                    rounded: 1,
                };
                (frame, (height, width))
            }
            Budget::Clip => {
                let group = self.layout.temporal_patch as i64;
                if frames < group {
                    let reason =
                        format!("must be at least temporal_patch_size={group}, got {frames}");
                    return Err(Error::invalid("frames", reason));
                }
                let rounded = (frames as f64 / group as f64).round_ties_even() as i64 * group;
                let clip = Frames {
                    count: frames,
                    rounded,
                };
                (clip, enlarged(height, width, factor))
            }
        };
        let fitted = fit(sharing, size, factor, (least, most))?;
        let bound = fitted.bound.map(|end| match end {
            End::Least => Bound::Least,
            End::Most => capped_by,
        });
        let (height, width) = fitted.size;
        Ok(((height as usize, width as usize), bound))
    }

    /// The largest number of pixels once a frame is capped, and where it comes from.
    fn capped(self, frames: i64, factor: i64, (least, most): (i64, i64)) -> Result<(i64, Bound)> {
        let Some(tokens) = self.tokens else {
            return Ok((most, Bound::Most));
        };
        check_positive(&[("max_video_tokens", tokens)])?;
        let too_many = || {
            let reason = format!("must be at most 2**53 pixels, got {tokens}");
            Error::invalid("max_video_tokens", reason)
        };
        let pixels = tokens
            .checked_mul(factor * factor)
            .filter(|pixels| *pixels <= MAX_AREA / self.layout.temporal_patch as i64)
            .ok_or_else(too_many)?;
        let (share, of_tokens) = match self.budget {
            Budget::Frame => {
                let clip = (pixels as f64 * 0.9) as i64;
                (most, clip * self.layout.temporal_patch as i64 / frames)
            }
            Budget::Clip => (most / frames, pixels),
        };
        let floor = (least as f64 * 1.05) as i64;
        let (frame, bound) = if floor >= share.min(of_tokens) {
            (floor, Bound::Least)
        } else if of_tokens < share {
            (of_tokens, Bound::Tokens)
        } else {
            (share, Bound::Most)
        };
        Ok(match self.budget {
            Budget::Frame => (frame, bound),
            Budget::Clip => (frame.saturating_mul(frames), bound),
        })
    }
}

/// A size with both sides at least about `factor`, as the reference enlarges smaller ones first.
fn enlarged(height: i64, width: i64, factor: i64) -> (i64, i64) {
    if height >= factor && width >= factor {
        return (height, width);
    }
    let (h, w, f) = (height as f64, width as f64, factor as f64);
    let scale = (f / h).max(f / w);
    // Never below 1: a side times what enlarges it to `factor` is at least half of `factor`.
    ((h * scale) as i64, (w * scale) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::smart_resize;
    use proptest::prelude::*;

    fn fit_of(budget: Budget, factor: usize, least: i64, most: i64) -> VideoFit {
        VideoFit {
            layout: PatchLayout {
                patch: factor / 2,
                temporal_patch: 2,
                merge: 2,
            },
            budget,
            pixels: Some((least, most)),
            tokens: None,
        }
    }

    #[test]
    fn known_answers_of_a_clip() {
        let fit = fit_of(Budget::Clip, 32, 128 * 32 * 32, 768 * 32 * 32);
        let target = |frames, size| fit.target(frames, size).unwrap();
        assert_eq!(target(16, (1080, 1920)), ((160, 288), Some(Bound::Most)));
        assert_eq!(target(2, (20, 300)), ((96, 992), Some(Bound::Least)));
        assert_eq!(target(5, (480, 640)), ((320, 448), Some(Bound::Most)));
    }

    #[test]
    fn what_binds_is_told() {
        let frame = fit_of(Budget::Frame, 28, 100_352, 602_112);
        let capped = |tokens| VideoFit {
            tokens: Some(tokens),
            ..frame
        };
        let bound = |fit: VideoFit, frames, size| fit.target(frames, size).unwrap().1;
        assert_eq!(bound(frame, 4, (480, 640)), None);
        assert_eq!(bound(frame, 4, (80, 64)), Some(Bound::Least));
        assert_eq!(bound(frame, 4, (1080, 1920)), Some(Bound::Most));
        assert_eq!(bound(capped(128_000), 4, (1080, 1920)), Some(Bound::Most));
        assert_eq!(
            bound(capped(128_000), 700, (1080, 1920)),
            Some(Bound::Tokens)
        );
        assert_eq!(bound(capped(1000), 700, (1080, 1920)), Some(Bound::Least));
    }

    #[test]
    fn refusals_name_the_argument_and_the_value() {
        let clip = fit_of(Budget::Clip, 32, 4096, 786_432);
        let refused =
            |fit: VideoFit, frames, size| fit.target(frames, size).unwrap_err().to_string();
        assert_eq!(
            refused(clip, 1, (64, 64)),
            "frames must be at least temporal_patch_size=2, got 1"
        );
        assert_eq!(
            refused(clip, 4, (64, 0)),
            "width must be between 1 and 2**53, got 0"
        );
        assert_eq!(
            refused(clip, 4, (64, 64 * 201)),
            "aspect ratio of height and width must be at most 200, got 201 from 64x12864"
        );
        let swapped = fit_of(Budget::Frame, 28, 9, 4);
        assert_eq!(
            refused(swapped, 4, (64, 64)),
            "min_pixels must be at most max_pixels=4, got 9"
        );
        let tokens = Some(1 << 52);
        assert_eq!(
            refused(VideoFit { tokens, ..clip }, 4, (64, 64)),
            "max_video_tokens must be at most 2**53 pixels, got 4503599627370496"
        );
    }

    proptest! {
        #[test]
        fn a_frame_alone_is_fitted_as_an_image(
            h in 1i64..3000, w in 1i64..3000, frames in 1i64..900, least in 1i64..900_000, more in 0i64..900_000,
        ) {
            prop_assume!(h.max(w) <= 200 * h.min(w));
            let fit = fit_of(Budget::Frame, 28, least, least + more);
            let (height, width) = smart_resize(h, w, 28, least, least + more).unwrap();
            let (size, _) = fit.target(frames, (h, w)).unwrap();
            prop_assert_eq!(size, (height as usize, width as usize));
        }

        #[test]
        fn nothing_overflows(
            budget in prop_oneof![Just(Budget::Frame), Just(Budget::Clip)],
            frames in any::<i64>(), h in any::<i64>(), w in any::<i64>(),
            pixels in any::<Option<(i64, i64)>>(), tokens in any::<Option<i64>>(),
        ) {
            let fit = VideoFit { pixels, tokens, ..fit_of(budget, 32, 1, 1) };
            let _ = fit.target(frames, (h, w));
            let _ = fit.target(frames.rem_euclid(1 << 20), (h.rem_euclid(1 << 14), w.rem_euclid(1 << 14)));
        }
    }
}
