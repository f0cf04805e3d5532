//! Patch rows: the model's input, written in one pass over resized bands.

mod element;
mod normalize;
mod pieces;
mod writer;

pub use element::Element;
pub use normalize::Normalization;
pub use writer::RowWriter;
pub(crate) use writer::Rows;
