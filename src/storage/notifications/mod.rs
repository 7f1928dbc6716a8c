//! Notifications: rows that the projector and the notification worker write, and that are listed directly; and what that worker
//! keeps and reads. That one was read is a fact of its user, in the journal (`notification.read`).
//!
//! | file | holds |
//! |---|---|
//! | here | the rows, as their users see them |
//! | [`writes`] | how the rows are written, and marked as read |
//! | [`outbox`] | how far the worker has decided, and what providers have not taken |
//! | [`facts`] | what it decides on |
//! | [`devices`] | where pushes go |

pub(crate) mod devices;
pub(crate) mod facts;
pub(crate) mod outbox;
#[cfg(test)]
mod outbox_tests;
pub(super) mod writes;

use uuid::Uuid;

use super::sql::{Binder, Columns, Connections};
use super::store::StoreError;
use crate::ids::{Timestamp, UserId};

macro_rules! newest_below {
    ($index:literal, $condition:literal) => {
        concat!(
            "SELECT uuid, type, title, message, data, is_read, created_at FROM notifications",
            $index,
            " WHERE user_id = ? AND uuid < ?",
            $condition,
            " ORDER BY uuid DESC LIMIT ?"
        )
    };
}
/// What is read up to an id is found in the user's own row.
const READ_UP_TO: &str = "SELECT notifications_read FROM users WHERE id = ?";
// Without the places that are held for what comes later.
const LIST: &str = newest_below!("", " AND type <> ''");
// By the index that holds no others, which SQLite would pass over without statistics.
const LIST_UNREAD: &str = newest_below!(" INDEXED BY notifications_unread", " AND uuid > ? AND NOT is_read");
/// Beyond the bound nobody counts.
const UNREAD: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM notifications INDEXED BY notifications_unread WHERE user_id = ? AND uuid > ? \
     AND NOT is_read LIMIT 1000) AS unread";

#[cfg(test)]
pub(super) use tests::CHECKS;

/// Every statement, for the test of indexes.
#[cfg(test)]
pub(super) const SQL: [&str; 4] = [READ_UP_TO, LIST, LIST_UNREAD, UNREAD];

/// Something that a user should notice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Notification {
    /// Its id.
    pub id: Uuid,
    /// What it is, for programs.
    pub kind: String,
    /// For people, in a few words.
    pub title: String,
    /// For people, in a sentence.
    pub message: String,
    /// JSON text.
    pub data: String,
    /// Whether the user has seen it.
    pub read: bool,
    /// When.
    pub at: Timestamp,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Notifications {
    connections: Connections,
}

type Result<T> = std::result::Result<T, StoreError>;

impl Notifications {
    /// Over open connections.
    #[must_use]
    pub(crate) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Those of a user below `before`, the newest first, and how many are unread in all, at most 1,000: of one moment.
    ///
    /// # Errors
    /// The store; so for each of the following.
    pub(crate) async fn list(
        &self,
        user: &UserId,
        before: Option<Uuid>,
        unread: bool,
        limit: u32,
    ) -> Result<(Vec<Notification>, u64)> {
        let mut snapshot = self.connections.direct().snapshot().await?;
        let session = &mut snapshot.session();
        let up_to = session.one(READ_UP_TO, |b| _ = b.text(user.as_str()), |c| c.opt_uuid()).await?;
        let up_to = up_to.flatten().unwrap_or_default();
        let before = before.unwrap_or(Uuid::max());
        let mut found = match unread {
            true => {
                let bind = |b: &mut Binder| _ = b.text(user.as_str()).uuid(before).uuid(up_to).int(limit);
                session.list(LIST_UNREAD, bind, notification).await?
            }
            false => {
                let bind = |b: &mut Binder| _ = b.text(user.as_str()).uuid(before).int(limit);
                session.list(LIST, bind, notification).await?
            }
        };
        found.iter_mut().for_each(|one| one.read |= one.id <= up_to);
        let unread = session.one(UNREAD, |b| _ = b.text(user.as_str()).uuid(up_to), |c| c.number()).await?;
        snapshot.commit().await?;
        Ok((found, unread.unwrap_or(0)))
    }
}

