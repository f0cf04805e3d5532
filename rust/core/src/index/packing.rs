//! Which items share a sequence.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::memory;

/// How items are put into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// In order; a bin is closed when the next item does not fit (next fit).
    Sequential,
    /// Longest first, each into the fullest bin that it fits (best fit decreasing): at most
    /// 11/9 of the fewest bins possible, plus 4.
    Best,
}

/// Distributes items of the given lengths over bins of `capacity`. Returns the items of each bin, in
/// increasing order.
pub fn pack(lengths: &[i64], capacity: i64, strategy: Strategy) -> Result<Vec<Vec<usize>>> {
    if capacity < 1 || capacity > i64::from(i32::MAX) {
        let ends = "1 and 2**31 - 1";
        return Err(Error::out_of_range("capacity", ends, capacity));
    }
    for (item, length) in lengths.iter().enumerate() {
        if !(1..=capacity).contains(length) {
            let reason =
                format!("item {item} must be between 1 and capacity={capacity}, got {length}");
            return Err(Error::invalid("lengths", reason));
        }
    }
    let bins = match strategy {
        Strategy::Sequential => next_fit(lengths, capacity)?,
        Strategy::Best => best_fit_decreasing(lengths, capacity)?,
    };
    items_of(&bins)
}

/// The bin of each item, bins being numbered from 0 on.
type Bins = Vec<usize>;

/// The items of each bin.
fn items_of(bins: &Bins) -> Result<Vec<Vec<usize>>> {
    let count = bins.iter().max().map_or(0, |last| last + 1);
    let mut sizes = memory::filled(count, 0, "sizes of bins")?;
    for bin in bins {
        sizes[*bin] += 1;
    }
    let mut items = memory::with_capacity(count, "bins")?;
    for size in sizes {
        items.push(memory::with_capacity(size, "a bin")?);
    }
    for (item, bin) in bins.iter().enumerate() {
        items[*bin].push(item);
    }
    Ok(items)
}

fn next_fit(lengths: &[i64], capacity: i64) -> Result<Bins> {
    let mut bins = memory::with_capacity(lengths.len(), "bins of items")?;
    let (mut bin, mut free) = (0, capacity);
    for length in lengths {
        if *length > free {
            bin += 1;
            free = capacity;
        }
        free -= length;
        bins.push(bin);
    }
    Ok(bins)
}

fn best_fit_decreasing(lengths: &[i64], capacity: i64) -> Result<Bins> {
    let mut items = memory::collect(0..lengths.len(), "items by length")?;
    // Equal items keep their order.
    items.sort_unstable_by_key(|item| (Reverse(lengths[*item]), *item));
    let mut bins = memory::filled(lengths.len(), 0, "bins of items")?;
    let mut count = 0;
    // What is free in each bin, when it was filled last, and which it is.
    let mut by_free: BTreeSet<(i64, usize, usize)> = BTreeSet::new();
    for (time, item) in items.into_iter().enumerate() {
        let length = lengths[item];
        // The fullest, and of those that are equally full the one filled last.
        let fullest = by_free.range((length, 0, 0)..).next();
        let fit = fullest.and_then(|(free, ..)| {
            let last = (*free, usize::MAX, usize::MAX);
            by_free.range(..=last).next_back().copied()
        });
        let (free, bin) = match fit {
            Some(found) => {
                by_free.remove(&found);
                (found.0, found.2)
            }
            None => {
                count += 1;
                (capacity, count - 1)
            }
        };
        bins[item] = bin;
        by_free.insert((free - length, time, bin));
    }
    Ok(bins)
}

#[cfg(test)]
mod tests {
    use super::{Strategy, pack};
    use proptest::prelude::{any, prop_assert, proptest};
    use std::collections::BTreeSet;
    use std::mem;

    #[test]
    fn sequential_keeps_the_order() {
        let bins = pack(&[2, 3, 4, 5, 6], 11, Strategy::Sequential).unwrap();
        assert_eq!(bins, [vec![0, 1, 2], vec![3, 4]]);
    }

    #[test]
    fn best_fills_what_sequential_leaves() {
        let bins = pack(&[6, 7, 4, 3], 10, Strategy::Best).unwrap();
        assert_eq!(bins, [vec![1, 3], vec![0, 2]]);
        assert_eq!(
            pack(&[6, 7, 4, 3], 10, Strategy::Sequential).unwrap().len(),
            3
        );
    }

    #[test]
    fn items_that_cannot_fit_are_refused() {
        let refused = |lengths: &[i64]| pack(lengths, 10, Strategy::Best).unwrap_err().to_string();
        assert_eq!(
            refused(&[1, 11]),
            "lengths item 1 must be between 1 and capacity=10, got 11"
        );
        assert_eq!(
            refused(&[0]),
            "lengths item 0 must be between 1 and capacity=10, got 0"
        );
    }

    proptest! {
        #[test]
        fn every_item_is_in_one_bin_within_its_capacity(
            lengths in proptest::collection::vec(1i64..50, 0..60),
            best in any::<bool>(),
        ) {
            let strategy = if best { Strategy::Best } else { Strategy::Sequential };
            let bins = pack(&lengths, 50, strategy).unwrap();
            let mut seen: Vec<usize> = bins.concat();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..lengths.len()));
            let filled = |bin: &[usize]| bin.iter().map(|item| lengths[*item]).sum::<i64>();
            prop_assert!(bins.iter().all(|bin| filled(bin) <= 50 && bin.is_sorted()));
        }

        #[test]
        fn best_takes_few_bins_more_than_the_fewest(
            cuts in proptest::collection::vec(proptest::collection::btree_set(1i64..100, 1..3), 1..300),
            order in proptest::collection::vec(any::<u32>(), 900),
        ) {
            // Parts of whole bins, which are the fewest, out of order.
            let fewest = cuts.len();
            let ends = |cut: BTreeSet<i64>| cut.into_iter().chain([100]);
            let parts = cuts.into_iter().flat_map(|cut| {
                let mut last = 0;
                ends(cut).map(move |end| end - mem::replace(&mut last, end))
            });
            let mut parts: Vec<_> = parts.zip(order).collect();
            parts.sort_unstable_by_key(|(_, order)| *order);
            let lengths: Vec<_> = parts.into_iter().map(|(length, _)| length).collect();
            let bins = pack(&lengths, 100, Strategy::Best).unwrap();
            prop_assert!(9 * bins.len() <= 11 * fewest + 9 * 4, "{} for {fewest}", bins.len());
        }
    }
}
