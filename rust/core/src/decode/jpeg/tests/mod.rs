mod turbojpeg;

use proptest::prelude::*;
use proptest::sample::select;
use turbojpeg_sys::{
    TJSAMP_TJSAMP_411, TJSAMP_TJSAMP_420, TJSAMP_TJSAMP_422, TJSAMP_TJSAMP_440, TJSAMP_TJSAMP_441,
    TJSAMP_TJSAMP_444, TJSAMP_TJSAMP_GRAY,
};

use self::turbojpeg::Encoding;
use crate::decode::{Decoder, Format, LineError, header};

const SAMPLINGS: [i32; 7] = [
    TJSAMP_TJSAMP_444,
    TJSAMP_TJSAMP_422,
    TJSAMP_TJSAMP_420,
    TJSAMP_TJSAMP_440,
    TJSAMP_TJSAMP_411,
    TJSAMP_TJSAMP_441,
    TJSAMP_TJSAMP_GRAY,
];

/// Files of up to 70x70 pixels, smooth above and noisy below.
fn encodings() -> impl Strategy<Value = Encoding> {
    let sides = (1..70_usize, 1..70_usize);
    let how = (select(&SAMPLINGS[..]), any::<bool>(), 0..5, 1..=100);
    (sides, how).prop_map(
        |((height, width), (sampling, is_progressive, restart, quality))| Encoding {
            height,
            width,
            sampling,
            is_progressive,
            restart,
            quality,
        },
    )
}

fn encoded(encoding: &Encoding) -> Vec<u8> {
    let noise = |at: usize| (at as u32).wrapping_mul(2_654_435_761) >> 24;
    let pixels: Vec<u8> = (0..3 * encoding.height * encoding.width)
        .map(|at| match at / (3 * encoding.width) {
            line if line < encoding.height / 2 => (at / 3 + line + 40 * (at % 3)) as u8,
            _ => noise(at) as u8,
        })
        .collect();
    encoding.file(&pixels)
}

/// All lines of a file that is not unusual, read in portions of so many lines in turn.
fn lines(file: &[u8], reduced_to: Option<(usize, usize)>, portions: &[usize]) -> Option<Vec<u8>> {
    let header = header(file)?;
    let mut lines = Decoder::open(file, &header, reduced_to).unwrap()?;
    let length = lines.width() * lines.channels();
    let mut pixels = vec![0; lines.height() * length];
    let (mut rest, mut portions) = (&mut pixels[..], portions.iter().cycle());
    while !rest.is_empty() {
        let portion = (portions.next()? * length).min(rest.len());
        let (next, after) = rest.split_at_mut(portion);
        lines.read(next).ok()?;
        rest = after;
    }
    Some(pixels)
}

