//! Layouts: canvases and tiles equal those made step by step, and absurd ones are refused.
#![no_main]

use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};
use qvl_fuzz::passes::{plan_any, write_any};

fuzz_target!(|input: &[u8]| {
    let mut input = Unstructured::new(input);
    // Input that ends early is no case.
    let _ = match input.arbitrary() {
        Ok(true) => plan_any(&mut input),
        _ => write_any(&mut input),
    };
});
