//! Pixels to planes, where no pass along the lines is needed.

use std::arch::x86_64::*;

use crate::resize::{LineBlock, PixelLayout, PlanarLines};
use crate::simd::scalar;

/// Pixels that are split at once.
const PIXELS: usize = 16;

/// See [`crate::simd::split_lines`].
pub(in crate::simd) fn split_lines(block: &LineBlock<'_>, out: &mut PlanarLines<'_>) {
    if block.layout() != PixelLayout::Rgb {
        return scalar::split_lines(block, out);
    }
    for index in 0..block.count() {
        let line = block.line(index);
        let (whole, rest) = line.as_chunks::<{ 3 * PIXELS }>();
        let first = whole.len() * PIXELS;
        for (channel, rest) in (0..3).map(|channel| (channel, &rest[channel.min(rest.len())..])) {
            let plane = &mut out.plane(index, channel)[..block.width()];
            for (place, pixels) in plane.as_chunks_mut().0.iter_mut().zip(whole) {
                // SAFETY: every `Isa` but the scalar one has AVX2.
                unsafe { pick(pixels, channel, place) };
            }
            for (place, level) in plane[first..].iter_mut().zip(rest.iter().step_by(3)) {
                *place = *level;
            }
        }
    }
}

/// Every third byte from `channel` on.
///
/// Of each of the three registers, five or six bytes belong to the channel; a shuffle brings them to
/// their places and clears the others, so that the results only have to be joined.
#[target_feature(enable = "avx2")]
#[inline]
fn pick(pixels: &[u8; 3 * PIXELS], channel: usize, out: &mut [u8; PIXELS]) {
    let mut picked = _mm_setzero_si128();
    for (bytes, places) in pixels.as_chunks::<PIXELS>().0.iter().zip(&PLACES[channel]) {
        // SAFETY: 16 bytes each.
        let (bytes, places) = unsafe {
            (
                _mm_loadu_si128(bytes.as_ptr().cast()),
                _mm_loadu_si128(places.as_ptr().cast()),
            )
        };
        picked = _mm_or_si128(picked, _mm_shuffle_epi8(bytes, places));
    }
    // SAFETY: `out` has 16 bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), picked) };
}

/// For each channel and register, where in the register each pixel's byte is, or -1.
const PLACES: [[[i8; PIXELS]; 3]; 3] = {
    let mut places = [[[-1; PIXELS]; 3]; 3];
    let mut byte = 0;
    while byte < 3 * PIXELS {
        let (channel, register) = (byte % 3, byte / PIXELS);
        places[channel][register][byte / 3] = (byte % PIXELS) as i8;
        byte += 1;
    }
    places
};
