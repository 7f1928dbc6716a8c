//! How many files the process may have open. Shells and service managers start with 1,024, which is that many
//! connections; the hard limit is usually far above, and a process may go up to it by itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one. If that is refused the server runs with what it has, and says so.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => tracing::debug!(before = ?limit.current, now = ?limit.maximum, "open files"),
        Err(error) => tracing::warn!(%error, limit = ?limit.current, "the limit of open files can't be raised"),
    }
}
