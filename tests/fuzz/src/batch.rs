//! Batches of several images on several threads, and the rows of each image alone.

use std::ops::{Range, RangeInclusive};

use bytemuck::{Pod, cast_slice};
use half::{bf16, f16};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use qvl_core::batch::{self, Input, Owner, Stop};
use qvl_core::decode::{Header, header};
use qvl_core::resize::{Failure, Pixels, Scanlines, Source, Strips};
use qvl_core::{
    Element, Isa, Normalization, PatchLayout, PixelView, Reference, RowWriter, Temporal,
};

use crate::pixels;

/// Sides of images that are worth a second thread and a third.
const LARGE: RangeInclusive<usize> = 260..=360;

/// Writes a batch, which must give the rows that the scalar backend writes of one image after another.
pub fn write_any(input: &mut Unstructured<'_>) -> Result<()> {
    match input.int_in_range(0..=3)? {
        0 => write::<f32>(input),
        1 => write::<f16>(input),
        2 => write::<bf16>(input),
        _ => write::<u8>(input),
    }
}

fn write<T: Element + Pod>(input: &mut Unstructured<'_>) -> Result<()> {
    let layout = PatchLayout {
        patch: input.int_in_range(1..=16)?,
        temporal_patch: input.int_in_range(1..=3)?,
        merge: input.int_in_range(1..=3)?,
    };
    let temporal = *input.choose(&[Temporal::Full, Temporal::Compact])?;
    let (normalization, reference) = (normalization(input)?, *input.choose(&Reference::ALL)?);
    let writer = |isa| RowWriter::new(layout, temporal, &normalization, reference, isa);
    let isa = *input.choose(&Isa::available())?;
    let (Ok(scalar), Ok(other)) = (writer(Isa::SCALAR), writer(isa)) else {
        return Ok(());
    };
    let large = input.ratio(1, 16)?;
    let images: Vec<_> = (0..input.int_in_range(1..=4)?)
        .map(|_| Image::any(layout, large, input))
        .collect::<Result<_>>()?;
    let refused = input.int_in_range(0..=4 * images.len())?;

    let mut expected = Vec::new();
    for image in &images {
        let grid = layout
            .grid(1, image.target.0, image.target.1)
            .expect("multiples");
        let mut rows = vec![T::zeroed(); grid.patches() * scalar.columns()];
        scalar
            .write(&[image.view()], image.target, &mut rows)
            .expect("memory");
        expected.extend(rows);
    }
    let mut rows = vec![T::zeroed(); expected.len()];
    let threads = input.int_in_range(1..=3)?;
    let inputs: Vec<_> = images.iter().map(Image::as_input).collect();
    let batch: Vec<_> = inputs
        .chunks(1)
        .zip(&images)
        .map(|(frames, Image { target, .. })| {
            batch::Image::resized(frames, *target, other.cut()).expect("whole patches")
        })
        .collect();
    let owner = Images {
        images: &images,
        refused,
    };
    match batch::write(&other, &batch, &owner, &mut rows, threads, || Ok(())) {
        Ok(()) => {
            let same = cast_slice::<_, u8>(&rows) == cast_slice::<_, u8>(&expected);
            assert!(same, "{isa:?} on {threads} threads of {images:?}");
            let asked = |image: &Image| !matches!(image.way, Way::Pixels | Way::File);
            assert!(!images.get(refused).is_some_and(asked));
        }
        Err(Stop::Image(index, Failure::Owner(Refused))) => assert_eq!(index, refused),
        Err(stop) => panic!("{stop:?}"),
    }
    Ok(())
}

/// Settings, of which some are refused.
fn normalization(input: &mut Unstructured<'_>) -> Result<Normalization> {
    Ok(match input.int_in_range(0..=3)? {
        0 => Normalization {
            rescale_factor: input.arbitrary()?,
            mean_std: input.arbitrary()?,
        },
        1 => Normalization {
            rescale_factor: None,
            mean_std: None,
        },
        _ => Normalization {
            rescale_factor: Some(1.0 / 255.0),
            mean_std: Some((
                [0.48145466, 0.4578275, 0.40821073],
                [0.26862954, 0.26130258, 0.27577711],
            )),
        },
    })
}

/// How an image comes to the core.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// As pixels in memory.
    Pixels,
    /// As a PNG file.
    File,
    /// As a PNG file with a wrong bit, which sums do not miss, and then from its owner.
    Damaged,
    /// From its owner, in memory.
    InPlace,
    /// From its owner, scanline by scanline.
    InOrder,
    /// From its owner, some scanlines at a time.
    Strips,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::Pixels,
        Self::File,
        Self::Damaged,
        Self::InPlace,
        Self::InOrder,
        Self::Strips,
    ];
}

#[derive(Debug)]
struct Image {
    pixels: pixels::Image,
    way: Way,
    /// What there is of a file, and what its header says.
    file: Option<(Vec<u8>, Header)>,
    orientation: u8,
    target: (usize, usize),
}

