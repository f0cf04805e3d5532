//! What the eight EXIF orientations mean; any other number means nothing.

/// Whether the stored lines are reversed, and the stored columns.
pub(crate) fn flips(orientation: u8) -> [bool; 2] {
    [
        matches!(orientation, 3 | 4 | 6 | 7),
        matches!(orientation, 2 | 3 | 7 | 8),
    ]
}

/// Whether lines are then taken for columns.
pub(crate) fn swaps(orientation: u8) -> bool {
    matches!(orientation, 5..=8)
}

/// `(height, width)` as seen of what is stored, or as stored of what is seen.
pub(crate) fn turned((height, width): (usize, usize), orientation: u8) -> (usize, usize) {
    match swaps(orientation) {
        true => (width, height),
        false => (height, width),
    }
}
