//! Transparent colours to opaque ones as torchvision blends them, by tables of alpha in registers of AVX-512 (VBMI).
//!
//! For one alpha, what a colour leaves of white falls in steps of a line: it can be computed by one multiplication,
//! where a factor and a bias are found that meet every step. Factors are of 16 bits, in two tables of bytes.

use std::arch::x86_64::*;

use super::avx512::{load, store};
use super::deinterleave_vbmi::Samples;
use super::table::Table;
use crate::kernels::scalar::blend::taken_by_torchvision;

/// Blends the colours of a block of pixels.
///
/// Colours of even places are multiplied apart from those of odd places, of which each has its byte where it
/// belongs:
///
/// ```text
/// colours      c0 c1 c2 c3 ...     (bytes)
/// even         k0 ~c0 k2 ~c2 ...   (16 bits, the lower byte first: bias and what the colour lacks of white)
/// odd          k1 ~c1 k3 ~c3 ...
/// taken        of each the upper byte of the upper half of its product with the factor
/// ```
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
pub(super) fn torchvision(colours: &mut [Samples; 3], alphas: &Samples) {
    /// Of three bits, (a and b) or c.
    const AND_OR: i32 = 0b1110_1010;
    /// (a and b) xor c.
    const AND_XOR: i32 = 0b0110_1010;
    /// Not (a or (b and c)).
    const NEITHER: i32 = 0b0000_0111;
    let upper = _mm512_set1_epi16(0xFF00_u16.cast_signed());
    let alphas = load(alphas);
    let [low, high, bias] =
        [&LINES.low, &LINES.high, &LINES.bias].map(|bytes| Table::new(bytes).of(alphas));
    let even_factors = _mm512_ternarylogic_epi32::<AND_OR>(
        _mm512_set1_epi16(0xFF),
        low,
        _mm512_slli_epi16::<8>(high),
    );
    let odd_factors = _mm512_ternarylogic_epi32::<AND_OR>(upper, high, _mm512_srli_epi16::<8>(low));
    let even_biases = _mm512_or_si512(upper, bias);
    let odd_biases = _mm512_or_si512(upper, _mm512_srli_epi16::<8>(bias));
    for colours in colours {
        let both = load(colours);
        let even = _mm512_xor_si512(_mm512_slli_epi16::<8>(both), even_biases);
        let odd = _mm512_ternarylogic_epi32::<AND_XOR>(both, upper, odd_biases);
        let even = _mm512_srli_epi16::<8>(_mm512_mulhi_epu16(even, even_factors));
        let odd = _mm512_mulhi_epu16(odd, odd_factors);
        store(
            _mm512_ternarylogic_epi32::<NEITHER>(even, odd, upper),
            colours,
        );
    }
}

/// For every alpha the line that torchvision's steps lie on; whole cache lines of tables.
#[repr(align(64))]
struct Lines {
    /// The lower and the upper byte of what 256 times what a colour lacks of white, and the bias, are multiplied by.
    low: [u8; 256],
    high: [u8; 256],
    bias: [u8; 256],
}

static LINES: Lines = {
    let mut lines = Lines {
        low: [0; 256],
        high: [0; 256],
        bias: [0; 256],
    };
    let mut alpha = 0;
    while alpha < 256 {
        let (bias, factor) = line(alpha as u16);
        [lines.low[alpha], lines.high[alpha]] = factor.to_le_bytes();
        lines.bias[alpha] = bias;
        alpha += 1;
    }
    lines
};

/// The least bias for which there is a factor, and the least factor for it: with what a colour lacks of white,
/// 2^24 times that which is taken is at most (256 * lacking + bias) * factor, and 2^24 times one more is above.
const fn line(alpha: u16) -> (u8, u16) {
    let mut bias = 0;
    loop {
        let (mut least, mut most) = (0, u16::MAX as u64);
        // Of what lacks nothing, nothing is taken: a product of less than 24 bits.
        let mut lacking = 1;
        while lacking < 256 {
            let taken = taken_by_torchvision(lacking * alpha, alpha) as u64;
            let multiplied = 256 * lacking as u64 + bias as u64;
            let (low, high) = (
                (taken << 24).div_ceil(multiplied),
                (((taken + 1) << 24) - 1) / multiplied,
            );
            if least < low {
                least = low;
            }
            if most > high {
                most = high;
            }
            lacking += 1;
        }
        if least <= most {
            return (bias, least as u16);
        }
        bias += 1;
    }
}
