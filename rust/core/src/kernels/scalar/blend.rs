use crate::filter::Reference;

/// What torchvision multiplies by to get to 0..1.
pub(in crate::kernels) const BLEND_SCALE: f32 = (1.0 / 255.0) as f32;

/// What it multiplies by to get back: slightly less than 256, so that 1.0 becomes 255.
pub(in crate::kernels) const BLEND_UNSCALE: f32 = (255.0 + 1.0 - 1e-3) as f32;

/// Blends colours over white.
///
/// torchvision computes in float32 on values scaled to 0..1 and truncates
/// (`TorchvisionBackend.convert_to_rgb`); the Pillow backend computes in float64 and rounds half to
/// even (`image_transforms.convert_to_rgb`), which is division of integers rounded to nearest.
#[inline(always)]
pub(in crate::kernels) fn over_white(colours: &mut [u8], alphas: &[u8], reference: Reference) {
    let blended = colours.iter_mut().zip(alphas);
    match reference {
        Reference::Torchvision => {
            for (sample, alpha) in blended {
                let colour = f32::from(*sample) * BLEND_SCALE;
                let alpha = f32::from(*alpha) * BLEND_SCALE;
                *sample = ((colour * alpha + (1.0 - alpha)) * BLEND_UNSCALE) as u8;
            }
        }
        Reference::Pillow12 | Reference::Pillow13 => {
            for (sample, alpha) in blended {
                let (colour, alpha) = (u16::from(*sample), u16::from(*alpha));
                *sample = ((alpha * colour + (255 - alpha) * 255 + 127) / 255) as u8;
            }
        }
    }
}
