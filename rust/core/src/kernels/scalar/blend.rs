use crate::filter::Reference;

/// Samples that are looked at together: most pixels are opaque, and their neighbours too.
const SAMPLES: usize = 32;

/// Blends colours over white.
///
/// torchvision computes in float32 on values scaled to 0..1 and truncates
/// (`TorchvisionBackend.convert_to_rgb`); the Pillow backend computes in float64 and rounds half to
/// even (`image_transforms.convert_to_rgb`). Both take from white what the colour lacks of it, times
/// alpha, and both can be computed in 16-bit integers, which was tried on all 65,536 pairs.
#[inline(always)]
pub(in crate::kernels) fn over_white(colours: &mut [u8], alphas: &[u8], reference: Reference) {
    match reference {
        Reference::Torchvision => blend(colours, alphas, taken_by_torchvision),
        Reference::Pillow12 | Reference::Pillow13 => blend(colours, alphas, taken_by_pillow),
    }
}

/// What `taken` of (255 - colour) * alpha, and of alpha, leaves of white.
#[inline(always)]
fn blend(colours: &mut [u8], alphas: &[u8], taken: impl Fn(u16, u16) -> u16) {
    let blend = |(colour, alpha): (&mut u8, &u8)| {
        let alpha = u16::from(*alpha);
        let lacking = u16::from(255 - *colour) * alpha;
        *colour = 255 - taken(lacking, alpha) as u8;
    };
    let (blocks, rest) = colours.as_chunks_mut::<SAMPLES>();
    let (alpha_blocks, alpha_rest) = alphas.as_chunks::<SAMPLES>();
    for (colours, alphas) in blocks.iter_mut().zip(alpha_blocks) {
        if *alphas != [255; SAMPLES] {
            colours.iter_mut().zip(alphas).for_each(blend);
        }
    }
    rest.iter_mut().zip(alpha_rest).for_each(blend);
}

/// A 255th, rounded to nearest: no product lies half way.
#[inline(always)]
fn taken_by_pillow(lacking: u16, _: u16) -> u16 {
    high_half(lacking + 128, 257)
}

/// A 254.005th (255 * 255 / 255.999), rounded down but for 0.001: one whole, and 32943 / 2^22, of a 256th.
///
/// One product lies so near a whole number that float32 falls short of it for two of its four pairs.
#[inline(always)]
fn taken_by_torchvision(lacking: u16, alpha: u16) -> u16 {
    let taken = (lacking + ((high_half(lacking, 32943) + 17) >> 6)) >> 8;
    let falls_short = lacking == 52 * 254 && (alpha == 52 || alpha == 254);
    taken - u16::from(falls_short)
}

#[inline(always)]
fn high_half(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}
