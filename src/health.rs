//! Whether this node is ready, and if not, why: named checks that its parts keep up to date.
//!
//! Reading is cheap and waits for nothing; a part that does not answer must have its check taken down by who notices.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::shutdown::Shutdown;

/// The checks of a node. Clones share them.
#[derive(Clone, Debug)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<&'static str, State>>>,
    shutdown: Shutdown,
}

/// How one part is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// It works.
    Up,
    /// It works, and something about it deserves a look.
    Warning(String),
    /// It does not (yet), and why.
    Down(String),
}

/// The handle of a part to its check.
#[derive(Clone, Debug)]
pub struct Check {
    name: &'static str,
    checks: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

/// All checks at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Draining has begun.
    pub draining: bool,
    /// Each check by name.
    pub checks: BTreeMap<&'static str, State>,
}

impl Health {
    /// No checks yet: ready, unless `shutdown` has begun.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self { checks: Arc::default(), shutdown }
    }

    /// Adds a check, or takes it over; it is down as "starting" until the handle says otherwise.
    #[must_use]
    pub fn check(&self, name: &'static str) -> Check {
        let check = Check { name, checks: self.checks.clone() };
        check.down("starting");
        check
    }

    /// All checks now.
    #[must_use]
    pub fn report(&self) -> Report {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report { draining: self.shutdown.is_draining(), checks }
    }
}

impl Check {
    /// The part works.
    pub fn up(&self) {
        self.set(State::Up);
    }

    /// The part works; `why` says what deserves a look, and holds no user data.
    pub fn warn(&self, why: impl Into<String>) {
        self.set(State::Warning(why.into()));
    }

    /// The part does not work; `why` is for the operator and holds no user data.
    pub fn down(&self, why: impl Into<String>) {
        self.set(State::Down(why.into()));
    }

    fn set(&self, state: State) {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name, state);
    }
}

impl Report {
    /// Whether clients should be sent here.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.draining && !self.checks.values().any(|state| matches!(state, State::Down(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_check_is_up_and_no_drain_has_begun() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        let (journal, store) = (health.check("journal"), health.check("store"));
        assert!(!health.report().ready());
        journal.up();
        store.up();
        assert!(health.report().ready());
        store.down("disk full");
        assert_eq!(health.report().checks["store"], State::Down("disk full".to_owned()));
        assert!(!health.report().ready());
        store.warn("slow");
        assert!(health.report().ready(), "a warning is no reason to send clients away");
        shutdown.begin();
        assert!(!health.report().ready());
    }
}
