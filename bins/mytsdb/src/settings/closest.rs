//! Finds the known name that is most similar to a mistyped one.

/// The most similar of `names`, if it is similar enough for a hint.
pub(super) fn closest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Least similarity for a hint: one wrong, missing or swapped letter in a name of usual length.
    const SIMILARITY_MIN: f64 = 0.8;
    let scored = names.map(|name| (strsim::jaro_winkler(given, name), name));
    scored.filter(|(score, _)| *score >= SIMILARITY_MIN).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name_and_another_word_finds_none() {
        let names = || ["retention", "max_series", "query_max_samples"].into_iter();
        assert_eq!(closest("retension", names()), Some("retention"));
        assert_eq!(closest("max-serie", names()), Some("max_series"));
        assert_eq!(closest("zzz", names()), None);
    }
}
