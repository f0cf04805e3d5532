//! JPEG: lines in pieces are those of the whole image.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| qvl_fuzz::file::decode(input));
