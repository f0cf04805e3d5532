//! Images in any layout, resized to any size by every backend.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use qvl_core::{Isa, PixelView, Reference, resize, smart_resize};

/// Sides of most images, and of some that are long and narrow, whose windows are long too.
const SIDE: usize = 64;
const LONG: usize = 4000;
const NARROW: usize = 6;

/// Resizes an image with every backend, which must give what the scalar one makes of the same pixels
/// packed.
pub fn resize_any(input: &mut Unstructured<'_>) -> Result<()> {
    let image = Image::any(input)?;
    let (target, reference) = (size(input)?, *input.choose(&Reference::ALL)?);
    let (view, packed) = (image.view(), image.packed(4));
    let (height, width) = view.size();
    let same = PixelView::packed(&packed[..], height, width, image.shape[2]).expect("it fits");
    let resized = |view: &PixelView<'_>, isa| {
        let mut out = vec![0; target.0 * target.1 * 3];
        resize(view, target, reference, isa, &mut out).expect("the arguments are valid");
        out
    };
    let expected = resized(&same, Isa::SCALAR);
    for isa in Isa::available() {
        assert!(
            resized(&view, isa) == expected,
            "{isa:?} of {image:?} to {target:?} {reference:?}"
        );
    }
    Ok(())
}

/// Arguments of all sizes, most of which are refused: nothing panics, and what is accepted holds.
pub fn arguments(input: &mut Unstructured<'_>) -> Result<()> {
    let (factor, least, most) = (input.arbitrary()?, input.arbitrary()?, input.arbitrary()?);
    if let Ok(sides) = smart_resize(input.arbitrary()?, input.arbitrary()?, factor, least, most) {
        for side in [sides.0, sides.1] {
            assert!(side > 0 && side % factor == 0, "{sides:?} of {factor}");
        }
    }
    let length = input.int_in_range(0..=64)?;
    let bytes = input.bytes(length.min(input.len()))?;
    let (origin, shape, strides) = (input.arbitrary()?, input.arbitrary()?, input.arbitrary()?);
    let Ok(view) = PixelView::new(bytes, origin, shape, strides) else {
        return Ok(());
    };
    let view = view.oriented(input.arbitrary()?);
    let corners = [(0, 0), (view.height() - 1, view.width() - 1)];
    for (y, x) in corners {
        for channel in 0..shape[2] {
            view.scanline(y).sample(x, channel);
        }
    }
    Ok(())
}

/// Height and width.
pub(crate) fn size(input: &mut Unstructured<'_>) -> Result<(usize, usize)> {
    let mut side = |most| input.int_in_range(1..=most);
    Ok(match side(16)? {
        1 => (side(LONG)?, side(NARROW)?),
        2 => (side(NARROW)?, side(LONG)?),
        _ => (side(SIDE)?, side(SIDE)?),
    })
}

/// An image whose samples lie in any order.
#[derive(Debug)]
pub(crate) struct Image {
    bytes: Bytes,
    origin: usize,
    /// Height, width, channels.
    shape: [usize; 3],
    strides: [isize; 3],
}

impl Image {
    pub(crate) fn any(input: &mut Unstructured<'_>) -> Result<Self> {
        let (height, width) = size(input)?;
        Self::of_size(height, width, input)
    }

    /// From the innermost axis to the outermost, each axis goes forwards or backwards over what the
    /// ones before it take, and some bytes more that belong to no pixel; or every place along it is
    /// the same.
    pub(crate) fn of_size(
        height: usize,
        width: usize,
        input: &mut Unstructured<'_>,
    ) -> Result<Self> {
        let shape = [height, width, *input.choose(&[1, 3, 4])?];
        let axes = *input.choose(&[
            [2, 1, 0],
            [1, 0, 2],
            [1, 2, 0],
            [0, 1, 2],
            [2, 0, 1],
            [0, 2, 1],
        ])?;
        let (mut strides, mut taken, mut origin) = ([0; 3], 1, 0);
        for axis in axes {
            let last = shape[axis] - 1;
            let stride = match input.int_in_range(0..=15)? {
                0 => 0,
                1..=4 => taken + input.int_in_range(0..=5)?,
                _ => taken,
            };
            let backwards = input.ratio(1, 4)?;
            origin += if backwards { last * stride } else { 0 };
            strides[axis] = if backwards { -1 } else { 1 } * stride.cast_signed();
            taken += last * stride;
        }
        Ok(Self {
            bytes: Bytes::any(taken, input)?,
            origin,
            shape,
            strides,
        })
    }

    pub(crate) fn view(&self) -> PixelView<'_> {
        PixelView::new(&self.bytes.0[..], self.origin, self.shape, self.strides).expect("it fits")
    }

    /// The samples in the order of their definition, of no more channels than `most`.
    pub(crate) fn packed(&self, most: usize) -> Vec<u8> {
        let [height, width, channels] = self.shape;
        let channels = channels.min(most);
        let mut packed = Vec::with_capacity(height * width * channels);
        for y in 0..height {
            for x in 0..width {
                for channel in 0..channels {
                    let place = [y, x, channel].map(usize::cast_signed);
                    let from_origin: isize =
                        place.iter().zip(self.strides).map(|(n, s)| n * s).sum();
                    packed.push(self.bytes.0[self.origin.strict_add_signed(from_origin)]);
                }
            }
        }
        packed
    }
}

/// Bytes without a pattern, half of them at the ends, so that sums go beyond both.
struct Bytes(Vec<u8>);

impl Bytes {
    fn any(length: usize, input: &mut Unstructured<'_>) -> Result<Self> {
        let mut state = input.arbitrary::<u32>()? | 1;
        let next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            match state >> 24 {
                level @ 0..128 => level as u8 * 2,
                level if level % 2 == 0 => 0,
                _ => 255,
            }
        };
        Ok(Self(std::iter::repeat_with(next).take(length).collect()))
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}