impl Image {
    fn any(layout: PatchLayout, large: bool, input: &mut Unstructured<'_>) -> Result<Self> {
        let (height, width) = match large {
            true => (input.int_in_range(LARGE)?, input.int_in_range(LARGE)?),
            false => pixels::size(input)?,
        };
        let pixels = pixels::Image::of_size(height, width, input)?;
        let way = *input.choose(&Way::ALL)?;
        let mut file = match way {
            Way::File | Way::Damaged => Some(png(&pixels)),
            _ => None,
        };
        if let (Way::Damaged, Some(file)) = (way, &mut file) {
            // Before the pixels are a signature and two headers, behind them a sum and the last chunk.
            let place = input.int_in_range(41..=file.len() - 17)?;
            file[place] ^= 1 << input.int_in_range(0..=7)?;
        }
        let file = file.and_then(|file| {
            let header = header(&file)?;
            Some((file, header))
        });
        assert!(way != Way::File || file.is_some(), "a header is not read");
        let side = layout.patch * layout.merge;
        let mut multiple = || Ok(side * input.int_in_range(1..=3 + 64 / side)?);
        Ok(Self {
            pixels,
            way,
            target: (multiple()?, multiple()?),
            orientation: if file.is_some() {
                input.int_in_range(1..=8)?
            } else {
                1
            },
            file,
        })
    }

    /// Its pixels, as they are to be seen. In a file, in order and in strips a fourth channel has no meaning.
    fn view(&self) -> PixelView<'_> {
        match self.way {
            Way::Pixels | Way::InPlace => self.pixels.view(),
            _ => self
                .pixels
                .view()
                .without_padding(3)
                .oriented(self.orientation),
        }
    }

    fn as_input(&self) -> Input<'_> {
        match (&self.file, self.way) {
            (Some((bytes, header)), _) => Input::File {
                bytes,
                header: *header,
                orientation: self.orientation,
                reduced: false,
            },
            (None, Way::Pixels) => Input::Pixels(self.view()),
            (None, _) => Input::Owner {
                size: self.view().size(),
            },
        }
    }
}

/// A PNG file of the first channels, in RGB or grey.
fn png(pixels: &pixels::Image) -> Vec<u8> {
    let view = pixels.view().without_padding(3);
    let colour = match view.scanline(0).channels() {
        1 => png::ColorType::Grayscale,
        _ => png::ColorType::Rgb,
    };
    let [height, width] = [view.height(), view.width()].map(|side| side as u32);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().expect("a vector takes all");
    writer
        .write_image_data(&pixels.packed(3))
        .expect("as many bytes");
    writer.finish().expect("a vector takes all");
    file
}

/// The owner of the images of a batch, which refuses one of them.
struct Images<'a> {
    images: &'a [Image],
    refused: usize,
}

#[derive(Debug)]
struct Refused;

impl Owner for Images<'_> {
    type Error = Refused;

    fn open(&self, index: usize, _: usize) -> std::result::Result<Source<'_, Refused>, Refused> {
        let image = &self.images[index];
        match image.way {
            _ if index == self.refused => Err(Refused),
            Way::Pixels | Way::File => panic!("{image:?} was asked of its owner"),
            Way::InOrder => Ok(Source::scanlines(InOrder {
                size: image.view().size(),
                samples: image.pixels.packed(3),
                done: 0,
            })),
            Way::Strips => Ok(Source::strips(Padded::new(&image.pixels))),
            Way::Damaged | Way::InPlace => Ok(Source::pixels(image.view())),
        }
    }
}

/// Pixels of four bytes, the last of no meaning.
struct Padded {
    size: (usize, usize),
    samples: Vec<u8>,
}

impl Padded {
    fn new(pixels: &pixels::Image) -> Self {
        let (size, packed) = (pixels.view().size(), pixels.packed(3));
        let channels = packed.len() / (size.0 * size.1);
        let pixel = |pixel: &[u8]| [pixel[0], pixel[1 % channels], pixel[2 % channels], 99];
        Self {
            size,
            samples: packed.chunks_exact(channels).flat_map(pixel).collect(),
        }
    }
}

impl Strips<Refused> for Padded {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn blended_by(&self) -> Option<Reference> {
        None
    }

    fn strip(
        &self,
        lines: Range<usize>,
    ) -> std::result::Result<Box<dyn Pixels + '_>, Failure<Refused>> {
        let (width, count) = (self.size.1, lines.len());
        let samples = &self.samples[4 * width * lines.start..4 * width * lines.end];
        Ok(Box::new(PixelView::packed(samples, count, width, 4)?))
    }
}

/// Scanlines out of memory.
struct InOrder {
    size: (usize, usize),
    samples: Vec<u8>,
    done: usize,
}

impl Scanlines<Refused> for InOrder {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn pixel_bytes(&self) -> usize {
        self.samples.len() / (self.size.0 * self.size.1)
    }

    fn read(&mut self, out: &mut [u8]) -> std::result::Result<(), Failure<Refused>> {
        let start = self.done;
        self.done += out.len();
        out.copy_from_slice(&self.samples[start..self.done]);
        Ok(())
    }
}
