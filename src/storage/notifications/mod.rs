//! Notifications: rows that the projector and the notification worker write, and that are listed and marked directly; and what
//! that worker keeps and reads.
//!
//! | file | holds |
//! |---|---|
//! | here | the rows, as their users see them |
//! | [`outbox`] | how far the worker has decided, and what providers have not taken |
//! | [`facts`] | what it decides on |
//! | [`devices`] | where pushes go |

pub(crate) mod devices;
pub(crate) mod facts;
pub(crate) mod outbox;
#[cfg(test)]
mod outbox_tests;

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
const LIST: &str = newest_below!("", "");
// By the index that holds no others, which SQLite would pass over without statistics.
const LIST_UNREAD: &str = newest_below!(" INDEXED BY notifications_unread", " AND NOT is_read");
/// Beyond the bound nobody counts.
const UNREAD: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM notifications INDEXED BY notifications_unread WHERE user_id = ? AND NOT is_read \
     LIMIT 1000) AS unread";
const READ: &str = "UPDATE notifications SET is_read = TRUE WHERE user_id = ? AND uuid = ?";
const READ_ALL: &str = "UPDATE notifications INDEXED BY notifications_unread SET is_read = TRUE \
     WHERE user_id = ? AND NOT is_read AND uuid <= ?";

#[cfg(test)]
pub(super) use tests::CHECKS;

/// Every statement, for the test of indexes.
#[cfg(test)]
pub(super) const SQL: [&str; 5] = [LIST, LIST_UNREAD, UNREAD, READ, READ_ALL];

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
        let text = if unread { LIST_UNREAD } else { LIST };
        let bind = |b: &mut Binder| _ = b.text(user.as_str()).uuid(before.unwrap_or(Uuid::max())).int(limit);
        let found = snapshot.session().list(text, bind, notification).await?;
        let unread = snapshot.session().one(UNREAD, |b| _ = b.text(user.as_str()), |c| c.number()).await?;
        snapshot.commit().await?;
        Ok((found, unread.unwrap_or(0)))
    }

    /// Marks some as read; those of others stay as they are.
    pub(crate) async fn read(&self, user: &UserId, ids: &[Uuid]) -> Result<()> {
        let mut change = self.connections.direct().change().await?;
        for id in ids {
            change.session().execute(READ, |b| _ = b.text(user.as_str()).uuid(*id)).await?;
        }
        change.commit().await
    }

    /// Marks all as read up to this one.
    pub(crate) async fn read_all(&self, user: &UserId, up_to: Option<Uuid>) -> Result<()> {
        let bind = |b: &mut Binder| _ = b.text(user.as_str()).uuid(up_to.unwrap_or(Uuid::max()));
        self.connections.direct().execute(READ_ALL, bind).await?;
        Ok(())
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
    use crate::storage::store::contract::{moved, user_id};
    use crate::storage::store::rows::NotificationRow;
    use crate::storage::store::sql::SqlStore;

    support::sql_suite!(
        those_of_a_user_are_listed_newest_first_and_counted
        marking_changes_ones_own_and_no_others
        one_that_is_written_again_stays_as_it_is
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
    async fn write(connections: &Connections, at: u64, rows: Vec<NotificationRow>) {
        let mut commit = moved(user_id("ann").partition(), at, at + 1);
        commit.notifications = rows;
        SqlStore::new(connections.clone()).commit(commit).await.unwrap();
    }

    async fn ids(rows: &Notifications, user: &str, unread: bool) -> (Vec<u128>, u64) {
        let (found, count) = rows.list(&user_id(user), None, unread, 9).await.unwrap();
        (found.iter().map(|one| one.id.as_u128()).collect(), count)
    }

    async fn those_of_a_user_are_listed_newest_first_and_counted(connections: &Connections) {
        let rows = Notifications::new(connections.clone());
        assert_eq!(ids(&rows, "ann", false).await, (vec![], 0));
        write(connections, 0, vec![row("ann", 1), row("ann", 3), row("bob", 4), row("ann", 2)]).await;
        assert_eq!(ids(&rows, "ann", false).await, (vec![3, 2, 1], 3));
        let (page, unread) = rows.list(&user_id("ann"), Some(Uuid::from_u128(3)), false, 1).await.unwrap();
        let NotificationRow { id, kind, title, message, data, at, .. } = row("ann", 2);
        let (kind, title) = (kind.to_owned(), title.to_owned());
        assert_eq!(page, [Notification { id, kind, title, message, data, read: false, at }]);
        assert_eq!(unread, 3, "of all, whatever the page");
    }

    async fn marking_changes_ones_own_and_no_others(connections: &Connections) {
        let rows = Notifications::new(connections.clone());
        write(connections, 0, (1..=5).map(|n| row("ann", n)).chain([row("bob", 6)]).collect()).await;
        rows.read(&user_id("bob"), &[Uuid::from_u128(2)]).await.unwrap();
        rows.read(&user_id("ann"), &[Uuid::from_u128(2), Uuid::from_u128(6)]).await.unwrap();
        assert_eq!(ids(&rows, "ann", true).await, (vec![5, 4, 3, 1], 4));
        rows.read_all(&user_id("ann"), Some(Uuid::from_u128(4))).await.unwrap();
        assert_eq!(ids(&rows, "ann", true).await, (vec![5], 1));
        assert_eq!(ids(&rows, "ann", false).await, (vec![5, 4, 3, 2, 1], 1));
        rows.read_all(&user_id("ann"), None).await.unwrap();
        assert_eq!((ids(&rows, "ann", true).await, ids(&rows, "bob", true).await), ((vec![], 0), (vec![6], 1)));
    }

    async fn one_that_is_written_again_stays_as_it_is(connections: &Connections) {
        let rows = Notifications::new(connections.clone());
        write(connections, 0, vec![row("ann", 1)]).await;
        rows.read_all(&user_id("ann"), None).await.unwrap();
        write(connections, 1, vec![row("ann", 1), row("ann", 2)]).await;
        assert_eq!(ids(&rows, "ann", true).await, (vec![2], 1));
    }
}
