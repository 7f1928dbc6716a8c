//! Writes a line into the log: for trying notifications out.

use async_trait::async_trait;

use super::{NotificationChannel, Provider, SendError};
use crate::storage::notifications::devices::PushTarget;
use crate::storage::notifications::outbox::OutgoingNotification;

/// See the module.
pub(crate) struct LogProvider;

#[async_trait]
impl Provider for LogProvider {
    fn channel(&self) -> NotificationChannel {
        NotificationChannel::Log
    }

    async fn send(&self, one: &OutgoingNotification, _: &PushTarget) -> Result<(), SendError> {
        let OutgoingNotification { id, user, room, seq, kind, .. } = one;
        tracing::info!(%id, %user, %room, %seq, kind, "a notification");
        Ok(())
    }
}
