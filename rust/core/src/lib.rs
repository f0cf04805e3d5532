//! The vision front end of the Qwen-VL models, without Python.
//!
//! Data flows one way:
//!
//! ```text
//! Source -> geometry (target size, grid) -> resize (chunk by chunk, in cache) -> rows (normalise + patchify)
//! ```
//!
//! Every number this crate produces equals, bit for bit, what `transformers` computes on the CPU
//! with the named [`Reference`]. A *scanline* is one row of pixels; a *row* is always one patch row of
//! the model input.

pub mod batch;
pub mod decode;
pub mod error;
pub mod filter;
pub mod geometry;
pub mod index;
mod kernels;
pub mod memory;
pub mod parallel;
pub mod pixels;
pub mod process;
pub mod resize;
pub mod rows;
pub mod video;

pub use error::{Error, Result};
pub use filter::Reference;
pub use geometry::{Grid, PatchLayout, Temporal, smart_resize};
pub use kernels::Isa;
pub use pixels::PixelView;
pub use resize::resize;
pub use rows::{Element, Normalization, RowWriter};
