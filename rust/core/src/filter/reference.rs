//! Whose bits to reproduce.

/// A library that resizes and normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reference {
    /// torchvision on CPU uint8 tensors: 16-bit weights, horizontal pass first.
    Torchvision,
    /// Pillow before 13: 22-bit weights, horizontal pass first.
    Pillow12,
    /// Pillow 13: 22-bit weights, the vertical pass first where that saves work.
    Pillow13,
}

impl Reference {
    /// Every reference.
    pub const ALL: [Self; 3] = [Self::Torchvision, Self::Pillow12, Self::Pillow13];

    /// Any reference, for property tests.
    #[cfg(test)]
    pub(crate) fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        proptest::sample::select(&Self::ALL[..])
    }
}
