use crate::pixels::Bytes;

/// Writes the bytes of pixels from number `first` on to their planes.
pub(in crate::kernels) fn deinterleave<const N: usize>(
    pixels: Bytes<'_>,
    planes: [&mut [u8]; N],
    first: usize,
) {
    for (channel, plane) in planes.into_iter().enumerate() {
        for (x, sample) in plane.iter_mut().enumerate().skip(first) {
            let at = N * x + channel;
            if at < pixels.len() {
                [*sample] = pixels.read(at);
            }
        }
    }
}
