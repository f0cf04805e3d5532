//! Scanlines on their side, where the horizontal pass turns them.

use bytemuck::{Pod, Zeroable};

use super::Pair;
use crate::memory::Buffer;

/// Scanlines that are turned together.
pub(super) const LINES: usize = 16;

/// Samples of a column: three planes.
pub(super) const COLUMN: usize = 3 * LINES;

/// Samples from a column that comes out to the next: whole registers.
pub(super) const COLUMN_STRIDE: usize = COLUMN.next_multiple_of(super::WIDEST);

/// Neighbouring samples of every scanline: a pair of 16 bits each, or a quad of bytes.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Column([Pair; COLUMN]);

/// What scanlines are turned in.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Columns that go in.
    pub(super) columns: Vec<Column>,
    /// Columns that come out.
    pub(super) combined: Buffer<u8>,
}
