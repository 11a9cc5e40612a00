//! Segment ids and the names of the files they stand for.

use std::fmt;
use std::path::{Path, PathBuf};

/// Names a segment; 1 is the first, later ones are larger, none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

/// The suffix of a checkpoint that is not published.
pub(crate) const UNPUBLISHED: &str = ".checkpoint.tmp";

impl SegmentId {
    pub(crate) fn next(self) -> SegmentId {
        SegmentId(self.0 + 1)
    }

    pub(crate) fn wal_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{self}.wal"))
    }

    pub(crate) fn checkpoint_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{self}.checkpoint"))
    }

    pub(crate) fn unpublished_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{self}{UNPUBLISHED}"))
    }

    fn parse(name: &str, suffix: &str) -> Option<SegmentId> {
        let digits = name.strip_suffix(suffix)?;
        let id = SegmentId(digits.parse().ok().filter(|id| (1..u64::MAX / 2).contains(id))?);
        (id.to_string() == digits).then_some(id)
    }
}

/// The ids of segments and checkpoints among the names of a directory, each ascending.
pub(crate) fn parse_names(names: &[String]) -> (Vec<SegmentId>, Vec<SegmentId>) {
    let ids = |suffix| {
        let mut ids: Vec<_> = names.iter().filter_map(|name| SegmentId::parse(name, suffix)).collect();
        ids.sort_unstable();
        ids
    };
    (ids(".wal"), ids(".checkpoint"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_this_crate_would_write_are_taken() {
        let names = ["00000002.wal", "100000000.wal", "2.wal", "00000000.wal", "+0000001.wal", "00000003.checkpoint"];
        let names = names.map(str::to_owned);
        assert_eq!(parse_names(&names), (vec![SegmentId(2), SegmentId(100_000_000)], vec![SegmentId(3)]));
        assert_eq!(SegmentId::parse("99999999999999999999.wal", ".wal"), None);
    }
}
