//! Exact antialiased bicubic resampling of 8-bit pixels.
//!
//! Both references resample separably in integers: each pass convolves with fixed-point weights
//! and rounds to 8 bits, so the precision of the weights and the order of the passes are part of
//! the result.

mod chunk;
mod long;
mod resampler;
mod source;
mod stage;
mod tasks;

use std::convert::Infallible;
use std::sync::Arc;

pub(crate) use resampler::Resampler;
pub use source::{Failure, Pixels, Scanlines, Source};
pub(crate) use tasks::{BandWriter, Tasks};

use crate::error::{Error, Result};
use crate::filter::Reference;
use crate::kernels::Isa;
use crate::parallel::Step;
use crate::pixels::PixelView;

/// Resizes `image` to `(height, width)` into `out`, packed RGB of `height * width * 3` bytes.
pub fn resize(
    image: &PixelView<'_>,
    target: (usize, usize),
    reference: Reference,
    isa: Isa,
    out: &mut [u8],
) -> Result<()> {
    let resampler = Arc::new(Resampler::new(image.size(), target, reference, isa)?);
    let line_bytes = 3 * target.1;
    if out.len() != target.0 * line_bytes {
        let reason = format!(
            "must hold {}x{}x3 bytes, got {}",
            target.0,
            target.1,
            out.len()
        );
        return Err(Error::invalid("out", reason));
    }
    let parts = out.chunks_exact_mut(line_bytes).collect();
    let frames = vec![Source::<Infallible>::pixels(*image)];
    let tasks = Tasks::new(resampler, &Packed, frames, 1, parts, 1)?;
    loop {
        match tasks.step() {
            Step::Done => {}
            Step::Waiting | Step::Finished => return Ok(()),
            Step::Failed(Failure::Core(error)) => return Err(error),
            // Neither is there a file, nor a caller who could fail.
            Step::Failed(_) => return Ok(()),
        }
    }
}

/// Scanlines as packed RGB.
struct Packed;

/// One scanline.
impl BandWriter for Packed {
    type Part<'a> = &'a mut [u8];
}
