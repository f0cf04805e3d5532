//! What an output sample is made of: whose arithmetic, which source samples, with which weights.

mod axis;
mod exact;
mod kernel;
mod reference;

pub use axis::Axis;
pub use kernel::Filter;
pub use reference::Reference;
