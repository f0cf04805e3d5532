use crate::kernels::band::{Band, RowShape};
use crate::kernels::values::Values;

/// See [`crate::kernels::rows::write_band`].
pub(in crate::kernels) fn write_band<T: Copy>(
    bands: &[Band<'_>],
    shape: RowShape,
    values: &Values<T>,
    rows: &mut [T],
) {
    let patch = shape.patch;
    let rows = rows.chunks_exact_mut(shape.columns());
    for (row, (top, left)) in rows.zip(shape.corners()) {
        for (channel, plane) in row
            .chunks_exact_mut(shape.slots * patch * patch)
            .enumerate()
        {
            let table = &values.table[channel];
            for (slot, band) in plane.chunks_exact_mut(patch * patch).zip(bands) {
                for (y, run) in slot.chunks_exact_mut(patch).enumerate() {
                    let samples = &band.plane(top + y, channel)[left..left + patch];
                    for (value, sample) in run.iter_mut().zip(samples) {
                        *value = table[usize::from(*sample)];
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

/// See [`crate::kernels::rows::write_plane`].
pub(in crate::kernels) fn write_plane<T: Copy>(
    band: Band<'_>,
    channel: usize,
    width: usize,
    values: &Values<T>,
    plane: &mut [T],
) {
    let table = &values.table[channel];
    for (y, line) in plane.chunks_exact_mut(width).enumerate() {
        for (value, sample) in line.iter_mut().zip(band.plane(y, channel)) {
            *value = table[usize::from(*sample)];
        }
    }
}
