//! How much of an image the threads of a call may have gone through the horizontal pass ahead of its bands.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that the chunks of one band, which an image cannot do without, take before they count as shared too.
const OWN: usize = 4 << 20;

/// Bytes of a portion of what is shared: about as many as most chunks take, of which a portion holds one at most.
const PORTION: usize = 128 << 10;

/// Portions for each thread.
const PORTIONS: usize = 32;

/// What the images of a call share: 4 MiB for each of its threads, wherever they are at work, and half as much for
/// the first, which most often has what it needs of an image's own. Frames of a group have as much each.
#[derive(Debug)]
pub(crate) struct Ahead {
    threads: usize,
    /// Portions that no image has.
    left: AtomicUsize,
}

impl Ahead {
    /// Of a call on up to so many threads, one at least.
    pub(crate) fn of(threads: usize) -> Arc<Self> {
        Arc::new(Self {
            threads,
            left: AtomicUsize::new(Self::portions(threads)),
        })
    }

    fn portions(threads: usize) -> usize {
        PORTIONS * threads - PORTIONS / 2
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }
}

/// Room for chunks of one image: for those of one band, and for others as long as [`Ahead`] has any.
#[derive(Debug)]
pub(super) struct Room {
    ahead: Arc<Ahead>,
    /// Chunks that there always is room for, and that there ever may be.
    own: usize,
    most: usize,
    /// Portions that these take, and each further chunk.
    least: usize,
    of_chunk: usize,
    portions: usize,
}

impl Room {
    /// Room for `own` chunks of so many bytes, and maybe for others; None where they are too large.
    ///
    /// Scanlines that come in order keep threads waiting, for which two chunks each are enough to have something to
    /// do. Where they do not, every thread can be at a band of its own.
    pub(super) fn new(
        ahead: &Arc<Ahead>,
        own: usize,
        bytes: usize,
        in_order: bool,
    ) -> Option<Self> {
        let threads = ahead.threads;
        let beyond = own.saturating_mul(bytes).saturating_sub(OWN);
        let mut room = Self {
            ahead: Arc::clone(ahead),
            own,
            most: match in_order {
                true => own + 2 * threads - 1,
                false => (own + 1) * threads,
            },
            least: beyond.div_ceil(PORTION),
            of_chunk: bytes.div_ceil(PORTION),
            portions: 0,
        };
        room.hold(own).then_some(room)
    }

    /// Has room for so many chunks from now on, if that can be had, and for what it had otherwise.
    pub(super) fn hold(&mut self, chunks: usize) -> bool {
        if chunks > self.most {
            return false;
        }
        let portions = self.least + self.of_chunk * chunks.saturating_sub(self.own);
        let held = portions == self.portions || self.exchange(portions);
        if held {
            self.portions = portions;
        }
        held
    }

    fn exchange(&self, portions: usize) -> bool {
        let exchanged = |left: usize| (left + self.portions).checked_sub(portions);
        let left = &self.ahead.left;
        left.fetch_update(Relaxed, Relaxed, exchanged).is_ok()
    }

    /// Chunks that it has its own room for beside so many.
    pub(super) fn beside(&self, chunks: usize) -> usize {
        self.own.saturating_sub(chunks)
    }

    /// Chunks that there may ever be room for.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether a band takes what all images share.
    pub(super) fn is_long(&self) -> bool {
        self.least > 0
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.ahead.left.fetch_add(self.portions, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_its_own_room_and_what_others_leave() {
        let ahead = Ahead::of(2);
        let room = |own, bytes| Room::new(&ahead, own, bytes, false).unwrap();
        let (mut first, mut second) = (room(4, 1 << 20), room(1, 1 << 20));
        // Six chunks of eight portions each.
        assert!(first.hold(8) && !second.hold(4) && second.hold(3));
        assert!(!first.hold(9) && first.hold(7) && second.hold(4));
        drop(second);
        assert!(first.hold(10) && first.hold(0));
        assert_eq!((first.most(), first.beside(3)), (10, 1));
        // However small they are, no more than two threads have a use for.
        let mut small = room(1, 1000);
        assert!(small.hold(4) && !small.hold(5));
        let mut in_order = Room::new(&ahead, 9, 1000, true).unwrap();
        assert!(in_order.hold(12) && !in_order.hold(13));
    }

    #[test]
    fn chunks_that_are_too_large_have_no_room() {
        let [one, four] = [1, 4].map(Ahead::of);
        let room = |ahead, bytes| Room::new(ahead, 3, bytes, false);
        assert!(!room(&one, OWN / 3).unwrap().is_long());
        assert!(room(&one, OWN / 3 + 1).unwrap().is_long());
        assert!(room(&one, OWN).is_none());
        // 40 of 112 portions for those of a band, and 24 for each further chunk.
        let mut long = room(&four, 3 << 20).unwrap();
        assert!(long.hold(6) && !long.hold(7));
        assert!(room(&four, usize::MAX).is_none());
    }
}
