//! Patch rows: the model's input, written in one pass over resized bands.

mod bands;
mod element;
mod form;
mod normalize;
mod pieces;
mod writer;

pub(crate) use bands::{PieceWriter, Rows, outgrows_the_cache, tasks};
pub use element::Element;
pub(crate) use form::RowForm;
pub use normalize::Normalization;
pub use writer::RowWriter;
