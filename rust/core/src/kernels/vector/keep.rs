//! Two scanlines to pairs, where the width stays as it is.

use crate::kernels::Pair;
use crate::kernels::ahead::Ahead;
use crate::kernels::isa::{Backend, Isa};
use crate::kernels::staged::Staged;
use crate::pixels::Bytes;

/// Pairs up `lines` in planes of `stride`, a whole number of registers.
pub(in crate::kernels) fn keep(
    isa: Isa,
    lines: &Staged,
    stride: usize,
    ahead: &[Bytes<'_>],
    out: &mut [Pair],
) {
    // SAFETY: the processor has the instructions of an `Isa`.
    unsafe {
        match isa.backend() {
            Backend::Scalar => {}
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => with_avx2::keep(lines, stride, ahead, out),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => with_avx512::keep(lines, stride, ahead, out),
            #[cfg(target_arch = "aarch64")]
            Backend::Neon => with_neon::keep(lines, stride, ahead, out),
        }
    }
}

macro_rules! kernel {
    ($module:ident, $register:path, $features:literal) => {
        mod $module {
            use super::*;
            use register::{WIDENED, widen};
            use $register as register;

            #[target_feature(enable = $features)]
            pub(super) fn keep(
                lines: &Staged,
                stride: usize,
                ahead: &[Bytes<'_>],
                out: &mut [Pair],
            ) {
                let mut ahead = Ahead::new(ahead, 3 * stride / WIDENED);
                for (channel, out) in out.chunks_exact_mut(stride).enumerate() {
                    let [a, b] = [0, 1].map(|line| lines.plane(line, channel).as_chunks().0);
                    for (out, (a, b)) in out.as_chunks_mut().0.iter_mut().zip(a.iter().zip(b)) {
                        ahead.step();
                        widen(a, b, out);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(with_avx2, crate::kernels::x86_64::avx2, "avx2");
#[cfg(target_arch = "x86_64")]
kernel!(
    with_avx512,
    crate::kernels::x86_64::avx512,
    "avx512f,avx512bw"
);
#[cfg(target_arch = "aarch64")]
kernel!(with_neon, crate::kernels::aarch64::neon, "neon");
