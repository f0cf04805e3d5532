//! Headers: nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qvl_core::decode::header;

fuzz_target!(|file: &[u8]| {
    header(file);
    header(&qvl_fuzz::file::with_right_sums(file));
});
