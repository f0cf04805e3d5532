//! Which items share a sequence.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

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
        let reason = format!("must be between 1 and 2**31 - 1, got {capacity}");
        return Err(Error::invalid("capacity", reason));
    }
    for (item, length) in lengths.iter().enumerate() {
        if !(1..=capacity).contains(length) {
            let reason =
                format!("item {item} must be between 1 and capacity={capacity}, got {length}");
            return Err(Error::invalid("lengths", reason));
        }
    }
    Ok(match strategy {
        Strategy::Sequential => next_fit(lengths, capacity),
        Strategy::Best => best_fit_decreasing(lengths, capacity),
    })
}

fn next_fit(lengths: &[i64], capacity: i64) -> Vec<Vec<usize>> {
    let mut bins: Vec<Vec<usize>> = Vec::new();
    let mut free = 0;
    for (item, length) in lengths.iter().enumerate() {
        match bins.last_mut() {
            Some(bin) if *length <= free => bin.push(item),
            _ => {
                bins.push(vec![item]);
                free = capacity;
            }
        }
        free -= length;
    }
    bins
}

fn best_fit_decreasing(lengths: &[i64], capacity: i64) -> Vec<Vec<usize>> {
    let mut items: Vec<usize> = (0..lengths.len()).collect();
    // Stable, so that equal items keep their order.
    items.sort_by_key(|item| std::cmp::Reverse(lengths[*item]));
    let mut bins: Vec<Vec<usize>> = Vec::new();
    // Bins by what is free in them, the one filled last at the end.
    let mut by_free: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for item in items {
        let length = lengths[item];
        let fit = by_free
            .range_mut(length..)
            .next()
            .and_then(|(free, bins)| Some((*free, bins.pop()?, bins.is_empty())));
        let (free, bin) = match fit {
            Some((free, bin, emptied)) => {
                if emptied {
                    by_free.remove(&free);
                }
                bins[bin].push(item);
                (free, bin)
            }
            None => {
                bins.push(vec![item]);
                (capacity, bins.len() - 1)
            }
        };
        by_free.entry(free - length).or_default().push(bin);
    }
    for bin in &mut bins {
        bin.sort_unstable();
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::{Strategy, pack};
    use proptest::prelude::{any, prop_assert, proptest};

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
            if best {
                // The bound that is stated, against the bins that the total length needs.
                let fewest = (lengths.iter().sum::<i64>() as usize).div_ceil(50);
                let half_empty = bins.iter().filter(|bin| filled(bin) <= 25).count();
                prop_assert!(half_empty <= 1 && bins.len() >= fewest);
            }
        }
    }
}
