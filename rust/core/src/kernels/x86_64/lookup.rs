//! Samples to elements of two bytes, by tables that registers hold.

use std::arch::x86_64::*;

use bytemuck::Pod;

use crate::kernels::isa::Avx512;

/// Lines of a patch that are looked up at once, in a lane of a register each.
const LINES: usize = 4;

/// Samples of a line that fill a lane.
const LANE: usize = 16;

/// Elements of two bytes that do.
const ELEMENTS: usize = 8;

/// The elements of one channel, by sample: their lower bytes, and their upper ones.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Lookup([[u8; 256]; 2]);

impl Lookup {
    /// None for elements that do not have two bytes.
    pub(in crate::kernels) fn new<T: Pod>(elements: &[T; 256], _: Avx512) -> Option<Self> {
        let elements: &[[u8; 2]] = bytemuck::try_cast_slice(&elements[..]).ok()?;
        let elements: &[[u8; 2]; 256] = elements.try_into().ok()?;
        Some(Self([0, 1].map(|byte| elements.map(|bytes| bytes[byte]))))
    }

    /// Whether [`Self::write_lines`] takes a patch of `patch` lines, `stride` samples apart.
    pub(in crate::kernels) fn takes(samples: &[u8], stride: usize, patch: usize) -> bool {
        (ELEMENTS..=LANE).contains(&patch) && samples.len() >= (patch - 1) * stride + LANE
    }

    /// Writes the elements of `patch` lines of as many samples, which are `stride` apart.
    ///
    /// ```text
    /// samples     line 0: s0 ... s15 | line 1 | line 2 | line 3      (16 bytes each)
    /// low         line 0: l0 ... l15 | ...                           the same of the upper bytes
    /// first       line 0: l0 u0 l1 u1 ... l7 u7 | ...                (unpacking works within lanes)
    /// last        line 0: l8 u8 ... l15 u15 | ...
    /// ```
    ///
    /// Panics if they are not such as [`Self::takes`] says, or do not fill `out`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(in crate::kernels) fn write_lines<T: Pod>(
        &self,
        samples: &[u8],
        stride: usize,
        patch: usize,
        out: &mut [T],
    ) {
        let out: &mut [[u8; 2]] = bytemuck::cast_slice_mut(out);
        assert!(Self::takes(samples, stride, patch) && out.len() == patch * patch);
        let [low, high] = self.0.each_ref().map(|bytes| Bytes::new(bytes));
        let kept = (1 << (patch - ELEMENTS)) - 1;
        // The last lines are moved back to end where the patch does.
        let groups = (0..patch - LINES).step_by(LINES).chain([patch - LINES]);
        for y in groups {
            // SAFETY: 16 samples from the start of each line on, as was checked. A line has eight elements at
            // least, and what is stored beyond its end is within the next, which is stored after it; of the
            // last line only those elements are stored that it has.
            unsafe {
                let line =
                    |index| _mm_loadu_si128(samples.as_ptr().add((y + index) * stride).cast());
                let group = _mm512_castsi128_si512(line(0));
                let group = _mm512_inserti32x4::<1>(group, line(1));
                let group = _mm512_inserti32x4::<2>(group, line(2));
                let group = _mm512_inserti32x4::<3>(group, line(3));
                let (low, high) = (low.of(group), high.of(group));
                let first = _mm512_unpacklo_epi8(low, high);
                let last = _mm512_unpackhi_epi8(low, high);
                let out = out.as_mut_ptr().add(y * patch);
                let half = |index, half| out.add(index * patch + half * ELEMENTS).cast();
                _mm_storeu_si128(half(0, 0), _mm512_castsi512_si128(first));
                _mm_storeu_si128(half(0, 1), _mm512_castsi512_si128(last));
                _mm_storeu_si128(half(1, 0), _mm512_extracti32x4_epi32::<1>(first));
                _mm_storeu_si128(half(1, 1), _mm512_extracti32x4_epi32::<1>(last));
                _mm_storeu_si128(half(2, 0), _mm512_extracti32x4_epi32::<2>(first));
                _mm_storeu_si128(half(2, 1), _mm512_extracti32x4_epi32::<2>(last));
                _mm_storeu_si128(half(3, 0), _mm512_extracti32x4_epi32::<3>(first));
                let last = _mm512_extracti32x4_epi32::<3>(last);
                _mm_mask_storeu_epi16(half(3, 1).cast(), kept as u8, last);
            }
        }
    }
}

/// A byte for each sample, in registers.
#[derive(Clone, Copy)]
struct Bytes([__m512i; 4]);

impl Bytes {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new(bytes: &[u8; 256]) -> Self {
        let quarter = |at: usize| {
            // SAFETY: a quarter of them.
            unsafe { _mm512_loadu_si512(bytes[64 * at..64 * (at + 1)].as_ptr().cast()) }
        };
        Self([quarter(0), quarter(1), quarter(2), quarter(3)])
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
    fn of(self, samples: __m512i) -> __m512i {
        let Self([first, second, third, fourth]) = self;
        let lower = _mm512_permutex2var_epi8(first, samples, second);
        let upper = _mm512_permutex2var_epi8(third, samples, fourth);
        _mm512_mask_blend_epi8(_mm512_movepi8_mask(samples), lower, upper)
    }
}
