//! One placeholder an item becomes as many as the item has tokens.

use crate::error::{Error, Result};
use crate::memory;

/// Replaces the i-th occurrence of `token` in `ids` by `counts[i]` copies of it. Returns the expanded
/// ids and, for each item, the positions `[start, end)` of its copies.
pub fn expand_placeholders(
    ids: &[i64],
    token: i64,
    counts: &[i64],
) -> Result<(Vec<i64>, Vec<[i64; 2]>)> {
    let found = ids.iter().filter(|id| **id == token).count();
    if found != counts.len() {
        let reason = format!(
            "must have one entry for each of the {found} placeholders (token {token}) in input_ids, \
             got {}",
            counts.len()
        );
        return Err(Error::invalid("counts", reason));
    }
    let mut total = ids.len() - found;
    for (item, count) in counts.iter().enumerate() {
        if !(1..=i64::from(i32::MAX)).contains(count) {
            let reason = format!("item {item} must be between 1 and 2**31 - 1, got {count}");
            return Err(Error::invalid("counts", reason));
        }
        total = total.saturating_add(*count as usize);
    }
    let mut expanded = memory::with_capacity(total, "expanded ids")?;
    let mut offsets = memory::with_capacity(found, "offsets")?;
    let mut counts = counts.iter();
    for id in ids {
        let start = expanded.len();
        match (*id == token).then(|| counts.next()).flatten() {
            Some(count) => {
                expanded.resize(start + *count as usize, token);
                offsets.push([start as i64, expanded.len() as i64]);
            }
            None => expanded.push(*id),
        }
    }
    Ok((expanded, offsets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_takes_its_count() {
        let (ids, offsets) = expand_placeholders(&[1, 9, 2, 9, 9], 9, &[3, 1, 2]).unwrap();
        assert_eq!(ids, [1, 9, 9, 9, 2, 9, 9, 9]);
        assert_eq!(offsets, [[1, 4], [5, 6], [6, 8]]);
    }

    #[test]
    fn counts_must_agree() {
        let message = expand_placeholders(&[1, 9], 9, &[3, 1])
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "counts must have one entry for each of the 1 placeholders (token 9) in input_ids, got 2"
        );
        assert!(expand_placeholders(&[9], 9, &[0]).is_err());
    }
}
