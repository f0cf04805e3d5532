//! What can be wrong with an input, said with the name and the value of the argument.

use std::fmt::Display;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was refused.
///
/// Arguments are checked before anything is written. Where memory is refused, or an image of a batch turns out
/// to be of another size than was said, the output has no particular values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An argument has a value that the operation is not defined for.
    #[error("{argument} {reason}")]
    Invalid {
        /// The argument, by its public name.
        argument: &'static str,
        /// What is wrong with it, and its value.
        reason: String,
    },
    /// The system refused memory for tables or intermediate lines.
    #[error("cannot allocate {bytes} bytes for {purpose}")]
    Memory {
        /// The size of the request that failed.
        bytes: usize,
        /// What it was meant to hold.
        purpose: &'static str,
    },
}

impl Error {
    /// An [`Error::Invalid`] for an argument that is not between `ends`, one of which it may be.
    pub(crate) fn out_of_range(
        argument: &'static str,
        ends: impl Display,
        value: impl Display,
    ) -> Self {
        Self::invalid(argument, format!("must be between {ends}, got {value}"))
    }

    /// An [`Error::Invalid`] for `argument`.
    pub fn invalid(argument: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            argument,
            reason: reason.into(),
        }
    }

    /// An [`Error::Invalid`] for `name`, which is none of `names`.
    pub(crate) fn unknown(argument: &'static str, names: &[&str], name: &str) -> Self {
        let names = names.join(", ");
        Self::invalid(argument, format!("must be one of {names}, got {name}"))
    }
}
