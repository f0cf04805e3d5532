//! What the kernels need of a register, of 32 bytes or of 64.
//!
//! Registers are rows of quarters of 16 bytes. Unpacking, packing and shuffling work within each
//! quarter, so that the kernels are the same for both widths.

use std::arch::x86_64::*;

/// A register. All of its functions need the instruction set that the implementation names.
pub(super) trait Vector: Copy {
    /// Bytes in it.
    const BYTES: usize;

    /// Zeros.
    ///
    /// # Safety
    /// The instruction set.
    unsafe fn zero() -> Self;

    /// `value` in every 32 bits.
    ///
    /// # Safety
    /// The instruction set.
    unsafe fn splat(value: i32) -> Self;

    /// Bytes from memory.
    ///
    /// # Safety
    /// The instruction set, and as many readable bytes.
    unsafe fn load(bytes: *const u8) -> Self;

    /// Bytes to memory.
    ///
    /// # Safety
    /// The instruction set, and as many writable bytes.
    unsafe fn store(self, bytes: *mut u8);

    /// For each quarter 16 bytes, `step` bytes from those of the quarter before.
    ///
    /// # Safety
    /// The instruction set, and readable bytes there.
    unsafe fn load_quarters(bytes: *const u8, step: usize) -> Self;

    /// For each quarter its bytes in the order of `pattern`, 0 where that is negative.
    ///
    /// # Safety
    /// The instruction set.
    unsafe fn shuffle(self, pattern: __m128i) -> Self;

    /// The first and second halves of the quarters, byte by byte in turns with those of `other`.
    ///
    /// # Safety
    /// The instruction set.
    unsafe fn unpack_bytes(self, other: Self) -> [Self; 2];

    /// The same, two bytes at a time.
    ///
    /// # Safety
    /// The instruction set.
    unsafe fn unpack_pairs(self, other: Self) -> [Self; 2];

    /// In every 32 bits the sum of `self` and two products of 16 bits.
    ///
    /// # Safety
    /// The instruction set.
    unsafe fn multiply_add(self, words: Self, weights: Self) -> Self;

    /// In every 32 bits the sum of `self` and of `high` shifted to the left.
    ///
    /// # Safety
    /// The instruction set.
    unsafe fn add_shifted<const BITS: u32>(self, high: Self) -> Self;

    /// Four sums shifted to the right, and clamped to bytes in the order that two rounds of unpacking
    /// bytes undo.
    ///
    /// # Safety
    /// The instruction set.
    unsafe fn pack_shifted(sums: [Self; 4], bits: u32) -> Self;
}

macro_rules! vector {
    ($register:ty, $bytes:literal, {
        zero: $zero:ident, splat: $splat:ident, load: $load:ident, store: $store:ident,
        quarters: $quarters:path, repeat: $repeat:ident, shuffle: $shuffle:ident,
        unpack_bytes: [$low_bytes:ident, $high_bytes:ident],
        unpack_pairs: [$low_pairs:ident, $high_pairs:ident],
        multiply_add: $multiply_add:path, add: $add:ident, left: $left:ident, right: $right:ident,
        pack_words: $pack_words:ident, pack_bytes: $pack_bytes:ident,
    }) => {
        #[expect(
            clippy::undocumented_unsafe_blocks,
            reason = "each is safe on the conditions of the trait's function that it implements"
        )]
        impl Vector for $register {
            const BYTES: usize = $bytes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn splat(value: i32) -> Self {
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(bytes: *const u8) -> Self {
                unsafe { $load(bytes.cast()) }
            }

            #[inline(always)]
            unsafe fn store(self, bytes: *mut u8) {
                unsafe { $store(bytes.cast(), self) }
            }

            #[inline(always)]
            unsafe fn load_quarters(bytes: *const u8, step: usize) -> Self {
                unsafe { $quarters(bytes, step) }
            }

            #[inline(always)]
            unsafe fn shuffle(self, pattern: __m128i) -> Self {
                unsafe { $shuffle(self, $repeat(pattern)) }
            }

            #[inline(always)]
            unsafe fn unpack_bytes(self, other: Self) -> [Self; 2] {
                unsafe { [$low_bytes(self, other), $high_bytes(self, other)] }
            }

            #[inline(always)]
            unsafe fn unpack_pairs(self, other: Self) -> [Self; 2] {
                unsafe { [$low_pairs(self, other), $high_pairs(self, other)] }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, words: Self, weights: Self) -> Self {
                unsafe { $multiply_add(self, words, weights) }
            }

            #[inline(always)]
            unsafe fn add_shifted<const BITS: u32>(self, high: Self) -> Self {
                unsafe { $add(self, $left(high, _mm_cvtsi32_si128(BITS as i32))) }
            }

            #[inline(always)]
            unsafe fn pack_shifted([a, b, c, d]: [Self; 4], bits: u32) -> Self {
                unsafe {
                    let bits = _mm_cvtsi32_si128(bits as i32);
                    let first = $pack_words($right(a, bits), $right(b, bits));
                    let second = $pack_words($right(c, bits), $right(d, bits));
                    $pack_bytes(first, second)
                }
            }
        }
    };
}

// AVX2.
vector!(__m256i, 32, {
    zero: _mm256_setzero_si256, splat: _mm256_set1_epi32,
    load: _mm256_loadu_si256, store: _mm256_storeu_si256,
    quarters: two_quarters, repeat: _mm256_broadcastsi128_si256, shuffle: _mm256_shuffle_epi8,
    unpack_bytes: [_mm256_unpacklo_epi8, _mm256_unpackhi_epi8],
    unpack_pairs: [_mm256_unpacklo_epi16, _mm256_unpackhi_epi16],
    multiply_add: multiply_then_add, add: _mm256_add_epi32,
    left: _mm256_sll_epi32, right: _mm256_sra_epi32,
    pack_words: _mm256_packs_epi32, pack_bytes: _mm256_packus_epi16,
});

// AVX-512 F, BW and VNNI.
vector!(__m512i, 64, {
    zero: _mm512_setzero_si512, splat: _mm512_set1_epi32,
    load: _mm512_loadu_si512, store: _mm512_storeu_si512,
    quarters: four_quarters, repeat: _mm512_broadcast_i32x4, shuffle: _mm512_shuffle_epi8,
    unpack_bytes: [_mm512_unpacklo_epi8, _mm512_unpackhi_epi8],
    unpack_pairs: [_mm512_unpacklo_epi16, _mm512_unpackhi_epi16],
    multiply_add: _mm512_dpwssd_epi32, add: _mm512_add_epi32,
    left: _mm512_sll_epi32, right: _mm512_sra_epi32,
    pack_words: _mm512_packs_epi32, pack_bytes: _mm512_packus_epi16,
});

/// # Safety
/// As [`Vector::load_quarters`].
#[inline(always)]
unsafe fn two_quarters(bytes: *const u8, step: usize) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let low = _mm_loadu_si128(bytes.cast());
        let high = _mm_loadu_si128(bytes.add(step).cast());
        _mm256_set_m128i(high, low)
    }
}

/// # Safety
/// As [`Vector::load_quarters`].
#[inline(always)]
unsafe fn four_quarters(bytes: *const u8, step: usize) -> __m512i {
    // SAFETY: the caller's.
    unsafe {
        let low = two_quarters(bytes, step);
        let high = two_quarters(bytes.add(2 * step), step);
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
    }
}

/// # Safety
/// AVX2.
#[inline(always)]
unsafe fn multiply_then_add(sum: __m256i, words: __m256i, weights: __m256i) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(words, weights)) }
}
