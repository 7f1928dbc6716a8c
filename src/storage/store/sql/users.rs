//! Users as their folds need them, many at a time. Somebody of whom there are no rows, as most of those are who are asked into
//! a room of strangers, costs a place in one statement.

use std::collections::BTreeMap;

use super::read;
use super::statements::Bulks;
use crate::ids::{DeviceId, UserId};
use crate::storage::sql::{Bulk, Columns, Pool, Session, damaged};
use crate::storage::store::StoreError;
use crate::storage::store::rows::{BlockRow, DeviceRow, UserRoomRow, UserRows};

type Result<T> = std::result::Result<T, StoreError>;

/// Tables with rows of a user beside the user's own, in the order of the flags in [`Bulks::user_heads`].
#[derive(Clone, Copy)]
enum Part {
    Devices,
    Blocks,
    Rooms,
    ReadMarks,
    Sources,
}

/// What one statement says of a user: the own row, the watermark of that moment, and in which tables there is more.
struct Head {
    snapshot: UserRows,
    has: [bool; 5],
}

/// See [`crate::storage::store::Store::user_snapshots`].
pub(super) async fn snapshots(pool: &Pool, bulks: &Bulks, users: &[UserId]) -> Result<Vec<UserRows>> {
    // A statement sees one moment, so whoever has nothing else needs no transaction.
    let mut found = heads(&mut pool.connection().await?.session(), bulks, users).await?;
    let more: Vec<UserId> =
        found.iter().filter(|(_, head)| head.has.contains(&true)).map(|(user, _)| user.clone()).collect();
    if !more.is_empty() {
        let mut snapshot = pool.snapshot().await?;
        found.append(&mut whole(&mut snapshot.session(), bulks, &more).await?);
        snapshot.commit().await?;
    }
    let of = |user| found.remove(user).map(|head| head.snapshot);
    users.iter().map(of).collect::<Option<_>>().ok_or_else(|| damaged("watermarks", "one is missing"))
}

async fn heads(session: &mut Session<'_>, bulks: &Bulks, users: &[UserId]) -> Result<BTreeMap<UserId, Head>> {
    let heads = session
        .bulk_list(&bulks.user_heads, users, |b, user| _ = b.text(user.as_str()).int(user.partition().get()), head)
        .await?;
    Ok(heads.into_iter().collect())
}

fn head(c: &mut Columns<'_>) -> Result<(UserId, Head)> {
    let (user, watermark) = (c.user()?, read::watermark(c)?);
    let has = [c.flag()?, c.flag()?, c.flag()?, c.flag()?, c.flag()?];
    let row = c.opt_user()?.map(|user| read::rest_of_user(user, c)).transpose()?;
    let (devices, blocks, rooms, read_marks, sources) = Default::default();
    let snapshot = UserRows { watermark, user: row, devices, blocks, rooms, read_marks, sources };
    Ok((user, Head { snapshot, has }))
}

/// Everything of these users. In a snapshot.
async fn whole(session: &mut Session<'_>, bulks: &Bulks, users: &[UserId]) -> Result<BTreeMap<UserId, Head>> {
    let mut heads = heads(session, bulks, users).await?;
    let of = &mut heads;
    add(session, &bulks.devices_of, of, Part::Devices, device, |to, row| to.devices.push(row)).await?;
    add(session, &bulks.blocks_of, of, Part::Blocks, block, |to, row| to.blocks.push(row)).await?;
    add(session, &bulks.rooms_of, of, Part::Rooms, user_room, |to, row| to.rooms.push(row)).await?;
    let mark = |c: &mut Columns<'_>| read::read_mark(c).map(|row| (row.user.clone(), row));
    add(session, &bulks.read_marks_of, of, Part::ReadMarks, mark, |to, row| to.read_marks.push(row)).await?;
    let source = |c: &mut Columns<'_>| Ok((c.user()?, read::source(c)?));
    add(session, &bulks.sources_of, of, Part::Sources, source, |to, row| to.sources.push(row)).await?;
    for Head { snapshot, .. } in heads.values_mut() {
        // Most often they came in order, and this costs a look at each.
        snapshot.devices.sort_by(|one, other| one.device.cmp(&other.device));
        snapshot.blocks.sort_by(|one, other| one.blocked.cmp(&other.blocked));
        snapshot.rooms.sort_by_key(|row| row.room);
        snapshot.read_marks.sort_by_key(|row| row.room);
        snapshot.sources.sort_by_key(|row| row.partition);
    }
    Ok(heads)
}

/// Adds the rows of one table to those who have some.
async fn add<T>(
    session: &mut Session<'_>,
    bulk: &Bulk,
    heads: &mut BTreeMap<UserId, Head>,
    part: Part,
    read: impl Fn(&mut Columns<'_>) -> Result<(UserId, T)>,
    put: impl Fn(&mut UserRows, T),
) -> Result<()> {
    let of: Vec<UserId> =
        heads.iter().filter(|(_, head)| head.has[part as usize]).map(|(user, _)| user.clone()).collect();
    for (user, row) in session.bulk_list(bulk, &of, |b, user| _ = b.text(user.as_str()), read).await? {
        if let Some(head) = heads.get_mut(&user) {
            put(&mut head.snapshot, row);
        }
    }
    Ok(())
}

fn device(c: &mut Columns<'_>) -> Result<(UserId, DeviceRow)> {
    let (user, device) = (c.user()?, c.text()?);
    let device = DeviceId::new(&device).map_err(|why| damaged("a device id", why))?;
    let row = DeviceRow { user, device, platform: c.text()?, push_token: c.text()?, seen_at: c.time()? };
    Ok((row.user.clone(), row))
}

fn block(c: &mut Columns<'_>) -> Result<(UserId, BlockRow)> {
    let row = BlockRow { user: c.user()?, blocked: c.user()?, at: c.time()? };
    Ok((row.user.clone(), row))
}

fn user_room(c: &mut Columns<'_>) -> Result<(UserId, UserRoomRow)> {
    let (user, room, kind, state) = (c.user()?, c.room()?, c.number()?, c.number()?);
    let row = UserRoomRow { user, room, kind, state, seq: c.seq()?, muted_until: c.time()? };
    Ok((row.user.clone(), row))
}
