//! Pixels to planes, and back.

use std::arch::x86_64::*;

use crate::pixels::Bytes;

/// Pixels that are taken at once: a register of each plane.
pub(in crate::kernels) const PIXELS: usize = 32;

/// Samples of one channel of as many pixels.
pub(super) type Samples = [u8; PIXELS];

/// The samples of a block of pixels, by channel.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn block<const N: usize>(pixels: Bytes<'_>) -> [Samples; 4] {
    let part = |index: usize| lanes(pixels, 16 * index, 16 * N);
    let registers = if N == 3 {
        let [red, green, blue] = of_three([part(0), part(1), part(2)]);
        [red, green, blue, _mm256_setzero_si256()]
    } else {
        of_four([part(0), part(1), part(2), part(3)])
    };
    let mut samples = [[0; PIXELS]; 4];
    for (samples, register) in samples.iter_mut().zip(registers) {
        store(register, samples);
    }
    samples
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn load(samples: &Samples) -> __m256i {
    // SAFETY: 32 bytes.
    unsafe { _mm256_loadu_si256(samples.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn store(register: __m256i, samples: &mut Samples) {
    // SAFETY: 32 bytes.
    unsafe { _mm256_storeu_si256(samples.as_mut_ptr().cast(), register) };
}

/// 16 bytes from `at` on, and as many from `step` bytes further: one lane for the first 16 pixels of a
/// block, one for the others.
#[target_feature(enable = "avx2")]
#[inline]
fn lanes(pixels: Bytes<'_>, at: usize, step: usize) -> __m256i {
    let (first, second): ([u8; 16], [u8; 16]) = (pixels.read(at), pixels.read(at + step));
    // SAFETY: 16 bytes each.
    unsafe {
        _mm256_inserti128_si256::<1>(
            _mm256_castsi128_si256(_mm_loadu_si128(first.as_ptr().cast())),
            _mm_loadu_si128(second.as_ptr().cast()),
        )
    }
}

/// Bytes of three channels, which the three registers of a lane hold one after another.
///
/// No two registers have a channel's bytes in the same places, so that they can be blended first and
/// shuffled once:
///
/// ```text
/// place          0  1  2  3  4  5  6  7 ...
/// first          r0 g0 b0 r1 g1 b1 r2 g2 ...  b4 r5
/// second         g5 b5 r6 g6 b6 r7 g7 b7 ...  r10 g10
/// third          b10 r11 g11 b11 ...          g15 b15
/// red blended    r0 r11 r6 r1 r12 r7 r2 ...
/// red in order   r0 r1 r2 r3 ...
/// ```
#[target_feature(enable = "avx2")]
#[inline]
fn of_three([first, second, third]: [__m256i; 3]) -> [__m256i; 3] {
    let mut channels = [first; 3];
    for (channel, register) in channels.iter_mut().enumerate() {
        let [_, of_second, of_third] = &PLACES[channel];
        let blended = _mm256_blendv_epi8(first, second, twice(of_second));
        let blended = _mm256_blendv_epi8(blended, third, twice(of_third));
        *register = _mm256_shuffle_epi8(blended, twice(&ORDERS[channel]));
    }
    channels
}

/// Bytes of four channels, which the four registers of a lane hold one after another.
///
/// ```text
/// each           r0 g0 b0 a0 r1 g1 b1 a1 ...     (bytes)
/// shuffled       r0-3 | g0-3 | b0-3 | a0-3       (fours of bytes)
/// interleaved    r0-3 r4-7 g0-3 g4-7, ...        (twice: by fours, then by eights)
/// ```
#[target_feature(enable = "avx2")]
#[inline]
fn of_four(registers: [__m256i; 4]) -> [__m256i; 4] {
    const FOURS: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
    let [a, b, c, d] = registers.map(|register| _mm256_shuffle_epi8(register, twice(&FOURS)));
    let (red_green, blue_alpha) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (red_green_after, blue_alpha_after) =
        (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(red_green, red_green_after),
        _mm256_unpackhi_epi64(red_green, red_green_after),
        _mm256_unpacklo_epi64(blue_alpha, blue_alpha_after),
        _mm256_unpackhi_epi64(blue_alpha, blue_alpha_after),
    ]
}

/// The pixels of a block of samples: [`of_three`] backwards.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn pixels(planes: [&Samples; 3], out: &mut [u8; 3 * PIXELS]) {
    // One by one: of a loop over planes the compiler makes one that runs.
    let placed =
        |channel: usize| _mm256_shuffle_epi8(load(planes[channel]), twice(&PLACED[channel]));
    let (red, green, blue) = (placed(0), placed(1), placed(2));
    let [_, of_green, of_blue] = &PLACES;
    for (part, (of_green, of_blue)) in of_green.iter().zip(of_blue).enumerate() {
        let blended = _mm256_blendv_epi8(red, green, twice(of_green));
        let blended = _mm256_blendv_epi8(blended, blue, twice(of_blue));
        let lanes = [
            _mm256_castsi256_si128(blended),
            _mm256_extracti128_si256::<1>(blended),
        ];
        for (lane, at) in lanes.into_iter().zip([16 * part, 16 * (part + 3)]) {
            let out = &mut out[at..at + 16];
            // SAFETY: 16 bytes.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), lane) };
        }
    }
}

/// The same bytes in both lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn twice(bytes: &[u8; 16]) -> __m256i {
    // SAFETY: 16 bytes.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// For each channel and each of the three registers, 0xff in the places of the channel's bytes.
const PLACES: [[[u8; 16]; 3]; 3] = {
    let mut places = [[[0; 16]; 3]; 3];
    let mut byte = 0;
    while byte < 48 {
        places[byte % 3][byte / 16][byte % 16] = 0xff;
        byte += 1;
    }
    places
};

/// For each channel, where in the blended register the bytes of the pixels are.
const ORDERS: [[u8; 16]; 3] = {
    let mut orders = [[0; 16]; 3];
    let mut byte = 0;
    while byte < 48 {
        orders[byte % 3][byte / 3] = (byte % 16) as u8;
        byte += 1;
    }
    orders
};

/// For each channel, which pixel's byte is in each place of the blended register.
const PLACED: [[u8; 16]; 3] = {
    let mut placed = [[0; 16]; 3];
    let mut byte = 0;
    while byte < 48 {
        placed[byte % 3][byte % 16] = (byte / 3) as u8;
        byte += 1;
    }
    placed
};
