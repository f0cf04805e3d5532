//! Transparent colours to opaque ones.

use crate::filter::Reference;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::scalar;

/// See [`crate::kernels::blend::over_white`].
pub(in crate::kernels) fn over_white(
    isa: Isa,
    colours: &mut [u8],
    alphas: &[u8],
    reference: Reference,
) {
    match isa.backend() {
        Backend::Scalar => {}
        // SAFETY: the processor has AVX2, as it has with AVX-512.
        Backend::Avx2 | Backend::Avx512 => unsafe { with_avx2(colours, alphas, reference) },
    }
}

/// The portable loop, which the compiler makes vectors of.
#[target_feature(enable = "avx2")]
fn with_avx2(colours: &mut [u8], alphas: &[u8], reference: Reference) {
    scalar::over_white(colours, alphas, reference);
}
