//! A register of AVX2: 32 bytes in two lanes of 16, within which bytes are shuffled.

use std::arch::x86_64::*;

use crate::kernels::Pair;
use crate::kernels::taps::LOW_BITS;

/// A register.
pub(in crate::kernels) type Register = __m256i;
/// Bytes of it.
pub(in crate::kernels) const BYTES: usize = 32;
/// 32-bit sums, or pairs, in a register.
pub(in crate::kernels) const SUMS: usize = 8;
/// Samples that become pairs at once.
pub(in crate::kernels) const WIDENED: usize = SUMS;

/// A register of float32.
pub(in crate::kernels) type Floats = __m256;
/// Elements of it.
pub(in crate::kernels) const FLOATS: usize = 8;

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn splat(value: i32) -> __m256i {
    _mm256_set1_epi32(value)
}

/// Sums that begin at `value`.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn begin(value: i32) -> __m256i {
    splat(value)
}

/// What [`pair_up`] and [`pack`] shift by: a shift of each sum by its own count is one operation, by a common one two.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn shift(precision: u32) -> __m256i {
    splat(precision as i32)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn load(bytes: &[u8; BYTES]) -> __m256i {
    // SAFETY: 32 bytes, of any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn load_pairs(pairs: &[Pair; SUMS]) -> __m256i {
    // SAFETY: 8 times 4 bytes.
    unsafe { _mm256_loadu_si256(pairs.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn store_pairs(register: __m256i, pairs: &mut [Pair; SUMS]) {
    // SAFETY: 8 times 4 bytes.
    unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), register) };
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn store(register: __m256i, bytes: &mut [u8; BYTES]) {
    // SAFETY: 32 bytes.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), register) };
}

/// 16 bytes from each of two places, one a lane.
///
/// # Safety
/// 16 readable bytes at `samples + offsets[0]` and at `samples + offsets[1]`.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) unsafe fn load_samples(samples: *const u8, offsets: [u32; 2]) -> __m256i {
    // SAFETY: 16 bytes from each offset on.
    unsafe {
        let first = _mm_loadu_si128(samples.add(offsets[0] as usize).cast());
        let second = _mm_loadu_si128(samples.add(offsets[1] as usize).cast());
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(first), second)
    }
}

/// Samples in the order of `pattern`, widened: where its byte is 0x80, zero.
///
/// ```text
/// a lane     s0 s1 s2 s3 s4 ...                   (bytes)
/// pattern     1 80  2 80 | 3 80  4 80 | ...       (the two taps of column 0, of column 1, ...)
/// result     s1    s2    | s3    s4   | ...       (16 bits)
/// ```
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn pick(samples: __m256i, pattern: __m256i) -> __m256i {
    _mm256_shuffle_epi8(samples, pattern)
}

/// In every 32 bits the sum of `sums` and of two products of 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn multiply_add(sums: __m256i, words: __m256i, weights: __m256i) -> __m256i {
    _mm256_add_epi32(sums, _mm256_madd_epi16(words, weights))
}

/// Sums of lower halves of weights and of upper ones, together.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn join(low: __m256i, high: __m256i) -> __m256i {
    _mm256_add_epi32(low, _mm256_slli_epi32::<{ LOW_BITS as i32 }>(high))
}

/// Sums of scanlines a and b as pairs: shifted to whole samples, clamped and side by side.
///
/// ```text
/// a >> precision           a0 ..    a1 ..      (32 bits, of which the lower 16 matter)
/// b >> precision << 16     .. b0    .. b1
/// blended                  a0 b0    a1 b1      (16 bits)
/// ```
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn pair_up(a: __m256i, b: __m256i, shift: __m256i) -> __m256i {
    let a = _mm256_srav_epi32(a, shift);
    let b = _mm256_slli_epi32::<16>(_mm256_srav_epi32(b, shift));
    let both = _mm256_blend_epi16::<0b1010_1010>(a, b);
    let positive = _mm256_max_epi16(both, _mm256_setzero_si256());
    _mm256_min_epi16(positive, _mm256_set1_epi16(255))
}

