//! Samples to float32.

use std::arch::aarch64::*;

use super::elements::SAMPLES;
use crate::kernels::values::{Affine, Factor};
use crate::kernels::vector::run::for_each_store;

/// [`Affine`] in registers.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Constants {
    scale: [float32x4_t; 2],
    mean: float32x4_t,
    inverse_std: [float32x4_t; 2],
}

impl Constants {
    #[target_feature(enable = "neon")]
    #[inline]
    pub(in crate::kernels) fn new(affine: &Affine) -> Self {
        let factor = |factor: Factor| [vdupq_n_f32(factor.high), vdupq_n_f32(factor.low)];
        Self {
            scale: factor(affine.scale),
            mean: vdupq_n_f32(affine.mean),
            inverse_std: factor(affine.inverse_std),
        }
    }
}

/// Eight samples as float32, normalised: [`Affine::apply`], which rescales if `RESCALES`.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn normalised<const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
) -> [float32x4_t; 2] {
    // SAFETY: 8 bytes.
    let words = vmovl_u8(unsafe { vld1_u8(samples.as_ptr()) });
    [vmovl_u16(vget_low_u16(words)), vmovl_high_u16(words)].map(|samples| {
        let mut values = vcvtq_f32_u32(samples);
        if RESCALES {
            values = times(values, constants.scale);
        }
        times(vsubq_f32(values, constants.mean), constants.inverse_std)
    })
}

#[target_feature(enable = "neon")]
#[inline]
fn times(numbers: float32x4_t, [high, low]: [float32x4_t; 2]) -> float32x4_t {
    vfmaq_f32(vmulq_f32(numbers, low), numbers, high)
}

/// Fills a slice with runs of elements, one after another. `STREAM` changes nothing: there is no such store for
/// ARM here, and whole lines would take more instructions than they save.
pub(in crate::kernels) struct FloatWriter<'a, const STREAM: bool> {
    /// What is left of it.
    out: &'a mut [f32],
}

impl<'a, const STREAM: bool> FloatWriter<'a, STREAM> {
    pub(in crate::kernels) fn new(out: &'a mut [f32]) -> Self {
        Self { out }
    }

    /// Writes the elements of `length` samples, at least [`SAMPLES`].
    ///
    /// # Safety
    /// There are as many samples.
    #[target_feature(enable = "neon")]
    #[inline]
    pub(in crate::kernels) unsafe fn write<const RESCALES: bool>(
        &mut self,
        constants: &Constants,
        samples: *const u8,
        length: usize,
    ) {
        assert!(SAMPLES <= length && length <= self.out.len());
        let run = self.out.split_off_mut(..length).unwrap_or_default();
        for_each_store(run.len(), SAMPLES, |x| {
            // SAFETY: eight elements from `x` on end within the run, and as many samples with them.
            unsafe {
                let [front, back] = normalised::<RESCALES>(&*samples.add(x).cast(), constants);
                vst1q_f32(run.as_mut_ptr().add(x), front);
                vst1q_f32(run.as_mut_ptr().add(x + 4), back);
            }
        });
    }

    /// All runs are written.
    pub(in crate::kernels) fn finish(self) {}
}
