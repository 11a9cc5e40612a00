//! The name that somebody probably meant.

/// The most similar of `names`, if one is similar enough to be worth a hint.
pub(super) fn closest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Alike enough: a letter wrong, missing or swapped in a name of usual length.
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
