//! Tables of the sizes that were resampled last: frames of a video, and images of one camera, share them.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use super::resampler::{Method, Resampler};
use crate::error::Result;
use crate::geometry::Pass;
use crate::parallel::lock;
use crate::process::OfProcess;

/// How many are kept at most, and up to which sum of the sides of their images: about 3 MB. Those of one image
/// take a part of that at most.
const COUNT: usize = 64;
const SIDES: usize = 256 << 10;
const LARGEST: usize = SIDES / 16;

/// The latest last.
type Latest = VecDeque<(Key, Arc<Resampler>)>;

static LATEST: OfProcess<Mutex<Latest>> = OfProcess::new();

type Key = (Pass, u8, Method);

/// Tables as [`Resampler::new`] makes them.
pub(crate) fn resampler(pass: Pass, orientation: u8, method: Method) -> Result<Arc<Resampler>> {
    let new = || Resampler::new(pass, orientation, method).map(Arc::new);
    if sides(pass) > LARGEST {
        return new();
    }
    let key = (pass, orientation, method);
    if let Some(found) = look_up(key) {
        return Ok(found);
    }
    let made = new()?;
    let mut latest = latest();
    if latest.try_reserve(1).is_err() {
        return Ok(made);
    }
    latest.push_back((key, Arc::clone(&made)));
    let mut kept: usize = latest.iter().map(|(key, _)| sides(key.0)).sum();
    while latest.len() > COUNT || kept > SIDES {
        kept -= latest.pop_front().map_or(0, |(key, _)| sides(key.0));
    }
    Ok(made)
}

/// Lets go of all tables that wait for the next image of their size.
pub fn release_tables() {
    let latest = mem::take(&mut *latest());
    // Without the lock, for which others would wait.
    drop(latest);
}

/// Those of this process: in a child of a fork the lock of its parent may be held for ever.
fn latest() -> MutexGuard<'static, Latest> {
    lock(LATEST.get(|_| Mutex::default()))
}

/// The lengths that the tables of a pass are about as large as.
fn sides(pass: Pass) -> usize {
    let (frame, target) = (pass.frame(), pass.target());
    [frame.0, frame.1, target.0, target.1]
        .into_iter()
        .fold(0, usize::saturating_add)
}

fn look_up(key: Key) -> Option<Arc<Resampler>> {
    let mut latest = latest();
    let place = latest.iter().position(|(kept, _)| *kept == key)?;
    let entry = latest.remove(place)?;
    let found = Arc::clone(&entry.1);
    latest.push_back(entry);
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
        let large = || tables((1, LARGEST), Isa::SCALAR);
        let tables = |width, isa| tables((40, width), isa);
        let first = tables(31, Isa::SCALAR);
        assert!(Arc::ptr_eq(&first, &tables(31, Isa::SCALAR)));
        for width in 32..32 + COUNT {
            assert!(!Arc::ptr_eq(&first, &tables(width, Isa::SCALAR)));
        }
        assert!(!Arc::ptr_eq(&first, &tables(31, Isa::SCALAR)));
        assert!(!Arc::ptr_eq(&large(), &large()));
        let last = tables(31, Isa::SCALAR);
        release_tables();
        assert_eq!(Arc::strong_count(&last), 1);
        assert!(!Arc::ptr_eq(&last, &tables(31, Isa::SCALAR)));
    }
}
