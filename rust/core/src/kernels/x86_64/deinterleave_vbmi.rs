//! Packed colours to planes, and back, where bytes are chosen from whole registers of AVX-512 (VBMI).

use std::arch::x86_64::*;

use super::avx512::{load, store};
use crate::pixels::Bytes;

/// Pixels that are taken at once: a register of each plane.
pub(in crate::kernels) const PIXELS: usize = 64;

/// Samples of one channel of as many pixels.
pub(super) type Samples = [u8; PIXELS];

/// The samples of a block of pixels, by channel.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
pub(in crate::kernels) fn block<const N: usize>(pixels: Bytes<'_>) -> [Samples; 4] {
    const { assert!(N == 3 || N == 4) };
    let part = |index: usize| load(&pixels.read(PIXELS * index));
    let registers = if N == 3 {
        let [red, green, blue] = of_three([part(0), part(1), part(2)]);
        [red, green, blue, _mm512_setzero_si512()]
    } else {
        of_four([part(0), part(1), part(2), part(3)])
    };
    let mut samples = [[0; PIXELS]; 4];
    for (samples, register) in samples.iter_mut().zip(registers) {
        store(register, samples);
    }
    samples
}

/// Bytes of three channels, which three registers hold one after another.
///
/// A channel has its bytes in all three registers: those in the first two are chosen together, then those
/// in the third.
///
/// ```text
/// place       0  1  2  3 ...  63 | 64 65 66 ... 127 | 128 129 130 131 ...
/// bytes      r0 g0 b0 r1 ... r21 | g21 b21 r22 ...  | b42 r43 g43 b43 ...
/// red chosen  0  3  6 ... 63 66 ... 126  *  * ...      (42 from the first two)
/// and then    =  =  = ...  =  = ...   = 129 132 ...    (21 from the third)
/// ```
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn of_three([first, second, third]: [__m512i; 3]) -> [__m512i; 3] {
    let channel = |channel: usize| {
        let places = load(&APART[channel]);
        let chosen = _mm512_permutex2var_epi8(first, places, second);
        _mm512_mask_permutexvar_epi8(chosen, IN_THIRD[channel], places, third)
    };
    [channel(0), channel(1), channel(2)]
}

/// Bytes of four channels, which four registers hold one after another.
///
/// ```text
/// each         r0 g0 b0 a0 r1 g1 b1 a1 ...       (bytes)
/// two of them  r0-31 | g0-31 and b0-31 | a0-31   (half a register each)
/// ```
#[target_feature(enable = "avx512f,avx512vbmi")]
#[inline]
fn of_four([first, second, third, fourth]: [__m512i; 4]) -> [__m512i; 4] {
    const FRONT: i32 = 0b01_00_01_00;
    const BACK: i32 = 0b11_10_11_10;
    let [a, b] = [(first, second), (third, fourth)].map(|(before, after)| {
        [0, 1].map(|half| _mm512_permutex2var_epi8(before, load(&OF_TWO[half]), after))
    });
    [
        _mm512_shuffle_i64x2::<FRONT>(a[0], b[0]),
        _mm512_shuffle_i64x2::<BACK>(a[0], b[0]),
        _mm512_shuffle_i64x2::<FRONT>(a[1], b[1]),
        _mm512_shuffle_i64x2::<BACK>(a[1], b[1]),
    ]
}

/// The pixels of a block of samples: [`block`] backwards.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
pub(in crate::kernels) fn pixels(planes: [&Samples; 3], out: &mut [u8; 3 * PIXELS]) {
    let [red, green, blue] = [load(planes[0]), load(planes[1]), load(planes[2])];
    for (part, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let places = load(&TOGETHER[part]);
        let chosen = _mm512_permutex2var_epi8(red, places, green);
        store(
            _mm512_mask_permutexvar_epi8(chosen, IS_BLUE[part], places, blue),
            out,
        );
    }
}

/// Where in two registers of pixels of four bytes the bytes of two channels are, and of the other two.
const OF_TWO: [Samples; 2] = {
    let mut places = [[0; PIXELS]; 2];
    let mut byte = 0;
    while byte < 2 * PIXELS {
        let (pixel, channel) = (byte / 4, byte % 4);
        places[channel / 2][channel % 2 * (PIXELS / 2) + pixel] = byte as u8;
        byte += 1;
    }
    places
};

/// For each channel, where in three registers of pixels the bytes of each pixel are. Instructions look at as many
/// bits as they need: seven for two registers, six for the third alone.
const APART: [Samples; 3] = {
    let mut places = [[0; PIXELS]; 3];
    let mut byte = 0;
    while byte < 3 * PIXELS {
        places[byte % 3][byte / 3] = byte as u8;
        byte += 1;
    }
    places
};

/// For each channel, the pixels whose bytes are in the third register.
const IN_THIRD: [u64; 3] = {
    let mut pixels = [0; 3];
    let mut byte = 2 * PIXELS;
    while byte < 3 * PIXELS {
        pixels[byte % 3] |= 1 << (byte / 3);
        byte += 1;
    }
    pixels
};

/// For each register of pixels, where the samples of its bytes are: red, then green, and blue alone.
const TOGETHER: [Samples; 3] = {
    let mut places = [[0; PIXELS]; 3];
    let mut byte = 0;
    while byte < 3 * PIXELS {
        let green = if byte % 3 == 1 { PIXELS } else { 0 };
        places[byte / PIXELS][byte % PIXELS] = (byte / 3 + green) as u8;
        byte += 1;
    }
    places
};

/// For each register of pixels, the bytes that are blue.
const IS_BLUE: [u64; 3] = {
    let mut bytes = [0; 3];
    let mut byte = 2;
    while byte < 3 * PIXELS {
        bytes[byte / PIXELS] |= 1 << (byte % PIXELS);
        byte += 3;
    }
    bytes
};
