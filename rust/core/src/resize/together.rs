//! Scanlines that come once, for several passes.

use std::sync::{Arc, Mutex};

use super::source::{Failure, Scanlines, Source};
use crate::error::Result;
use crate::memory;
use crate::parallel::{despite_panics, lock};

impl<'a, E: 'a> Source<'a, E> {
    /// The same pixels for each of so many `passes`. Scanlines that one has read are kept until all have, which
    /// are few where passes keep [`super::Pace`] with each other.
    pub(crate) fn for_passes(self, passes: usize) -> Result<Vec<Self>> {
        let mut sources = memory::with_capacity(passes, "passes")?;
        match self {
            Self::Pixels(pixels) => {
                sources.extend((0..passes).map(|_| Self::Pixels(Arc::clone(&pixels))));
            }
            Self::Strips(strips) => {
                sources.extend((0..passes).map(|_| Self::Strips(Arc::clone(&strips))));
            }
            Self::Scanlines(_) if passes == 1 => sources.push(self),
            Self::Scanlines(scanlines) => {
                let scanlines = despite_panics(scanlines.into_inner());
                let (size, pixel_bytes) = (scanlines.size(), scanlines.pixel_bytes());
                let walk = Arc::new(Mutex::new(Walk {
                    scanlines,
                    kept: Vec::new(),
                    behind: memory::filled(passes, 0, "passes")?,
                }));
                sources.extend((0..passes).map(|pass| {
                    Self::scanlines(Part {
                        walk: Arc::clone(&walk),
                        pass,
                        size,
                        pixel_bytes,
                    })
                }));
            }
        }
        Ok(sources)
    }
}

/// One walk over scanlines.
struct Walk<'a, E> {
    scanlines: Box<dyn Scanlines<E> + 'a>,
    /// The last bytes that have been read, as many as some pass has yet to take.
    kept: Vec<u8>,
    /// Bytes that each pass is behind what has been read.
    behind: Vec<usize>,
}

impl<E> Walk<'_, E> {
    fn read(&mut self, pass: usize, out: &mut [u8]) -> Result<(), Failure<E>> {
        let behind = self.behind[pass];
        let (old, new) = out.split_at_mut(behind.min(out.len()));
        let first = self.kept.len() - behind;
        old.copy_from_slice(&self.kept[first..][..old.len()]);
        if !new.is_empty() {
            self.scanlines.read(new)?;
            let purpose = "scanlines that another pass reads";
            memory::reserve(&mut self.kept, new.len(), purpose)?;
            self.kept.extend_from_slice(new);
            for behind in &mut self.behind {
                *behind += new.len();
            }
        }
        self.behind[pass] -= out.len();
        let needed = self.behind.iter().copied().max().unwrap_or(0);
        self.kept.drain(..self.kept.len() - needed);
        Ok(())
    }
}

/// The walk as one pass sees it.
struct Part<'a, E> {
    walk: Arc<Mutex<Walk<'a, E>>>,
    pass: usize,
    size: (usize, usize),
    pixel_bytes: usize,
}

impl<E> Scanlines<E> for Part<'_, E> {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn pixel_bytes(&self) -> usize {
        self.pixel_bytes
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), Failure<E>> {
        lock(&self.walk).read(self.pass, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// Lines of four bytes each, whose bytes count up.
    struct Counting(u8);

    impl Scanlines<Infallible> for Counting {
        fn size(&self) -> (usize, usize) {
            (50, 4)
        }

        fn pixel_bytes(&self) -> usize {
            1
        }

        fn read(&mut self, out: &mut [u8]) -> Result<(), Failure<Infallible>> {
            for byte in out {
                *byte = self.0;
                self.0 += 1;
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn each_pass_reads_every_line_whatever_the_others_have_read(
            reads in proptest::collection::vec((0usize..3, 1usize..9, any::<bool>()), 0..40),
        ) {
            let passes = Source::scanlines(Counting(0)).for_passes(3).unwrap();
            let mut taken = [0; 3];
            for (pass, lines, skips) in reads {
                let Source::Scanlines(scanlines) = &passes[pass] else {
                    panic!("they come in order");
                };
                let lines = lines.min(50 - taken[pass]);
                if skips {
                    lock(scanlines).skip(lines).unwrap();
                } else {
                    let mut out = vec![0; 4 * lines];
                    lock(scanlines).read(&mut out).unwrap();
                    let expected = (4 * taken[pass]..).take(out.len()).map(|byte| byte as u8);
                    prop_assert!(out.iter().copied().eq(expected));
                }
                taken[pass] += lines;
            }
        }
    }
}
