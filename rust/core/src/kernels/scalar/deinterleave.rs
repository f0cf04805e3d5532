use crate::pixels::Bytes;

/// See [`crate::kernels::deinterleave::deinterleave`].
pub(in crate::kernels) fn deinterleave<const N: usize>(pixels: Bytes<'_>, planes: [&mut [u8]; 3]) {
    for (channel, plane) in planes.into_iter().enumerate() {
        for (x, sample) in plane.iter_mut().enumerate() {
            let at = N * x + channel;
            if at < pixels.len() {
                [*sample] = pixels.read(at);
            }
        }
    }
}

/// See [`crate::kernels::deinterleave::interleave`].
pub(in crate::kernels) fn interleave([red, green, blue]: [&[u8]; 3], pixels: &mut [u8]) {
    let samples = red.iter().zip(green).zip(blue);
    for (pixel, ((r, g), b)) in pixels.as_chunks_mut().0.iter_mut().zip(samples) {
        *pixel = [*r, *g, *b];
    }
}
