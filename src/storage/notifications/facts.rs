//! What the notification worker asks of the rows: which messages came of records, and the members of a room with all that
//! decides whether one of them is notified. It only reads, and decides nothing.

use std::collections::HashSet;

use uuid::Uuid;

use crate::ids::{MessageNo, RoomId, Seq, Timestamp, UserId};
use crate::storage::sql::{Binder, Columns, Connections, Session};
use crate::storage::store::StoreError;

const ROOM: &str = "SELECT kind, title FROM chats WHERE uuid = ?";
/// Messages have times that never fall, so where a time begins is found by halving.
const AT_OR_BELOW: &str = "SELECT seq, created_at FROM messages WHERE chat = ? AND seq <= ? ORDER BY seq DESC LIMIT 1";
const MESSAGES: &str = "SELECT seq, uuid, message_no, sender, created_at, deleted FROM messages \
     WHERE chat = ? AND seq >= ? ORDER BY seq LIMIT ?";
const MEMBERS: &str = "SELECT m.user_id, m.seq, m.sent_no, r.seq, b.blocked IS NOT NULL, COALESCE(u.muted_until, 0) FROM members AS m \
     LEFT JOIN read_marks AS r ON r.user_id = m.user_id AND r.chat = m.chat \
     LEFT JOIN blocks AS b ON b.user_id = m.user_id AND b.blocked = ? \
     LEFT JOIN user_rooms AS u ON u.user_id = m.user_id AND u.chat = m.chat \
     WHERE m.chat = ? AND m.user_id > ? AND m.state = 0 ORDER BY m.user_id LIMIT ?";

/// Messages that are read at a time.
const PAGE: usize = 256;

/// Every statement, for the test of indexes.
#[cfg(test)]
pub(in crate::storage) const SQL: [&str; 4] = [ROOM, AT_OR_BELOW, MESSAGES, MEMBERS];

/// A room, as far as a notification says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NotifiedRoom {
    /// Its kind's number.
    pub kind: u8,
    /// Its title, empty for none.
    pub title: String,
}

/// A message, as far as it matters whom it notifies. Without what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NotifiedMessage {
    /// Its place.
    pub seq: Seq,
    /// Its id: that of the record that made it.
    pub id: Uuid,
    /// Its number.
    pub no: MessageNo,
    /// Who sent it.
    pub sender: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// It was deleted since.
    pub deleted: bool,
}

/// A member of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NotifiedMember {
    /// Who.
    pub user: UserId,
    /// The event by which the member came.
    pub joined: Seq,
    /// Number of the last message that the member sent here.
    pub sent_no: MessageNo,
    /// How far the member has read.
    pub read: Seq,
    /// Whether the member blocks the message's sender.
    pub blocks_sender: bool,
    /// Until when the member wants to hear nothing of the room; zero for no such wish.
    pub muted_until: Timestamp,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct NotificationFacts {
    connections: Connections,
}

type Result<T> = std::result::Result<T, StoreError>;

impl NotificationFacts {
    /// Over open connections.
    #[must_use]
    pub(crate) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// The room, and those of the messages with these ids that there are. None of them is older than `since`, and none
    /// younger than `until`. Records that made no message (a repetition, a refusal) are not found.
    ///
    /// # Errors
    /// The store; so for the other.
    pub(crate) async fn messages(
        &self,
        room: RoomId,
        since: Timestamp,
        until: Timestamp,
        ids: &[Uuid],
    ) -> Result<Option<(NotifiedRoom, Vec<NotifiedMessage>)>> {
        let mut snapshot = self.connections.engine().snapshot().await?;
        let session = &mut snapshot.session();
        let read = |c: &mut Columns<'_>| Ok(NotifiedRoom { kind: c.number()?, title: c.text()? });
        let Some(chat) = session.one(ROOM, |b| _ = b.room(room), read).await? else { return Ok(None) };
        let mut wanted: HashSet<Uuid> = ids.iter().copied().collect();
        let (mut from, mut found) = (first_since(session, room, since).await?, Vec::new());
        while !wanted.is_empty() {
            let bind = |b: &mut Binder| _ = b.room(room).int(from.as_i64()).count(PAGE);
            let page = session.list(MESSAGES, bind, message).await?;
            let Some(last) = page.last().filter(|_| page.len() == PAGE).map(|last| (last.seq, last.at)) else {
                found.extend(page.into_iter().filter(|message| wanted.remove(&message.id)));
                break;
            };
            found.extend(page.into_iter().filter(|message| wanted.remove(&message.id)));
            if last.1 > until {
                break;
            }
            from = last.0.next();
        }
        snapshot.commit().await?;
        Ok(Some((chat, found)))
    }

    /// Members of a room by user id, after `after`, at most `limit`, as they are to a message of `sender`.
    pub(crate) async fn members(
        &self,
        room: RoomId,
        sender: Option<&UserId>,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<NotifiedMember>> {
        let (sender, after) = (sender.map_or("", UserId::as_str), after.map_or("", UserId::as_str));
        let bind = |b: &mut Binder| _ = b.text(sender).room(room).text(after).count(limit);
        self.connections.engine().list(MEMBERS, bind, member).await
    }
}

/// The seq from which on all messages lie that are not older than `since`. Looks back from the end in steps that double, as
/// what is looked for is young, and halves the last one.
async fn first_since(session: &mut Session<'_>, room: RoomId, since: Timestamp) -> Result<Seq> {
    let Some((newest, _)) = last_at(session, room, Seq(i64::MAX as u64)).await? else { return Ok(Seq::ZERO) };
    let (mut high, mut step) = (newest.0 + 1, 1);
    // Everything from `high` on is young enough; of what lies at `low` and below nothing is.
    let mut low = loop {
        let Some((seq, at)) = last_at(session, room, Seq(high.saturating_sub(step))).await? else { break 0 };
        if at < since {
            break seq.0;
        }
        (high, step) = (seq.0, step * 2);
    };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match last_at(session, room, Seq(middle)).await? {
            Some((seq, at)) if at >= since => high = seq.0.max(low + 1),
            _ => low = middle,
        }
    }
    Ok(Seq(high))
}

async fn last_at(session: &mut Session<'_>, room: RoomId, seq: Seq) -> Result<Option<(Seq, Timestamp)>> {
    let bind = |b: &mut Binder| _ = b.room(room).int(seq.as_i64());
    session.one(AT_OR_BELOW, bind, |c| Ok((c.seq()?, c.time()?))).await
}

fn message(c: &mut Columns<'_>) -> Result<NotifiedMessage> {
    Ok(NotifiedMessage {
        seq: c.seq()?,
        id: c.uuid()?,
        no: c.no()?,
        sender: c.opt_user()?,
        at: c.time()?,
        deleted: c.flag()?,
    })
}

fn member(c: &mut Columns<'_>) -> Result<NotifiedMember> {
    Ok(NotifiedMember {
        user: c.user()?,
        joined: c.seq()?,
        sent_no: c.no()?,
        read: c.opt_seq()?.unwrap_or(Seq::ZERO),
        blocks_sender: c.flag()?,
        muted_until: c.time()?,
    })
}
