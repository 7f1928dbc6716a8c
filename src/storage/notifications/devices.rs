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
