//! The library's functions for whole images: an encoder, and the decoder that lines must agree with.
#![expect(unsafe_code, reason = "the C functions of the library are called here")]

use std::ffi::{c_int, c_void};
use std::{ptr, slice};

use turbojpeg_sys as raw;

/// An image to encode, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoding {
    pub(super) height: usize,
    pub(super) width: usize,
    /// One of turbojpeg's `TJSAMP_TJSAMP_*`.
    pub(super) sampling: c_int,
    pub(super) is_progressive: bool,
    /// Blocks between two restart markers, 0 for none.
    pub(super) restart: c_int,
    pub(super) quality: c_int,
}

impl Encoding {
    /// A file with these `pixels`, packed RGB.
    pub(super) fn file(&self, pixels: &[u8]) -> Vec<u8> {
        assert_eq!(pixels.len(), 3 * self.height * self.width);
        let parameters = [
            (raw::TJPARAM_TJPARAM_SUBSAMP, self.sampling),
            (raw::TJPARAM_TJPARAM_PROGRESSIVE, self.is_progressive.into()),
            (raw::TJPARAM_TJPARAM_RESTARTBLOCKS, self.restart),
            (raw::TJPARAM_TJPARAM_QUALITY, self.quality),
        ];
        let (mut file, mut length) = (ptr::null_mut(), 0);
        // SAFETY: the library allocates the file, which is copied before it is freed.
        unsafe {
            let handle = raw::tj3Init(raw::TJINIT_TJINIT_COMPRESS as c_int);
            for (name, value) in parameters {
                assert_eq!(raw::tj3Set(handle, name as c_int, value), 0);
            }
            let status = raw::tj3Compress8(
                handle,
                pixels.as_ptr(),
                self.width as c_int,
                0,
                self.height as c_int,
                raw::TJPF_TJPF_RGB as c_int,
                &mut file,
                &mut length,
            );
            assert_eq!(status, 0);
            let copy = slice::from_raw_parts(file, length as usize).to_vec();
            raw::tj3Free(file.cast::<c_void>());
            raw::tj3Destroy(handle);
            copy
        }
    }
}

/// All pixels, packed, or None if the library finds anything wrong. A damaged header may claim any
/// size: None too, if there are more than `most` pixels.
pub(super) fn decode(file: &[u8], channels: usize, divisor: usize, most: usize) -> Option<Vec<u8>> {
    let format = match channels {
        1 => raw::TJPF_TJPF_GRAY,
        _ => raw::TJPF_TJPF_RGB,
    };
    let scale = raw::tjscalingfactor {
        num: 1,
        denom: divisor as c_int,
    };
    // SAFETY: the library reads the file, and writes as many pixels as it was made room for.
    unsafe {
        let handle = raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int);
        let mut pixels = None;
        if raw::tj3DecompressHeader(handle, file.as_ptr(), file.len() as _) == 0 {
            assert_eq!(raw::tj3SetScalingFactor(handle, scale), 0);
            let side = |name| raw::tj3Get(handle, name as c_int) as usize;
            let height = side(raw::TJPARAM_TJPARAM_JPEGHEIGHT);
            let width = side(raw::TJPARAM_TJPARAM_JPEGWIDTH);
            if height * width <= most {
                let mut whole =
                    vec![0; height.div_ceil(divisor) * width.div_ceil(divisor) * channels];
                let status = raw::tj3Decompress8(
                    handle,
                    file.as_ptr(),
                    file.len() as _,
                    whole.as_mut_ptr(),
                    0,
                    format as c_int,
                );
                pixels = (status == 0).then_some(whole);
            }
        }
        raw::tj3Destroy(handle);
        pixels
    }
}
