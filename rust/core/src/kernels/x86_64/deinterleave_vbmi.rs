//! Packed colours to planes, and back, where bytes are chosen from whole registers of AVX-512 (VBMI).

use std::arch::x86_64::*;

use crate::pixels::Bytes;

/// Pixels that are taken at once: a register of each plane.
pub(in crate::kernels) const PIXELS: usize = 64;

/// Samples of one channel of as many pixels.
type Samples = [u8; PIXELS];

/// The samples of a block of pixels of three bytes, by channel. There is no fourth.
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
pub(in crate::kernels) fn block<const N: usize>(pixels: Bytes<'_>) -> [Samples; 4] {
    const { assert!(N == 3) };
    let part = |index: usize| load(&pixels.read(PIXELS * index));
    let (first, second, third) = (part(0), part(1), part(2));
    let channel = |channel: usize| {
        let places = load(&APART[channel]);
        let chosen = _mm512_permutex2var_epi8(first, places, second);
        _mm512_mask_permutexvar_epi8(chosen, IN_THIRD[channel], places, third)
    };
    let mut samples = [[0; PIXELS]; 4];
    store(channel(0), &mut samples[0]);
    store(channel(1), &mut samples[1]);
    store(channel(2), &mut samples[2]);
    samples
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

#[target_feature(enable = "avx512f")]
#[inline]
fn load(samples: &Samples) -> __m512i {
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(samples.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(register: __m512i, samples: &mut Samples) {
    // SAFETY: 64 bytes.
    unsafe { _mm512_storeu_si512(samples.as_mut_ptr().cast(), register) };
}

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
