//! Transparent colours to opaque ones. As torchvision blends them is another matter for each instruction set.

use crate::filter::Reference;

/// The kernel for the registers and the operations that a module has under the names it uses.
macro_rules! kernel {
    ($features:literal) => {
        /// Blends the colours of a block of pixels, as the portable loop does and by the same arithmetic.
        #[target_feature(enable = $features)]
        #[inline]
        pub(in crate::kernels) fn blend(
            colours: &mut [Samples; 3],
            alphas: &Samples,
            reference: Reference,
        ) {
            match reference {
                Reference::Torchvision => torchvision(colours, alphas),
                Reference::Pillow12 | Reference::Pillow13 => {
                    let alphas = halves(load(alphas));
                    blend_by(colours, alphas, |lacking, _| {
                        multiply_high(add(lacking, every(128)), every(257))
                    })
                }
            }
        }

        /// What `taken` of (255 - colour) * alpha, in a half of the block, leaves of white.
        #[target_feature(enable = $features)]
        #[inline]
        fn blend_by(
            colours: &mut [Samples; 3],
            alphas: [Register; 2],
            taken: impl Fn(Register, usize) -> Register,
        ) {
            let white = every_8(-1);
            for colours in colours {
                let [low, high] = halves(xor(load(colours), white));
                let low = taken(multiply(low, alphas[0]), 0);
                let high = taken(multiply(high, alphas[1]), 1);
                store(xor(pack(low, high), white), colours);
            }
        }

        /// Samples as 16 bits each: the lower half of each lane, and the upper half, which packing puts together
        /// again.
        ///
        /// ```text
        /// samples      s0 s1 ... s15 | s16 ... s31       (bytes, here in two lanes)
        /// lower        s0 s1 ...  s7 | s16 ... s23       (16 bits)
        /// upper        s8 ...    s15 | s24 ... s31
        /// ```
        #[target_feature(enable = $features)]
        #[inline]
        fn halves(samples: Register) -> [Register; 2] {
            [unpack_low(samples, zero()), unpack_high(samples, zero())]
        }
    };
}

pub(in crate::kernels) mod with_avx2 {
    use std::arch::x86_64::{
        __m256i as Register, _mm256_add_epi8 as add_8, _mm256_add_epi16 as add,
        _mm256_adds_epu16 as add_saturating, _mm256_and_si256 as and, _mm256_cmpeq_epi8 as equal,
        _mm256_mulhi_epu16 as multiply_high, _mm256_mullo_epi16 as multiply, _mm256_or_si256 as or,
        _mm256_packus_epi16 as pack, _mm256_set1_epi8 as every_8, _mm256_set1_epi16 as every,
        _mm256_setzero_si256 as zero, _mm256_srli_epi16 as shift_right,
        _mm256_unpackhi_epi8 as unpack_high, _mm256_unpacklo_epi8 as unpack_low,
        _mm256_xor_si256 as xor,
    };

    use super::Reference;
    use crate::kernels::x86_64::deinterleave::{Samples, load, store};

    kernel!("avx2");

    #[target_feature(enable = "avx2")]
    #[inline]
    fn torchvision(colours: &mut [Samples; 3], alphas: &Samples) {
        // -1 for the alphas that have numbers of their own, in 8 bits; unpacked with itself, in 16. Their
        // numbers are computed from it, and lie in the order of the halves of the block:
        //
        //     alphas     a0 a1 ... a15 | a16 ... a31       (bytes)
        //     factors    a0 a1 ...  a7 | a16 ... a23       (16 bits)
        //                a8 ...    a15 | a24 ... a31
        //
        // Of a choice between two factors the compiler would make multiplications of twice the width.
        let alphas = load(alphas);
        let own = or(equal(alphas, every_8(104)), equal(alphas, every_8(127)));
        let biases = halves(add_8(every_8(26), and(own, every_8(27))));
        let factors = [unpack_low(own, own), unpack_high(own, own)].map(|own| add(every(515), own));
        blend_by(colours, halves(alphas), |lacking, half| {
            let biased = add(lacking, biases[half]);
            let part = multiply_high(biased, factors[half]);
            shift_right::<8>(add_saturating(lacking, part))
        });
    }
}

pub(in crate::kernels) mod with_avx512 {
    use std::arch::x86_64::{
        __m512i as Register, _mm512_add_epi16 as add, _mm512_mulhi_epu16 as multiply_high,
        _mm512_mullo_epi16 as multiply, _mm512_packus_epi16 as pack, _mm512_set1_epi8 as every_8,
        _mm512_set1_epi16 as every, _mm512_setzero_si512 as zero,
        _mm512_unpackhi_epi8 as unpack_high, _mm512_unpacklo_epi8 as unpack_low,
        _mm512_xor_si512 as xor,
    };

    use super::Reference;
    use crate::kernels::x86_64::avx512::{load, store};
    use crate::kernels::x86_64::blend_vbmi::torchvision;
    use crate::kernels::x86_64::deinterleave_vbmi::Samples;

    kernel!("avx512f,avx512bw,avx512vbmi");
}
