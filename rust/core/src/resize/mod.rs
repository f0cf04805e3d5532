//! Exact antialiased resampling of 8-bit pixels.
//!
//! Both references resample separably in integers: each pass convolves with fixed-point weights
//! and rounds to 8 bits, so the precision of the weights and the order of the passes are part of
//! the result.

mod cache;
mod chunk;
mod long;
mod pace;
mod partition;
mod resampler;
mod room;
mod sequence;
mod source;
mod stage;
mod tasks;
mod together;
mod upright;

use std::convert::Infallible;
use std::marker::PhantomData;

pub use cache::release_tables;
pub(crate) use cache::resampler;
pub(crate) use pace::Pace;
pub(crate) use resampler::Method;
pub(crate) use room::Ahead;
pub use source::{Failure, Pixels, Scanlines, Source, Strips};
pub(crate) use tasks::{BandWriter, Bands, SKIPPING, Tasks};

use crate::error::{Error, Result};
use crate::filter::Reference;
use crate::geometry::Pass;
use crate::kernels::Isa;
use crate::kernels::deinterleave::interleave;
use crate::memory;
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
    let pass = Pass::resize(image.size(), target);
    let resampler = resampler(pass, 1, Method::new(reference, isa))?;
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
    let bands = out.chunks_mut(Packed::LINES * line_bytes);
    let parts = memory::collect(bands, "bands of scanlines")?;
    let bands = Bands { first: 0, parts };
    let packed = Packed {
        isa,
        width: target.1,
        out: PhantomData,
    };
    let source = vec![Source::pixels(*image)];
    let ahead = Ahead::of(1);
    let tasks = Tasks::new(resampler, packed, source, Packed::LINES, bands, &ahead);
    run_alone(tasks)
}

/// Does all tasks whose frames lie in memory, where there is neither a file that could be damaged nor a
/// caller who could fail.
pub(crate) fn run_alone<W: BandWriter>(
    tasks: Result<Tasks<'_, W, Infallible>, Failure<Infallible>>,
) -> Result<()> {
    let run = |tasks: Tasks<'_, W, Infallible>| {
        loop {
            match tasks.step() {
                Step::Done => {}
                Step::Finished => return Ok(()),
                Step::Failed(failure) => return Err(failure),
                Step::Waiting => unreachable!("nobody else is at work"),
            }
        }
    };
    tasks.and_then(run).map_err(|failure| match failure {
        Failure::Core(error) => error,
        Failure::Damaged => unreachable!("pixels in memory are whole"),
        Failure::Owner(never) => match never {},
    })
}

/// Bands as packed RGB.
struct Packed<'a> {
    isa: Isa,
    width: usize,
    out: PhantomData<&'a mut [u8]>,
}

impl Packed<'_> {
    /// Scanlines of a band.
    const LINES: usize = 16;
}

impl<'a> BandWriter for Packed<'a> {
    type Part = &'a mut [u8];

    fn write(&self, out: &'a mut [u8], frames: &[&[u8]], stride: usize) -> Result<()> {
        let lines = frames
            .iter()
            .flat_map(|frame| frame.chunks_exact(3 * stride));
        for (out, line) in out.chunks_exact_mut(3 * self.width).zip(lines) {
            let (red, rest) = line.split_at(stride);
            let (green, blue) = rest.split_at(stride);
            let planes = [red, green, blue].map(|plane| &plane[..self.width]);
            interleave(self.isa, planes, out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
