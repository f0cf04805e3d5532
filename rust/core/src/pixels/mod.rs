//! Pixels of the caller: 8-bit samples in whatever order they lie, read where they are.

mod bytes;
mod view;

pub use bytes::Bytes;
pub use view::{PixelFormat, PixelView, Scanline};
