//! What refuses tokens that are otherwise good: sign-ins that were taken back, users who are banned or whose tokens from
//! before some time count no more. In memory for each check; the rows are the truth and are read at the start.
//!
//! When something may be forgotten is told by the steady clock: one that jumps ahead and back would let revoked tokens in.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use uuid::Uuid;

use crate::ids::{Timestamp, UserId};
use crate::storage::accounts::Refusals;

/// See the module.
#[derive(Default, Debug)]
pub struct Revoked(RwLock<Known>);

#[derive(Default, Debug)]
struct Known {
    /// When each was heard of, by the steady clock.
    sign_ins: HashMap<Uuid, Timestamp>,
    tokens_from: HashMap<UserId, Timestamp>,
    banned: HashSet<UserId>,
}

impl Revoked {
    /// Whether a token is refused. `made`: its `iat`; one without counts as made long ago.
    #[must_use]
    pub fn refuses(&self, user: &UserId, sign_in: Option<Uuid>, made: Option<Timestamp>) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.banned.contains(user)
            || sign_in.is_some_and(|id| known.sign_ins.contains_key(&id))
            || known.tokens_from.get(user).is_some_and(|from| made.unwrap_or(Timestamp::ZERO) < *from)
    }

    /// Whether a user is banned.
    #[must_use]
    pub(crate) fn is_banned(&self, user: &UserId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).banned.contains(user)
    }

    /// What the rows say, read at this moment of the steady clock.
    pub(crate) fn load(&self, rows: Refusals, steady: Timestamp) {
        self.change(|known| {
            known.sign_ins.extend(rows.sign_ins.into_iter().map(|(id, _)| (id, steady)));
            known.tokens_from.extend(rows.tokens_from);
            known.banned.extend(rows.banned);
        });
    }

    /// Sign-ins are taken back, at this moment of the steady clock.
    pub(crate) fn sign_ins(&self, ids: &[Uuid], steady: Timestamp) {
        self.change(|known| known.sign_ins.extend(ids.iter().map(|id| (*id, steady))));
    }

    /// A user is banned, or not any more.
    pub fn ban(&self, user: &UserId, banned: bool) {
        self.change(|known| {
            if banned {
                known.banned.insert(user.clone())
            } else {
                known.banned.remove(user)
            };
        });
    }

    /// Tokens of this user from before `from` count no more.
    pub(crate) fn tokens_from(&self, user: &UserId, from: Timestamp) {
        self.change(|known| _ = known.tokens_from.insert(user.clone(), from));
    }

    /// Forgets sign-ins that were heard of before this moment of the steady clock: their last access token has expired.
    pub fn forget(&self, steady: Timestamp) {
        self.change(|known| known.sign_ins.retain(|_, when| *when >= steady));
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
