//! The horizontal pass: staged scanlines to pairs.

use super::isa::{Backend, Isa};
use super::staged::{InPlace, Staged};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;
use super::{Pair, plane_stride, scalar};
use crate::error::Result;
use crate::filter::Axis;
use crate::pixels::{Bytes, PixelFormat};

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
    /// Neighbouring columns share the samples of a register.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Columns(vector::Columns),
    /// They lie too far apart for that: from scales of about 4 on.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Turned(vector::Turned),
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
            Backend::Vector(isa) => match vector::Columns::new(&axis, isa)? {
                Some(columns) => {
                    let reach = columns.reach();
                    (Kernel::Columns(columns), reach)
                }
                None => {
                    let turned = vector::Turned::new(&axis, isa)?;
                    let reach = turned.reach();
                    (Kernel::Turned(turned), reach)
                }
            },
        };
        Ok(Self {
            kernel,
            reach: reach.max(width),
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

    /// Scanlines that are taken at once.
    pub(crate) fn lines(&self) -> usize {
        match &self.kernel {
            Kernel::Keep(_) | Kernel::Scalar(_) => 2,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Columns(_) => 2,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Turned(turned) => turned.lines(),
        }
    }

    /// Room for as many scanlines.
    pub(crate) fn staged(&self) -> Result<Staged> {
        let workspace = match &self.kernel {
            Kernel::Keep(_) | Kernel::Scalar(_) => None,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Columns(_) => None,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Turned(turned) => Some(turned.workspace()?),
        };
        Staged::new(self.lines(), self.reach, workspace)
    }

    /// How many of the first pixels of scanlines of `width` need not be staged.
    pub(crate) fn in_place(&self, format: PixelFormat, width: usize) -> usize {
        match &self.kernel {
            Kernel::Keep(_) | Kernel::Scalar(_) => 0,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Columns(_) => 0,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Turned(turned) => turned.in_place(format, width),
        }
    }

    /// Resamples `lines` to pairs of scanlines, of three planes each, [`plane_stride`] of the width apart.
    ///
    /// What [`Horizontal::in_place`] says is read from `in_place`, if there is something. `ahead` is what will be
    /// read soon, to be fetched into the cache meanwhile.
    pub(crate) fn run(
        &self,
        lines: &mut Staged,
        in_place: InPlace<'_>,
        ahead: &[Bytes<'_>],
        out: &mut [Pair],
    ) {
        let stride = plane_stride(self.width);
        assert!(lines.stride() >= plane_stride(self.reach));
        assert!(out.len() == self.lines() / 2 * 3 * stride);
        match &self.kernel {
            Kernel::Keep(isa) => match isa.backend() {
                Backend::Scalar => scalar::keep(lines, self.width, out),
                #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
                Backend::Vector(isa) => vector::keep(isa, lines, stride, ahead, out),
            },
            Kernel::Scalar(axis) => scalar::resample(axis, lines, out),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Columns(columns) => columns.run(lines, ahead, out),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Turned(turned) => turned.run(lines, in_place, ahead, out),
        }
    }
}