proptest! {
    #[test]
    fn lines_are_those_of_the_whole_image(
        encoding in encodings(),
        divisor in select(&[1_usize, 2, 4, 8][..]),
        portions in prop::collection::vec(1..20_usize, 1..4),
    ) {
        let file = encoded(&encoding);
        let header = header(&file).unwrap();
        prop_assert_eq!(header.format, Format::Jpeg);
        prop_assert_eq!((header.height, header.width), (encoding.height, encoding.width));
        prop_assert_eq!(header.channels, 3 - 2 * usize::from(encoding.sampling == TJSAMP_TJSAMP_GRAY));
        prop_assert_eq!(header.orientation, Some(1));
        let least = (header.height.div_ceil(divisor), header.width.div_ceil(divisor));
        // A smaller scale may give as many pixels.
        let fits = |n: &usize| {
            header.height.div_ceil(*n) >= least.0 && header.width.div_ceil(*n) >= least.1
        };
        let taken = [8, 4, 2, 1].into_iter().find(fits).unwrap();
        let want = turbojpeg::decode(&file, header.channels, taken, usize::MAX);
        prop_assert!(want.is_some());
        prop_assert_eq!(lines(&file, Some(least), &portions), want);
    }

    #[test]
    fn lines_after_others_that_were_passed_over(
        encoding in encodings(),
        kept_scans in 1..9_usize,
        divisor in select(&[1, 2, 4, 8][..]),
        part in 0.0..1.0,
    ) {
        let file = first_scans(&encoded(&encoding), kept_scans);
        let header = header(&file).unwrap();
        let least = Some((header.height.div_ceil(divisor), header.width.div_ceil(divisor)));
        let whole = lines(&file, least, &[70]).unwrap();
        let mut lines = Decoder::open(&file, &header, least).unwrap().unwrap();
        let passed = (part * lines.height() as f64) as usize;
        let above = passed * lines.width() * lines.channels();
        let mut got = vec![0; whole.len() - above];
        lines.skip(passed).unwrap();
        lines.read(&mut got).unwrap();
        prop_assert!(got == whole[above..], "after {} lines", passed);
    }

    #[test]
    fn damage_is_found_wherever_lines_are_passed_over(
        encoding in encodings(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        part in 0.0..1.0,
    ) {
        let mut file = encoded(&encoding);
        for (at, byte) in damage {
            let pixels = file.windows(2).position(|bytes| bytes == b"\xFF\xDA").unwrap() + 2;
            let at = pixels + at.index(file.len() - pixels);
            file[at] = byte;
        }
        let Some(header) = header(&file) else {
            return Ok(());
        };
        let want = turbojpeg::decode(&file, header.channels, 1, 1 << 20);
        prop_assert_eq!(lines(&file, None, &[1]), want.clone());
        let Some(mut lines) = Decoder::open(&file, &header, None).unwrap() else {
            prop_assert_eq!(want, None);
            return Ok(());
        };
        let passed = (part * header.height as f64) as usize;
        let above = passed * lines.width() * lines.channels();
        let mut got = vec![0; header.height * header.width * header.channels - above];
        let outcome = lines.skip(passed).and_then(|()| lines.read(&mut got));
        prop_assert_eq!(outcome.ok().map(|()| &got[..]), want.as_ref().map(|want| &want[above..]));
    }
}

#[test]
fn nothing_is_read_after_damage() {
    let file = encoded(&BASELINE);
    let cut = &file[..file.len() - 100];
    let mut lines = Decoder::open(cut, &header(cut).unwrap(), None)
        .unwrap()
        .unwrap();
    let mut line = vec![0; 3 * BASELINE.width];
    let mut outcomes = (0..BASELINE.height).map(|_| lines.read(&mut line));
    assert_eq!(outcomes.find(Result::is_err), Some(Err(LineError::Damaged)));
    assert!(outcomes.all(|outcome| outcome == Err(LineError::Damaged)));
}

/// Whoever asks for none does not have the end of the file read, or read once more.
#[test]
fn no_lines_may_be_asked_for_before_the_first_and_after_the_last() {
    let file = encoded(&BASELINE);
    let mut lines = Decoder::open(&file, &header(&file).unwrap(), None)
        .unwrap()
        .unwrap();
    let mut pixels = vec![0; 3 * BASELINE.height * BASELINE.width];
    lines.skip(0).unwrap();
    lines.read(&mut []).unwrap();
    assert_eq!(lines.read(&mut pixels), Ok(()));
    assert_eq!(lines.read(&mut []), Ok(()));
}

#[test]
fn the_header_of_another_file_is_not_believed() {
    let (file, other) = (
        encoded(&BASELINE),
        encoded(&Encoding {
            height: 41,
            ..BASELINE
        }),
    );
    let header = header(&other).unwrap();
    assert!(Decoder::open(&file, &header, None).unwrap().is_none());
}

/// The coefficients of such an image take 26 GB, which libjpeg would fill with zeros.
#[test]
fn a_small_file_cannot_claim_a_large_image_of_several_scans() {
    let mut file = encoded(&Encoding {
        is_progressive: true,
        ..BASELINE
    });
    let frame = file
        .windows(2)
        .position(|bytes| bytes == b"\xFF\xC2")
        .unwrap();
    let side = 65500_u16.to_be_bytes();
    file[frame + 5..frame + 9].copy_from_slice(&[side, side].concat());
    let header = header(&file).unwrap();
    assert_eq!((header.height, header.width), (65500, 65500));
    assert!(Decoder::open(&file, &header, None).unwrap().is_none());
}

/// Nothing takes fewer bytes for its size than flat grey, and it is a file like any other.
#[test]
fn the_smallest_file_of_its_size_has_memory_enough() {
    let encoding = Encoding {
        height: 4000,
        width: 4000,
        is_progressive: true,
        sampling: TJSAMP_TJSAMP_444,
        ..BASELINE
    };
    let pixels = vec![128; 3 * encoding.height * encoding.width];
    let got = lines(&encoding.file(&pixels), None, &[4000]);
    assert!(got == Some(pixels));
}

#[test]
fn lines_may_be_read_on_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Decoder<'_>>();
}

const BASELINE: Encoding = Encoding {
    height: 40,
    width: 24,
    sampling: TJSAMP_TJSAMP_420,
    is_progressive: false,
    restart: 0,
    quality: 90,
};

/// A progressive file that ends early, as it should but for its last scans.
fn first_scans(file: &[u8], count: usize) -> Vec<u8> {
    let scans = file
        .windows(2)
        .enumerate()
        .filter(|(_, bytes)| bytes == b"\xFF\xDA");
    match scans.map(|(at, _)| at).nth(count) {
        None => file.to_vec(),
        // Tables may lie between the scans; that the last have nothing to do is not an error.
        Some(end) => [&file[..end], b"\xFF\xD9"].concat(),
    }
}
