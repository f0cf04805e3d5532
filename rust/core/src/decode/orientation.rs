//! The EXIF orientation as Pillow finds it, or the admission that only Pillow can tell.

/// What the metadata of a file say of its orientation.
#[derive(Default)]
pub(super) struct Orientation<'a> {
    exif: Option<&'a [u8]>,
    is_unclear: bool,
}

impl<'a> Orientation<'a> {
    /// Takes a block of EXIF without the name before it.
    pub(super) fn add_exif(&mut self, tiff: &'a [u8]) {
        // Pillow joins the blocks of a JPEG and takes the last one of a PNG.
        self.is_unclear |= self.exif.replace(tiff).is_some();
    }

    /// Takes a packet of XMP. It counts where EXIF has no orientation.
    pub(super) fn add_xmp(&mut self, packet: &[u8]) {
        const NAME: &[u8] = b"tiff:Orientation";
        self.is_unclear |= packet.windows(NAME.len()).any(|bytes| bytes == NAME);
    }

    /// From 1 to 8; None if Pillow has to be asked.
    pub(super) fn found(&self) -> Option<u8> {
        let tag = match self.exif {
            _ if self.is_unclear => return None,
            None => None,
            Some(tiff) => in_first_directory(tiff)?,
        };
        Some(match tag {
            Some(orientation @ 1..=8) => orientation as u8,
            _ => 1,
        })
    }
}

/// The orientation in a TIFF structure if it has one; None at whatever could make Pillow stop reading
/// or fail.
fn in_first_directory(tiff: &[u8]) -> Option<Option<u16>> {
    const ORIENTATION: u16 = 0x0112;
    const X_RESOLUTION: u16 = 0x011A;
    const SHORT: u16 = 3;
    const RATIONAL: u16 = 5;

    let (magic, rest) = tiff.split_first_chunk()?;
    let order = match magic {
        b"II*\0" => ByteOrder::Little,
        b"MM\0*" => ByteOrder::Big,
        _ => return None,
    };
    let directory = tiff.get(order.u32(*rest.first_chunk()?)..)?;
    let (count, entries) = directory.split_first_chunk()?;
    let entries = entries.as_chunks().0.get(..order.u16(*count).into())?;

    let mut orientation = None;
    for &[t0, t1, k0, k1, c0, c1, c2, c3, v0, v1, v2, v3] in entries {
        let tag = order.u16([t0, t1]);
        let kind = order.u16([k0, k1]);
        let count = order.u32([c0, c1, c2, c3]);
        let Some(size) = size_of_type(kind) else {
            continue;
        };
        let length = size.checked_mul(count)?;
        if length > 4 {
            let offset = order.u32([v0, v1, v2, v3]);
            tiff.get(offset..)?.get(..length)?;
        }
        match (tag, kind, count) {
            // The first one counts.
            (ORIENTATION, SHORT, 1) => orientation = orientation.or(Some(order.u16([v0, v1]))),
            // Pillow reads the resolution of a JPEG as it opens it, and fails on some types.
            (X_RESOLUTION, RATIONAL, 1) => {}
            (ORIENTATION | X_RESOLUTION, ..) => return None,
            _ => {}
        }
    }
    Some(orientation)
}

enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn u16(&self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    fn u32(&self, bytes: [u8; 4]) -> usize {
        match self {
            Self::Little => u32::from_le_bytes(bytes) as usize,
            Self::Big => u32::from_be_bytes(bytes) as usize,
        }
    }
}

/// The bytes of one value of a type; None for types that Pillow passes over.
fn size_of_type(kind: u16) -> Option<usize> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 => Some(8),
        _ => None,
    }
}
