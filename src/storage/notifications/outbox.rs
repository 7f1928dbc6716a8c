//! What the notification worker keeps: how far each partition of the journal is decided on, and what the providers have not
//! taken yet. Both change in one transaction, so that nothing is decided twice and nothing is forgotten, whoever is killed.
//!
//! It is not derived from the journal: rows that are built anew leave it alone, and what was sent is never due again. Whoever
//! sends claims first; a claim ends by itself, so that what a killed sender held is sent by another one, under the same id.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::ids::{Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::storage::sql::{Binder, Bulk, Columns, Connections, Session};
use crate::storage::store::StoreError;
use crate::storage::store::rows::NotificationRow;

const CURSORS: &str = "SELECT partition, next_offset, after_user, latest FROM notification_cursors \
     WHERE partition >= 0 ORDER BY partition";
const CURSOR_MOVE: &str = "UPDATE notification_cursors SET next_offset = ?, after_user = ?, latest = ? \
     WHERE partition = ? AND next_offset = ? AND after_user = ?";
/// Beyond the bound nobody counts.
const WAITING: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM notification_outbox INDEXED BY notification_outbox_due \
     WHERE dead_at IS NULL AND next_at >= 0 LIMIT ?) AS found";
macro_rules! due {
    ($which:literal) => {
        concat!(
            "SELECT id, channel, device, user_id, chat, seq, kind, actor, row_uuid, created_at, attempts, next_at \
             FROM notification_outbox ",
            $which
        )
    };
}
const DUE: &str =
    due!("INDEXED BY notification_outbox_due WHERE dead_at IS NULL AND next_at <= ? ORDER BY next_at, id LIMIT ?");
const NEXT_DUE: &str = "SELECT next_at FROM notification_outbox INDEXED BY notification_outbox_due \
     WHERE dead_at IS NULL AND next_at >= 0 ORDER BY next_at LIMIT 1";
const CLAIM: &str =
    "UPDATE notification_outbox SET next_at = ?, claim = ? WHERE id = ? AND next_at = ? AND dead_at IS NULL";
const SENT: &str = "DELETE FROM notification_outbox WHERE id = ? AND claim = ?";
const LATER: &str = "UPDATE notification_outbox SET attempts = ?, next_at = ?, reason = ?, claim = NULL \
     WHERE id = ? AND claim = ?";
const DEAD: &str = "UPDATE notification_outbox SET attempts = ?, dead_at = ?, reason = ?, claim = NULL \
     WHERE id = ? AND claim = ?";
/// Above the bound the oldest go.
const FORGET: &str = "DELETE FROM notification_outbox WHERE id IN (SELECT id FROM notification_outbox \
     INDEXED BY notification_outbox_dead WHERE dead_at >= 0 ORDER BY dead_at DESC, id DESC LIMIT 1000 OFFSET ?)";
const DEAD_ONES: &str = "SELECT id, channel, device, user_id, chat, seq, kind, actor, row_uuid, created_at, attempts, next_at, \
     dead_at, reason FROM notification_outbox INDEXED BY notification_outbox_dead \
     WHERE dead_at >= ? AND (dead_at > ? OR id > ?) ORDER BY dead_at, id LIMIT ?";
const REPLAY: &str = "UPDATE notification_outbox SET dead_at = NULL, attempts = 0, next_at = ?, reason = '' \
     WHERE id = ? AND dead_at IS NOT NULL";
const REPLAY_ALL: &str = "UPDATE notification_outbox INDEXED BY notification_outbox_dead \
     SET dead_at = NULL, attempts = 0, next_at = ?, reason = '' WHERE dead_at >= 0";

const END: &str = "DELETE FROM notification_cursors WHERE partition >= 0";
const END_WAITING: &str =
    "DELETE FROM notification_outbox INDEXED BY notification_outbox_due WHERE dead_at IS NULL AND next_at >= 0";

#[cfg(test)]
pub(in crate::storage) use super::outbox_tests::CHECKS;

/// Every statement, for the test of indexes.
#[cfg(test)]
pub(in crate::storage) const SQL: [&str; 15] = [
    CURSORS,
    CURSOR_MOVE,
    WAITING,
    DUE,
    NEXT_DUE,
    CLAIM,
    SENT,
    LATER,
    DEAD,
    FORGET,
    DEAD_ONES,
    REPLAY,
    REPLAY_ALL,
    END,
    END_WAITING,
];

/// How far a partition is decided on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NotificationCursor {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is not decided on.
    pub next: Offset,
    /// Of the message there, the member up to whom it is decided on.
    pub after: Option<UserId>,
    /// No record below has a later fold time.
    pub latest: Timestamp,
}

impl NotificationCursor {
    fn after_text(&self) -> &str {
        self.after.as_ref().map_or("", UserId::as_str)
    }
}

