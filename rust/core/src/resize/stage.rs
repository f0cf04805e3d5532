//! Scanlines of any format to planes, as the passes read them.

use std::ops::Range;

use crate::error::Result;
use crate::filter::Reference;
use crate::kernels::Isa;
use crate::kernels::blend::over_white;
use crate::kernels::deinterleave::deinterleave;
use crate::memory;
use crate::pixels::{Bytes, PixelFormat, PixelView, Scanline};

/// Writes the samples of scanline `y` to the three planes of `out`, of which each has room for more, from
/// the sample at `left` on. Grey is repeated; RGBA is composited on white with the rounding that `reference`
/// has for arrays.
pub(super) fn stage(
    view: &PixelView<'_>,
    y: usize,
    isa: Isa,
    reference: Reference,
    left: usize,
    out: &mut [u8],
) {
    let line = view.scanline(y);
    let stride = out.len() / 3;
    let (first, rest) = out.split_at_mut(stride);
    let (second, third) = rest.split_at_mut(stride);
    let within = left..left + line.width();
    let mut planes = [
        &mut first[within.clone()],
        &mut second[within.clone()],
        &mut third[within],
    ];
    match view.format() {
        PixelFormat::Grey => {
            let [red, green, blue] = planes;
            line.plane(0).copy_to(red);
            green.copy_from_slice(red);
            blue.copy_from_slice(red);
        }
        PixelFormat::Planes => {
            for (channel, plane) in planes.into_iter().enumerate() {
                line.plane(channel).copy_to(plane);
            }
        }
        PixelFormat::Rgb => deinterleave::<3>(isa, line.packed(), planes),
        PixelFormat::Bgr => {
            planes.reverse();
            deinterleave::<3>(isa, line.packed(), planes);
        }
        PixelFormat::Rgbx => deinterleave::<4>(isa, line.packed(), planes),
        PixelFormat::Bgrx => {
            planes.reverse();
            deinterleave::<4>(isa, line.packed(), planes);
        }
        PixelFormat::Rgba => over_white(isa, line.packed(), planes, reference),
        PixelFormat::Other => gather(isa, &line, planes, reference),
    }
}

/// Takes samples from wherever they lie.
fn gather(isa: Isa, line: &Scanline<'_>, planes: [&mut [u8]; 3], reference: Reference) {
    /// Pixels that are taken at once: few enough to stay in the first-level cache.
    const BLOCK: usize = 512;
    let colours = line.channels().min(3);
    let mut opaque = [255; 4 * BLOCK];
    let [red, green, blue] = planes.map(|plane| plane.chunks_mut(BLOCK));
    for (index, ((red, green), blue)) in red.zip(green).zip(blue).enumerate() {
        let packed = &mut opaque[..4 * red.len()];
        for (x, [r, g, b, alpha]) in (BLOCK * index..).zip(packed.as_chunks_mut().0) {
            for (channel, sample) in [r, g, b].into_iter().enumerate() {
                *sample = line.sample(x, channel % colours);
            }
            if line.channels() == 4 {
                *alpha = line.sample(x, 3);
            }
        }
        over_white(isa, Bytes::from(&*packed), [red, green, blue], reference);
    }
}

/// Copies the scanlines `lines` of an image that lies on its side, packed in the order of its channels,
/// and returns how many channels those are.
///
/// A scanline takes one pixel from each line of memory. All of them together take their pixels from
/// a line before they go on to the next.
pub(super) fn turned(view: &PixelView<'_>, lines: Range<usize>, out: &mut [u8]) -> Result<usize> {
    let channels = view.scanline(lines.start).channels();
    let width = view.width();
    let scanlines = memory::collect(lines.map(|y| view.scanline(y)), "scanlines to turn")?;
    for x in 0..width {
        for (index, scanline) in scanlines.iter().enumerate() {
            let at = channels * (index * width + x);
            for (channel, sample) in out[at..at + channels].iter_mut().enumerate() {
                *sample = scanline.sample(x, channel);
            }
        }
    }
    Ok(channels)
}

