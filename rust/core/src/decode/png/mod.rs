//! PNG of 8 bits without palette, alpha or animation.

mod header;
mod lines;

pub(super) use header::header;
pub(super) use lines::Lines;

#[cfg(test)]
mod tests;
