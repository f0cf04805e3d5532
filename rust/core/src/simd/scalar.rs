//! Portable arms, in plain Rust that the compiler can vectorise.

use crate::resize::{Coefficients, LineBlock, PixelLayout, PlanarLines};
use crate::rows::{Band, RowShape, Values};

/// See [`super::resample_lines`].
pub fn resample_lines(block: &LineBlock<'_>, table: &Coefficients, out: &mut PlanarLines<'_>) {
    let (step, precision) = (block.layout().step(), table.precision());
    for index in 0..block.count() {
        let line = block.line(index);
        for channel in 0..block.layout().channels() {
            for (position, value) in out.plane(index, channel)[..table.len()]
                .iter_mut()
                .enumerate()
            {
                let (start, weights) = table.window(position);
                let taps = line[start * step + channel..].iter().step_by(step);
                let products = weights.iter().zip(taps).map(|(w, tap)| w * i32::from(*tap));
                *value = to_level(half(precision) + products.sum::<i32>(), precision);
            }
        }
    }
}

/// See [`super::split_lines`].
pub fn split_lines(block: &LineBlock<'_>, out: &mut PlanarLines<'_>) {
    for index in 0..block.count() {
        let line = block.line(index);
        for channel in 0..block.layout().channels() {
            let plane = out.plane(index, channel);
            if block.layout() == PixelLayout::Plane {
                plane[..line.len()].copy_from_slice(line);
                continue;
            }
            let pixels = line[channel..].iter().step_by(block.layout().step());
            for (value, pixel) in plane.iter_mut().zip(pixels) {
                *value = *pixel;
            }
        }
    }
}

/// See [`super::combine_lines`].
pub fn combine_lines(lines: &[&[u8]], table: &Coefficients, position: usize, out: &mut [u8]) {
    combine_columns(lines, table, position, 0, out);
}

/// [`combine_lines`] from column `first` of `out` on.
pub fn combine_columns(
    lines: &[&[u8]],
    table: &Coefficients,
    position: usize,
    first: usize,
    out: &mut [u8],
) {
    /// Columns whose sums are held in registers or the first-level cache at a time.
    const BLOCK: usize = 128;
    let (_, weights) = table.window(position);
    let precision = table.precision();
    for start in (first..out.len()).step_by(BLOCK) {
        let part = start..(start + BLOCK).min(out.len());
        let mut sums = [half(precision); BLOCK];
        for (line, weight) in lines.iter().zip(weights) {
            for (sum, value) in sums.iter_mut().zip(&line[part.clone()]) {
                *sum += weight * i32::from(*value);
            }
        }
        for (value, sum) in out[part].iter_mut().zip(sums) {
            *value = to_level(sum, precision);
        }
    }
}

/// See [`super::write_band`].
pub fn write_band<T: Copy>(
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
) {
    let patch = shape.patch;
    for (index, row) in rows.chunks_exact_mut(shape.columns()).enumerate() {
        let (top, left) = shape.corner(index);
        for (channel, plane) in row
            .chunks_exact_mut(shape.slots * patch * patch)
            .enumerate()
        {
            let table = &values.table[channel];
            for (slot, band) in plane.chunks_exact_mut(patch * patch).zip(bands) {
                for (y, run) in slot.chunks_exact_mut(patch).enumerate() {
                    let levels = &band.plane(top + y, channel)[left..left + patch];
                    for (value, level) in run.iter_mut().zip(levels) {
                        *value = table[usize::from(*level)];
                    }
                }
            }
            // The last frame stands for those that its group lacks.
            for slot in bands.len()..shape.slots {
                let written = slot * patch * patch;
                plane.copy_within(written - patch * patch..written, written);
            }
        }
    }
}

/// One half in units of the weights: what turns the final shift into rounding.
fn half(precision: u32) -> i32 {
    1 << (precision - 1)
}

fn to_level(sum: i32, precision: u32) -> u8 {
    (sum >> precision).clamp(0, 255) as u8
}
