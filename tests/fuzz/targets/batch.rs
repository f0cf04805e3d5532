//! Batches: neither threads nor company nor the way that an image comes change its rows.
#![no_main]

use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};

fuzz_target!(|input: &[u8]| {
    // Input that ends early is no case.
    let _ = qvl_fuzz::batch::write_any(&mut Unstructured::new(input));
});
