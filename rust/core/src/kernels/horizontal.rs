//! The horizontal pass: staged scanlines to pairs.

use super::isa::{Backend, Isa};
use super::staged::{InPlace, Staged};
use super::turned::Turned;
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
    Turned(Turned),
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
            _ => match vector::Columns::new(&axis, isa)? {
                Some(columns) => {
                    let reach = columns.reach();
                    (Kernel::Columns(columns), reach)
                }
                None => {
                    let turned = Turned::new(&axis, isa)?;
                    // Sixteen scanlines are read side by side, which would share few places of a cache if they
                    // were a power of two apart.
                    let reach = plane_stride(turned.reach().max(width)) | super::WIDEST;
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
            Kernel::Turned(turned) => turned.lines(),
            _ => 2,
        }
    }

    /// Room for as many scanlines.
    pub(crate) fn staged(&self) -> Result<Staged> {
        let room = match &self.kernel {
            Kernel::Turned(turned) => Some(turned.room()?),
            _ => None,
        };
        Staged::new(self.lines(), self.reach, room)
    }

    /// How many of the first pixels of scanlines of `width` need not be staged.
    pub(crate) fn in_place(&self, format: PixelFormat, width: usize) -> usize {
        match &self.kernel {
            Kernel::Turned(turned) => turned.in_place(format, width),
            _ => 0,
        }
    }

    /// Resamples `lines` to pairs of scanlines, of three planes each, [`plane_stride`] of the width apart.
    ///
    /// What [`Horizontal::in_place`] says is read from `in_place`, if there is something. `ahead` is what will be read soon, to be fetched into the cache meanwhile.
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
                _ => vector::keep(*isa, lines, stride, ahead, out),
            },
            Kernel::Scalar(axis) => scalar::resample(axis, lines, out),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Kernel::Columns(columns) => columns.run(lines, ahead, out),
            Kernel::Turned(turned) => turned.run(lines, in_place, ahead, out),
        }
    }
}
