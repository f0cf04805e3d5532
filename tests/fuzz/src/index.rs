//! Index tensors of any grids, and what must hold of them by their definition.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use qvl_core::Grid;
use qvl_core::index::{
    Advance, Deltas, Frames, Grids, Interval, Rules, Strategy, TokenGrids, cu_seqlens,
    expand_placeholders, interpolation_taps, mrope_position_ids, pack, position_ids, reverse_index,
    window_index,
};

/// Patches up to which tensors are computed: grids may claim any number.
const MOST_PATCHES: usize = 1 << 12;

/// Positions, windows and taps of one batch of grids.
pub fn grids(input: &mut Unstructured<'_>) -> Result<()> {
    let merge = side(input, 4)?;
    let rows: Vec<[i64; 3]> = (0..input.int_in_range(0..=5)?)
        .map(|_| row(input, merge))
        .collect::<Result<_>>()?;
    let Ok(grids) = Grids::new("grid_thw", &rows, merge) else {
        return Ok(());
    };
    if grids.patches() > MOST_PATCHES {
        return Ok(());
    }
    let merge = merge as usize;
    segments(&grids);
    positions(&grids);
    if let Ok(window) = usize::try_from(side(input, 12)?) {
        windows(&grids, window, merge);
    }
    taps(&grids, side(input, 64)?);
    Ok(())
}

fn segments(grids: &Grids) {
    let boundaries = cu_seqlens(grids).expect("memory");
    let lengths = boundaries.windows(2).map(|pair| pair[1] - pair[0]);
    let frames = grids
        .iter()
        .flat_map(|grid| std::iter::repeat_n((grid.h * grid.w) as i32, grid.t));
    assert!(boundaries[0] == 0 && lengths.eq(frames));
}

fn positions(grids: &Grids) {
    let ids = position_ids(grids).expect("memory");
    let mut rest = &ids[..];
    for Grid { t, h, w } in grids.iter() {
        for _ in 0..t {
            let (frame, after) = rest.split_at(h * w);
            let places = frame.iter().map(|[y, x]| y * w as i64 + x);
            assert!(frame.iter().all(|[_, x]| (0..w as i64).contains(x)));
            assert!(is_permutation(places, h * w), "of {h}x{w} patches");
            rest = after;
        }
    }
    assert!(rest.is_empty());
}

fn windows(grids: &Grids, window: usize, merge: usize) {
    let Ok((index, boundaries)) = window_index(grids, window) else {
        return assert_eq!(window, 0);
    };
    let tokens = grids.patches() / (merge * merge);
    assert!(is_permutation(index.iter().copied(), tokens));
    let reverse = reverse_index(&index).expect("memory");
    assert!(
        (0..)
            .zip(index.iter())
            .all(|(place, token)| reverse[*token as usize] == place)
    );
    let most = window.saturating_mul(merge).saturating_pow(2);
    let lengths = boundaries.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(
        lengths
            .into_iter()
            .all(|length| length > 0 && length as usize <= most)
    );
    assert_eq!(boundaries.first(), Some(&0));
    assert_eq!(boundaries.last(), Some(&(grids.patches() as i32)));
}

fn taps(grids: &Grids, side: i64) {
    let Ok(taps) = interpolation_taps(grids, side) else {
        return assert!(!(1..=1 << 16).contains(&side));
    };
    let entries = taps.indices.as_flattened();
    assert!(entries.iter().all(|entry| (0..side * side).contains(entry)));
    for weights in taps.weights.iter() {
        assert!(weights.iter().all(|weight| (0.0..=1.0).contains(weight)));
        let error = weights.iter().sum::<f32>() - 1.0;
        assert!(error.abs() <= 4.0 * f32::EPSILON, "{weights:?}");
    }
}

/// Bins of any lengths.
pub fn packing(input: &mut Unstructured<'_>) -> Result<()> {
    let capacity = side(input, 100)?;
    let lengths: Vec<i64> = (0..input.int_in_range(0..=40)?)
        .map(|_| side(input, 50))
        .collect::<Result<_>>()?;
    for strategy in [Strategy::Sequential, Strategy::Best] {
        let Ok(bins) = pack(&lengths, capacity, strategy) else {
            continue;
        };
        let items = bins.iter().flatten().map(|item| *item as i64);
        assert!(is_permutation(items, lengths.len()));
        for bin in bins {
            assert!(bin.is_sorted() && !bin.is_empty());
            assert!(bin.iter().map(|item| lengths[*item]).sum::<i64>() <= capacity);
        }
    }
    Ok(())
}

