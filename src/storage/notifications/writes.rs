//! How rows of notifications are written: by the projector beside an event, and by the notification worker. Both in their own
//! transaction, and in any order: what is read when both are done is the same.
//!
//! What is read up to an id stands in the user's row. What is read one by one is marked in the notification's row; if that is
//! not there yet, because rows are built anew and the worker comes later, a row without a type holds its place. Nobody
//! sees it before it is filled.

use uuid::Uuid;

use crate::ids::UserId;
use crate::storage::sql::{Binder, Bulk};
use crate::storage::store::rows::NotificationRow;

const INTO: &str = "INSERT INTO notifications (user_id, uuid, type, title, message, data, is_read, created_at)";

/// New rows. One that is there already stays as it is, read or not; a held place is filled.
pub(in crate::storage) fn put() -> Bulk {
    Bulk::new(
        INTO,
        8,
        " ON CONFLICT (user_id, uuid) DO UPDATE SET type = excluded.type, title = excluded.title, \
         message = excluded.message, data = excluded.data, created_at = excluded.created_at \
         WHERE notifications.type = ''",
    )
}

/// A row of [`put`]. None may come twice in one list.
pub(in crate::storage) fn bind_row(b: &mut Binder, row: NotificationRow) {
    b.text(row.user.as_str()).uuid(row.id).text(row.kind).text(row.title).text(row.message);
    b.text(row.data).flag(false).int(row.at.as_i64());
}

/// Marks rows as read, or holds their places.
pub(in crate::storage) fn read() -> Bulk {
    Bulk::new(INTO, 8, " ON CONFLICT (user_id, uuid) DO UPDATE SET is_read = TRUE")
}

/// A row of [`read`]. None may come twice in one list.
pub(in crate::storage) fn bind_read(b: &mut Binder, (user, id): (UserId, Uuid)) {
    let at = id.get_timestamp().map_or(0, |at| i64::try_from(at.to_unix().0).unwrap_or(0) * 1_000);
    b.text(user.as_str()).uuid(id).text("").text("").text("").text("{}").flag(true).int(at);
}