/// A notification on its way to a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OutgoingNotification {
    /// The same for the same (channel, device, user, room, seq, kind): the provider's idempotency key.
    pub id: Uuid,
    /// The provider.
    pub channel: String,
    /// The user's device, where the provider sends to one; else empty.
    pub device: String,
    /// Who is notified.
    pub user: UserId,
    /// The room.
    pub room: RoomId,
    /// The message.
    pub seq: Seq,
    /// What it is, for programs.
    pub kind: String,
    /// Who sent the message.
    pub by: Option<UserId>,
    /// The row that the user sees.
    pub row: Uuid,
    /// When the message was sent.
    pub at: Timestamp,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it is due.
    pub next_at: Timestamp,
}

/// What a round of the worker decided.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Decided {
    /// The guard: each cursor moves from where the writer found it, or nothing is written. At most one for each partition.
    pub moves: Vec<(NotificationCursor, NotificationCursor)>,
    /// What users see. One that is there already stays as it is, read or not.
    pub rows: Vec<NotificationRow>,
    /// What providers are to be told.
    pub outgoing: Vec<OutgoingNotification>,
}

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Settled {
    /// The provider has it, or there is no device any more that it could bring it to.
    Sent,
    /// It is tried again.
    Later {
        /// Attempts so far.
        attempts: u32,
        /// Not before.
        at: Timestamp,
        /// Why it failed.
        why: String,
    },
    /// Nobody tries any more, until an operator says so.
    Dead {
        /// Attempts so far.
        attempts: u32,
        /// Since when.
        at: Timestamp,
        /// Why.
        why: String,
    },
}

/// What was let go of when notifications were ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ended {
    /// Partitions that were begun.
    pub partitions: u64,
    /// Notifications that no provider had taken yet.
    pub waiting: u64,
}

/// A notification that no provider took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DeadNotification {
    /// What was to be sent.
    pub of: OutgoingNotification,
    /// Since when nobody tries any more.
    pub at: Timestamp,
    /// Why the last attempt failed.
    pub why: String,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct NotificationOutbox {
    connections: Connections,
    cursors: Bulk,
    rows: Bulk,
    outgoing: Bulk,
}

type Result<T> = std::result::Result<T, StoreError>;

impl NotificationOutbox {
    /// Over open connections.
    #[must_use]
    pub(crate) fn new(connections: Connections) -> Self {
        Self {
            connections,
            cursors: Bulk::once("notification_cursors", "partition, next_offset, after_user, latest", "partition"),
            rows: super::writes::put(),
            outgoing: Bulk::once(
                "notification_outbox",
                "id, channel, device, user_id, chat, seq, kind, actor, row_uuid, created_at, attempts, next_at, reason",
                "id",
            ),
        }
    }

