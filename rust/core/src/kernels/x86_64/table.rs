//! A table of 256 bytes in registers of AVX-512 (VBMI).

use std::arch::x86_64::*;

use super::avx512::load;

/// A byte for each sample.
#[derive(Clone, Copy)]
pub(super) struct Table([__m512i; 4]);

impl Table {
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn new(bytes: &[u8; 256]) -> Self {
        let [first, second, third, fourth] = bytemuck::cast_ref(bytes);
        Self([load(first), load(second), load(third), load(fourth)])
    }

    /// Those of `samples`, of which the upper bit chooses between two halves.
    ///
    /// ```text
    /// samples     s0 s1 s2 ... s63                   (bytes)
    /// lower       byte s0 % 128 of the first and the second register, byte s1 % 128, ...
    /// upper       the same of the third and the fourth
    /// blended     upper where a sample is 128 or more
    /// ```
    #[target_feature(enable = "avx512bw,avx512vbmi")]
    #[inline]
    pub(super) fn of(self, samples: __m512i) -> __m512i {
        let Self([first, second, third, fourth]) = self;
        let lower = _mm512_permutex2var_epi8(first, samples, second);
        let upper = _mm512_permutex2var_epi8(third, samples, fourth);
        _mm512_mask_blend_epi8(_mm512_movepi8_mask(samples), lower, upper)
    }
}
