//! What a row can be made of.

use half::{bf16, f16};

/// A type that rows are stored in: float32, float16, bfloat16 or uint8, and no other.
///
/// ```
/// assert_eq!(<f32 as qvl_core::Element>::from_sample(9, 0.5), 0.5);
/// ```
///
/// The kernels write rows of any element, so that nobody outside can add one: it would need a trait,
///
/// ```compile_fail,E0277
/// struct Mine;
///
/// impl qvl_core::Element for Mine {
///     fn from_sample(_: u8, _: f32) -> Self {
///         Mine
///     }
/// }
/// ```
///
/// and that cannot be named.
///
/// ```compile_fail,E0603
/// struct Mine;
///
/// impl qvl_core::rows::element::sealed::Element for Mine {}
/// ```
pub trait Element: sealed::Element {
    /// The element for a pixel of `sample` whose normalised value is `value`.
    ///
    /// Floats round `value` to nearest even, as torch's cast does. `u8` keeps the sample: the model
    /// folds rescaling and normalisation into its first layer.
    fn from_sample(sample: u8, value: f32) -> Self;
}

mod sealed {
    use half::{bf16, f16};

    use crate::kernels::element::Store;

    /// What kernels ask of an element. It cannot be named outside, so that nobody else implements it.
    pub trait Element: Store + Default + Send + Sync {}

    impl Element for f32 {}
    impl Element for f16 {}
    impl Element for bf16 {}
    impl Element for u8 {}
}

impl Element for f32 {
    fn from_sample(_: u8, value: f32) -> Self {
        value
    }
}

impl Element for f16 {
    fn from_sample(_: u8, value: f32) -> Self {
        Self::from_f32(value)
    }
}

impl Element for bf16 {
    fn from_sample(_: u8, value: f32) -> Self {
        Self::from_f32(value)
    }
}

impl Element for u8 {
    fn from_sample(sample: u8, _: f32) -> Self {
        sample
    }
}
