//! How many facts the relay has still to tell, by the user who caused them: admission holds back users who are far ahead.

use std::collections::HashMap;

use tokio::sync::watch;

use crate::ids::UserId;

/// Facts that are held, of users with [`limits::OWED`](crate::limits::OWED) or more.
#[derive(Debug)]
pub(crate) struct Owed {
    users: watch::Sender<HashMap<UserId, usize>>,
}

impl Default for Owed {
    fn default() -> Self {
        Self { users: watch::Sender::new(HashMap::new()) }
    }
}

impl Owed {
    /// What is held now.
    pub(crate) fn set(&self, users: HashMap<UserId, usize>) {
        self.users.send_if_modified(|before| {
            let changed = *before != users;
            *before = users;
            changed
        });
    }

    /// Facts of this user; 0 if they are few.
    #[must_use]
    pub(crate) fn of(&self, user: &UserId) -> usize {
        self.users.borrow().get(user).copied().unwrap_or(0)
    }

    /// Changes whenever the numbers do.
    #[must_use]
    pub(crate) fn changes(&self) -> watch::Receiver<HashMap<UserId, usize>> {
        self.users.subscribe()
    }
}
