//! "Did you mean …?": the known name that is nearest to an unknown one.

/// The candidate with the fewest edits away from `name`, if that is near enough to be a slip.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, best) = candidates.map(|candidate| (edits(name, candidate), candidate)).min()?;
    let near_enough = distance <= 1 + name.chars().count() / 4;
    near_enough.then_some(best)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let words = ["port", "host", "admin_port"];
        assert_eq!(nearest("prt", words.into_iter()), Some("port"));
        assert_eq!(nearest("adminport", words.into_iter()), Some("admin_port"));
        assert_eq!(nearest("colour", words.into_iter()), None);
    }
}
