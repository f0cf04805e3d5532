//! The system refuses memory, one request after another, to every public function: each returns
//! [`qvl_core::Error::Memory`] or what it returns undisturbed, and none aborts or panics.
//!
//! Refused are mappings, and requests of 4 KiB or more. What is smaller is how the standard library
//! keeps a mutex, a shared pointer or a node of a tree; it ends the process where there is none, and
//! no input makes it larger. The pixels and compressed texts of PNG files are left out, as the `png` crate and `flate2`
//! do the same for their lines and tables, of 64 MiB at most, and so is the memory that libjpeg asks the C library for.
//!
//! Without the test harness, whose threads would ask for memory too.

#![cfg_attr(
    target_os = "linux",
    expect(clippy::panic, reason = "a failure here is the report")
)]

#[cfg(target_os = "linux")]
mod cases;
#[cfg(target_os = "linux")]
mod owner;
#[cfg(target_os = "linux")]
mod refusing;
#[cfg(target_os = "linux")]
mod tiles;

fn main() {
    #[cfg(target_os = "linux")]
    {
        cases::indices();
        cases::resizing();
        cases::rows();
        cases::batches();
        cases::videos();
        cases::headers();
        tiles::layouts();
        tiles::batches();
    }
}
