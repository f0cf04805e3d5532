//! Patches of 8 pixels a side and more, line by line but for small ones on their way past the cache.

use super::processor::elements::{Constants, SAMPLES};
use super::run::write_run;
use crate::kernels::element::{Kind, Store};
use crate::kernels::isa::Baseline;
use crate::kernels::values::Affine;

/// Bytes of samples that are copied at once.
const COPIED: usize = 16;

/// Pixels of a side up to which the lines of a patch are short, and few enough to be copied side by side.
const SMALL: usize = 16;

/// What the samples of one channel become.
pub(super) struct Channel(Affine);

impl Channel {
    pub(super) fn new<T>(affine: Affine, _: &[T; 256], _: usize, _: Baseline) -> Self {
        Self(affine)
    }

    /// Writes the elements of a patch of `PATCH` pixels, or of `patch` if that is 0, whose lines are `stride`
    /// samples apart: as often, one after another, as `out` has room. With `STREAM` they are about to be loaded again.
    ///
    /// # Safety
    /// At least 8 pixels a side; lines of as many samples, as far apart or farther.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
    #[inline]
    pub(super) unsafe fn write<
        T: Store,
        const PATCH: usize,
        const RESCALES: bool,
        const STREAM: bool,
    >(
        &self,
        samples: *const u8,
        stride: usize,
        patch: usize,
        out: &mut [T],
    ) {
        let patch = if PATCH == 0 { patch } else { PATCH };
        let area = patch * patch;
        debug_assert!(patch >= SAMPLES && stride >= patch && out.len().is_multiple_of(area));
        if T::KIND == Kind::Uint8 {
            let (first, others) = out.split_at_mut(area);
            // SAFETY: as many lines of as many samples, as the caller promises.
            unsafe { copy::<PATCH>(samples, stride, patch, bytemuck::cast_slice_mut(first)) };
            for other in others.chunks_exact_mut(area) {
                other.copy_from_slice(first);
            }
            return;
        }
        let constants = Constants::new(&self.0);
        if STREAM && T::KIND == Kind::Float32 && patch <= SMALL {
            // One run of all samples, most of whose stores make what is loaded at once.
            let mut lines = [0; SMALL * SMALL];
            let lines = &mut lines[..area];
            // SAFETY: as many lines of as many samples, as the caller promises.
            unsafe { copy::<PATCH>(samples, stride, patch, lines) };
            for run in out.chunks_exact_mut(area) {
                // SAFETY: as many samples as elements.
                unsafe { write_run::<T, RESCALES>(lines.as_ptr(), &constants, run) };
            }
            return;
        }
        let write = |y: usize, run: &mut [T]| {
            // SAFETY: a line of the patch, with a sample for each element.
            unsafe { write_run::<T, RESCALES>(samples.add(y * stride), &constants, run) };
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
}

/// The samples themselves. All lines but the last are copied in pieces that may reach into the next.
///
/// # Safety
/// A patch of at least 8 pixels, whose lines have as many samples and are as far apart or farther; `out` has
/// as many elements.
#[inline]
unsafe fn copy<const PATCH: usize>(
    samples: *const u8,
    stride: usize,
    patch: usize,
    out: &mut [u8],
) {
    let patch = if PATCH == 0 { patch } else { PATCH };
    let out = out.as_mut_ptr();
    for y in 0..patch {
        // SAFETY: a piece reaches less than 16 samples beyond those of a line, and no more than there are in a run of
        // at least 8. That is no farther than the next line ends, of either.
        unsafe {
            let (line, run) = (samples.add(y * stride), out.add(y * patch));
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
