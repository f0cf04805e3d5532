//! The crate fast_image_resize, timed for `benches/resampling.py`.
//!
//! ```text
//! qvl-peers HEIGHT WIDTH TO_HEIGHT TO_WIDTH
//! ```
//!
//! For every line of the input an image is resized once, and the nanoseconds that took are printed. It uses the
//! fastest instructions that the crate has for this processor.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

fn main() -> Result<(), Box<dyn Error>> {
    let sides: Result<Vec<u32>, _> = std::env::args().skip(1).map(|side| side.parse()).collect();
    let [height, width, to_height, to_width] = sides?[..] else {
        return Err("four sides are needed".into());
    };
    let source = Image::from_vec_u8(width, height, noise(3 * height * width), PixelType::U8x3)?;
    let mut out = Image::new(to_width, to_height, PixelType::U8x3);
    let bicubic = ResizeAlg::Convolution(FilterType::CatmullRom);
    let options = ResizeOptions::new().resize_alg(bicubic);
    let mut resizer = Resizer::new();
    for line in std::io::stdin().lines() {
        line?;
        let start = Instant::now();
        resizer.resize(&source, &mut out, &options)?;
        println!("{}", start.elapsed().as_nanos());
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// So many bytes without a pattern (a linear congruential generator).
fn noise(length: u32) -> Vec<u8> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8)
    };
    (0..length).scan(1, |state, _| next(state)).collect()
}