    /// How far each partition is decided on that was ever begun.
    ///
    /// # Errors
    /// The store; so for each of the following.
    pub(crate) async fn cursors(&self) -> Result<Vec<NotificationCursor>> {
        let read = |c: &mut Columns<'_>| {
            let (partition, next, after) = (c.partition()?, c.offset()?, c.text()?);
            let after = if after.is_empty() { None } else { UserId::new(&after).ok() };
            Ok(NotificationCursor { partition, next, after, latest: c.time()? })
        };
        self.connections.engine().list(CURSORS, |_| (), read).await
    }

    /// Begins partitions here. One that was begun before stays where it is.
    pub(crate) async fn begin(&self, cursors: Vec<NotificationCursor>) -> Result<()> {
        let mut change = self.connections.direct().change().await?;
        let bind = |b: &mut Binder, at: NotificationCursor| {
            b.int(at.partition.get()).int(at.next.as_i64()).text(at.after_text()).int(at.latest.as_i64());
        };
        change.session().bulk(&self.cursors, cursors, bind).await?;
        change.commit().await
    }

    /// Ends it: nothing is begun, and nothing waits. What is dead stays. A worker that still runs decides nothing more; one that
    /// is started later begins with what is sent then.
    pub(crate) async fn end(&self) -> Result<Ended> {
        let mut change = self.connections.direct().change().await?;
        let partitions = change.session().execute(END, |_| ()).await?;
        let waiting = change.session().execute(END_WAITING, |_| ()).await?;
        change.commit().await?;
        Ok(Ended { partitions, waiting })
    }

    /// Writes what was decided and moves the cursors, or nothing. `false`: a cursor stands elsewhere.
    pub(crate) async fn decided(&self, decided: Decided) -> Result<bool> {
        let Decided { moves, rows, outgoing } = decided;
        let mut change = self.connections.direct().change().await?;
        for (from, to) in moves {
            let bind = |b: &mut Binder| {
                b.int(to.next.as_i64()).text(to.after_text()).int(to.latest.as_i64());
                b.int(from.partition.get()).int(from.next.as_i64()).text(from.after_text());
            };
            if change.session().execute(CURSOR_MOVE, bind).await? != 1 {
                change.rollback().await?;
                return Ok(false);
            }
        }
        // A message whose record came twice is decided on twice.
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| ((row.user.clone(), row.id), row)).collect();
        change.session().bulk(&self.rows, rows.into_values().collect(), super::writes::bind_row).await?;
        let bind = |b: &mut Binder, one: OutgoingNotification| {
            b.uuid(one.id).text(one.channel).text(one.device).text(one.user.as_str()).room(one.room);
            b.int(one.seq.as_i64()).text(one.kind).opt_text(one.by.as_ref().map(UserId::as_str));
            b.uuid(one.row).int(one.at.as_i64()).int(one.attempts).int(one.next_at.as_i64()).text("");
        };
        change.session().bulk(&self.outgoing, outgoing, bind).await?;
        change.commit().await?;
        Ok(true)
    }

    /// How many providers have not taken yet, at most `most`.
    pub(crate) async fn waiting(&self, most: u32) -> Result<u64> {
        Ok(self.connections.engine().one(WAITING, |b| _ = b.int(most), |c| c.number()).await?.unwrap_or(0))
    }

    /// When the first one is due.
    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>> {
        self.connections.engine().one(NEXT_DUE, |_| (), |c| c.time()).await
    }

    /// Takes those that are due at `now`, at most `limit`: nobody else gets them before `until`.
    pub(crate) async fn claim(
        &self,
        claim: Uuid,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutgoingNotification>> {
        let mut change = self.connections.direct().change().await?;
        let bind = |b: &mut Binder| _ = b.int(now.as_i64()).int(limit);
        let mut due = change.session().list(DUE, bind, outgoing).await?;
        let mut taken = Vec::with_capacity(due.len());
        for one in due.drain(..) {
            let bind = |b: &mut Binder| {
                b.int(until.as_i64()).uuid(claim).uuid(one.id).int(one.next_at.as_i64());
            };
            if change.session().execute(CLAIM, bind).await? == 1 {
                taken.push(one);
            }
        }
        change.commit().await?;
        Ok(taken)
    }

    /// Notes what came of those that were claimed. One whose claim is another's by now stays as it is.
    pub(crate) async fn settle(&self, claim: Uuid, outcomes: Vec<(Uuid, Settled)>) -> Result<()> {
        let mut change = self.connections.direct().change().await?;
        let mut has_dead = false;
        for (id, settled) in outcomes {
            has_dead |= matches!(settled, Settled::Dead { .. });
            note(&mut change.session(), claim, id, settled).await?;
        }
        if has_dead {
            change.session().execute(FORGET, |b| _ = b.int(limits::NOTIFY_DEAD)).await?;
        }
        change.commit().await
    }

    /// Those that nobody tries any more, the oldest first, behind `after`, at most `limit`.
    pub(crate) async fn dead(&self, after: Option<(Timestamp, Uuid)>, limit: usize) -> Result<Vec<DeadNotification>> {
        let (at, id) = after.unwrap_or((Timestamp::ZERO, Uuid::nil()));
        let bind = |b: &mut Binder| _ = b.int(at.as_i64()).int(at.as_i64()).uuid(id).count(limit);
        let read = |c: &mut Columns<'_>| {
            let of = outgoing(c)?;
            Ok(DeadNotification { of, at: c.time()?, why: c.text()? })
        };
        self.connections.clients().list(DEAD_ONES, bind, read).await
    }

    /// Has dead ones tried again from the beginning: these, or all. Returns how many that are.
    pub(crate) async fn replay(&self, ids: Option<&[Uuid]>, now: Timestamp) -> Result<u64> {
        let Some(ids) = ids else {
            return self.connections.direct().execute(REPLAY_ALL, |b| _ = b.int(now.as_i64())).await;
        };
        let mut change = self.connections.direct().change().await?;
        let mut again = 0;
        for id in ids {
            again += change.session().execute(REPLAY, |b| _ = b.int(now.as_i64()).uuid(*id)).await?;
        }
        change.commit().await?;
        Ok(again)
    }
}

async fn note(session: &mut Session<'_>, claim: Uuid, id: Uuid, settled: Settled) -> Result<()> {
    match settled {
        Settled::Sent => session.execute(SENT, |b| _ = b.uuid(id).uuid(claim)).await,
        Settled::Later { attempts, at, why } => {
            let bind = |b: &mut Binder| _ = b.int(attempts).int(at.as_i64()).text(why).uuid(id).uuid(claim);
            session.execute(LATER, bind).await
        }
        Settled::Dead { attempts, at, why } => {
            let bind = |b: &mut Binder| _ = b.int(attempts).int(at.as_i64()).text(why).uuid(id).uuid(claim);
            session.execute(DEAD, bind).await
        }
    }
    .map(|_| ())
}

fn outgoing(c: &mut Columns<'_>) -> Result<OutgoingNotification> {
    Ok(OutgoingNotification {
        id: c.uuid()?,
        channel: c.text()?,
        device: c.text()?,
        user: c.user()?,
        room: c.room()?,
        seq: c.seq()?,
        kind: c.text()?,
        by: c.opt_user()?,
        row: c.uuid()?,
        at: c.time()?,
        attempts: c.number()?,
        next_at: c.time()?,
    })
}
