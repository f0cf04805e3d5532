//! Patches of 8 to 16 pixels a side, four lines at a time; elements of four bytes a line at a time, unless they are on
//! their way past the cache.

use std::arch::x86_64::*;
use std::array;

use super::avx512::{BYTES, load};
use super::table::Table;
use crate::kernels::element::{Kind, Store};
use crate::kernels::isa::Avx512;
use crate::kernels::values::{Affine, Factor};
use crate::kernels::vector::run::for_each_store;

/// Samples that are read of a line, of which a patch has half at least.
const LANE: usize = 16;

/// Lines whose samples are brought side by side at once.
const LINES: usize = 4;

/// Elements of four bytes in a register, and samples of which they are made.
const FLOATS: usize = BYTES / size_of::<f32>();

/// What the samples of one channel become in patches of one size.
pub(in crate::kernels) struct Channel {
    affine: Affine,
    /// Elements of two bytes, by sample: their lower bytes, and their upper ones.
    table: [[u8; 256]; 2],
    /// Where the samples of four lines go in a register, before they become elements.
    order: [u8; BYTES],
}

impl Channel {
    /// Whether patches of `patch` pixels a side have 8 to 16.
    pub(in crate::kernels) fn takes(patch: usize) -> bool {
        (LANE / 2..=LANE).contains(&patch)
    }

    pub(in crate::kernels) fn new<T: Store>(
        affine: Affine,
        elements: &[T; 256],
        patch: usize,
        _: Avx512,
    ) -> Self {
        let elements: &[u8] = bytemuck::cast_slice(elements);
        let byte = |index: usize| array::from_fn(|sample| elements[2 * sample + index]);
        let (table, order) = match T::KIND {
            Kind::Uint8 | Kind::Float32 => ([[0; 256]; 2], in_order(patch)),
            Kind::Float16 | Kind::Bfloat16 => ([byte(0), byte(1)], to_unpack(patch)),
        };
        Self {
            affine,
            table,
            order,
        }
    }

    /// Writes the elements of a patch of `PATCH` pixels, or of `patch` if that is 0, whose lines are `stride`
    /// samples apart: as often, one after another, as `out` has room. With `STREAM` they are about to be loaded again.
    ///
    /// # Safety
    /// Patches that it [takes][Self::takes]; lines of as many samples, as far apart or farther.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    #[inline]
    pub(in crate::kernels) unsafe fn write<
        T: Store,
        const PATCH: usize,
        const RESCALES: bool,
        const STREAM: bool,
    >(
        &self,
        samples: *const u8,
        stride: usize,
        patch: usize,
        out: &mut [T],
    ) {
        let patch = if PATCH == 0 { patch } else { PATCH };
        let lines = Lines {
            samples,
            stride,
            patch,
        };
        let bytes = patch * size_of::<T>();
        let mut slots = Slots {
            out: bytemuck::cast_slice_mut(out),
            area: patch * bytes,
        };
        match T::KIND {
            // SAFETY: the slots are of the patch.
            Kind::Uint8 => unsafe { self.write_samples::<PATCH>(&lines, slots) },
            Kind::Float32 if STREAM => {
                let constants = Constants::new(&self.affine);
                // One run of all samples, most of whose stores make whole lines.
                let mut samples = [0; LANE * LANE];
                let samples = &mut samples[..patch * patch];
                let slot = Slots {
                    area: samples.len(),
                    out: samples,
                };
                // SAFETY: the slot is of the patch.
                unsafe { self.write_samples::<PATCH>(&lines, slot) };
                for run in bytemuck::cast_slice_mut(slots.out).chunks_exact_mut(samples.len()) {
                    constants.write_run::<RESCALES>(samples, run);
                }
            }
            Kind::Float32 => {
                let constants = Constants::new(&self.affine);
                for y in groups::<2>(patch) {
                    // SAFETY: a group lies within the patch.
                    unsafe {
                        let pair = [lines.one(y), lines.one(y + 1)];
                        let pair = pair.map(|line| constants.normalised::<RESCALES>(line));
                        let pair = pair.map(|line| _mm512_castps_si512(line));
                        slots.store(pair, y * bytes, bytes);
                    }
                }
            }
            Kind::Float16 | Kind::Bfloat16 => {
                let order = load(&self.order);
                let [low, high] = self.table.each_ref().map(|bytes| Table::new(bytes));
                for y in groups::<LINES>(patch) {
                    // SAFETY: a group lies within the patch, and takes a register at least.
                    unsafe {
                        let samples = _mm512_permutexvar_epi8(order, lines.four(y));
                        let (low, high) = (low.of(samples), high.of(samples));
                        let first = _mm512_unpacklo_epi8(low, high);
                        let last = _mm512_unpackhi_epi8(low, high);
                        slots.store([first, last], y * bytes, BYTES);
                    }
                }
            }
        }
    }

    /// Writes the samples themselves.
    ///
    /// # Safety
    /// As [`Channel::write`] asks for; places of the patch's area.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    #[inline]
    unsafe fn write_samples<const PATCH: usize>(&self, lines: &Lines, mut slots: Slots<'_>) {
        let patch = if PATCH == 0 { lines.patch } else { PATCH };
        let order = load(&self.order);
        for y in groups::<LINES>(patch) {
            // SAFETY: a group lies within the patch.
            unsafe {
                let samples = _mm512_permutexvar_epi8(order, lines.four(y));
                slots.store([samples], y * patch, BYTES);
            }
        }
    }
}

