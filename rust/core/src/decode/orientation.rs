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
            Some(tiff) => Directory::first(tiff)?.orientation()?,
        };
        // Whatever else a writer has put there says nothing.
        Some(tag.map_or(1, |value| match value {
            2..=8 => value as u8,
            _ => 1,
        }))
    }
}

/// The first directory of a TIFF structure.
struct Directory<'a> {
    tiff: &'a [u8],
    is_big_endian: bool,
    start: usize,
}

impl<'a> Directory<'a> {
    fn first(tiff: &'a [u8]) -> Option<Self> {
        let is_big_endian = match tiff.first_chunk()? {
            b"II*\0" => false,
            b"MM\0*" => true,
            _ => return None,
        };
        let mut directory = Self {
            tiff,
            is_big_endian,
            start: 0,
        };
        directory.start = directory.u32_at(4)?;
        Some(directory)
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        let bytes = *self.tiff.get(at..)?.first_chunk()?;
        Some(match self.is_big_endian {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        })
    }

    fn u32_at(&self, at: usize) -> Option<usize> {
        let bytes = *self.tiff.get(at..)?.first_chunk()?;
        Some(match self.is_big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        } as usize)
    }

    /// The orientation if there is one; None at whatever could make Pillow skip an entry, stop
    /// reading or fail.
    fn orientation(&self) -> Option<Option<u16>> {
        const X_RESOLUTION: u16 = 0x011A;
        const ORIENTATION: u16 = 0x0112;
        const SHORT: u16 = 3;
        const RATIONAL: u16 = 5;

        let mut orientation = None;
        let mut lengths = 0;
        for entry in 0..usize::from(self.u16_at(self.start)?) {
            let at = self.start + 2 + 12 * entry;
            let (tag, kind, count) = (self.u16_at(at)?, self.u16_at(at + 2)?, self.u32_at(at + 4)?);
            let value = self.u32_at(at + 8)?;
            let Some(size) = size_of_type(kind) else {
                continue;
            };
            let length = size * count;
            if length > 4 {
                lengths += length;
                if value + length > self.tiff.len() || lengths > self.tiff.len() {
                    return None;
                }
            }
            match (tag, kind, count) {
                (ORIENTATION, SHORT, 1) => {
                    orientation = orientation.or(Some(self.u16_at(at + 8)?));
                }
                // Pillow reads the resolution of a JPEG as it opens it, and fails on some types.
                (X_RESOLUTION, RATIONAL, 1) => {}
                (ORIENTATION | X_RESOLUTION, ..) => return None,
                _ => {}
            }
        }
        Some(orientation)
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
