//! Runs of samples as elements.

use bytemuck::cast_mut;

use super::processor::elements::{Constants, SAMPLES, bfloat16, float16, float32};
use crate::kernels::element::{Kind, Store};

/// Calls `store` with where each store of `step` elements begins to fill `run`, which is no shorter. But for the first
/// and the last, those of a long run lie where a cache line, or a part of one, does: a store that crosses from one to
/// the next takes twice as long and more, and whoever loads what two stores have made waits for both.
///
/// ```text
/// lines     |...............|...............|...............|
/// stores        |- first ------|                |- last -------|
///                           |---------------|
///                                           |---------------|
/// ```
#[inline(always)]
pub(in crate::kernels) fn for_each_store<T>(run: &[T], step: usize, mut store: impl FnMut(usize)) {
    /// Elements of a run that is long: all of the smallest patch, while a line of a usual one is shorter.
    const LONG: usize = 64;
    debug_assert!(run.len() >= step);
    let (mut first, last) = (0, run.len() - step);
    if run.len() >= LONG {
        store(0);
        let before = run.as_ptr().addr().wrapping_neg() % (step * size_of::<T>());
        first = before / size_of::<T>();
    }
    (first..last).step_by(step).for_each(&mut store);
    // Moved back to end where the run does.
    store(last);
}

/// Writes the elements of as many samples.
///
/// # Safety
/// At least [`SAMPLES`] elements, and as many samples.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
#[inline]
pub(super) unsafe fn write_run<T: Store, const RESCALES: bool>(
    samples: *const u8,
    constants: &Constants,
    run: &mut [T],
) {
    let out = run.as_mut_ptr();
    for_each_store(run, SAMPLES, |x| {
        // SAFETY: eight elements from `x` on end within the run, and as many samples with them.
        let (samples, out) = unsafe { (&*samples.add(x).cast(), &mut *out.add(x).cast()) };
        store::<T, RESCALES>(samples, constants, out);
    });
}

/// Stores the elements of eight samples.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
#[inline]
fn store<T: Store, const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [T; SAMPLES],
) {
    match T::KIND {
        Kind::Uint8 => *cast_mut(out) = *samples,
        Kind::Float32 => float32::<RESCALES>(samples, constants, cast_mut(out)),
        Kind::Float16 => float16::<RESCALES>(samples, constants, cast_mut(out)),
        Kind::Bfloat16 => bfloat16::<RESCALES>(samples, constants, cast_mut(out)),
    }
}
