//! The filters that images are resampled with.

use std::f64::consts::PI;

use super::Reference;
use super::exact::Kernel;
use crate::error::{Error, Result};

/// A filter, by its name in Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Keys' cubic convolution with a = -1/2.
    Bicubic,
    /// A triangle.
    Bilinear,
    /// A sinc windowed by the middle of another, three times as wide.
    Lanczos,
    /// Every sample under an output sample counts the same.
    Box,
    /// A sinc windowed by a raised cosine.
    Hamming,
}

impl Filter {
    /// Every filter.
    pub const ALL: [Self; 5] = [
        Self::Bicubic,
        Self::Bilinear,
        Self::Lanczos,
        Self::Box,
        Self::Hamming,
    ];

    /// Its name in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bicubic => "bicubic",
            Self::Bilinear => "bilinear",
            Self::Lanczos => "lanczos",
            Self::Box => "box",
            Self::Hamming => "hamming",
        }
    }

    /// The filter called `name`.
    pub fn named(name: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|filter| filter.name() == name)
            .ok_or_else(|| Error::unknown("resample", &Self::ALL.map(Self::name), name))
    }

    /// Any filter, for property tests.
    #[cfg(test)]
    pub(crate) fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        proptest::sample::select(&Self::ALL[..])
    }

    /// Half the width of the kernel, in source samples at scale 1, and the kernel.
    pub(super) fn kernel(self) -> (f64, Kernel) {
        match self {
            Self::Bicubic => (2.0, |at, weights| at.weigh(bicubic, weights)),
            Self::Bilinear => (1.0, |at, weights| at.weigh(triangle, weights)),
            Self::Lanczos => (3.0, |at, weights| at.weigh(lanczos, weights)),
            Self::Box => (0.5, |at, weights| at.weigh(rectangle, weights)),
            Self::Hamming => (1.0, |at, weights| at.weigh(hamming, weights)),
        }
    }

    /// Refuses what `reference` does not have as integer arithmetic.
    ///
    /// torch filters uint8 images with weights of 16 bits, except that bilinear ones need vector
    /// instructions: on an x86 processor without AVX2 it computes them in float32, which differs.
    pub fn check(self, reference: Reference) -> Result<()> {
        let integer = match (reference, self) {
            (Reference::Torchvision, Self::Box | Self::Hamming) => false,
            #[cfg(target_arch = "x86_64")]
            (Reference::Torchvision, Self::Bilinear) => is_x86_feature_detected!("avx2"),
            _ => true,
        };
        if integer {
            return Ok(());
        }
        let reason = format!(
            "must be another than {self:?}, which torchvision does not compute in integers here; or \
             choose reference \"pillow\""
        );
        Err(Error::invalid("resample", reason))
    }
}

fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    // Both are computed, so that the compiler need not branch.
    let inner = ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let outer = (((x - 5.0) * x + 8.0) * x - 4.0) * A;
    if x < 1.0 {
        inner
    } else if x < 2.0 {
        outer
    } else {
        0.0
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn rectangle(x: f64) -> f64 {
    f64::from(u8::from(-0.5 < x && x <= 0.5))
}

fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) {
        sinc(x) * sinc(x / 3.0)
    } else {
        0.0
    }
}

fn hamming(x: f64) -> f64 {
    // Pillow's constants are float32, whose sum is not 1; in the middle it has 1 all the same.
    let (a, b) = (f64::from(0.54_f32), f64::from(0.46_f32));
    let x = x.abs();
    if x == 0.0 {
        1.0
    } else if x < 1.0 {
        sinc(x) * (a + b * (x * PI).cos())
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * PI;
    x.sin() / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_and_every_reference_is_found_by_its_name() {
        for filter in Filter::ALL {
            assert_eq!(Filter::named(filter.name()), Ok(filter));
        }
        for reference in Reference::ALL {
            assert_eq!(Reference::named(reference.name()), Ok(reference));
        }
        assert_eq!(
            Filter::named("nearest").unwrap_err().to_string(),
            "resample must be one of bicubic, bilinear, lanczos, box, hamming, got nearest"
        );
    }

    #[test]
    fn torchvision_lacks_two_filters() {
        let check = |filter: Filter| filter.check(Reference::Torchvision);
        assert!(check(Filter::Lanczos).is_ok() && check(Filter::Bicubic).is_ok());
        assert_eq!(
            check(Filter::Box).unwrap_err().to_string(),
            "resample must be another than Box, which torchvision does not compute in integers here; \
             or choose reference \"pillow\""
        );
        assert!(Filter::Hamming.check(Reference::Pillow13).is_ok());
    }
}
