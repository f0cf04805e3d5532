//! Patch rows: the model's input, written in one pass over resized lines.

mod band;
mod element;
mod normalize;
mod writer;

pub use band::{Band, RowShape};
pub use element::Element;
pub use normalize::{Affine, Divisor, Levels, Normalization, Values};
pub use writer::{PatchLayout, RowWriter, Strips, Temporal};