/// Placeholders among any ids.
pub fn placeholders(input: &mut Unstructured<'_>) -> Result<()> {
    const TOKEN: i64 = 7;
    let ids: Vec<i64> = (0..input.int_in_range(0..=30)?)
        .map(|_| input.int_in_range(5..=8))
        .collect::<Result<_>>()?;
    let counts: Vec<i64> = (0..input.int_in_range(0..=10)?)
        .map(|_| input.int_in_range(-1..=40))
        .collect::<Result<_>>()?;
    let Ok((expanded, offsets)) = expand_placeholders(&ids, TOKEN, &counts) else {
        return Ok(());
    };
    let lengths = offsets.iter().map(|[start, end]| end - start);
    assert!(lengths.eq(counts.iter().copied()));
    // Each run put back to one placeholder, from the last to the first.
    let mut restored = expanded;
    for [start, end] in offsets.into_iter().rev() {
        let run = restored.splice(start as usize..end as usize, [TOKEN]);
        assert!(run.into_iter().all(|id| id == TOKEN));
    }
    assert_eq!(restored, ids);
    Ok(())
}

/// M-RoPE ids of tokens whose types may or may not fit the grids.
pub fn mrope(input: &mut Unstructured<'_>) -> Result<()> {
    let merge = input.int_in_range(1..=3)?;
    let mut some = |most| -> Result<_> {
        (0..input.int_in_range(0..=most)?)
            .map(|_| small_row(input, merge))
            .collect::<Result<Vec<_>>>()
    };
    let (images, videos) = (some(3)?, some(2)?);
    let in_groups = input.arbitrary()?;
    let interval = match input.int_in_range(0..=2)? {
        0 => Interval::Single(input.arbitrary()?),
        1 => Interval::Double(input.arbitrary()?),
        _ => Interval::Whole(input.arbitrary()?),
    };
    let image_interval = input.arbitrary::<bool>()?.then_some(Interval::ONE);
    let takers = match in_groups {
        true => 0,
        false => videos.len(),
    } + match image_interval {
        Some(_) => 0,
        None => images.len(),
    };
    let grids = TokenGrids {
        images: Grids::new("image_grid_thw", &images, merge).expect("sides are multiples"),
        videos: Grids::new("video_grid_thw", &videos, merge).expect("sides are multiples"),
        videos_in_groups: in_groups,
        image_interval,
        intervals: vec![interval; takers],
    };
    let mut types = Vec::new();
    let runs = images
        .iter()
        .map(|row| (1, *row))
        .chain(videos.iter().map(|row| (2, *row)));
    for (kind, [t, h, w]) in runs {
        types.extend(std::iter::repeat_n(0, input.int_in_range(0..=4)?));
        let group = (h * w / (merge * merge)) as usize;
        let (groups, length) = match (kind, in_groups) {
            (2, true) => (t, group),
            _ => (1, t as usize * group),
        };
        for _ in 0..groups {
            types.push(0);
            types.extend(std::iter::repeat_n(kind, length));
        }
    }
    // Most batches fit as they are.
    if input.ratio(1, 4)? && !types.is_empty() {
        let place = input.choose_index(types.len())?;
        types[place] = input.int_in_range(-1..=4)?;
    }
    let kept: Option<Vec<bool>> = match input.ratio(1, 4)? {
        true => Some(
            types
                .iter()
                .map(|_| input.ratio(7, 8))
                .collect::<Result<_>>()?,
        ),
        false => None,
    };
    let rules = Rules {
        advance: *input.choose(&[Advance::Spatial, Advance::Spatiotemporal])?,
        frames: *input.choose(&[Frames::Apart, Frames::Alike])?,
        padding: input.int_in_range(0..=1)?,
        deltas: *input.choose(&[Deltas::Kept, Deltas::Length, Deltas::LengthNotNegative])?,
    };
    let ids = mrope_position_ids(&types, types.len(), kept.as_deref(), &grids, rules);
    let Ok(ids) = ids else {
        return Ok(());
    };
    assert_eq!(ids.position_ids.len(), 3 * types.len());
    let (time, space) = ids.position_ids.split_at(types.len());
    let (height, width) = space.split_at(types.len());
    for (token, kind) in types.iter().enumerate() {
        let [t, h, w] = [time[token], height[token], width[token]];
        match kept.as_ref().is_none_or(|kept| kept[token]) {
            false => assert_eq!([t, h, w], [rules.padding; 3]),
            true if *kind == 0 => assert!(t == h && h == w),
            true => {}
        }
    }
    Ok(())
}

/// A number that is mostly valid.
fn side(input: &mut Unstructured<'_>, most: i64) -> Result<i64> {
    match input.ratio(1, 32)? {
        true => input.arbitrary(),
        false => input.int_in_range(1..=most),
    }
}

/// A grid that is mostly valid.
fn row(input: &mut Unstructured<'_>, merge: i64) -> Result<[i64; 3]> {
    match input.ratio(1, 32)? {
        true => input.arbitrary(),
        false => small_row(input, merge.clamp(1, 1024)),
    }
}

/// A small grid that is valid.
fn small_row(input: &mut Unstructured<'_>, merge: i64) -> Result<[i64; 3]> {
    let mut side = |most| input.int_in_range(1..=most);
    Ok([side(3)?, merge * side(5)?, merge * side(5)?])
}

/// Whether `places` are 0 to `count - 1`, each once.
fn is_permutation(places: impl Iterator<Item = i64>, count: usize) -> bool {
    let mut places: Vec<_> = places.collect();
    places.sort_unstable();
    places.into_iter().eq(0..count as i64)
}
