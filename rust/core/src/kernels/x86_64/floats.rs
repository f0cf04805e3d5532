//! Samples to float32, stored in whole registers: lines of the cache, or halves of them.

/// What is written once for registers of either size.
macro_rules! floats {
    ($module:ident, $register:path, $features:literal) => {
        pub(in crate::kernels) mod $module {
            use crate::kernels::values::{Affine, Factor};
            use register::{
                FLOATS, Floats, array, floats, join_runs, multiply, multiply_and_add, splat_float,
                store_floats, subtract,
            };
            use $register as register;

            /// [`Affine`] in registers.
            #[derive(Debug, Clone, Copy)]
            pub(in crate::kernels) struct Constants {
                scale: [Floats; 2],
                mean: Floats,
                inverse_std: [Floats; 2],
            }

            impl Constants {
                #[target_feature(enable = $features)]
                #[inline]
                pub(in crate::kernels) fn new(affine: &Affine) -> Self {
                    let factor = |factor: Factor| [factor.high, factor.low].map(|f| splat_float(f));
                    Self {
                        scale: factor(affine.scale),
                        mean: splat_float(affine.mean),
                        inverse_std: factor(affine.inverse_std),
                    }
                }

                /// Samples as float32, normalised: [`Affine::apply`], which rescales if `RESCALES`.
                #[target_feature(enable = $features)]
                #[inline]
                pub(in crate::kernels) fn normalised<const RESCALES: bool>(
                    &self,
                    samples: &[u8; FLOATS],
                ) -> Floats {
                    let mut values = floats(samples);
                    if RESCALES {
                        values = times(values, self.scale);
                    }
                    times(subtract(values, self.mean), self.inverse_std)
                }
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn times(numbers: Floats, [high, low]: [Floats; 2]) -> Floats {
                multiply_and_add(numbers, high, multiply(numbers, low))
            }

            /// Fills a slice with runs of elements, one after another; with `STREAM` past the cache.
            ///
            /// A store that crosses from one cache line to the next takes twice as long as another, and past the cache
            /// a line that is left incomplete many times as long. So the end of a run waits for the next one, and that
            /// of the last for [`FloatWriter::finish`]:
            ///
            /// ```text
            /// lines    |---------------|---------------|---------------|
            /// runs     ... before ---------------|- a run -----------------...
            /// stores   |- of before ---|- joined ------|- of the run --|
            /// ```
            pub(in crate::kernels) struct FloatWriter<'a, const STREAM: bool> {
                out: &'a mut [f32],
                /// Elements of all runs so far.
                written: usize,
                /// The next register's place begins so many elements before what is written next, at a multiple of its
                /// size.
                before: usize,
                /// The last elements; zeros until there are any.
                last: Floats,
            }

            impl<'a, const STREAM: bool> FloatWriter<'a, STREAM> {
                #[target_feature(enable = $features)]
                #[inline]
                pub(in crate::kernels) fn new(out: &'a mut [f32]) -> Self {
                    Self {
                        before: out.as_ptr().addr() / size_of::<f32>() % FLOATS,
                        out,
                        written: 0,
                        last: splat_float(0.0),
                    }
                }

                /// Writes the elements of `length` samples, a register of them at least.
                ///
                /// # Safety
                /// There are as many samples.
                #[target_feature(enable = $features)]
                #[inline]
                pub(in crate::kernels) unsafe fn write<const RESCALES: bool>(
                    &mut self,
                    constants: &Constants,
                    samples: *const u8,
                    length: usize,
                ) {
                    assert!(FLOATS <= length && length <= self.out.len() - self.written);
                    let out = self.out.as_mut_ptr();
                    let elements = |x: usize| {
                        // SAFETY: a register of them ends within the run.
                        constants.normalised::<RESCALES>(unsafe { &*samples.add(x).cast() })
                    };
                    let mut x = 0;
                    if self.before > 0 {
                        x = FLOATS - self.before;
                        let joined = join_runs(self.last, elements(0), self.before);
                        match self.written.checked_sub(self.before) {
                            // SAFETY: a register's place (see `before`), all of it in the slice.
                            Some(start) => unsafe {
                                store_floats::<STREAM>(joined, out.add(start));
                            },
                            // SAFETY: as many as there are, fewer than the run has. What is before them belongs to others.
                            None => unsafe {
                                let own = &array(joined)[self.before..];
                                out.copy_from_nonoverlapping(own.as_ptr(), own.len());
                            },
                        }
                    }
                    while x + FLOATS <= length {
                        // SAFETY: a register's place (see `before`), in that of the run.
                        unsafe {
                            store_floats::<STREAM>(elements(x), out.add(self.written + x));
                        }
                        x += FLOATS;
                    }
                    self.last = elements(length - FLOATS);
                    self.before = length - x;
                    self.written += length;
                }

                /// Writes the end of the last run. What has bypassed the cache is in its place then for other threads.
                #[target_feature(enable = $features)]
                #[inline]
                pub(in crate::kernels) fn finish(self) {
                    if STREAM {
                        std::arch::x86_64::_mm_sfence();
                    }
                    let before = self.before.min(self.written);
                    let (_, last) = self.out[..self.written].split_at_mut(self.written - before);
                    last.copy_from_slice(&array(self.last)[FLOATS - before..]);
                }
            }
        }
    };
}

floats!(with_avx2, crate::kernels::x86_64::avx2, "avx2,fma,f16c");
floats!(
    with_avx512,
    crate::kernels::x86_64::avx512,
    "avx512f,avx512bw,avx512vl,avx512vbmi"
);