/// Where groups of `N` lines begin. The last is moved back to end where the patch does.
fn groups<const N: usize>(patch: usize) -> impl Iterator<Item = usize> {
    (0..patch.div_ceil(N)).map(move |group| (N * group).min(patch - N))
}

/// The samples of four lines of `patch`, each in a lane of its own, one after another.
fn in_order(patch: usize) -> [u8; BYTES] {
    let mut samples = (0..LINES).flat_map(|line| (0..patch).map(move |x| (LANE * line + x) as u8));
    array::from_fn(|_| samples.next().unwrap_or_default())
}

/// The same with the first half of them in the lower halves of lanes, from which bytes are unpacked first.
///
/// ```text
/// samples     s0 ... s7 s32 ... s39 | s8 ... s15 s40 ... s47 | ...     (16 bytes in a lane)
/// low         l0 ... l7 l32 ... l39 | ...                              the lower bytes of their elements
/// high        h0 ... h7 h32 ... h39 | ...                              the upper ones
/// first       l0 h0 l1 h1 ... l7 h7 | l8 h8 ... l15 h15 | ...          (unpacking works within lanes)
/// last        l32 h32 ... l39 h39   | ...
/// ```
fn to_unpack(patch: usize) -> [u8; BYTES] {
    let samples = in_order(patch);
    array::from_fn(|place| {
        let (lane, in_lane) = (place / LANE, place % LANE);
        let (half, in_half) = (in_lane / (LANE / 2), in_lane % (LANE / 2));
        samples[BYTES / 2 * half + LANE / 2 * lane + in_half]
    })
}

/// The lines of a patch, such as [`Channel::write`] asks for.
struct Lines {
    samples: *const u8,
    stride: usize,
    patch: usize,
}

impl Lines {
    /// The line at `y`, and of all but the last some samples beyond it.
    ///
    /// # Safety
    /// The patch is such, and has this line.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    unsafe fn one(&self, y: usize) -> __m128i {
        // SAFETY: the patch has this line. If it has a next one, that begins 8 samples on or farther, and has 8 at
        // least: 16 may be read.
        unsafe {
            let line = self.samples.add(y * self.stride);
            if y + 1 < self.patch {
                _mm_loadu_si128(line.cast())
            } else {
                _mm_maskz_loadu_epi8(!0 >> (LANE - self.patch), line.cast())
            }
        }
    }

    /// Four of them, in a lane each.
    ///
    /// # Safety
    /// As for each of them.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    unsafe fn four(&self, y: usize) -> __m512i {
        // SAFETY: the caller's.
        unsafe {
            let first = _mm512_castsi128_si512(self.one(y));
            let two = _mm512_inserti32x4::<1>(first, self.one(y + 1));
            let three = _mm512_inserti32x4::<2>(two, self.one(y + 2));
            _mm512_inserti32x4::<3>(three, self.one(y + 3))
        }
    }
}

/// Places of `area` bytes, one after another, that are filled with the same.
struct Slots<'a> {
    out: &'a mut [u8],
    area: usize,
}

impl<'a> Slots<'a> {
    /// Stores registers in each, from `at` on and `step` apart: of each what there is room for.
    ///
    /// # Safety
    /// Each begins within the area, or where it ends.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn store<const N: usize>(&mut self, registers: [__m512i; N], at: usize, step: usize) {
        let mut slot = 0;
        while slot + self.area <= self.out.len() {
            for (index, register) in registers.into_iter().enumerate() {
                let place = at + index * step;
                let room = self.area - place;
                // SAFETY: no more is stored than the slot has left, which is in the slice.
                unsafe {
                    let out = self.out.as_mut_ptr().add(slot + place);
                    if room >= BYTES {
                        _mm512_storeu_si512(out.cast(), register);
                    } else {
                        _mm512_mask_storeu_epi8(out.cast(), (1 << room) - 1, register);
                    }
                }
            }
            slot += self.area;
        }
    }
}

/// [`Affine`] in registers.
struct Constants {
    scale: [__m512; 2],
    mean: __m512,
    inverse_std: [__m512; 2],
}

impl Constants {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new(affine: &Affine) -> Self {
        let factor = |factor: Factor| [_mm512_set1_ps(factor.high), _mm512_set1_ps(factor.low)];
        Self {
            scale: factor(affine.scale),
            mean: _mm512_set1_ps(affine.mean),
            inverse_std: factor(affine.inverse_std),
        }
    }

    /// Writes the elements of as many samples, a register of them at least.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    fn write_run<const RESCALES: bool>(&self, samples: &[u8], run: &mut [f32]) {
        assert!(samples.len() == run.len() && run.len() >= FLOATS);
        let out = run.as_mut_ptr();
        for_each_store(run, FLOATS, |x| {
            // SAFETY: as many from `x` on, of both.
            unsafe {
                let samples = _mm_loadu_si128(samples.as_ptr().add(x).cast());
                _mm512_storeu_ps(out.add(x), self.normalised::<RESCALES>(samples));
            }
        });
    }

    /// Samples as float32, normalised: [`Affine::apply`], which rescales if `RESCALES`.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn normalised<const RESCALES: bool>(&self, samples: __m128i) -> __m512 {
        let mut values = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(samples));
        if RESCALES {
            values = times(values, self.scale);
        }
        times(_mm512_sub_ps(values, self.mean), self.inverse_std)
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn times(numbers: __m512, [high, low]: [__m512; 2]) -> __m512 {
    _mm512_fmadd_ps(numbers, high, _mm512_mul_ps(numbers, low))
}