/// Four registers of sums as samples: shifted, clamped and in their order.
///
/// Packing works within lanes, so that its result has to be put in order, four samples at a time:
///
/// ```text
/// sums       a: a0 a1 | b: b0 b1 | c: c0 c1 | d: d0 d1        (fours in the lanes 0 and 1)
/// packed     a0 b0 c0 d0 | a1 b1 c1 d1
/// in order   a0 a1 b0 b1 | c0 c1 d0 d1
/// ```
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn pack(sums: [__m256i; 4], shift: __m256i) -> __m256i {
    let [a, b, c, d] = sums;
    let words = |x, y| _mm256_packs_epi32(_mm256_srav_epi32(x, shift), _mm256_srav_epi32(y, shift));
    let packed = _mm256_packus_epi16(words(a, b), words(c, d));
    _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}

/// Samples of scanlines a and b as pairs.
///
/// ```text
/// a            a0 a1 a2 ... a7                                   (8 bytes)
/// b            b0 b1 b2 ... b7
/// unpacked     a0 b0 a1 b1 a2 b2 ... a7 b7                       (16 bytes)
/// widened      a0 b0 a1 b1 a2 b2 a3 b3 | a4 b4 ... a7 b7         (16 bits)
/// ```
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn widen(a: &[u8; WIDENED], b: &[u8; WIDENED], out: &mut [Pair; WIDENED]) {
    // SAFETY: 8 bytes each.
    let (a, b) = unsafe {
        (
            _mm_loadl_epi64(a.as_ptr().cast()),
            _mm_loadl_epi64(b.as_ptr().cast()),
        )
    };
    store_pairs(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)), out);
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn splat_float(value: f32) -> __m256 {
    _mm256_set1_ps(value)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn floats(samples: &[u8; FLOATS]) -> __m256 {
    // SAFETY: 8 bytes.
    let samples = unsafe { _mm_loadl_epi64(samples.as_ptr().cast()) };
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(samples))
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn subtract(a: __m256, b: __m256) -> __m256 {
    _mm256_sub_ps(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn multiply(a: __m256, b: __m256) -> __m256 {
    _mm256_mul_ps(a, b)
}

/// `a * b + c`, rounded once.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub(in crate::kernels) fn multiply_and_add(a: __m256, b: __m256, c: __m256) -> __m256 {
    _mm256_fmadd_ps(a, b, c)
}

/// The last `count` elements of `a`, and the first of `b` after them.
///
/// ```text
/// a          a0 a1 a2 a3 a4 a5 a6 a7
/// b          b0 b1 b2 b3 b4 b5 b6 b7
/// turned     a5 a6 a7 a0 a1 a2 a3 a4      (both, by a count of 3)
/// result     a5 a6 a7 b0 b1 b2 b3 b4
/// ```
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn join_runs(a: __m256, b: __m256, count: usize) -> __m256 {
    let place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let count = _mm256_set1_epi32(count as i32);
    // Of an index the lowest three bits count.
    let turn = _mm256_sub_epi32(place, count);
    let (a, b) = (
        _mm256_permutevar8x32_ps(a, turn),
        _mm256_permutevar8x32_ps(b, turn),
    );
    _mm256_blendv_ps(b, a, _mm256_castsi256_ps(turn))
}

/// Stores a register, past the cache if `STREAM`.
///
/// # Safety
/// A place for 32 bytes, of which it is a multiple.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) unsafe fn store_floats<const STREAM: bool>(floats: __m256, out: *mut f32) {
    // SAFETY: such a place.
    unsafe {
        if STREAM {
            _mm256_stream_ps(out, floats);
        } else {
            _mm256_store_ps(out, floats);
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn array(floats: __m256) -> [f32; FLOATS] {
    let mut array = [0.0; FLOATS];
    // SAFETY: as many elements.
    unsafe { _mm256_storeu_ps(array.as_mut_ptr(), floats) };
    array
}