/// The memory that those scanlines of `lines` lie in that there are: all of one plane before those of the next,
/// where they have planes; nothing for an unusual format.
pub(super) fn memory_of<'a>(view: &PixelView<'a>, lines: Range<usize>, out: &mut Vec<Bytes<'a>>) {
    let end = lines.end.min(view.height());
    let scanlines = (lines.start..end).map(|y| view.scanline(y));
    out.clear();
    match view.format() {
        PixelFormat::Other => {}
        PixelFormat::Grey => out.extend(scanlines.map(|line| line.plane(0))),
        PixelFormat::Planes => {
            for channel in 0..3 {
                out.extend(scanlines.clone().map(|line| line.plane(channel)));
            }
        }
        _ => out.extend(scanlines.map(|line| line.packed())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::blend::tests::blended;
    use crate::kernels::plane_stride;
    use proptest::prelude::*;

    /// Where each sample of (y, x, channel) lies.
    fn strides(format: PixelFormat, (height, width): (usize, usize)) -> (usize, [isize; 3], usize) {
        let (h, w) = (height as isize, width as isize);
        let (origin, strides, channels) = match format {
            PixelFormat::Grey => (0, [w, 1, 1], 1),
            PixelFormat::Planes => (0, [w, 1, h * w], 3),
            PixelFormat::Rgb => (0, [3 * w, 3, 1], 3),
            PixelFormat::Bgr => (2, [3 * w, 3, -1], 3),
            PixelFormat::Rgbx => (0, [4 * w, 4, 1], 3),
            PixelFormat::Bgrx => (2, [4 * w, 4, -1], 3),
            PixelFormat::Rgba => (0, [4 * w, 4, 1], 4),
            PixelFormat::Other => (4 * height * width - 4, [-4 * w, -4, 1], 4),
        };
        (origin, strides, channels)
    }

    fn any_format() -> impl Strategy<Value = PixelFormat> {
        proptest::sample::select(
            &[
                PixelFormat::Grey,
                PixelFormat::Planes,
                PixelFormat::Rgb,
                PixelFormat::Bgr,
                PixelFormat::Rgbx,
                PixelFormat::Bgrx,
                PixelFormat::Rgba,
                PixelFormat::Other,
            ][..],
        )
    }

    proptest! {
        #[test]
        fn every_format_stages_its_samples(
            format in any_format(),
            (height, width) in (1usize..5, 2usize..1200),
            reference in Reference::any(),
            left in 0usize..70,
            noise in proptest::collection::vec(any::<u8>(), 4 * 5 * 1200),
        ) {
            let (origin, strides, channels) = strides(format, (height, width));
            let bytes = &noise[..4 * height * width];
            let view = PixelView::new(bytes, origin, [height, width, channels], strides).unwrap();
            prop_assert_eq!(view.format(), format);
            for isa in Isa::available() {
                let stride = plane_stride(left + width);
                let mut out = vec![0; 3 * stride];
                for y in 0..height {
                    stage(&view, y, isa, reference, left, &mut out);
                    let line = view.scanline(y);
                    for (channel, plane) in out.chunks(stride).enumerate() {
                        for (x, sample) in plane[left..left + width].iter().enumerate() {
                            let colour = line.sample(x, if channels == 1 { 0 } else { channel });
                            let expected = match channels {
                                4 => blended(colour, line.sample(x, 3), reference),
                                _ => colour,
                            };
                            prop_assert_eq!(*sample, expected, "{:?} {} {}", isa, channel, x);
                        }
                    }
                }
            }
        }

        #[test]
        fn an_image_on_its_side_is_turned(
            (height, width) in (2usize..30, 1usize..30),
            channels in proptest::sample::select(&[1usize, 3, 4][..]),
            first in 0usize..30,
        ) {
            let bytes: Vec<u8> = (0..height * width * channels).map(|byte| byte as u8).collect();
            let view = PixelView::packed(&bytes[..], width, height, channels).unwrap().oriented(6);
            let lines = first % height..height;
            let mut out = vec![0; lines.len() * width * channels];
            prop_assert_eq!(turned(&view, lines.clone(), &mut out), Ok(channels));
            let expected = lines.flat_map(|y| {
                let line = view.scanline(y);
                (0..width).flat_map(move |x| (0..channels).map(move |c| line.sample(x, c)))
            });
            prop_assert!(out.iter().copied().eq(expected));
        }
    }
}
