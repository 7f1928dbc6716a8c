//! How a PostgreSQL is reached, and what that means for statements and settings.

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::storage) enum Route {
    /// A connection is a session of the server: it keeps its settings and its prepared statements.
    Direct,
    /// A pooler in transaction mode stands between: each transaction may meet another session, which knows nothing of the
    /// one before. So each brings its settings, prepares its statements without a name, and no statement goes without one.
    Pooled,
}

impl Route {
    /// As `store.pooler` says.
    #[must_use]
    pub(super) fn of(pooler: bool) -> Self {
        if pooler { Self::Pooled } else { Self::Direct }
    }

    /// Whether a connection knows a statement that it was given before.
    pub(super) fn keeps_statements(self) -> bool {
        self == Self::Direct
    }

    /// How a transaction that writes begins. A commit that was answered survives a crash of the server, whatever its
    /// operator's default is; and no lock is waited for longer than [`crate::limits::SQL_WAIT`].
    pub(super) fn begin_writing(self) -> &'static str {
        match self {
            Self::Direct => "BEGIN",
            Self::Pooled => "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'",
        }
    }

    /// How a transaction that reads begins: all of it is of the moment of its first statement.
    pub(super) fn begin_reading(self) -> &'static str {
        match self {
            Self::Direct => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Pooled => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '5s'",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn every_route_waits_for_locks_for_the_same_time() {
        assert_eq!(limits::SQL_WAIT.as_secs_f64(), 5.0);
        for text in [Route::Pooled.begin_writing(), Route::Pooled.begin_reading()] {
            assert!(text.ends_with("lock_timeout = '5s'"), "{text}");
        }
    }
}
