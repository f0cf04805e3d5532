//! The header of a JPEG file: its segments up to the first scan.

use crate::decode::orientation::Orientation;
use crate::decode::{Format, Header};

/// See [`crate::decode::header`].
pub(in crate::decode) fn header(file: &[u8]) -> Option<Header> {
    let mut rest = file.strip_prefix(b"\xFF\xD8")?;
    let mut frame = None;
    let mut progressive = false;
    let mut orientation = Orientation::default();
    loop {
        let (marker, body);
        (marker, body, rest) = split_segment(rest)?;
        match marker {
            // Frames of 8 bits in Huffman codes: baseline, extended, progressive.
            0xC0..=0xC2 if frame.is_none() => {
                frame = Some(Frame::read(body)?);
                progressive = marker == 0xC2;
            }
            // Huffman tables and the interval of restarts, which are libjpeg's to judge; comments.
            0xC4 | 0xDD | 0xFE => {}
            0xDA => break,
            0xDB if has_whole_tables(body) => {}
            0xE1 => {
                if let Some(tiff) = body.strip_prefix(b"Exif\0\0") {
                    orientation.add_exif(tiff);
                } else if let Some(xmp) = body.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                    orientation.add_xmp(xmp);
                }
            }
            0xE0..=0xEF if !is_cut_short(marker, body) => {}
            _ => return None,
        }
    }
    let Frame {
        height,
        width,
        channels,
    } = frame?;
    Some(Header {
        format: Format::Jpeg,
        height,
        width,
        channels,
        orientation: orientation.found(),
        skips: !progressive,
    })
}

/// A segment's marker and body, and what follows it.
fn split_segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    // A marker may have any number of fill bytes before it.
    let at = bytes.iter().position(|&byte| byte != 0xFF)?;
    let (&[marker, high, low], rest) = bytes.get(at..)?.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(2)?;
    let is_marker = at > 0;
    let (body, rest) = rest.split_at_checked(length)?;
    is_marker.then_some((marker, body, rest))
}

struct Frame {
    height: usize,
    width: usize,
    channels: usize,
}

impl Frame {
    fn read(body: &[u8]) -> Option<Self> {
        let (&[bits, h1, h0, w1, w0, channels], components) = body.split_first_chunk()?;
        let frame = Self {
            height: u16::from_be_bytes([h1, h0]).into(),
            width: u16::from_be_bytes([w1, w0]).into(),
            channels: channels.into(),
        };
        let is_usual = bits == 8
            && matches!(channels, 1 | 3)
            && components.len() == 3 * frame.channels
            && frame.height > 0
            && frame.width > 0;
        is_usual.then_some(frame)
    }
}

/// Whether quantization tables, of one or two bytes a value, end where their segment does.
fn has_whole_tables(mut body: &[u8]) -> bool {
    while let Some((&name, rest)) = body.split_first() {
        let length = if name < 0x10 { 64 } else { 128 };
        match rest.get(length..) {
            Some(next) => body = next,
            None => return false,
        }
    }
    true
}

/// Whether an application's segment lacks something that Pillow reads without looking for its end:
/// it then takes the file for something else than a JPEG.
fn is_cut_short(marker: u8, body: &[u8]) -> bool {
    let (name, least): (&[u8], _) = match marker {
        0xE0 => (b"JFIF", 7),
        0xE2 => (b"ICC_PROFILE\0", 14),
        0xED => return !has_whole_resources(body),
        0xEE => (b"Adobe", 7),
        _ => return false,
    };
    body.starts_with(name) && body.len() < least
}

/// Whether Photoshop's resources, if a segment holds them, follow each other to an end.
fn has_whole_resources(body: &[u8]) -> bool {
    let Some(mut rest) = body.strip_prefix(b"Photoshop 3.0\0") else {
        return true;
    };
    // Names and data are padded to an even length.
    let padded = |length: usize| length.next_multiple_of(2);
    while let Some(resource) = rest.strip_prefix(b"8BIM") {
        let next = resource.get(2..).and_then(|name| {
            let length = padded(1 + usize::from(*name.first()?));
            let (size, data) = name.get(length..)?.split_first_chunk()?;
            let size = padded(u32::from_be_bytes(*size) as usize);
            data.get(size..)
        });
        match next {
            Some(next) => rest = next,
            None => return false,
        }
    }
    true
}
