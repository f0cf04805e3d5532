//! Whose bits to reproduce.

use crate::error::{Error, Result};

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

    /// Its name in Python, once it is known which Pillow is meant.
    pub fn name(self) -> &'static str {
        match self {
            Self::Torchvision => "torchvision",
            Self::Pillow12 => "pillow-12",
            Self::Pillow13 => "pillow-13",
        }
    }

    /// The reference called `name`.
    pub fn named(name: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|reference| reference.name() == name)
            .ok_or_else(|| Error::unknown("reference", &Self::ALL.map(Self::name), name))
    }

    /// Any reference, for property tests.
    #[cfg(test)]
    pub(crate) fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        proptest::sample::select(&Self::ALL[..])
    }
}
