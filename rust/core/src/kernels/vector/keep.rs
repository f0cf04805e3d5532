//! Two scanlines to pairs, where the width stays as it is.

use crate::kernels::Pair;
use crate::kernels::isa::VectorIsa;
use crate::kernels::prefetch::Prefetch;
use crate::kernels::staged::Staged;
use crate::pixels::Bytes;

/// Pairs up `lines` in planes of `stride`, a whole number of registers.
pub(in crate::kernels) fn keep(
    isa: VectorIsa,
    lines: &Staged,
    stride: usize,
    ahead: &[Bytes<'_>],
    out: &mut [Pair],
) {
    // SAFETY: the processor has what it is proved to have.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx2(_) => with_avx2::keep(lines, stride, ahead, out),
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx512(_) => with_avx512::keep(lines, stride, ahead, out),
            #[cfg(target_arch = "aarch64")]
            VectorIsa::Neon(_) => with_neon::keep(lines, stride, ahead, out),
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
                let mut prefetch = Prefetch::new(ahead, 3 * stride / WIDENED);
                for (channel, out) in out.chunks_exact_mut(stride).enumerate() {
                    let [a, b] = [0, 1].map(|line| lines.plane(line, channel).as_chunks().0);
                    for (out, (a, b)) in out.as_chunks_mut().0.iter_mut().zip(a.iter().zip(b)) {
                        prefetch.step();
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
