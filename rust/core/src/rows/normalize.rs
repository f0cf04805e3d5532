//! Rescaling and normalisation of 8-bit pixels, as a table of every possible value.

use super::element::Element;
use crate::error::{Error, Result};
use crate::filter::Reference;
use crate::kernels::values::{Affine, Factor, Values};

/// What each of the 256 values that a sample of each of the 3 channels can have becomes.
type Levels = [[f32; 256]; 3];

impl<T: Element> Values<T> {
    /// The elements for `normalization` in the order of operations of `reference`.
    pub(super) fn new(normalization: &Normalization, reference: Reference) -> Result<Self> {
        let levels = normalization.levels(reference)?;
        let element =
            |channel: usize, level: usize| T::from_sample(level as u8, levels[channel][level]);
        Ok(Self {
            table: Box::new(std::array::from_fn(|channel| {
                std::array::from_fn(|level| element(channel, level))
            })),
            affine: normalization.affine(reference, &levels),
        })
    }
}

/// The arithmetic between a pixel's level and the model's input. `None` switches a step off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Factor that levels are multiplied by, 1/255 as a rule.
    pub rescale_factor: Option<f64>,
    /// Mean and standard deviation of each channel.
    pub mean_std: Option<([f64; 3], [f64; 3])>,
}

impl Normalization {
    /// The table for `reference`, in its own order of operations and precision.
    ///
    /// torchvision folds the rescaling into mean and deviation, in float32
    /// (`TorchvisionBackend._fuse_mean_std_and_rescale_factor`); the Pillow backend rescales in
    /// float64 first (`image_transforms.rescale` and `normalize`).
    fn levels(&self, reference: Reference) -> Result<Levels> {
        self.check()?;
        let identity: [f32; 256] = std::array::from_fn(|level| level as f32);
        let fused = reference == Reference::Torchvision && self.mean_std.is_some();
        let rescaled = match self.rescale_factor {
            Some(factor) if reference != Reference::Torchvision => {
                identity.map(|level| (f64::from(level) * factor) as f32)
            }
            Some(factor) if !fused => identity.map(|level| level * factor as f32),
            _ => identity,
        };
        let Some((mean, std)) = self.mean_std else {
            return Ok([rescaled; 3]);
        };
        let unscale = match self.rescale_factor {
            Some(factor) if fused => (1.0 / factor) as f32,
            _ => 1.0,
        };
        Ok(std::array::from_fn(|channel| {
            let mean = mean[channel] as f32 * unscale;
            let std = std[channel] as f32 * unscale;
            rescaled.map(|level| (level - mean) / std)
        }))
    }

    /// The same as arithmetic, if it gives the bits of `levels` for every sample.
    fn affine(&self, reference: Reference, levels: &Levels) -> Option<[Affine; 3]> {
        let (mean, std) = self.mean_std.unwrap_or(([0.0; 3], [1.0; 3]));
        let factor = self.rescale_factor.unwrap_or(1.0);
        let (scale, unscale) = match reference {
            Reference::Torchvision if self.mean_std.is_some() => (1.0, (1.0 / factor) as f32),
            Reference::Torchvision => (f64::from(factor as f32), 1.0),
            Reference::Pillow12 | Reference::Pillow13 => (factor, 1.0),
        };
        let affine = std::array::from_fn(|channel| Affine {
            scale: Factor::new(scale),
            mean: mean[channel] as f32 * unscale,
            inverse_std: Factor::new(1.0 / f64::from(std[channel] as f32 * unscale)),
        });
        let exact = affine.iter().zip(levels).all(|(affine, levels)| {
            let computed = (0..256u16).map(|level| affine.apply(f32::from(level)));
            computed
                .map(f32::to_bits)
                .eq(levels.iter().map(|value| value.to_bits()))
        });
        exact.then_some(affine)
    }

    /// Refuses values that float32 cannot hold or divide by.
    fn check(&self) -> Result<()> {
        let usable = |value: f64| (value as f32).is_finite();
        let divides = |value: f64| usable(value) && value as f32 != 0.0;
        if let Some(factor) = self.rescale_factor
            && !(divides(factor) && divides(1.0 / factor))
        {
            let reason = format!("must be finite and not zero, got {factor}");
            return Err(Error::invalid("rescale_factor", reason));
        }
        if let Some((mean, std)) = self.mean_std {
            if !mean.into_iter().all(usable) {
                let reason = format!("must be finite, got {mean:?}");
                return Err(Error::invalid("image_mean", reason));
            }
            if !std.into_iter().all(divides) {
                let reason = format!("must be finite and not zero, got {std:?}");
                return Err(Error::invalid("image_std", reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Option<([f64; 3], [f64; 3])> = Some(([0.5; 3], [0.5; 3]));

    #[test]
    fn half_and_half_spans_minus_one_to_one() {
        let normalization = Normalization {
            rescale_factor: Some(1.0 / 255.0),
            mean_std: HALF,
        };
        for reference in Reference::ALL {
            let levels = normalization.levels(reference).unwrap();
            assert_eq!((levels[0][0], levels[2][255]), (-1.0, 1.0));
        }
    }

    #[test]
    fn the_settings_of_released_models_are_arithmetic() {
        let clip = (
            [0.48145466, 0.4578275, 0.40821073],
            [0.26862954, 0.26130258, 0.27577711],
        );
        for (reference, mean_std) in Reference::ALL
            .into_iter()
            .zip([Some(clip), HALF, Some(clip)])
        {
            let normalization = Normalization {
                rescale_factor: Some(1.0 / 255.0),
                mean_std,
            };
            let values = Values::<f32>::new(&normalization, reference).unwrap();
            assert!(values.affine.is_some(), "{reference:?}");
        }
    }

    #[test]
    fn a_step_that_is_off_does_nothing() {
        let off = Normalization {
            rescale_factor: None,
            mean_std: None,
        };
        assert_eq!(off.levels(Reference::Pillow13).unwrap()[1][200], 200.0);
        let normalize_only = Normalization {
            rescale_factor: None,
            mean_std: HALF,
        };
        let levels = normalize_only.levels(Reference::Torchvision).unwrap();
        assert_eq!(levels[1][200], (200.0 - 0.5) / 0.5);
    }

    #[test]
    fn values_that_cannot_be_computed_with_are_refused() {
        let refused = |rescale_factor, mean: f64, std: f64| {
            let normalization = Normalization {
                rescale_factor: Some(rescale_factor),
                mean_std: Some(([0.5, mean, 0.5], [0.5, 0.5, std])),
            };
            let error = normalization.levels(Reference::Torchvision).unwrap_err();
            error.to_string()
        };
        assert!(refused(0.0, 0.5, 0.5).starts_with("rescale_factor must be finite and not zero"));
        assert!(
            refused(1.0, f64::NAN, 0.5).starts_with("image_mean must be finite, got [0.5, NaN")
        );
        assert!(refused(1.0, 0.5, 0.0).starts_with("image_std must be finite and not zero"));
        assert!(refused(1.0, 0.5, 1e-60).starts_with("image_std must be finite and not zero"));
    }
}
