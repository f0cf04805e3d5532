//! Index tensors: what their definitions say holds for any grids.
#![no_main]

use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};
use qvl_fuzz::index::{grids, mrope, packing, placeholders};

fuzz_target!(|input: &[u8]| {
    let mut input = Unstructured::new(input);
    // Input that ends early is no case.
    let _ = match input.int_in_range(0..=3) {
        Ok(0) => grids(&mut input),
        Ok(1) => packing(&mut input),
        Ok(2) => placeholders(&mut input),
        _ => mrope(&mut input),
    };
});
