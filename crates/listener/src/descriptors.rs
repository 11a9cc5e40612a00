//! The limit of open files, which connections must leave room in.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not for connections: blocks, the log, and what libraries open.
const OTHER_DESCRIPTORS: u64 = 256;

/// Raises the limit of open files as far as the process may, and returns it. `None`: there is no limit.
pub fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
        return limit.current;
    }
    limit.maximum
}

/// How many of the `wanted` connections each of `listeners` may have under a limit of open files; at least 16.
pub fn connections_within(limit: Option<u64>, listeners: u64, wanted: usize) -> usize {
    const CONNECTIONS_MIN: usize = 16;
    let Some(limit) = limit else { return wanted };
    let share = limit.saturating_sub(OTHER_DESCRIPTORS) / listeners.max(1);
    wanted.min(usize::try_from(share).unwrap_or(usize::MAX).max(CONNECTIONS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        assert_eq!(connections_within(None, 2, 512), 512);
        assert_eq!(connections_within(Some(1 << 20), 2, 512), 512);
        assert_eq!(connections_within(Some(1024), 2, 512), 384);
        assert_eq!(connections_within(Some(64), 2, 512), 16);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        let raised = raise_descriptor_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, raised);
        assert_eq!(getrlimit(Resource::Nofile).maximum, raised);
    }
}
