//! Two scanlines to pairs, where the width stays as it is.

use super::ahead::Ahead;
use super::{avx2, avx512};
use crate::kernels::Pair;
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
    let ahead = Ahead::new(ahead, 3 * stride / avx2::SUMS);
    match isa.backend() {
        Backend::Scalar => {}
        // SAFETY: the processor has the instructions of an `Isa`.
        Backend::Avx2 => unsafe { with_avx2::keep(lines, stride, ahead, out) },
        // SAFETY: as above.
        Backend::Avx512 => unsafe { with_avx512::keep(lines, stride, ahead, out) },
    }
}

macro_rules! kernel {
    ($module:ident, $register:ident, $features:literal) => {
        mod $module {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) fn keep(
                lines: &Staged,
                stride: usize,
                mut ahead: Ahead<'_>,
                out: &mut [Pair],
            ) {
                for (channel, out) in out.chunks_exact_mut(stride).enumerate() {
                    let [a, b] = [0, 1].map(|line| lines.plane(line, channel).as_chunks().0);
                    for (out, (a, b)) in out.as_chunks_mut().0.iter_mut().zip(a.iter().zip(b)) {
                        ahead.step();
                        $register::store_pairs($register::widen(a, b), out);
                    }
                }
            }
        }
    };
}

kernel!(with_avx2, avx2, "avx2");
kernel!(with_avx512, avx512, "avx512f,avx512bw");
