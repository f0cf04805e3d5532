//! The lines of a JPEG file. All that calls C is here.
#![expect(unsafe_code, reason = "libjpeg is called here, and nowhere else")]

use std::ffi::{c_int, c_uint};
use std::marker::PhantomData;
use std::ptr::NonNull;

// Links the library whose functions `libjpeg.c` calls.
use turbojpeg_sys as _;

use crate::decode::{Header, LineError, Outcome};
use crate::error::{Error, Result};

/// A decoder at one of the lines of a file.
pub(in crate::decode) struct Lines<'file> {
    jpeg: NonNull<ffi::Jpeg>,
    file: PhantomData<&'file [u8]>,
}

// SAFETY: the decoder is owned, has no ties to a thread, and reads the file without changing it.
unsafe impl Send for Lines<'_> {}

impl<'file> Lines<'file> {
    /// None if anything is odd: whatever libjpeg warns of.
    pub(in crate::decode) fn open(
        file: &'file [u8],
        header: &Header,
        reduced_to: Option<(usize, usize)>,
    ) -> Result<Option<Self>> {
        let (height, width) = (header.height, header.width);
        let divisor = divisor(height, width, reduced_to);
        // SAFETY: it takes no argument.
        let jpeg = NonNull::new(unsafe { ffi::qvl_jpeg_new() }).ok_or(NO_MEMORY)?;
        let lines = Self {
            jpeg,
            file: PhantomData,
        };
        // SAFETY: the decoder is new and ours, and the file is borrowed for as long as it lives.
        let status = unsafe {
            ffi::qvl_jpeg_start(
                jpeg.as_ptr(),
                file.as_ptr(),
                file.len(),
                divisor as c_uint,
                most_memory(file),
            )
        };
        if status == ffi::OUT_OF_MEMORY {
            return Err(NO_MEMORY);
        }
        let expected = [
            height.div_ceil(divisor),
            width.div_ceil(divisor),
            header.channels,
        ];
        let is_usual = status == ffi::DECODED && lines.shape() == expected;
        Ok(is_usual.then_some(lines))
    }

    /// Height, width and channels.
    pub(in crate::decode) fn shape(&self) -> [usize; 3] {
        let jpeg = self.jpeg.as_ptr();
        // SAFETY: the decoder is ours; C reads three of its fields.
        let shape = unsafe {
            [
                ffi::qvl_jpeg_height(jpeg),
                ffi::qvl_jpeg_width(jpeg),
                ffi::qvl_jpeg_channels(jpeg),
            ]
        };
        shape.map(|side| side as usize)
    }

    /// Decodes the next `count` lines to `out`, of as many lines' bytes.
    pub(in crate::decode) fn read(&mut self, out: &mut [u8], count: usize) -> Outcome {
        let [_, width, channels] = self.shape();
        assert_eq!(out.len(), count * width * channels, "whole lines");
        // SAFETY: the decoder is ours, and `out` has room for the lines that C writes.
        let status =
            unsafe { ffi::qvl_jpeg_read(self.jpeg.as_ptr(), out.as_mut_ptr(), count as c_uint) };
        outcome(status)
    }

    /// Passes over the next `count` lines, which are not all that are left.
    pub(in crate::decode) fn skip(&mut self, count: usize) -> Outcome {
        // SAFETY: the decoder is ours.
        outcome(unsafe { ffi::qvl_jpeg_skip(self.jpeg.as_ptr(), count as c_uint) })
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        // SAFETY: the decoder is ours, and nobody has it after this.
        unsafe { ffi::qvl_jpeg_free(self.jpeg.as_ptr()) };
    }
}

fn outcome(status: c_int) -> Outcome {
    match status {
        ffi::DECODED => Ok(()),
        ffi::OUT_OF_MEMORY => Err(NO_MEMORY.into()),
        _ => Err(LineError::Damaged),
    }
}

/// libjpeg does not say how much it could not get: a word at least.
const NO_MEMORY: Error = Error::Memory {
    bytes: size_of::<usize>(),
    purpose: "the decoder of a JPEG file",
};

/// What a file is reduced by so that no side becomes shorter than `least`.
fn divisor(height: usize, width: usize, least: Option<(usize, usize)>) -> usize {
    let fits = |divisor: &usize| {
        least.is_some_and(|(least_height, least_width)| {
            height.div_ceil(*divisor) >= least_height && width.div_ceil(*divisor) >= least_width
        })
    };
    [8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// Bytes that a decoder may take, so that a small file cannot claim to be a large image of several
/// scans, which are kept until the last has been read.
fn most_memory(file: &[u8]) -> usize {
    // A block of 64 two-byte coefficients takes a bit at least in the scan that begins it.
    const COEFFICIENTS_OF_A_BYTE: usize = 8 * 64 * 2;
    // What libjpeg has allocated before counts too: tables, and lines of no more than 65500 pixels.
    const ALL_ELSE: usize = 64 << 20;
    COEFFICIENTS_OF_A_BYTE * file.len() + ALL_ELSE
}

/// `libjpeg.c`.
mod ffi {
    use std::ffi::{c_int, c_uchar, c_uint};

    pub(super) const DECODED: c_int = 0;
    #[cfg(test)]
    pub(super) const DAMAGED: c_int = 1;
    pub(super) const OUT_OF_MEMORY: c_int = 2;

    #[repr(C)]
    pub(super) struct Jpeg {
        opaque: [u8; 0],
    }

    unsafe extern "C" {
        pub(super) fn qvl_jpeg_new() -> *mut Jpeg;
        pub(super) fn qvl_jpeg_start(
            jpeg: *mut Jpeg,
            file: *const c_uchar,
            length: usize,
            divisor: c_uint,
            most_memory: usize,
        ) -> c_int;
        pub(super) fn qvl_jpeg_height(jpeg: *const Jpeg) -> c_uint;
        pub(super) fn qvl_jpeg_width(jpeg: *const Jpeg) -> c_uint;
        pub(super) fn qvl_jpeg_channels(jpeg: *const Jpeg) -> c_uint;
        pub(super) fn qvl_jpeg_read(jpeg: *mut Jpeg, out: *mut c_uchar, lines: c_uint) -> c_int;
        pub(super) fn qvl_jpeg_skip(jpeg: *mut Jpeg, lines: c_uint) -> c_int;
        pub(super) fn qvl_jpeg_free(jpeg: *mut Jpeg);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_no_damage() {
        assert_eq!(outcome(ffi::DECODED), Ok(()));
        assert_eq!(outcome(ffi::DAMAGED), Err(LineError::Damaged));
        let refused = outcome(ffi::OUT_OF_MEMORY).unwrap_err();
        assert!(matches!(refused, LineError::Core(Error::Memory { .. })));
    }
}
