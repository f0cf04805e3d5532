//! The horizontal pass: two staged scanlines to pairs.

use super::isa::{Backend, Isa};
use super::staged::Staged;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;
use super::{Pair, plane_stride, scalar};
use crate::error::Result;
use crate::filter::Axis;
use crate::pixels::Bytes;

/// A horizontal pass, with its tables in the order in which its kernel reads them.
#[derive(Debug)]
pub(crate) struct Horizontal {
    kernel: Kernel,
    /// Samples of a plane that the kernel may read.
    reach: usize,
    /// Pixels that come out.
    width: usize,
}

#[derive(Debug)]
enum Kernel {
    /// The width stays as it is.
    Keep(Isa),
    Scalar(Axis),
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Vector(vector::Horizontal),
}

impl Horizontal {
    /// The pass from `width` pixels to those of `axis`, or to as many if that is None.
    pub(crate) fn new(width: usize, axis: Option<Axis>, isa: Isa) -> Result<Self> {
        let Some(axis) = axis else {
            return Ok(Self {
                kernel: Kernel::Keep(isa),
                reach: width,
                width,
            });
        };
        let target = axis.len();
        let (kernel, reach) = match isa.backend() {
            Backend::Scalar => (Kernel::Scalar(axis), width),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            _ => {
                let pass = vector::Horizontal::new(&axis, isa)?;
                let reach = pass.reach().max(width);
                (Kernel::Vector(pass), reach)
            }
        };
        Ok(Self {
            kernel,
            reach,
            width: target,
        })
    }

    /// Pixels that come out.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Samples of a plane that may be read.
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }

    /// Resamples `lines` to three planes of pairs, [`plane_stride`] of the width apart. `ahead` is what
    /// will be staged soon, to be fetched into the cache meanwhile.
    pub(crate) fn run(&self, lines: &Staged, ahead: &[Bytes<'_>], out: &mut [Pair]) {
        let stride = plane_stride(self.width);
        assert!(lines.stride() >= plane_stride(self.reach) && out.len() == 3 * stride);
        match &self.kernel {
            Kernel::Keep(isa) => match isa.backend() {
                Backend::Scalar => scalar::keep(lines, self.width, out),
                #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
                _ => vector::keep(*isa, lines, stride, ahead, out),
            },
            Kernel::Scalar(axis) => scalar::resample(axis, lines, out),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Vector(pass) => pass.run(lines, ahead, out),
        }
    }
}
