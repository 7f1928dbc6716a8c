//! The room list of a user.

use std::collections::VecDeque;

use super::{read, statements};
use crate::ids::{MessageNo, RoomId, Seq, Timestamp, UserId};
use crate::storage::sql::{Binder, Columns, Session};
use crate::storage::store::StoreError;
use crate::storage::store::rows::{MEMBER, PageBound, RoomListCursor, RoomListPage, RoomListRow, Shelf};

/// Lines that are read at a time: what a page's bound in bytes does not take of them was read for nothing.
const CHUNK: usize = 16;

/// See [`crate::storage::store::Store::room_list`]. In a snapshot.
///
/// Two lists are merged. Of most rooms the members' rows say when something happened last, so that the index has the list
/// in its order. Of rooms with very many members they do not: a message there would move a row of each. Of those all that
/// the user is in are looked at, one index look-up each.
pub(super) async fn room_list(
    session: &mut Session<'_>,
    user: &UserId,
    shelf: Shelf,
    after: Option<RoomListCursor>,
    bound: PageBound,
) -> Result<RoomListPage, StoreError> {
    let mut large = session.list(statements::LIST_LARGE, |b| _ = b.text(user.as_str()), large_room).await?;
    large.retain(|(of, key)| *of == shelf && after.is_none_or(|after| *key < after));
    // The next one stands last.
    large.sort_unstable_by_key(|(_, key)| *key);
    let (mut lines, mut from, mut whole) = (VecDeque::new(), after, false);
    let (mut page, mut bytes) = (RoomListPage::default(), 0);
    loop {
        if lines.is_empty() && !whole {
            let wanted = CHUNK.min(bound.rows.saturating_add(1).saturating_sub(page.rows.len()));
            lines = chunk(session, user, shelf, from, wanted).await?.into();
            whole = lines.len() < wanted;
            from = lines.back().map(RoomListRow::cursor).or(from);
        }
        let of_large = large.last().map(|(_, key)| *key);
        let row = match lines.front().map(RoomListRow::cursor).max(of_large) {
            None => return Ok(page),
            next if next == of_large => {
                large.pop();
                let Some(key) = next else { return Ok(page) };
                match room_line(session, user, key.room).await? {
                    Some(row) => row,
                    None => continue,
                }
            }
            Some(_) => match lines.pop_front() {
                Some(row) => row,
                None => return Ok(page),
            },
        };
        if !bound.takes(page.rows.len(), bytes, row.bytes()) {
            page.more = true;
            return Ok(page);
        }
        bytes += row.bytes();
        page.rows.push(row);
    }
}

/// The next lines of those rooms that the members' rows follow.
async fn chunk(
    session: &mut Session<'_>,
    user: &UserId,
    shelf: Shelf,
    after: Option<RoomListCursor>,
    limit: usize,
) -> Result<Vec<RoomListRow>, StoreError> {
    let after = after.unwrap_or(RoomListCursor { at: Timestamp(i64::MAX as u64), room: RoomId(uuid::Uuid::max()) });
    let bind = |b: &mut Binder| {
        b.text(user.as_str()).int(shelf.number()).int(after.at.as_i64()).room(after.room).count(limit);
    };
    session.list(statements::LIST, bind, line).await
}

pub(super) async fn room_line(
    session: &mut Session<'_>,
    user: &UserId,
    room: RoomId,
) -> Result<Option<RoomListRow>, StoreError> {
    session.one(statements::LIST_LINE, |b| _ = b.text(user.as_str()).room(room), line).await
}

fn large_room(c: &mut Columns<'_>) -> Result<(Shelf, RoomListCursor), StoreError> {
    let (room, status) = (c.room()?, c.number()?);
    Ok((Shelf::of(status), RoomListCursor { at: c.time()?, room }))
}

fn line(c: &mut Columns<'_>) -> Result<RoomListRow, StoreError> {
    let (state, sent_no, joined_no) = (c.number()?, c.no()?, c.no()?);
    let read_seq = c.opt_seq()?.unwrap_or(Seq::ZERO);
    let read_no = c.opt_no()?.unwrap_or(MessageNo::ZERO);
    let chat = read::chat(c)?;
    let last_message = if c.flag()? { Some(read::message(c)?) } else { None };
    let unread = if state == MEMBER { chat.last_no.0.saturating_sub(read_no.max(sent_no).max(joined_no).0) } else { 0 };
    Ok(RoomListRow { chat, state, read_seq, unread, last_message })
}
