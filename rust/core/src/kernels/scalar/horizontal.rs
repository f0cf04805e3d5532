use super::{half, to_sample};
use crate::filter::Axis;
use crate::kernels::staged::Staged;
use crate::kernels::{Pair, plane_stride};

/// Resamples two scanlines.
pub(in crate::kernels) fn resample(axis: &Axis, lines: &Staged, out: &mut [Pair]) {
    let precision = axis.precision();
    for (channel, out) in out.chunks_exact_mut(plane_stride(axis.len())).enumerate() {
        let planes = [0, 1].map(|line| lines.plane(line, channel));
        for (position, pair) in out[..axis.len()].iter_mut().enumerate() {
            let (start, weights) = axis.bounds(position);
            *pair = planes.map(|plane| {
                let products = weights
                    .iter()
                    .zip(&plane[start..])
                    .map(|(weight, sample)| weight * i32::from(*sample));
                i16::from(to_sample(
                    half(precision) + products.sum::<i32>(),
                    precision,
                ))
            });
        }
    }
}

/// Pairs up two scanlines of `width` pixels as they are.
pub(in crate::kernels) fn keep(lines: &Staged, width: usize, out: &mut [Pair]) {
    for (channel, out) in out.chunks_exact_mut(plane_stride(width)).enumerate() {
        let [a, b] = [0, 1].map(|line| lines.plane(line, channel));
        for (pair, (a, b)) in out[..width].iter_mut().zip(a.iter().zip(b)) {
            *pair = [i16::from(*a), i16::from(*b)];
        }
    }
}
