//! Images in memory: every backend makes the same of any layout; bad arguments are refused.
#![no_main]

use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};
use qvl_fuzz::pixels::{arguments, resize_any};

fuzz_target!(|input: &[u8]| {
    let mut input = Unstructured::new(input);
    // Input that ends early is no case.
    let _ = match input.ratio(1, 8) {
        Ok(true) => arguments(&mut input),
        Ok(false) => resize_any(&mut input),
        Err(_) => Ok(()),
    };
});
