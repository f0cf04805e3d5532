use crate::filter::Reference;
use crate::pixels::Bytes;

/// See [`crate::kernels::blend::over_white`].
pub(in crate::kernels) fn over_white(
    pixels: Bytes<'_>,
    planes: [&mut [u8]; 3],
    reference: Reference,
) {
    let [red, green, blue] = planes;
    let planes = red.iter_mut().zip(green).zip(blue).enumerate();
    for (x, ((red, green), blue)) in planes {
        let [r, g, b, alpha] = pixels.read(4 * x);
        let mut colours = [[r], [g], [b]];
        blend(&mut colours, &[alpha], reference);
        [[*red], [*green], [*blue]] = colours;
    }
}

/// Blends colours over white.
///
/// torchvision computes in float32 on values scaled to 0..1 and truncates
/// (`TorchvisionBackend.convert_to_rgb`); the Pillow backend computes in float64 and rounds half to
/// even (`image_transforms.convert_to_rgb`), which is also what the integers of Pillow's
/// `Image.alpha_composite` come to over white. All take from white what the colour lacks of it, times alpha,
/// and can be computed in 16-bit integers, which was tried on all 65,536 pairs.
#[inline(always)]
pub(in crate::kernels) fn blend<const N: usize>(
    colours: &mut [[u8; N]; 3],
    alphas: &[u8; N],
    reference: Reference,
) {
    match reference {
        Reference::Torchvision => blend_by(taken_by_torchvision, colours, alphas),
        Reference::Pillow12 | Reference::Pillow13 => blend_by(taken_by_pillow, colours, alphas),
    }
}

/// What `taken` of (255 - colour) * alpha, and of alpha, leaves of white.
#[inline(always)]
fn blend_by<const N: usize>(
    taken: impl Fn(u16, u16) -> u16,
    colours: &mut [[u8; N]; 3],
    alphas: &[u8; N],
) {
    for (index, alpha) in alphas.iter().enumerate() {
        let alpha = u16::from(*alpha);
        for colours in &mut *colours {
            let lacking = u16::from(255 - colours[index]) * alpha;
            colours[index] = 255 - taken(lacking, alpha) as u8;
        }
    }
}

/// A 255th, rounded to nearest: no product lies half way.
#[inline(always)]
fn taken_by_pillow(lacking: u16, _: u16) -> u16 {
    let rounded = lacking + 128;
    (rounded + (rounded >> 8)) >> 8
}

/// A 254.005th (255 * 255 / 255.999), rounded down: a 256th of the whole and of its 127.3rd.
///
/// One product, 104 * 127, lies so near a whole number that float32 falls short of it where it is made
/// as 52 * 254, and not where it is made of these two. Their numbers are computed rather than chosen: a loop
/// with a branch in it does not become vectors.
#[inline(always)]
pub(in crate::kernels) const fn taken_by_torchvision(lacking: u16, alpha: u16) -> u16 {
    let own = (alpha == 104) as u16 | (alpha == 127) as u16;
    let (bias, factor) = (26 + 27 * own, 515 - own);
    lacking.saturating_add(high_half(lacking + bias, factor)) >> 8
}

#[inline(always)]
const fn high_half(a: u16, b: u16) -> u16 {
    ((a as u32 * b as u32) >> 16) as u16
}
