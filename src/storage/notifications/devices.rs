//! Where pushes go: the devices of users that have named a push token, as the projector writes them. It only reads.

use crate::ids::{DeviceId, UserId};
use crate::storage::notifications::outbox::OutgoingNotification;
use crate::storage::sql::{Binder, Bulk, Columns, Connections};
use crate::storage::store::StoreError;

const TARGET: &str = "SELECT d.platform, d.push_token, COALESCE(n.title, ''), COALESCE(n.message, '') FROM devices AS d \
     LEFT JOIN notifications AS n ON n.user_id = d.user_id AND n.uuid = ? \
     WHERE d.user_id = ? AND d.device = ? AND d.push_token <> ''";

/// The devices of users.
fn devices_of() -> Bulk {
    Bulk::about(
        "u",
        "SELECT user_id, device, platform, substr(push_token, 1, 1) FROM v CROSS JOIN devices \
         WHERE user_id = v.u AND push_token <> ''",
    )
}

/// Every text over many rows, for the test of indexes.
#[cfg(test)]
pub(in crate::storage) fn texts() -> Vec<std::sync::Arc<str>> {
    devices_of().texts().cloned().collect()
}

/// Every statement, for the test of indexes.
#[cfg(test)]
pub(in crate::storage) const SQL: [&str; 1] = [TARGET];

#[cfg(test)]
pub(in crate::storage) use tests::CHECKS;

/// A device that can be pushed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PushDevice {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
    /// What it is, in its own words.
    pub platform: String,
    /// The first character of its token, by which one kind of token is told from another: the rest is nobody's matter before
    /// something is sent.
    pub token_start: String,
}

/// What is pushed, and where to. The token is a secret: whoever has it can push.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct PushTarget {
    /// What the device is, in its own words.
    pub platform: String,
    /// Where pushes for it go.
    pub token: String,
    /// For people, in a few words.
    pub title: String,
    /// For people, in a sentence.
    pub message: String,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct PushDevices {
    connections: Connections,
    of: Bulk,
}

type Result<T> = std::result::Result<T, StoreError>;

impl PushDevices {
    /// Over open connections.
    #[must_use]
    pub(crate) fn new(connections: Connections) -> Self {
        Self { connections, of: devices_of() }
    }

    /// The devices of these users that have a push token.
    ///
    /// # Errors
    /// The store; so for the other.
    pub(crate) async fn of(&self, users: &[UserId]) -> Result<Vec<PushDevice>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let mut snapshot = self.connections.engine().snapshot().await?;
        let bind = |b: &mut Binder, user: &UserId| _ = b.text(user.as_str());
        let found = snapshot.session().bulk_list(&self.of, users, bind, device).await?;
        snapshot.commit().await?;
        // A device that this program can't name is none that it can push to.
        Ok(found.into_iter().flatten().collect())
    }

    /// Where a notification for a device goes, and what it says to people. `None`: the device is gone, or has no token any more.
    pub(crate) async fn target(&self, one: &OutgoingNotification) -> Result<Option<PushTarget>> {
        let bind = |b: &mut Binder| _ = b.uuid(one.row).text(one.user.as_str()).text(&one.device);
        let read = |c: &mut Columns<'_>| {
            Ok(PushTarget { platform: c.text()?, token: c.text()?, title: c.text()?, message: c.text()? })
        };
        self.connections.engine().one(TARGET, bind, read).await
    }
}

fn device(c: &mut Columns<'_>) -> Result<Option<PushDevice>> {
    let (user, device, platform, token_start) = (c.user()?, c.text()?, c.text()?, c.text()?);
    Ok(DeviceId::new(&device).ok().map(|device| PushDevice { user, device, platform, token_start }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{RoomId, Seq, Timestamp};
    use crate::storage::sql::support;
    use crate::storage::store::Store as _;
    use crate::storage::store::commit::DeviceChange;
    use crate::storage::store::contract::{moved, user_id};
    use crate::storage::store::rows::{DeviceRow, NotificationRow};
    use crate::storage::store::sql::SqlStore;

    support::sql_suite!(
        devices_with_a_token_are_found_by_the_start_of_it
        where_a_push_goes_is_what_the_device_names_now
    );

    fn device(user: &str, id: &str, push_token: &str) -> DeviceChange {
        let (device, platform) = (DeviceId::new(id).unwrap(), "web".to_owned());
        let push_token = push_token.to_owned();
        DeviceChange::Put(DeviceRow { user: user_id(user), device, platform, push_token, seen_at: Timestamp(5) })
    }

    /// As the projector writes them; from the watermark `at`.
    async fn write(
        connections: &Connections,
        at: u64,
        devices: Vec<DeviceChange>,
        notifications: Vec<NotificationRow>,
    ) {
        let mut commit = moved(user_id("bob").partition(), at, at + 1);
        (commit.devices, commit.notifications) = (devices, notifications);
        SqlStore::new(connections.clone()).commit(commit).await.unwrap();
    }

    async fn devices_with_a_token_are_found_by_the_start_of_it(connections: &Connections) {
        let given =
            [("bob", "a", "{\"endpoint\""), ("bob", "b", ""), ("bob", "c", "ü7"), ("cem", "a", "d"), ("dan", "a", "e")];
        write(connections, 0, given.map(|(user, id, token)| device(user, id, token)).to_vec(), vec![]).await;
        let devices = PushDevices::new(connections.clone());
        let mut found = devices.of(&["bob", "cem", "eve"].map(user_id)).await.unwrap();
        found.sort_by(|one, other| (&one.user, &one.device).cmp(&(&other.user, &other.device)));
        let found: Vec<_> =
            found.iter().map(|one| (one.user.as_str(), one.device.as_str(), one.token_start.as_str())).collect();
        assert_eq!(found, [("bob", "a", "{"), ("bob", "c", "ü"), ("cem", "a", "d")]);
        assert_eq!(devices.of(&[]).await.unwrap(), []);
    }

    async fn where_a_push_goes_is_what_the_device_names_now(connections: &Connections) {
        let row = Uuid::from_u128(7);
        let one = OutgoingNotification {
            id: Uuid::from_u128(1),
            channel: "fcm".to_owned(),
            device: "phone".to_owned(),
            user: user_id("bob"),
            room: RoomId(Uuid::from_u128(9)),
            seq: Seq(3),
            kind: "message".to_owned(),
            by: None,
            row,
            at: Timestamp(1),
            attempts: 0,
            next_at: Timestamp(1),
        };
        let devices = PushDevices::new(connections.clone());
        let target =
            async || devices.target(&one).await.unwrap().map(|to| (to.platform, to.token, to.title, to.message));
        assert_eq!(target().await, None, "there is no such device");
        let texts =
            |token: &str, title: &str, message: &str| Some(["web", token, title, message].map(str::to_owned).into());
        write(connections, 0, vec![device("bob", "phone", "old"), device("cem", "phone", "of another")], vec![]).await;
        assert_eq!(target().await, texts("old", "", ""), "also of a row that is gone");
        let (user, message, data) = (user_id("bob"), "ann wrote".to_owned(), "{}".to_owned());
        let said =
            NotificationRow { user, id: row, kind: "message", title: "New message", message, data, at: Timestamp(1) };
        write(connections, 1, vec![device("bob", "phone", "new")], vec![said]).await;
        assert_eq!(target().await, texts("new", "New message", "ann wrote"));
        write(connections, 2, vec![device("bob", "phone", "")], vec![]).await;
        assert_eq!(target().await, None, "its token was taken away");
    }
}
