//! Tables of the sizes that were resampled last: frames of a video, and images of one camera, share them.

use std::sync::{Arc, Mutex};

use super::resampler::{Method, Resampler};
use crate::error::Result;
use crate::geometry::Pass;

/// How many are kept, and up to which sum of an image's sides: about 2 MB in all.
const COUNT: usize = 8;
const SIDES: usize = 16 << 10;

/// The latest last.
static LATEST: Mutex<Vec<(Key, Arc<Resampler>)>> = Mutex::new(Vec::new());

type Key = (Pass, u8, Method);

/// Tables as [`Resampler::new`] makes them.
pub(crate) fn resampler(pass: Pass, orientation: u8, method: Method) -> Result<Arc<Resampler>> {
    let new = || Resampler::new(pass, orientation, method).map(Arc::new);
    let (frame, target) = (pass.frame(), pass.target());
    let sides = [frame.0, frame.1, target.0, target.1];
    if sides.into_iter().any(|side| side > SIDES / 4) {
        return new();
    }
    let key = (pass, orientation, method);
    if let Some(found) = look_up(key) {
        return Ok(found);
    }
    let made = new()?;
    // Nobody waits: in a child of a fork the lock may be held for ever.
    if let Ok(mut latest) = LATEST.try_lock() {
        if latest.len() == COUNT {
            latest.remove(0);
        }
        latest.push((key, Arc::clone(&made)));
    }
    Ok(made)
}

fn look_up(key: Key) -> Option<Arc<Resampler>> {
    let mut latest = LATEST.try_lock().ok()?;
    let place = latest.iter().position(|(kept, _)| *kept == key)?;
    let entry = latest.remove(place);
    let found = Arc::clone(&entry.1);
    latest.push(entry);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Reference;
    use crate::kernels::Isa;

    #[test]
    fn the_latest_sizes_share_their_tables() {
        let tables = |source, isa| {
            let method = Method::new(Reference::Torchvision, isa);
            resampler(Pass::resize(source, (28, 28)), 1, method).unwrap()
        };
        let large = || tables((1, SIDES), Isa::SCALAR);
        let tables = |width, isa| tables((40, width), isa);
        let first = tables(31, Isa::SCALAR);
        assert!(Arc::ptr_eq(&first, &tables(31, Isa::SCALAR)));
        for width in 32..32 + COUNT {
            assert!(!Arc::ptr_eq(&first, &tables(width, Isa::SCALAR)));
        }
        assert!(!Arc::ptr_eq(&first, &tables(31, Isa::SCALAR)));
        assert!(!Arc::ptr_eq(&large(), &large()));
    }
}
