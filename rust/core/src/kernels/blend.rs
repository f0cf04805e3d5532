//! Transparent colours to opaque ones.

use super::isa::{Backend, Isa};
use super::scalar;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector;
use crate::filter::Reference;
use crate::pixels::Bytes;

/// Blends the colours of `pixels`, RGBA, over white as `reference` does, and writes each to its plane,
/// which is as long as there are pixels.
pub(crate) fn over_white(
    isa: Isa,
    pixels: Bytes<'_>,
    planes: [&mut [u8]; 3],
    reference: Reference,
) {
    assert!(planes.iter().all(|plane| 4 * plane.len() == pixels.len()));
    match isa.backend() {
        Backend::Scalar => scalar::over_white(pixels, planes, reference),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        Backend::Vector(isa) => vector::over_white(isa, pixels, planes, reference),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A colour and its alpha, by the definition of each reference.
    pub(crate) fn blended(colour: u8, alpha: u8, reference: Reference) -> u8 {
        if reference == Reference::Torchvision {
            let (colour, alpha) = (
                f32::from(colour) * (1.0f64 / 255.0) as f32,
                f32::from(alpha) * (1.0f64 / 255.0) as f32,
            );
            ((colour * alpha + (1.0 - alpha)) * 255.999) as u8
        } else {
            let alpha = f64::from(alpha) / 255.0;
            (alpha * f64::from(colour) + (1.0 - alpha) * 255.0).round_ties_even() as u8
        }
    }

    /// Blends pixels of which each channel has another colour with the alpha.
    fn check(isa: Isa, reference: Reference, colours_and_alphas: &[(u8, u8)]) {
        let channels = |colour: u8| [colour, !colour, colour ^ 0x55];
        let pixels: Vec<u8> = colours_and_alphas
            .iter()
            .flat_map(|(colour, alpha)| channels(*colour).into_iter().chain([*alpha]))
            .collect();
        let mut planes = [const { Vec::new() }; 3].map(|mut plane: Vec<u8>| {
            plane.resize(colours_and_alphas.len(), 0);
            plane
        });
        let out = planes.each_mut().map(|plane| &mut plane[..]);
        over_white(isa, pixels[..].into(), out, reference);
        for (x, (colour, alpha)) in colours_and_alphas.iter().enumerate() {
            let expected = channels(*colour).map(|colour| blended(colour, *alpha, reference));
            let samples = planes.each_ref().map(|plane| plane[x]);
            assert_eq!(samples, expected, "{isa:?} {reference:?} {colour} {alpha}");
        }
    }

    #[test]
    fn every_colour_and_alpha_blends_as_defined_in_lines_of_any_length() {
        for (isa, reference) in Isa::available()
            .into_iter()
            .flat_map(|isa| Reference::ALL.map(|reference| (isa, reference)))
        {
            for alpha in 0..=255 {
                let alike: Vec<_> = (0..=255).map(|colour| (colour, alpha)).collect();
                check(isa, reference, &alike);
                // Neighbours of other alphas, in a line that whole registers do not fill.
                let mixed: Vec<_> = (0..alpha)
                    .map(|place| (alpha.wrapping_mul(37) ^ place, place.wrapping_mul(91)))
                    .collect();
                check(isa, reference, &mixed);
            }
        }
    }
}
