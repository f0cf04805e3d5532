//! Samples to elements of two bytes, eight at a time.

use std::arch::aarch64::*;

use bytemuck::cast_mut;
use half::{bf16, f16};

use super::floats::{Constants, normalised};

/// Samples that become elements at once.
pub(in crate::kernels) const SAMPLES: usize = 8;

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
