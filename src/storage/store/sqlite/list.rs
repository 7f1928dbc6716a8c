//! The room list of a user.

use std::cmp::Reverse;

use sqlx::SqliteConnection;

use super::{read, sql};
use crate::ids::{MessageNo, Seq, UserId};
use crate::storage::store::StoreError;
use crate::storage::store::rows::{MEMBER, RoomListCursor, RoomListRow};

/// What a line is sorted by, and what the list knows of the user's place.
struct Line {
    key: RoomListCursor,
    state: u8,
    /// Messages up to here are read in any case.
    base_no: MessageNo,
}

/// See [`crate::storage::store::Store::room_list`]. In a read transaction.
///
/// All rooms of the user are looked at for their last activity, two index look-ups each, and the page's ones are read:
/// an index by activity would have to be written for each member at each message.
pub(super) async fn room_list(
    conn: &mut SqliteConnection,
    user: &UserId,
    after: Option<RoomListCursor>,
    limit: usize,
) -> Result<Vec<RoomListRow>, StoreError> {
    let mut lines = read::list(conn, sql::LIST_KEYS, |b| _ = b.text(user.as_str()), line).await?;
    if let Some(after) = after {
        lines.retain(|line| line.key < after);
    }
    lines.sort_unstable_by_key(|line| Reverse(line.key));
    lines.truncate(limit);
    let mut list = Vec::with_capacity(lines.len());
    for Line { key, state, base_no } in lines {
        let room = key.room;
        let Some(chat) = read::one(conn, sql::CHAT, |b| _ = b.room(room), read::chat).await? else { continue };
        let mark = read::one(conn, sql::READ_MARK, |b| _ = b.text(user.as_str()).room(room), read::read_mark).await?;
        let last_message = match state {
            MEMBER => read::one(conn, sql::LAST_MESSAGE, |b| _ = b.room(room), read::message).await?,
            _ => None,
        };
        let (read_seq, read_no) = mark.map_or((Seq::ZERO, MessageNo::ZERO), |mark| (mark.seq, mark.no));
        let unread = if state == MEMBER { chat.last_no.0.saturating_sub(read_no.max(base_no).0) } else { 0 };
        let last_message = last_message.filter(|message| message.seq >= chat.floor);
        list.push(RoomListRow { chat, state, read_seq, unread, last_message });
    }
    Ok(list)
}

fn line(c: &mut read::Columns<'_>) -> Result<Line, StoreError> {
    let (room, state, sent_no, joined_no) = (c.room()?, c.number()?, c.no()?, c.no()?);
    Ok(Line { key: RoomListCursor { at: c.time()?, room }, state, base_no: sent_no.max(joined_no) })
}
