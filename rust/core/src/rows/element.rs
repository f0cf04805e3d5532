//! What a row can be made of.

use half::{bf16, f16};

use crate::simd::Lanes;

/// A type that rows are stored in.
pub trait Element: Lanes + Copy + Default + Send + Sync {
    /// The element for a pixel of `level` whose normalised value is `value`.
    ///
    /// Floats round `value` to nearest even, as torch's cast does. `u8` keeps the level: the model
    /// folds rescaling and normalisation into its first layer.
    fn from_level(level: u8, value: f32) -> Self;
}

impl Element for f32 {
    fn from_level(_: u8, value: f32) -> Self {
        value
    }
}

impl Element for f16 {
    fn from_level(_: u8, value: f32) -> Self {
        Self::from_f32(value)
    }
}

impl Element for bf16 {
    fn from_level(_: u8, value: f32) -> Self {
        Self::from_f32(value)
    }
}

impl Element for u8 {
    fn from_level(level: u8, _: f32) -> Self {
        level
    }
}
