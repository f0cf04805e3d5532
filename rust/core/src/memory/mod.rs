//! Memory: every request may fail, and large memory is recycled.
//!
//! The system hands out fresh memory page by page, which takes longer than filling it. A large
//! [`Buffer`] is therefore a mapping of its own, on huge pages where the system has them, and what
//! is dropped waits for the next one, up to [`limit`] bytes in all.

mod buffer;
mod limit;
mod machine;
mod pool;
mod vector;

pub use buffer::Buffer;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use buffer::CacheLine;
pub use limit::{DEFAULT_LIMIT, limit};
pub use pool::{MemoryStats, release, set_limit, stats};
pub use vector::{collect, filled, with_capacity};
