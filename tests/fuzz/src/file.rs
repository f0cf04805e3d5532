//! What must hold of any file, whatever is in it.

use qvl_core::decode::{Decoder, Header, header};

/// Pixels up to which a file is decoded: a header may claim any size.
const MOST_PIXELS: usize = 1 << 18;

/// Decodes the file in `input` at once and in pieces, which must not differ.
///
/// The last three bytes of the input are not the file's: they say how it is decoded.
pub fn decode(input: &[u8]) {
    let Some((file, &[reduction, passed, portion])) = input.split_last_chunk() else {
        return;
    };
    let Some(header) = header(file) else {
        return;
    };
    if header.height.saturating_mul(header.width) > MOST_PIXELS {
        return;
    }
    let side = |side: usize| side.div_ceil(1 << (reduction % 4));
    let least = Some((side(header.height), side(header.width)));
    let whole = lines(file, &header, least, 0, usize::MAX);
    let in_pieces = lines(file, &header, least, passed.into(), portion.into());
    match (whole, in_pieces) {
        (Some(whole), Some(rest)) => assert!(whole.ends_with(&rest), "other pixels"),
        (None, None) => {}
        (whole, _) => panic!("damaged in pieces only: {}", whole.is_some()),
    }
}

/// The pixels under the first `passed` lines, read in portions of lines; None for a damaged file.
fn lines(
    file: &[u8],
    header: &Header,
    least: Option<(usize, usize)>,
    passed: usize,
    portion: usize,
) -> Option<Vec<u8>> {
    let mut lines = Decoder::open(file, header, least).expect("memory")?;
    let passed = passed.min(lines.height() - 1);
    let length = lines.width() * lines.channels();
    let mut pixels = vec![0; (lines.height() - passed) * length];
    lines.skip(passed).ok()?;
    let portion = portion.clamp(1, lines.height()) * length;
    for some in pixels.chunks_mut(portion) {
        lines.read(some).ok()?;
    }
    Some(pixels)
}

/// A PNG file with the checksum of each chunk put right, without which hardly a mutation would get
/// past its first chunk.
pub fn with_right_sums(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let mut rest = file.get_mut(8..).unwrap_or_default();
    while let Some((length, chunk)) = rest.split_first_chunk_mut() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((kind_and_data, after)) = chunk.split_at_mut_checked(4 + length) else {
            break;
        };
        let Some((sum, after)) = after.split_first_chunk_mut() else {
            break;
        };
        *sum = crc32fast::hash(kind_and_data).to_be_bytes();
        rest = after;
    }
    file
}
