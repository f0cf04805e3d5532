//! The vision front end of the Qwen-VL models, without Python.
//!
//! Data flows one way:
//!
//! ```text
//! ImageView -> geometry (target size, grid) -> resize (line by line) -> rows (normalise + patchify)
//! ```
//!
//! Every number this crate produces equals, bit for bit, what `transformers` computes on the CPU
//! with the named [`Reference`]. A *line* is one row of pixels; a *row* is always one patch row of
//! the model input.

pub mod decode;
pub mod error;
pub mod geometry;
pub mod image;
pub mod index;
pub mod memory;
pub mod parallel;
pub mod resize;
pub mod rows;
pub mod simd;

pub use error::{Error, Result};
pub use geometry::{Grid, smart_resize};
pub use image::ImageView;
pub use resize::{Reference, resize};
pub use rows::{Element, Normalization, PatchLayout, RowWriter, Strips, Temporal};