fn notification(c: &mut Columns<'_>) -> Result<Notification> {
    Ok(Notification {
        id: c.uuid()?,
        kind: c.text()?,
        title: c.text()?,
        message: c.text()?,
        data: c.text()?,
        read: c.flag()?,
        at: c.time()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sql::support;
    use crate::storage::store::Store as _;
    use crate::storage::store::commit::Commit;
    use crate::storage::store::contract::{moved, user_id, user_row};
    use crate::storage::store::rows::{NotificationRow, UserRow};
    use crate::storage::store::sql::SqlStore;

    support::sql_suite!(
        those_of_a_user_are_listed_newest_first_and_counted
        what_is_read_one_by_one_is_ones_own_and_no_others
        what_is_read_up_to_one_is_read_whenever_it_is_written
        one_that_is_written_again_stays_as_it_is
        a_place_that_is_held_is_seen_by_nobody_and_read_once_it_is_filled
    );

    fn row(user: &str, n: u128) -> NotificationRow {
        NotificationRow {
            user: user_id(user),
            id: Uuid::from_u128(n),
            kind: "room.joined",
            title: "A room",
            message: format!("message {n}"),
            data: r#"{"nul":"\u0000"}"#.to_owned(),
            at: Timestamp(n as u64),
        }
    }

    /// As the projector does it; from the watermark `at`.
    async fn write(connections: &Connections, at: u64, change: impl FnOnce(&mut Commit)) {
        let mut commit = moved(user_id("ann").partition(), at, at + 1);
        change(&mut commit);
        SqlStore::new(connections.clone()).commit(commit).await.unwrap();
    }

    fn read(user: &str, n: u128) -> (UserId, Uuid) {
        (user_id(user), Uuid::from_u128(n))
    }

    async fn ids(rows: &Notifications, user: &str, unread: bool) -> (Vec<u128>, u64) {
        let (found, count) = rows.list(&user_id(user), None, unread, 9).await.unwrap();
        assert!(!unread || found.iter().all(|one| !one.read), "{found:?}");
        (found.iter().map(|one| one.id.as_u128()).collect(), count)
    }

    async fn those_of_a_user_are_listed_newest_first_and_counted(connections: &Connections) {
        let rows = Notifications::new(connections.clone());
        assert_eq!(ids(&rows, "ann", false).await, (vec![], 0));
        let three = vec![row("ann", 1), row("ann", 3), row("bob", 4), row("ann", 2)];
        write(connections, 0, |commit| commit.notifications = three).await;
        assert_eq!(ids(&rows, "ann", false).await, (vec![3, 2, 1], 3));
        let (page, unread) = rows.list(&user_id("ann"), Some(Uuid::from_u128(3)), false, 1).await.unwrap();
        let NotificationRow { id, kind, title, message, data, at, .. } = row("ann", 2);
        let (kind, title) = (kind.to_owned(), title.to_owned());
        assert_eq!(page, [Notification { id, kind, title, message, data, read: false, at }]);
        assert_eq!(unread, 3, "of all, whatever the page");
    }

    async fn what_is_read_one_by_one_is_ones_own_and_no_others(connections: &Connections) {
        let rows = Notifications::new(connections.clone());
        let all: Vec<_> = (1..=5).map(|n| row("ann", n)).chain([row("bob", 6)]).collect();
        write(connections, 0, |commit| commit.notifications = all).await;
        write(connections, 1, |commit| commit.notifications_read = vec![read("bob", 2)]).await;
        write(connections, 2, |commit| commit.notifications_read = vec![read("ann", 2), read("ann", 6)]).await;
        assert_eq!(ids(&rows, "ann", true).await, (vec![5, 4, 3, 1], 4));
        assert_eq!(ids(&rows, "ann", false).await, (vec![5, 4, 3, 2, 1], 4));
        assert_eq!(ids(&rows, "bob", true).await, (vec![6], 1));
        assert_eq!(ids(&rows, "bob", false).await, (vec![6], 1), "what is not one's own is not listed either");
    }

    async fn what_is_read_up_to_one_is_read_whenever_it_is_written(connections: &Connections) {
        let rows = Notifications::new(connections.clone());
        let user = |up_to| UserRow { notifications_read: Uuid::from_u128(up_to), ..user_row("ann") };
        write(connections, 0, |commit| commit.notifications = vec![row("ann", 1), row("ann", 5), row("bob", 1)]).await;
        write(connections, 1, |commit| commit.users = vec![user(4)]).await;
        assert_eq!(ids(&rows, "ann", true).await, (vec![5], 1));
        write(connections, 2, |commit| commit.notifications = vec![row("ann", 3), row("ann", 7)]).await;
        assert_eq!(ids(&rows, "ann", true).await, (vec![7, 5], 2));
        let (found, _) = rows.list(&user_id("ann"), None, false, 9).await.unwrap();
        let read: Vec<_> = found.iter().map(|one| (one.id.as_u128(), one.read)).collect();
        assert_eq!(read, [(7, false), (5, false), (3, true), (1, true)]);
        write(connections, 3, |commit| commit.users = vec![user(9)]).await;
        assert_eq!((ids(&rows, "ann", true).await, ids(&rows, "bob", true).await), ((vec![], 0), (vec![1], 1)));
    }

    async fn one_that_is_written_again_stays_as_it_is(connections: &Connections) {
        let rows = Notifications::new(connections.clone());
        write(connections, 0, |commit| commit.notifications = vec![row("ann", 1)]).await;
        write(connections, 1, |commit| commit.notifications_read = vec![read("ann", 1)]).await;
        let other = NotificationRow { message: "another".to_owned(), ..row("ann", 1) };
        write(connections, 2, |commit| commit.notifications = vec![other, row("ann", 2)]).await;
        assert_eq!(ids(&rows, "ann", true).await, (vec![2], 1));
        let (found, _) = rows.list(&user_id("ann"), None, false, 9).await.unwrap();
        assert_eq!((found[1].message.as_str(), found[1].read), ("message 1", true));
    }

    async fn a_place_that_is_held_is_seen_by_nobody_and_read_once_it_is_filled(connections: &Connections) {
        let rows = Notifications::new(connections.clone());
        write(connections, 0, |commit| commit.notifications_read = vec![read("ann", 1), read("ann", 2)]).await;
        assert_eq!(ids(&rows, "ann", false).await, (vec![], 0));
        write(connections, 1, |commit| commit.notifications = vec![row("ann", 1), row("ann", 3)]).await;
        let (found, unread) = rows.list(&user_id("ann"), None, false, 9).await.unwrap();
        let NotificationRow { id, kind, title, message, data, at, .. } = row("ann", 1);
        let filled = Notification { id, kind: kind.to_owned(), title: title.to_owned(), message, data, read: true, at };
        assert_eq!((&found[1], found.len(), unread), (&filled, 2, 1));
    }
}
