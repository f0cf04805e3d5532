//! JPEG by libjpeg-turbo with its default settings, which are Pillow's: the accurate inverse
//! transform and smooth upsampling of the chroma.

mod header;
#[cfg(feature = "jpeg")]
mod lines;

pub(super) use header::header;
#[cfg(feature = "jpeg")]
pub(super) use lines::Lines;

#[cfg(feature = "jpeg")]
#[cfg(test)]
mod tests;
