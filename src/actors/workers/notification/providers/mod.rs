//! The seam to whoever brings notifications to people. A provider is told of one notification at a time, may be told of it
//! again under the same id, and says whether trying again makes sense. It keeps to its own timeout, and what it says of a
//! failure holds no secret.

mod log;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;

pub(crate) use self::log::LogProvider;
pub(crate) use self::webhook::Webhook;
use crate::storage::notifications::outbox::OutgoingNotification;

/// A way out. Its name stands in rows, and is for life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotificationChannel {
    /// A line in the log.
    Log,
    /// A request to an address.
    Webhook,
}

impl NotificationChannel {
    /// As rows have it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Webhook => "webhook",
        }
    }
}

/// See the module.
#[async_trait]
pub(crate) trait Provider: Send + Sync + 'static {
    /// Which it is.
    fn channel(&self) -> NotificationChannel;

    /// Tells it of a notification. `Ok`: it has it.
    async fn send(&self, notification: &OutgoingNotification) -> Result<(), SendError>;
}

/// Why a provider does not have a notification, as far as anybody knows.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// Trying again may help.
    #[error("{why}")]
    Later {
        /// Why.
        why: String,
        /// Not before this, as the provider says.
        after: Option<Duration>,
    },
    /// It will never take it.
    #[error("{0}")]
    Never(String),
}
