use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use crate::decode::{Decoder, Format, Header, LineError, header};

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u32).to_be_bytes();
    let sum = crc32fast::hash(&[kind, data].concat()).to_be_bytes();
    [&length, &kind[..], data, &sum].concat()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The parts of a file, to be changed and joined.
struct Parts {
    first: Vec<u8>,
    before: Vec<u8>,
    stream: Vec<u8>,
    after: Vec<u8>,
}

impl Parts {
    /// `scanlines` have their filters before them.
    fn new(height: usize, width: usize, colour: u8, interlace: u8, scanlines: &[u8]) -> Self {
        let sides = [(width as u32).to_be_bytes(), (height as u32).to_be_bytes()];
        Self {
            first: chunk(
                b"IHDR",
                &[&sides.concat(), &[8, colour, 0, 0, interlace][..]].concat(),
            ),
            before: Vec::new(),
            stream: zlib(scanlines),
            after: Vec::new(),
        }
    }

    /// A file of noise in three pieces, and its pixels.
    fn noise(height: usize, width: usize, colour: u8) -> (Self, Vec<u8>) {
        let length = width * if colour == 0 { 1 } else { 3 };
        let noise = |at: usize| ((at as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
        let pixels: Vec<u8> = (0..height * length).map(noise).collect();
        let scanlines: Vec<u8> = pixels
            .chunks(length)
            .flat_map(|line| [&[0], line].concat())
            .collect();
        (Self::new(height, width, colour, 0, &scanlines), pixels)
    }

    fn file(&self) -> Vec<u8> {
        let pieces = self.stream.chunks(self.stream.len().div_ceil(3));
        let pieces: Vec<u8> = pieces.flat_map(|piece| chunk(b"IDAT", piece)).collect();
        let signature = &b"\x89PNG\r\n\x1A\n"[..];
        let end = chunk(b"IEND", b"");
        [
            signature,
            &self.first,
            &self.before,
            &pieces,
            &self.after,
            &end,
        ]
        .concat()
    }

    fn header(&self) -> Option<Header> {
        header(&self.file())
    }
}

proptest! {
    #[test]
    fn lines_are_those_of_the_image(
        (height, width) in (1..40_usize, 1..300_usize),
        colour in prop::sample::select(&[0, 2][..]),
        part in 0.0..1.0,
        portion in 1..40_usize,
    ) {
        let (parts, pixels) = Parts::noise(height, width, colour);
        let (file, header) = (parts.file(), parts.header().unwrap());
        prop_assert_eq!(header.format, Format::Png);
        prop_assert_eq!((header.height, header.width), (height, width));
        prop_assert_eq!(header.channels, 1 + usize::from(colour));
        prop_assert_eq!(header.orientation, Some(1));
        let mut lines = Decoder::open(&file, &header, None).unwrap().unwrap();
        let passed = (part * height as f64) as usize;
        lines.skip(passed).unwrap();
        let above = passed * width * header.channels;
        let mut got = vec![0; pixels.len() - above];
        for some in got.chunks_mut(portion * width * header.channels) {
            lines.read(some).unwrap();
        }
        prop_assert!(got == pixels[above..]);
    }
}

#[test]
fn lines_of_an_interlaced_image() {
    // 3 lines of 5 pixels, each of which has its place as its value.
    let passes: [&[u8]; 7] = [
        &[0],
        &[4],
        &[2],
        &[10, 12, 14],
        &[1, 3],
        &[11, 13],
        &[5, 6, 7, 8, 9],
    ];
    let scanlines: Vec<u8> = passes
        .into_iter()
        .flat_map(|line| [&[0], line].concat())
        .collect();
    let parts = Parts::new(3, 5, 0, 1, &scanlines);
    let (file, header) = (parts.file(), parts.header().unwrap());
    let mut lines = Decoder::open(&file, &header, None).unwrap().unwrap();
    let mut got = [0; 10];
    lines.skip(1).unwrap();
    lines.read(&mut got[..5]).unwrap();
    lines.read(&mut got[5..]).unwrap();
    assert_eq!(got, [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
}

#[test]
fn not_all_lines_are_read_from_a_stream_with_a_wrong_checksum() {
    let (mut parts, mut pixels) = Parts::noise(300, 400, 2);
    *parts.stream.last_mut().unwrap() ^= 1;
    let (file, header) = (parts.file(), parts.header().unwrap());
    let mut lines = Decoder::open(&file, &header, None).unwrap().unwrap();
    let mut outcomes = pixels.chunks_mut(1200).map(|line| lines.read(line));
    assert_eq!(outcomes.next(), Some(Ok(())));
    assert_eq!(outcomes.find(Result::is_err), Some(Err(LineError::Damaged)));
    assert!(outcomes.all(|outcome| outcome == Err(LineError::Damaged)));
}

#[test]
fn nothing_follows_the_pixels_but_the_end() {
    let (mut parts, _) = Parts::noise(7, 9, 2);
    parts.after = chunk(b"tIME", &[7, 232, 2, 29, 12, 0, 0]);
    assert_eq!(parts.header(), None);
}

#[test]
fn a_checksum_before_the_pixels_is_looked_at() {
    let (mut parts, _) = Parts::noise(7, 9, 2);
    parts.before = chunk(b"gAMA", &45455_u32.to_be_bytes());
    assert!(parts.header().is_some());
    *parts.before.last_mut().unwrap() ^= 1;
    assert_eq!(parts.header(), None);
}

#[test]
fn a_text_is_as_long_as_pillow_lets_it_be() {
    for (length, is_short_enough) in [((1 << 20) - 1, true), (1 << 20, false)] {
        let text = zlib(&vec![b'a'; length]);
        for (kind, name) in [
            (b"zTXt", "a\0\0"),
            (b"iCCP", "a\0\0"),
            (b"iTXt", "a\0\x01\0\0\0"),
        ] {
            let (mut parts, _) = Parts::noise(7, 9, 2);
            parts.before = chunk(kind, &[name.as_bytes(), &text].concat());
            assert_eq!(
                parts.header().is_some(),
                is_short_enough,
                "{length} in {kind:?}"
            );
        }
    }
}

#[test]
fn many_texts_and_profiles_are_for_pillow() {
    for (kind, name) in [(b"zTXt", "a\0\0"), (b"iCCP", "a\0\0")] {
        let one = chunk(kind, &[name.as_bytes(), &zlib(b"text")].concat());
        for (count, are_few) in [(64, true), (65, false)] {
            let (mut parts, _) = Parts::noise(7, 9, 2);
            parts.before = one.repeat(count);
            assert_eq!(parts.header().is_some(), are_few, "{count} of {kind:?}");
        }
    }
}

#[test]
fn texts_that_are_more_than_texts_to_pillow() {
    for (name, is_usual) in [("Comment", true), ("exif", false), ("interlace", false)] {
        let (mut parts, _) = Parts::noise(7, 9, 2);
        parts.before = chunk(b"tEXt", &[name.as_bytes(), b"\0text"].concat());
        assert_eq!(parts.header().is_some(), is_usual, "{name}");
    }
}
