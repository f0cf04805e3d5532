//! Transparent colours to opaque ones.

use super::isa::{Backend, Isa};
use super::scalar;
#[cfg(target_arch = "x86_64")]
use super::x86_64;
use crate::filter::Reference;

/// Blends `colours` over white by their `alphas`, as `reference` does.
pub(crate) fn over_white(isa: Isa, colours: &mut [u8], alphas: &[u8], reference: Reference) {
    match isa.backend() {
        Backend::Scalar => scalar::over_white(colours, alphas, reference),
        // NEON is what the compiler makes of it anyway.
        #[cfg(target_arch = "aarch64")]
        Backend::Neon => scalar::over_white(colours, alphas, reference),
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2 | Backend::Avx512 => x86_64::over_white(isa, colours, alphas, reference),
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

    #[test]
    fn every_colour_and_alpha_blends_as_defined() {
        for (isa, reference) in Isa::available()
            .into_iter()
            .flat_map(|isa| Reference::ALL.map(|reference| (isa, reference)))
        {
            for alpha in 0..=255 {
                let mut colours: Vec<u8> = (0..=255).collect();
                over_white(isa, &mut colours, &[alpha; 256], reference);
                for (colour, sample) in (0..=255).zip(colours) {
                    let expected = blended(colour, alpha, reference);
                    assert_eq!(sample, expected, "{isa:?} {colour} {alpha}");
                }
            }
        }
    }
}
