//! Patches of 8 to 16 pixels a side, four lines at a time.

use std::arch::x86_64::*;
use std::array;

use super::avx512::{BYTES, load};
use super::table::Table;
use crate::kernels::band::Lines;
use crate::kernels::element::{Kind, Store};
use crate::kernels::isa::Avx512;
use crate::kernels::values::Affine;
use crate::kernels::vector::rows::Samples;

/// Samples that are read of a line, of which a patch has half at least.
const LANE: usize = 16;

/// Lines whose samples are brought side by side at once.
const LINES: usize = 4;

/// What the samples of one channel become in patches of one size.
pub(in crate::kernels) struct Channel {
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
        _: Affine,
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
        Self { table, order }
    }

    /// Writes the elements, which are not float32, of a patch of `PATCH` pixels, or of `patch` if that is 0: as often,
    /// one after another, as `out` has room.
    ///
    /// # Safety
    /// Patches that it [takes][Self::takes]; lines of as many samples, as far apart or farther.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    #[inline]
    pub(in crate::kernels) unsafe fn write<T: Store, const PATCH: usize, const RESCALES: bool>(
        &self,
        lines: Lines,
        patch: usize,
        out: &mut [T],
    ) {
        let patch = if PATCH == 0 { patch } else { PATCH };
        let bytes = patch * size_of::<T>();
        let mut slots = Slots {
            out: bytemuck::cast_slice_mut(out),
            area: patch * bytes,
        };
        let order = load(&self.order);
        match T::KIND {
            Kind::Uint8 => {
                for y in groups(patch) {
                    // SAFETY: a group lies within the patch.
                    unsafe {
                        let samples = _mm512_permutexvar_epi8(order, four(lines, y, patch));
                        slots.store([samples], y * bytes);
                    }
                }
            }
            Kind::Float16 | Kind::Bfloat16 => {
                let [low, high] = self.table.each_ref().map(|bytes| Table::new(bytes));
                for y in groups(patch) {
                    // SAFETY: a group lies within the patch, and takes a register at least.
                    unsafe {
                        let samples = _mm512_permutexvar_epi8(order, four(lines, y, patch));
                        let (low, high) = (low.of(samples), high.of(samples));
                        let first = _mm512_unpacklo_epi8(low, high);
                        let last = _mm512_unpackhi_epi8(low, high);
                        slots.store([first, last], y * bytes);
                    }
                }
            }
            Kind::Float32 => unreachable!("a FloatWriter writes them"),
        }
    }

    /// Brings the samples of such a patch side by side.
    ///
    /// # Safety
    /// See [`Channel::write`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    #[inline]
    pub(in crate::kernels) unsafe fn copy<const PATCH: usize>(
        &self,
        lines: Lines,
        patch: usize,
        out: &mut Samples,
    ) {
        let patch = if PATCH == 0 { patch } else { PATCH };
        // SAFETY: the caller's.
        unsafe { self.write::<u8, PATCH, false>(lines, patch, &mut out.0[..patch * patch]) };
    }
}

/// Where groups of lines begin. The last is moved back to end where the patch does.
fn groups(patch: usize) -> impl Iterator<Item = usize> {
    (0..patch.div_ceil(LINES)).map(move |group| (LINES * group).min(patch - LINES))
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

/// Four lines of a patch from `y` on, in a lane each: of all but the patch's last 16 samples.
///
/// # Safety
/// The patch is such as [`Channel::write`] asks for, and has these lines.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
unsafe fn four(lines: Lines, y: usize, patch: usize) -> __m512i {
    let one = |y: usize| {
        // SAFETY: the patch has this line. If it has a next one, that begins 8 samples on or farther, and has 8 at
        // least: 16 may be read.
        unsafe {
            let line = lines.at(y);
            if y + 1 < patch {
                _mm_loadu_si128(line.cast())
            } else {
                _mm_maskz_loadu_epi8(!0 >> (LANE - patch), line.cast())
            }
        }
    };
    let first = _mm512_castsi128_si512(one(y));
    let two = _mm512_inserti32x4::<1>(first, one(y + 1));
    let three = _mm512_inserti32x4::<2>(two, one(y + 2));
    _mm512_inserti32x4::<3>(three, one(y + 3))
}

/// Places of `area` bytes, one after another, that are filled with the same.
struct Slots<'a> {
    out: &'a mut [u8],
    area: usize,
}

impl<'a> Slots<'a> {
    /// Stores registers in each, one after another from `at` on: of each what there is room for.
    ///
    /// # Safety
    /// Each begins within the area, or where it ends.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn store<const N: usize>(&mut self, registers: [__m512i; N], at: usize) {
        let mut slot = 0;
        while slot + self.area <= self.out.len() {
            for (index, register) in registers.into_iter().enumerate() {
                let place = at + index * BYTES;
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
