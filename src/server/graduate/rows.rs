//! The rows, into PostgreSQL, table by table; and whether rooms and users that are made of them are the same.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use super::super::storage::Storage;
use super::{GraduateError, Told};
use crate::actors::workers::persistence::rows;
use crate::ids::{RoomId, UserId};
use crate::storage::retention;
use crate::storage::sql::{Connections, transfer};
use crate::storage::store::Store;

/// Rooms and users that are compared at the same time.
const AT_ONCE: usize = 4;

/// Fills each table that does not hold the same yet, and compares it.
///
/// # Errors
/// A table differs after all; a database does not answer or does not take a row.
pub(super) async fn copy(
    source: &Storage,
    target: &Connections,
    store: &dyn Store,
    id: Uuid,
    told: Told<'_>,
) -> Result<(), GraduateError> {
    // First of all, so that what is half there is known to be this journal's.
    retention::of_journal(store, id).await?;
    let from = &source.connections;
    for table in transfer::tables(from, target).await? {
        let wanted = transfer::content(from, &table).await?;
        if transfer::content(target, &table).await? == wanted {
            continue;
        }
        transfer::copy(from, target, &table).await?;
        let found = transfer::content(target, &table).await?;
        if found != wanted {
            let why = format!(
                "the table {} has {} rows there and {} here, and they differ",
                table.name, found.rows, wanted.rows
            );
            return Err(GraduateError::Differs(why));
        }
        told(&format!("  {}: {} rows", table.name, found.rows));
    }
    Ok(())
}

/// Makes each room and user of both and compares what the folds would go on from.
///
/// # Errors
/// One of them differs, or can't be made; a database does not answer.
pub(super) async fn compare_states(
    source: &Storage,
    target: &Connections,
    store: &dyn Store,
) -> Result<(), GraduateError> {
    let here = &*source.store;
    let (rooms, users) = transfer::rooms_and_users(&source.connections).await?;
    if transfer::rooms_and_users(target).await?.0.len() != rooms.len() {
        return Err(GraduateError::Differs("there are not as many rooms there as here".to_owned()));
    }
    stream::iter(rooms)
        .map(|id| async move { same(id, room(here, id).await?, room(store, id).await?) })
        .buffer_unordered(AT_ONCE)
        .try_for_each(async |()| Ok(()))
        .await?;
    stream::iter(&users)
        .map(|id| async move { same(id, user(here, id).await?, user(store, id).await?) })
        .buffer_unordered(AT_ONCE)
        .try_for_each(async |()| Ok(()))
        .await
}

fn same<T: PartialEq>(id: impl std::fmt::Display, here: T, there: T) -> Result<(), GraduateError> {
    if here == there {
        return Ok(());
    }
    Err(GraduateError::Differs(format!("{id} is another one of the rows there than of those here")))
}

async fn room(store: &dyn Store, id: RoomId) -> Result<u64, GraduateError> {
    Ok(rows::room_state(id, store.room(id).await?)?.hash())
}

async fn user(store: &dyn Store, id: &UserId) -> Result<u64, GraduateError> {
    Ok(rows::user_state(id, store.user(id).await?)?.hash())
}
