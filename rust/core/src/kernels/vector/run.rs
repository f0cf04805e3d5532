//! Runs of samples as elements.

use bytemuck::cast_mut;

use super::processor::elements::{Constants, SAMPLES, bfloat16, float16, float32};
use crate::kernels::element::{Kind, Store};

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
    let (out, last) = (run.as_mut_ptr(), run.len() - SAMPLES);
    let write = |x: usize| {
        // SAFETY: eight elements from `x` on end within the run, and as many samples with them.
        let (samples, out) = unsafe { (&*samples.add(x).cast(), &mut *out.add(x).cast()) };
        store::<T, RESCALES>(samples, constants, out);
    };
    for x in (0..last).step_by(SAMPLES) {
        write(x);
    }
    // The last store is moved back to end where the run does.
    write(last);
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
