//! Samples to elements of rows, eight at a time.

use std::arch::aarch64::*;

use half::{bf16, f16};

use crate::kernels::values::{Affine, Factor};
use crate::kernels::vector::{SAMPLES, Store};

/// [`Affine`] in registers.
#[derive(Debug, Clone, Copy)]
pub struct Constants {
    scale: [float32x4_t; 2],
    mean: float32x4_t,
    inverse_std: [float32x4_t; 2],
}

impl Constants {
    /// The same for every lane.
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

/// Eight samples as float32, normalised: [`Affine::apply`].
///
/// # Safety
/// 8 readable bytes.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn normalised<const RESCALES: bool>(
    samples: *const u8,
    constants: &Constants,
) -> [float32x4_t; 2] {
    // SAFETY: by the contract above.
    let words = vmovl_u8(unsafe { vld1_u8(samples) });
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

impl Store for f32 {
    const COMPUTED: bool = true;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn store<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    ) {
        // SAFETY: by the trait's contract.
        unsafe {
            let [front, back] = normalised::<RESCALES>(samples, constants);
            vst1q_f32(out, front);
            vst1q_f32(out.add(4), back);
        }
    }
}

impl Store for f16 {
    const COMPUTED: bool = true;

    /// The conversion is part of NEON; what ARM calls fp16 is arithmetic.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn store<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    ) {
        // SAFETY: by the trait's contract.
        unsafe {
            let [front, back] = normalised::<RESCALES>(samples, constants);
            let halves = vcvt_high_f16_f32(vcvt_f16_f32(front), back);
            vst1q_u16(out.cast(), vreinterpretq_u16_f16(halves));
        }
    }
}

impl Store for bf16 {
    const COMPUTED: bool = true;

    /// The upper half of the bits of each value, plus one if the lower half is more than one half of its last
    /// place, or as much and the last place is odd. Samples normalise to no NaN.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn store<const RESCALES: bool>(
        out: *mut Self,
        samples: *const u8,
        constants: &Constants,
    ) {
        // SAFETY: by the trait's contract.
        let values = unsafe { normalised::<RESCALES>(samples, constants) };
        let [front, back] = values.map(|values| vreinterpretq_u16_f32(values));
        let (lower, upper) = (vuzp1q_u16(front, back), vuzp2q_u16(front, back));
        let even = vbicq_u16(vdupq_n_u16(1), upper);
        let rounded = vsraq_n_u16::<15>(upper, vqsubq_u16(lower, even));
        // SAFETY: by the trait's contract.
        unsafe { vst1q_u16(out.cast(), rounded) };
    }
}

impl Store for u8 {
    const COMPUTED: bool = false;

    #[inline]
    unsafe fn store<const RESCALES: bool>(out: *mut Self, samples: *const u8, _: &Constants) {
        // SAFETY: by the trait's contract.
        unsafe { samples.copy_to_nonoverlapping(out, SAMPLES) };
    }
}
