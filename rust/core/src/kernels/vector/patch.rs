//! Patches of 8 pixels a side and more, line by line.

use super::processor::elements::{Constants, SAMPLES};
#[cfg(target_arch = "x86_64")]
use super::rows::Samples;
use super::run::write_run;
use crate::kernels::band::Lines;
use crate::kernels::element::{Kind, Store};
use crate::kernels::isa::Baseline;
use crate::kernels::values::Affine;

/// Bytes of samples that are copied at once.
const COPIED: usize = 16;

/// What the samples of one channel become.
pub(super) struct Channel(Affine);

impl Channel {
    pub(super) fn new<T>(affine: Affine, _: &[T; 256], _: usize, _: Baseline) -> Self {
        Self(affine)
    }

    /// Writes the elements, but on x86-64 not float32, of a patch of `PATCH` pixels, or of `patch` if that is 0: as often,
    /// one after another, as `out` has room.
    ///
    /// # Safety
    /// At least 8 pixels a side; lines of as many samples, as far apart or farther.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
    #[inline]
    pub(super) unsafe fn write<T: Store, const PATCH: usize, const RESCALES: bool>(
        &self,
        lines: Lines,
        patch: usize,
        out: &mut [T],
    ) {
        let patch = if PATCH == 0 { patch } else { PATCH };
        let area = patch * patch;
        debug_assert!(patch >= SAMPLES && lines.stride >= patch && out.len().is_multiple_of(area));
        if T::KIND == Kind::Uint8 {
            let (first, others) = out.split_at_mut(area);
            let out = bytemuck::cast_slice_mut(first);
            // SAFETY: as many lines of as many samples, as the caller promises.
            unsafe { copy::<PATCH>(lines, patch, out) };
            for other in others.chunks_exact_mut(area) {
                other.copy_from_slice(first);
            }
            return;
        }
        let constants = Constants::new(&self.0);
        let write = |y: usize, run: &mut [T]| {
            // SAFETY: a line of the patch, with a sample for each element.
            unsafe { write_run::<T, RESCALES>(lines.at(y), &constants, run) };
        };
        // In AVX2 it takes less to compute a run again than to copy it, where the other frame's is written beside it.
        for frames in out.chunks_mut(2 * area) {
            let (first, second) = frames.split_at_mut(area);
            let runs = first.chunks_exact_mut(patch).enumerate();
            if second.is_empty() {
                runs.for_each(|(y, run)| write(y, run));
            } else {
                for ((y, run), other) in runs.zip(second.chunks_exact_mut(patch)) {
                    write(y, run);
                    write(y, other);
                }
            }
        }
    }

    /// Brings the samples of such a patch, which is a short one, side by side.
    ///
    /// # Safety
    /// See [`Channel::write`].
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) unsafe fn copy<const PATCH: usize>(
        &self,
        lines: Lines,
        patch: usize,
        out: &mut Samples,
    ) {
        let patch = if PATCH == 0 { patch } else { PATCH };
        // SAFETY: the caller's.
        unsafe { copy::<PATCH>(lines, patch, &mut out.0[..patch * patch]) };
    }
}

/// The samples themselves. All lines but the last are copied in pieces that may reach into the next.
///
/// # Safety
/// See [`Channel::write`]; `out` has as many elements.
#[inline]
unsafe fn copy<const PATCH: usize>(lines: Lines, patch: usize, out: &mut [u8]) {
    let patch = if PATCH == 0 { patch } else { PATCH };
    let out = out.as_mut_ptr();
    for y in 0..patch {
        // SAFETY: a piece reaches less than 16 samples beyond those of a line, and no more than there are in a run of
        // at least 8. That is no farther than the next line ends, of either.
        unsafe {
            let (line, run) = (lines.at(y), out.add(y * patch));
            if y + 1 == patch {
                line.copy_to_nonoverlapping(run, patch);
            } else {
                for x in (0..patch).step_by(COPIED) {
                    line.add(x).copy_to_nonoverlapping(run.add(x), COPIED);
                }
            }
        }
    }
}
