//! The seam to whoever brings notifications to people. A provider is told of one notification at a time, may be told of it
//! again under the same id, and says whether trying again makes sense. It keeps to its own timeout, and what it says of a
//! failure holds no secret.

mod answer;
mod fcm;
mod log;
mod web_push;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;

pub(crate) use self::fcm::Fcm;
pub(crate) use self::log::LogProvider;
pub(crate) use self::web_push::{PushSubscription, WebPush};
pub(crate) use self::webhook::Webhook;
use crate::storage::notifications::devices::PushTarget;
use crate::storage::notifications::outbox::OutgoingNotification;

/// A way out. Its name stands in rows, and is for life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotificationChannel {
    /// A line in the log.
    Log,
    /// A request to an address.
    Webhook,
    /// Firebase Cloud Messaging: a push to one device.
    Fcm,
    /// Web Push: a push to one browser.
    WebPush,
}

impl NotificationChannel {
    /// As rows have it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Webhook => "webhook",
            Self::Fcm => "fcm",
            Self::WebPush => "web_push",
        }
    }

    /// Whether it brings a notification to one device, and not to the user.
    #[must_use]
    pub(crate) fn is_push(self) -> bool {
        match self {
            Self::Log | Self::Webhook => false,
            Self::Fcm | Self::WebPush => true,
        }
    }

    /// The way out that leads to a device which says of itself that it is `platform`, and whose push token begins so. A JSON
    /// object is a browser's subscription to Web Push; every other token is one of FCM's.
    #[must_use]
    pub(crate) fn of_device(_platform: &str, token_start: &str) -> Option<Self> {
        Some(if token_start.starts_with('{') { Self::WebPush } else { Self::Fcm })
    }
}

/// See the module.
#[async_trait]
pub(crate) trait Provider: Send + Sync + 'static {
    /// Which it is.
    fn channel(&self) -> NotificationChannel;

    /// Tells it of a notification. `Ok`: it has it. `to` is the device, if the channel [is one of devices](NotificationChannel::is_push).
    async fn send(&self, notification: &OutgoingNotification, to: &PushTarget) -> Result<(), SendError>;
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
    /// The device's token leads nowhere any more.
    #[error("{0}")]
    Gone(String),
}
