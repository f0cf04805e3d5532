//! What rows are made of.

use bytemuck::Pod;
use half::{bf16, f16};

/// Element types that kernels write rows of.
pub trait Store: Pod {
    /// Which of them it is.
    const KIND: Kind;
}

/// An element type, as kernels tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The samples themselves.
    Uint8,
    /// Normalised samples.
    Float32,
    /// The same, rounded to nearest even.
    Float16,
    /// The same, rounded to nearest even.
    Bfloat16,
}

impl Store for u8 {
    const KIND: Kind = Kind::Uint8;
}

impl Store for f32 {
    const KIND: Kind = Kind::Float32;
}

impl Store for f16 {
    const KIND: Kind = Kind::Float16;
}

impl Store for bf16 {
    const KIND: Kind = Kind::Bfloat16;
}
