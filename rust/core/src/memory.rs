//! Fallible allocation: a request too large for the system is an error, not an abort.

use crate::error::{Error, Result};

/// A vector of `length` times `value`, or [`Error::Memory`].
pub(crate) fn filled<T: Clone>(length: usize, value: T, purpose: &'static str) -> Result<Vec<T>> {
    let mut vector = with_capacity(length, purpose)?;
    vector.resize(length, value);
    Ok(vector)
}

/// An empty vector with room for `capacity` elements, or [`Error::Memory`].
pub(crate) fn with_capacity<T>(capacity: usize, purpose: &'static str) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    vector
        .try_reserve_exact(capacity)
        .map_err(|_| Error::Memory {
            bytes: capacity.saturating_mul(size_of::<T>()),
            purpose,
        })?;
    Ok(vector)
}
