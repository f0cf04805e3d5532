//! The chunks of a PNG file, but for the pixels.

use flate2::{Decompress, FlushDecompress, Status};

use crate::decode::orientation::Orientation;
use crate::decode::{Format, Header};

/// What Pillow lets a compressed text or profile be once it is decompressed.
const MOST_DECOMPRESSED: u64 = 1 << 20;
/// What it lets all texts be together. Profiles count here, too.
const MOST_TEXT: usize = 64 << 20;

/// See [`crate::decode::header`].
pub(in crate::decode) fn header(file: &[u8]) -> Option<Header> {
    let rest = file.strip_prefix(b"\x89PNG\r\n\x1A\n")?;
    let (first, mut rest) = Chunk::split(rest)?;
    let (height, width, channels) = first.size()?;
    let mut orientation = Orientation::default();
    let mut text = 0;
    loop {
        let (chunk, next) = Chunk::split(rest)?;
        if &chunk.kind == b"IDAT" {
            break;
        }
        // Before it is decompressed: the sum bounds the time that this takes, too.
        text += chunk.most_text();
        if text > MOST_TEXT || !chunk.is_usual(channels) {
            return None;
        }
        match &chunk.kind {
            b"eXIf" => orientation.add_exif(chunk.data),
            b"iTXt" => orientation.add_xmp(chunk.data),
            _ => {}
        }
        rest = next;
    }
    ends_after_pixels(rest).then(|| Header {
        format: Format::Png,
        height,
        width,
        channels,
        orientation: orientation.found(),
        skips: false,
    })
}

/// Whether the pixels, which `chunks` begin with, are followed by the end and nothing else. What else
/// may be there is for Pillow, which minds it: transparency, and whatever is not as it should be.
fn ends_after_pixels(mut chunks: &[u8]) -> bool {
    while let Some((header, data)) = chunks.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *header;
        if &kind != b"IDAT" {
            return &kind == b"IEND";
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let after = length.checked_add(4).and_then(|length| data.get(length..));
        chunks = after.unwrap_or_default();
    }
    false
}

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    /// What is summed up in `sum`.
    kind_and_data: &'a [u8],
    sum: [u8; 4],
}

impl<'a> Chunk<'a> {
    /// The first chunk, and what follows it.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (kind_and_data, rest) = rest.split_at_checked(length.checked_add(4)?)?;
        let (&kind, data) = kind_and_data.split_first_chunk()?;
        let (&sum, rest) = rest.split_first_chunk()?;
        let chunk = Self {
            kind,
            data,
            kind_and_data,
            sum,
        };
        Some((chunk, rest))
    }

    fn is_whole(&self) -> bool {
        crc32fast::hash(self.kind_and_data) == u32::from_be_bytes(self.sum)
    }

    /// Height, width and channels in a file's first chunk.
    fn size(&self) -> Option<(usize, usize, usize)> {
        let &[
            w3,
            w2,
            w1,
            w0,
            h3,
            h2,
            h1,
            h0,
            bits,
            colour,
            compression,
            filter,
            interlace,
        ] = <&[u8; 13]>::try_from(self.data).ok()?;
        let channels = match (bits, colour) {
            (8, 0) => 1,
            (8, 2) => 3,
            _ => return None,
        };
        let height = u32::from_be_bytes([h3, h2, h1, h0]);
        let width = u32::from_be_bytes([w3, w2, w1, w0]);
        let sides = 1..1 << 31;
        let is_usual = &self.kind == b"IHDR"
            && self.is_whole()
            && sides.contains(&height)
            && sides.contains(&width)
            && matches!((compression, filter, interlace), (0, 0, 0 | 1));
        is_usual.then_some((height as usize, width as usize, channels))
    }

    /// Whether Pillow reads this chunk without complaint, and without it changing the pixels.
    fn is_usual(&self, channels: usize) -> bool {
        let length = self.data.len();
        self.is_whole()
            && match &self.kind {
                b"gAMA" => length == 4,
                b"cHRM" => length == 32,
                b"sRGB" => length == 1,
                b"pHYs" => length == 9,
                b"PLTE" => channels == 3,
                b"iCCP" | b"tEXt" | b"zTXt" | b"iTXt" => self.is_usual_text(),
                // Transparency, animation, a second header, an end without pixels.
                b"tRNS" | b"acTL" | b"fcTL" | b"fdAT" | b"IHDR" | b"IEND" => false,
                kind => kind.iter().all(u8::is_ascii_alphabetic),
            }
    }

    fn is_usual_text(&self) -> bool {
        // Texts of these names are more to Pillow than texts.
        const NAMES: [&[u8]; 6] = [
            b"Raw profile type exif",
            b"bbox",
            b"exif",
            b"interlace",
            b"transparency",
            b"xmp",
        ];
        let Some((name, rest)) = self.name_and_rest() else {
            return false;
        };
        let is_xmp = name == b"XML:com.adobe.xmp";
        !NAMES.contains(&name)
            && match (&self.kind, rest) {
                (b"tEXt", _) => !is_xmp,
                (b"zTXt", [0, packed @ ..]) => !is_xmp && is_small(packed),
                (b"iCCP", [0, packed @ ..]) => is_small(packed),
                (b"iTXt", [0, 0, ..]) => true,
                (b"iTXt", [1, 0, rest @ ..]) => {
                    // Language, name in that language, text.
                    let packed = rest.splitn(3, |&byte| byte == 0).nth(2);
                    !is_xmp && packed.is_some_and(is_small)
                }
                _ => false,
            }
    }

    fn name_and_rest(&self) -> Option<(&'a [u8], &'a [u8])> {
        let end = self.data.iter().position(|&byte| byte == 0)?;
        Some((&self.data[..end], &self.data[end + 1..]))
    }

    /// What a text or profile has at most, decompressed; other chunks have none.
    fn most_text(&self) -> usize {
        let length = self.data.len();
        match &self.kind {
            b"tEXt" => length,
            b"zTXt" | b"iTXt" | b"iCCP" => length.max(MOST_DECOMPRESSED as usize),
            _ => 0,
        }
    }
}

/// Whether `packed` holds less than Pillow lets it hold. What cannot be decompressed counts as far
/// as it goes.
fn is_small(packed: &[u8]) -> bool {
    let mut scratch = [0; 1 << 14];
    let mut stream = Decompress::new(true);
    loop {
        let before = (stream.total_in(), stream.total_out());
        let rest = &packed[before.0 as usize..];
        let status = stream.decompress(rest, &mut scratch, FlushDecompress::None);
        if stream.total_out() >= MOST_DECOMPRESSED {
            return false;
        }
        let has_moved = (stream.total_in(), stream.total_out()) != before;
        if !matches!(status, Ok(Status::Ok)) || !has_moved {
            return true;
        }
    }
}
