//! A user's share of the queues that everybody waits in: the users named by commands that the store does not have yet, and
//! the facts that the relay has still to tell because of them. A user whose share is used up waits until some of it is
//! done, and is refused if that takes too long. Messages pass.
//!
//! Rate limits say how often a user may write. This says how far a user may be ahead of the machine, whatever the rates are:
//! they go as fast as the work that they cause is done, and others find short queues.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::admission::Cost;
use crate::actors::halted::Halted;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::relay::Owed;
use crate::ids::{Offset, Partition, UserId};
use crate::limits;

/// How long a command waits for its place.
const DEADLINE: Duration = Duration::from_secs(2);

/// What one user is ahead with.
#[derive(Debug, Default)]
struct Ahead {
    /// Of commands that are not answered yet.
    asked: usize,
    /// Of those that are, with where they lie.
    unstored: Vec<(Partition, Offset, usize)>,
}

/// The shares of all users.
#[derive(Debug)]
pub(crate) struct Shares {
    users: Mutex<HashMap<UserId, Ahead>>,
    owed: Arc<Owed>,
}

/// His share is used up, and was not worked off in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the user is too far ahead")]
pub(crate) struct TooFar;

/// A command's place in its user's share. Dropped, it gives it back.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    shares: &'a Shares,
    user: UserId,
    weight: usize,
}

/// What a command weighs: a change itself, and each user whom it names.
#[must_use]
pub(super) fn weight(cost: Cost) -> usize {
    match cost {
        Cost::Change { users, .. } => users + 1,
        Cost::Message | Cost::Question { .. } | Cost::Search => 0,
    }
}

impl Shares {
    /// Nobody is ahead. `owed` is what the relay has still to tell, by who caused it.
    #[must_use]
    pub(crate) fn new(owed: Arc<Owed>) -> Self {
        Self { users: Mutex::default(), owed }
    }

    /// A place for a command of this [`weight`]. The first one always has one, however heavy it is.
    ///
    /// # Errors
    /// There was none within two seconds.
    pub(crate) async fn place(
        &self,
        user: &UserId,
        weight: usize,
        stored: &Watermarks,
        halted: &Halted,
    ) -> Result<Place<'_>, TooFar> {
        let wait = async {
            let (mut stores, mut tells) = (stored.changes(), self.owed.changes());
            loop {
                stores.borrow_and_update();
                tells.borrow_and_update();
                if let Some(place) = self.take(user, weight, stored, halted) {
                    return place;
                }
                tokio::select! {
                    _ = stores.changed() => {}
                    _ = tells.changed() => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.map_err(|_| TooFar)
    }

    fn take(&self, user: &UserId, weight: usize, stored: &Watermarks, halted: &Halted) -> Option<Place<'_>> {
        let mut users = self.lock();
        let ahead = users.entry(user.clone()).or_default();
        // What a halted partition does not store is nobody's burden.
        ahead.unstored.retain(|(partition, end, _)| stored.get(*partition) < *end && !halted.is(*partition));
        let unstored: usize = ahead.unstored.iter().map(|(.., weight)| weight).sum();
        let sum = ahead.asked + unstored + self.owed.of(user);
        if sum > 0 && weight > 0 && sum + weight > limits::SHARE {
            if ahead.asked == 0 && ahead.unstored.is_empty() {
                users.remove(user);
            }
            return None;
        }
        ahead.asked += weight;
        Some(Place { shares: self, user: user.clone(), weight })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Ahead>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn users(&self) -> usize {
        self.lock().len()
    }
}

impl Place<'_> {
    /// The command was answered and lies below `end`: it weighs until the store has it.
    pub(crate) fn answered(self, partition: Partition, end: Offset, stored: &Watermarks) {
        if stored.get(partition) < end
            && let Some(ahead) = self.shares.lock().get_mut(&self.user)
        {
            ahead.unstored.push((partition, end, self.weight));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut users = self.shares.lock();
        if let Some(ahead) = users.get_mut(&self.user) {
            ahead.asked -= self.weight;
            if ahead.asked == 0 && ahead.unstored.is_empty() {
                users.remove(&self.user);
            }
        }
        // Those who were ahead once and came back no more.
        if users.len() > limits::SHARES {
            users.retain(|_, ahead| ahead.asked > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    struct World {
        shares: Shares,
        owed: Arc<Owed>,
        stored: Watermarks,
        halted: Halted,
    }

    impl World {
        fn new() -> Self {
            let owed = Arc::new(Owed::default());
            let shares = Shares::new(Arc::clone(&owed));
            Self { shares, owed, stored: Watermarks::new(), halted: Halted::default() }
        }

        async fn place(&self, name: &str, weight: usize) -> Result<Place<'_>, TooFar> {
            self.shares.place(&user(name), weight, &self.stored, &self.halted).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_named_his_share_waits_until_it_is_stored_and_told_and_nobody_else_does() {
        let world = World::new();
        let here = Partition::FIRST;
        let first = world.place("mallory", limits::SHARE).await.unwrap();
        assert_eq!(world.place("mallory", 1).await.err(), Some(TooFar), "it is not answered");
        world.place("ann", 900).await.unwrap();
        first.answered(here, Offset(1), &world.stored);
        assert_eq!(world.place("mallory", 1).await.err(), Some(TooFar), "it is not stored");
        world.owed.set(HashMap::from([(user("mallory"), limits::SHARE)]));
        world.stored.raise(here, Offset(1));
        assert_eq!(world.place("mallory", 1).await.err(), Some(TooFar), "it is not told");
        world.place("ann", 900).await.unwrap();
        let told = async { world.owed.set(HashMap::new()) };
        let (place, ()) = tokio::join!(world.place("mallory", 1), told);
        drop(place.unwrap());
        assert_eq!(world.shares.users(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_heavy_command_passes_and_a_refused_one_gives_its_place_back() {
        let world = World::new();
        let heavy = world.place("ann", 10 * limits::SHARE).await.unwrap();
        assert_eq!(world.place("ann", 1).await.err(), Some(TooFar));
        drop(heavy);
        drop(world.place("ann", 1).await.unwrap());
        assert_eq!(world.shares.users(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_halted_partition_does_not_store_weighs_nothing() {
        let world = World::new();
        let place = world.place("ann", limits::SHARE).await.unwrap();
        place.answered(Partition::FIRST, Offset(1), &world.stored);
        assert_eq!(world.place("ann", 1).await.err(), Some(TooFar));
        world.halted.mark(Partition::FIRST, "a test");
        world.place("ann", 1).await.unwrap();
    }
}
