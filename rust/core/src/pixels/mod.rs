//! Pixels of the caller: 8-bit samples in whatever order they lie, read where they are.

mod bytes;
mod orientation;
mod view;

pub use bytes::Bytes;
pub(crate) use orientation::{flips, swaps, turned};
pub use view::{PixelFormat, PixelView, Scanline};
