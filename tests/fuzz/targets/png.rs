//! PNG: lines in pieces are those of the whole image.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| qvl_fuzz::decode(&qvl_fuzz::with_right_sums(input)));
