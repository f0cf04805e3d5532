//! Runs of samples as elements.

use bytemuck::cast_mut;

#[cfg(target_arch = "aarch64")]
use super::processor::elements::float32;
use super::processor::elements::{Constants, SAMPLES, bfloat16, float16};
use crate::kernels::element::{Kind, Store};

/// Calls `store` with where each store of `step` elements begins that fill a run of `length`, which is no shorter. The
/// last is moved back to end where the run does.
#[inline(always)]
pub(in crate::kernels) fn for_each_store(length: usize, step: usize, mut store: impl FnMut(usize)) {
    let last = length - step;
    (0..last).step_by(step).for_each(&mut store);
    store(last);
}

/// Writes the elements of as many samples, but on x86-64 not float32: those a `FloatWriter` writes.
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
    for_each_store(run.len(), SAMPLES, |x| {
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
        Kind::Float16 => float16::<RESCALES>(samples, constants, cast_mut(out)),
        Kind::Bfloat16 => bfloat16::<RESCALES>(samples, constants, cast_mut(out)),
        #[cfg(target_arch = "aarch64")]
        Kind::Float32 => float32::<RESCALES>(samples, constants, cast_mut(out)),
        #[cfg(target_arch = "x86_64")]
        Kind::Float32 => unreachable!("a FloatWriter writes them"),
    }
}
