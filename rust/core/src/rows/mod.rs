//! Patch rows: the model's input, written in one pass over resized lines.

mod element;
mod normalize;
mod writer;

pub use element::Element;
pub use normalize::{Levels, Normalization};
pub use writer::{PatchLayout, RowWriter, Temporal};
