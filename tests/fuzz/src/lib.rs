//! What must hold of any input, whatever is in it. Each target has a module, or shares one.

pub mod batch;
pub mod file;
pub mod index;
pub mod passes;
pub mod pixels;
