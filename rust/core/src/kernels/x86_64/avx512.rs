//! A register of AVX-512: 64 bytes, among all of which bytes can be chosen (VBMI), and multiply-adds
//! that add to a sum (VNNI).

use std::arch::asm;
use std::arch::x86_64::*;

use crate::kernels::Pair;
use crate::kernels::taps::LOW_BITS;

/// A register.
pub(in crate::kernels) type Register = __m512i;
/// Bytes of it.
pub(in crate::kernels) const BYTES: usize = 64;
/// 32-bit sums, or pairs, in a register.
pub(in crate::kernels) const SUMS: usize = 16;
/// Samples that become pairs at once.
pub(in crate::kernels) const WIDENED: usize = SUMS;

/// A register of float32.
pub(in crate::kernels) type Floats = __m512;
/// Elements of it.
pub(in crate::kernels) const FLOATS: usize = 16;

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn splat(value: i32) -> __m512i {
    _mm512_set1_epi32(value)
}

/// Sums that begin at `value`.
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn begin(value: i32) -> __m512i {
    splat(value)
}

/// What [`pair_up`] and [`pack`] shift by, as in [`super::avx2::shift`].
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn shift(precision: u32) -> __m512i {
    splat(precision as i32)
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn load(bytes: &[u8; BYTES]) -> __m512i {
    // SAFETY: 64 bytes, of any alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn load_pairs(pairs: &[Pair; SUMS]) -> __m512i {
    // SAFETY: 16 times 4 bytes.
    unsafe { _mm512_loadu_si512(pairs.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn store_pairs(register: __m512i, pairs: &mut [Pair; SUMS]) {
    // SAFETY: 16 times 4 bytes.
    unsafe { _mm512_storeu_si512(pairs.as_mut_ptr().cast(), register) };
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn store(register: __m512i, bytes: &mut [u8; BYTES]) {
    // SAFETY: 64 bytes.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), register) };
}

/// 64 bytes from one place.
///
/// # Safety
/// 64 readable bytes at `samples + offset`.
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) unsafe fn load_samples(
    samples: *const u8,
    [offset, _]: [u32; 2],
) -> __m512i {
    // SAFETY: 64 bytes from the offset on.
    unsafe { _mm512_loadu_si512(samples.add(offset as usize).cast()) }
}

/// Samples in the order of `pattern`, widened: every second byte is zero.
///
/// ```text
/// register   s0 s1 s2 s3 s4 ... s63               (bytes)
/// pattern     1 ..  2 .. | 3 ..  4 .. | ...       (the two taps of column 0, of column 1, ...)
/// result     s1    s2    | s3    s4   | ...       (16 bits)
/// ```
#[target_feature(enable = "avx512bw,avx512vbmi")]
#[inline]
pub(in crate::kernels) fn pick(samples: __m512i, pattern: __m512i) -> __m512i {
    const LOWER_BYTES: u64 = 0x5555_5555_5555_5555;
    let picked: __m512i;
    // SAFETY: registers alone. Of the intrinsic the compiler makes two instructions, a permutation and a
    // conjunction, which take a third of the kernel's time more.
    unsafe {
        asm!(
            "vpermb {picked}{{{mask}}}{{z}}, {pattern}, {samples}",
            picked = lateout(zmm_reg) picked,
            mask = in(kreg) LOWER_BYTES,
            pattern = in(zmm_reg) pattern,
            samples = in(zmm_reg) samples,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    picked
}

/// In every 32 bits the sum of `sums` and of two products of 16 bits.
#[target_feature(enable = "avx512vnni")]
#[inline]
pub(in crate::kernels) fn multiply_add(
    mut sums: __m512i,
    words: __m512i,
    weights: __m512i,
) -> __m512i {
    // SAFETY: registers alone. The compiler takes the intrinsic apart into a multiplication and an
    // addition, which shortens a chain of sums; here there are enough of them side by side.
    unsafe {
        asm!(
            "vpdpwssd {sums}, {words}, {weights}",
            sums = inout(zmm_reg) sums,
            words = in(zmm_reg) words,
            weights = in(zmm_reg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Sums of lower halves of weights and of upper ones, together.
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn join(low: __m512i, high: __m512i) -> __m512i {
    _mm512_add_epi32(low, _mm512_slli_epi32::<LOW_BITS>(high))
}

/// Sums of scanlines a and b as pairs: shifted to whole samples, clamped and side by side, as in
/// [`super::avx2::pair_up`].
#[target_feature(enable = "avx512bw")]
#[inline]
pub(in crate::kernels) fn pair_up(a: __m512i, b: __m512i, shift: __m512i) -> __m512i {
    const UPPER_WORDS: u32 = 0xaaaa_aaaa;
    let a = _mm512_srav_epi32(a, shift);
    let b = _mm512_slli_epi32::<16>(_mm512_srav_epi32(b, shift));
    let both = _mm512_mask_blend_epi16(UPPER_WORDS, a, b);
    let positive = _mm512_max_epi16(both, _mm512_setzero_si512());
    _mm512_min_epi16(positive, _mm512_set1_epi16(255))
}

/// Four registers of sums as samples: shifted, clamped and in their order.
///
/// Packing works within lanes, so that its result has to be put in order, four samples at a time:
///
/// ```text
/// sums       a: a0 .. a3 | b: b0 .. b3 | c: c0 .. c3 | d: d0 .. d3      (fours in the lanes 0 to 3)
/// packed     a0 b0 c0 d0 | a1 b1 c1 d1 | a2 b2 c2 d2 | a3 b3 c3 d3
/// in order   a0 a1 a2 a3 | b0 b1 b2 b3 | c0 c1 c2 c3 | d0 d1 d2 d3
/// ```
#[target_feature(enable = "avx512bw")]
#[inline]
pub(in crate::kernels) fn pack(sums: [__m512i; 4], shift: __m512i) -> __m512i {
    let [a, b, c, d] = sums;
    let words = |x, y| _mm512_packs_epi32(_mm512_srav_epi32(x, shift), _mm512_srav_epi32(y, shift));
    let packed = _mm512_packus_epi16(words(a, b), words(c, d));
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_permutexvar_epi32(order, packed)
}

/// Samples of scanlines a and b as pairs.
///
/// ```text
/// a            a0 a1 a2 ... a15                                  (16 bytes)
/// b            b0 b1 b2 ... b15
/// front        a0 b0 a1 b1 ... a7 b7                             (16 bytes)
/// back         a8 b8 ... a15 b15
/// widened      a0 b0 .. a3 b3 | a4 b4 .. a7 b7 | a8 b8 .. a11 b11 | a12 b12 .. a15 b15      (16 bits)
/// ```
#[target_feature(enable = "avx512bw")]
#[inline]
pub(in crate::kernels) fn widen(a: &[u8; WIDENED], b: &[u8; WIDENED], out: &mut [Pair; WIDENED]) {
    // SAFETY: 16 bytes each.
    let (a, b) = unsafe {
        (
            _mm_loadu_si128(a.as_ptr().cast()),
            _mm_loadu_si128(b.as_ptr().cast()),
        )
    };
    let (front, back) = (_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b));
    let both = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(front), back);
    store_pairs(_mm512_cvtepu8_epi16(both), out);
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn splat_float(value: f32) -> __m512 {
    _mm512_set1_ps(value)
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn floats(samples: &[u8; FLOATS]) -> __m512 {
    // SAFETY: 16 bytes.
    let samples = unsafe { _mm_loadu_si128(samples.as_ptr().cast()) };
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(samples))
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn subtract(a: __m512, b: __m512) -> __m512 {
    _mm512_sub_ps(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn multiply(a: __m512, b: __m512) -> __m512 {
    _mm512_mul_ps(a, b)
}

/// `a * b + c`, rounded once.
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn multiply_and_add(a: __m512, b: __m512, c: __m512) -> __m512 {
    _mm512_fmadd_ps(a, b, c)
}

/// The last `count` elements of `a`, and the first of `b` after them, as in [`super::avx2::join_runs`].
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn join_runs(a: __m512, b: __m512, count: usize) -> __m512 {
    let place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    // Of an index the lowest four bits choose an element, and the next one b. A difference has that where it is
    // negative, which is where a belongs: it is turned round.
    let difference = _mm512_sub_epi32(place, _mm512_set1_epi32(count as i32));
    let index = _mm512_xor_si512(difference, _mm512_set1_epi32(FLOATS as i32));
    _mm512_permutex2var_ps(a, index, b)
}

/// Stores a register, past the cache if `STREAM`.
///
/// # Safety
/// A place for 64 bytes, of which it is a multiple.
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) unsafe fn store_floats<const STREAM: bool>(floats: __m512, out: *mut f32) {
    // SAFETY: such a place.
    unsafe {
        if STREAM {
            _mm512_stream_ps(out, floats);
        } else {
            _mm512_store_ps(out, floats);
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn array(floats: __m512) -> [f32; FLOATS] {
    let mut array = [0.0; FLOATS];
    // SAFETY: as many elements.
    unsafe { _mm512_storeu_ps(array.as_mut_ptr(), floats) };
    array
}
