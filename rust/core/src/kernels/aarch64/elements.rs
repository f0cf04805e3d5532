//! Samples to elements of rows, eight at a time.

use std::arch::aarch64::*;

use bytemuck::cast_mut;
use half::{bf16, f16};

use crate::kernels::values::{Affine, Factor};

/// Samples that become elements at once.
pub(in crate::kernels) const SAMPLES: usize = 8;

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
fn normalised<const RESCALES: bool>(
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

#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn float32<const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [f32; SAMPLES],
) {
    let [front, back] = normalised::<RESCALES>(samples, constants);
    // SAFETY: twice 4 times 4 bytes.
    unsafe {
        vst1q_f32(out.as_mut_ptr(), front);
        vst1q_f32(out.as_mut_ptr().add(4), back);
    }
}

/// The conversion is part of NEON; what ARM calls fp16 is arithmetic.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn float16<const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [f16; SAMPLES],
) {
    let [front, back] = normalised::<RESCALES>(samples, constants);
    let halves = vcvt_high_f16_f32(vcvt_f16_f32(front), back);
    store_halves(vreinterpretq_u16_f16(halves), cast_mut(out));
}

/// The upper half of the bits of each value, plus one if the lower half is more than one half of its last
/// place, or as much and the last place is odd. Samples normalise to no NaN.
///
/// ```text
/// values     l0 u0 l1 u1 l2 u2 l3 u3 | l4 u4 ...      (16 bits, in two registers)
/// lower      l0 l1 l2 l3 l4 ... l7
/// upper      u0 u1 u2 u3 u4 ... u7
/// ```
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn bfloat16<const RESCALES: bool>(
    samples: &[u8; SAMPLES],
    constants: &Constants,
    out: &mut [bf16; SAMPLES],
) {
    let values = normalised::<RESCALES>(samples, constants);
    let [front, back] = values.map(|values| vreinterpretq_u16_f32(values));
    let (lower, upper) = (vuzp1q_u16(front, back), vuzp2q_u16(front, back));
    let even = vbicq_u16(vdupq_n_u16(1), upper);
    let rounded = vsraq_n_u16::<15>(upper, vqsubq_u16(lower, even));
    store_halves(rounded, cast_mut(out));
}

#[target_feature(enable = "neon")]
#[inline]
fn store_halves(register: uint16x8_t, out: &mut [u16; SAMPLES]) {
    // SAFETY: 8 times 2 bytes.
    unsafe { vst1q_u16(out.as_mut_ptr(), register) };
}
