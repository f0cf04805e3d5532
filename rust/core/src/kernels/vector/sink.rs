//! Where elements go.

#[cfg(target_arch = "x86_64")]
use crate::kernels::x86_64::stream::Stream;
use bytemuck::Pod;

/// A slice that is filled from its start on.
pub(super) enum Sink<'a, T> {
    /// What is left of it.
    Cached(&'a mut [T]),
    /// Past the cache, in pieces.
    #[cfg(target_arch = "x86_64")]
    Streamed(Stream<'a, T>),
}

impl<'a, T: Pod> Sink<'a, T> {
    /// Fills `out` in pieces of at most `piece` elements, and with `stream` past the cache, if there is memory for a
    /// piece: on ARM, for which there is no such store here, not.
    pub(super) fn new(out: &'a mut [T], piece: usize, stream: bool) -> Self {
        #[cfg(target_arch = "x86_64")]
        if stream {
            return match Stream::new(out, piece) {
                Ok(stream) => Self::Streamed(stream),
                Err(out) => Self::Cached(out),
            };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (piece, stream);
        Self::Cached(out)
    }

    /// Where the next `length` elements go.
    #[inline]
    pub(super) fn piece(&mut self, length: usize) -> &mut [T] {
        match self {
            Self::Cached(out) => out.split_off_mut(..length).unwrap_or_default(),
            #[cfg(target_arch = "x86_64")]
            Self::Streamed(stream) => stream.piece(length),
        }
    }

    /// The piece is made.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx"))]
    #[inline]
    pub(super) fn store(&mut self) {
        match self {
            Self::Cached(_) => {}
            #[cfg(target_arch = "x86_64")]
            Self::Streamed(stream) => stream.store(),
        }
    }

    /// All pieces are made.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx"))]
    pub(super) fn finish(self) {
        match self {
            Self::Cached(_) => {}
            #[cfg(target_arch = "x86_64")]
            Self::Streamed(stream) => stream.finish(),
        }
    }
}
