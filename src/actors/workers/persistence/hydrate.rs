//! Reads the rows of what a round is about to fold: rooms one by one, users many at a time, so that a record for each of
//! hundreds of strangers costs a few statements.
//!
//! It decides nothing: what can't be read halts a partition, or ends the round, in [`ProjectorRounds`].

use futures_util::{StreamExt as _, stream};

use super::rounds::{ProjectorRounds, Snapshot};
use crate::actors::wire::Entity;
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::storage::store::{Store, StoreError};

/// Reads that are under way at the same time.
const READS: usize = 4;

enum Hydration {
    Room(RoomId),
    Users(Vec<UserId>),
}

/// Reads the rows of everything that the projector is missing, until one of them ends the round.
pub(super) async fn hydrate(store: &dyn Store, missing: Vec<Entity>, rounds: &mut ProjectorRounds) {
    let mut answers = stream::iter(hydrations(missing)).map(|one| read(store, one)).buffer_unordered(READS);
    while let Some(snapshots) = answers.next().await {
        for snapshot in snapshots {
            if !rounds.hydrated(snapshot) {
                return;
            }
        }
    }
}

fn hydrations(missing: Vec<Entity>) -> Vec<Hydration> {
    let (mut hydrations, mut users) = (Vec::new(), Vec::new());
    for entity in missing {
        match entity {
            Entity::Room(room) => hydrations.push(Hydration::Room(room)),
            Entity::User(user) => users.push(user),
        }
    }
    hydrations.extend(users.chunks(limits::PROJECTOR_USERS).map(|users| Hydration::Users(users.to_vec())));
    hydrations
}

async fn read(store: &dyn Store, hydration: Hydration) -> Vec<Snapshot> {
    let users = match hydration {
        Hydration::Room(room) => return vec![Snapshot::Room(room, store.room(room).await)],
        Hydration::Users(users) => users,
    };
    match store.user_snapshots(&users).await {
        Ok(found) => users.into_iter().zip(found).map(|(user, found)| Snapshot::User(user, Ok(found))).collect(),
        // Only one of them may be damaged: each is asked for alone.
        Err(StoreError::Damaged(_)) => {
            let mut snapshots = Vec::new();
            for user in users {
                let found = store.user(&user).await;
                snapshots.push(Snapshot::User(user, found));
            }
            snapshots
        }
        Err(error) => users.into_iter().map(|user| Snapshot::User(user, Err(error.clone()))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_for_each_of_many_strangers_costs_few_reads() {
        let strangers = (0..900).map(|n| Entity::User(UserId::new(&format!("s{n}")).unwrap()));
        let rooms = (0..3).map(|n| Entity::Room(RoomId(uuid::Uuid::from_u128(n))));
        let hydrations = hydrations(rooms.chain(strangers).collect());
        assert_eq!(hydrations.len(), 3 + 900_usize.div_ceil(limits::PROJECTOR_USERS));
        let users: usize =
            hydrations.iter().map(|one| if let Hydration::Users(users) = one { users.len() } else { 0 }).sum();
        assert_eq!(users, 900);
    }
}
