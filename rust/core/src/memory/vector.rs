//! Vectors whose memory may be refused.

use crate::error::{Error, Result};

/// An empty vector with room for `capacity` elements, or [`Error::Memory`].
pub fn with_capacity<T>(capacity: usize, purpose: &'static str) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    vector
        .try_reserve_exact(capacity)
        .map_err(|_| Error::Memory {
            bytes: capacity.saturating_mul(size_of::<T>()),
            purpose,
        })?;
    Ok(vector)
}

/// Makes room in `vector` for so many `more` elements, and some beyond where it grows step by step, or
/// [`Error::Memory`].
pub fn reserve<T>(vector: &mut Vec<T>, more: usize, purpose: &'static str) -> Result<()> {
    vector.try_reserve(more).map_err(|_| Error::Memory {
        bytes: more.saturating_mul(size_of::<T>()),
        purpose,
    })
}

/// A vector of `length` times `value`, or [`Error::Memory`].
pub fn filled<T: Clone>(length: usize, value: T, purpose: &'static str) -> Result<Vec<T>> {
    let mut vector = with_capacity(length, purpose)?;
    vector.resize(length, value);
    Ok(vector)
}

/// A vector of `items`, or [`Error::Memory`].
pub fn collect<T>(
    items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    purpose: &'static str,
) -> Result<Vec<T>> {
    let items = items.into_iter();
    let mut vector = with_capacity(items.len(), purpose)?;
    vector.extend(items);
    Ok(vector)
}
