//! What samples become in a row.

/// Samples as elements of rows, and as arithmetic where that gives the same bits.
#[derive(Debug, Clone)]
pub(crate) struct Values<T> {
    /// The elements, by channel and sample.
    pub(crate) table: Box<[[T; 256]; 3]>,
    /// The arithmetic, by channel.
    pub(crate) affine: Option<[Affine; 3]>,
}

/// A channel's samples in float32 arithmetic: `(sample * scale - mean) * inverse_std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: Factor,
    pub(crate) mean: f32,
    pub(crate) inverse_std: Factor,
}

impl Affine {
    /// Samples as they are.
    pub(crate) const IDENTITY: Self = Self {
        scale: Factor::new(1.0),
        mean: 0.0,
        inverse_std: Factor::new(1.0),
    };

    /// Whether samples are multiplied before the mean is subtracted.
    pub(crate) fn rescales(&self) -> bool {
        self.scale != Self::IDENTITY.scale
    }

    pub(crate) fn apply(self, sample: f32) -> f32 {
        self.inverse_std.times(self.scale.times(sample) - self.mean)
    }
}

/// A number to multiply by, as two float32 of which the second is what the first lacks.
///
/// With the reciprocal of a divisor, the product is the quotient rounded to nearest for nearly every
/// number, not for every one: whoever uses it must have checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factor {
    pub(crate) high: f32,
    pub(crate) low: f32,
}

impl Factor {
    pub(crate) const fn new(value: f64) -> Self {
        let high = value as f32;
        Self {
            high,
            low: (value - high as f64) as f32,
        }
    }

    fn times(self, number: f32) -> f32 {
        number.mul_add(self.high, number * self.low)
    }
}
