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
