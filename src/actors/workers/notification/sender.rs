//! Hands what was decided to the providers: claims some, sends them, notes what came of each. A sender that is killed leaves
//! claims behind, which end by themselves; whoever sends next uses the same ids.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, future, stream};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::attempts;
use super::providers::{NotificationChannel, Provider, SendError};
use crate::actors::user::commands::PushGone;
use crate::actors::user::{UserCommand, UserCommandBody, payload};
use crate::actors::workers::Running;
use crate::actors::workers::relay::Append;
use crate::env::Env;
use crate::ids::{DeviceId, Timestamp, millis};
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::record::Addressed;
use crate::storage::notifications::devices::{PushDevices, PushTarget};
use crate::storage::notifications::outbox::{NotificationOutbox, OutgoingNotification, Settled};
use crate::storage::store::StoreError;

/// What the sender works with.
#[derive(Clone)]
pub(crate) struct Deps {
    /// What is to be sent.
    pub outbox: NotificationOutbox,
    /// Where pushes go.
    pub devices: PushDevices,
    /// How a dead token is taken away.
    pub append: Append,
    /// To whom: one for each channel.
    pub providers: Arc<[Arc<dyn Provider>]>,
    /// Woken if there is something to send.
    pub sends: Arc<Notify>,
    /// Clocks and ids.
    pub env: Env,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Attempts before one is dead.
    pub attempts: u32,
    /// How long one attempt may take; the provider keeps to it.
    pub timeout: Duration,
    /// Older messages are not sent any more.
    pub expiry: Duration,
}

/// How it is, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SenderStatus {
    /// The store's last failure, until something succeeds again.
    pub failing: Option<String>,
}

/// Starts it.
#[must_use]
pub(crate) fn spawn(deps: Deps) -> Running<SenderStatus> {
    Running::start(|status, stopping| SenderTask { deps, status, stopping }.run())
}

/// Some that are this sender's until the claim ends.
pub(super) struct Claimed {
    pub claim: Uuid,
    pub notifications: Vec<OutgoingNotification>,
    /// By a clock that never jumps: nothing is sent later, as another sender may have it then.
    until: Timestamp,
}

impl Deps {
    /// How long a claim holds: all attempts of it one after the other, and as long again for what a busy machine needs.
    fn lease_ms(&self) -> u64 {
        let turns = u64::from(limits::NOTIFY_CLAIM).div_ceil(limits::NOTIFY_UNDER_WAY as u64);
        2 * (turns + 1) * millis(self.timeout).max(1_000)
    }

    /// Takes what is due.
    pub(super) async fn claim(&self) -> Result<Claimed, StoreError> {
        let (claim, now, lease_ms) = (self.env.ids.next(), self.env.now(), self.lease_ms());
        let until = Timestamp(self.env.steady().0.saturating_add(lease_ms / 2));
        let lease_ends = Timestamp(now.0.saturating_add(lease_ms));
        let notifications = self.outbox.claim(claim, now, lease_ends, limits::NOTIFY_CLAIM).await?;
        Ok(Claimed { claim, notifications, until })
    }

    /// Sends what is claimed. What was not sent in time is not among the outcomes.
    pub(super) async fn send(&self, claimed: Claimed) -> Vec<(Uuid, Settled)> {
        let Claimed { notifications, until, .. } = claimed;
        let attempts = stream::iter(notifications).map(|one| self.clone().attempt(one, until));
        attempts.buffer_unordered(limits::NOTIFY_UNDER_WAY).filter_map(future::ready).collect().await
    }

    async fn attempt(self, one: OutgoingNotification, until: Timestamp) -> Option<(Uuid, Settled)> {
        if self.env.steady() >= until {
            return None;
        }
        let result = self.send_one(&one).await;
        self.count(&result);
        let chance = self.env.ids.next().as_u64_pair().1;
        let settled = attempts::settled(&one, result, self.attempts, self.env.now(), chance);
        if let Settled::Dead { why, .. } = &settled {
            self.metrics.notifications_dead.inc();
            tracing::warn!(id = %one.id, channel = one.channel, why, "a notification is dead");
        }
        Some((one.id, settled))
    }

    async fn send_one(&self, one: &OutgoingNotification) -> Result<(), SendError> {
        let Some(provider) = self.providers.iter().find(|provider| provider.channel().name() == one.channel) else {
            return Err(SendError::Never(format!("[notifications] names no {} any more", one.channel)));
        };
        if self.env.now().since(one.at) >= millis(self.expiry) {
            return Err(SendError::Never("older than [notifications] expiry".to_owned()));
        }
        let to = match provider.channel().is_push() {
            false => PushTarget::default(),
            true => match self.devices.target(one).await {
                Ok(Some(to)) if NotificationChannel::of_device(&to.platform, &to.token) == Some(provider.channel()) => {
                    to
                }
                Ok(_) => return Err(SendError::Gone("the device has no such token any more".to_owned())),
                Err(error) => return Err(SendError::Later { why: error.to_string(), after: None }),
            },
        };
        let sent = provider.send(one, &to).await;
        match &sent {
            Err(SendError::Gone(why)) => self.take_away(one, to.token, why).await.and(sent),
            _ => sent,
        }
    }

    /// Takes a token that leads nowhere from its device: a command of the user's partition like any other. Before the
    /// notification is settled, so that whoever is killed in between is told again that it leads nowhere.
    async fn take_away(&self, one: &OutgoingNotification, push_token: String, why: &str) -> Result<(), SendError> {
        let Ok(device) = DeviceId::new(&one.device) else { return Ok(()) };
        tracing::info!(user = %one.user, %device, why, "a push token leads nowhere and is taken away");
        let body = UserCommandBody::PushGone(PushGone { device, push_token });
        let (user, id, issued_at) = (one.user.clone(), self.env.ids.next(), self.env.now());
        // The fold takes away what it names and nothing newer: however late it comes, it does no harm.
        let Addressed { partition, record, .. } =
            payload::address(UserCommand { user, id, issued_at, ttl_ms: 0, body });
        match (self.append)(partition, vec![record]).await.into_iter().collect::<Result<(), _>>() {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(SendError::Later { why: format!("the dead token is not taken away: {error}"), after: None })
            }
        }
    }

    fn count(&self, result: &Result<(), SendError>) {
        match result {
            Ok(()) => self.metrics.notifications_sent.inc(),
            Err(_) => self.metrics.notifications_failed.inc(),
        }
    }
}

struct SenderTask {
    deps: Deps,
    status: watch::Sender<SenderStatus>,
    stopping: watch::Receiver<bool>,
}

impl SenderTask {
    async fn run(mut self) {
        while !*self.stopping.borrow() {
            let done = self.round().await;
            let failing = done.as_ref().err().map(ToString::to_string);
            self.status.send_if_modified(|status| {
                let is_changed = status.failing != failing;
                status.failing.clone_from(&failing);
                is_changed
            });
            let wait = match done {
                Ok(None) => continue,
                Ok(Some(wait)) => wait,
                Err(error) => {
                    tracing::warn!(%error, "notifications can't be sent; trying again");
                    Duration::from_millis(limits::NOTIFY_LOOK_MS)
                }
            };
            tokio::select! {
                () = self.deps.sends.notified() => {}
                () = tokio::time::sleep(wait) => {}
                _ = self.stopping.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Sends some. `None` if there may be more, else how long nothing is due.
    async fn round(&self) -> Result<Option<Duration>, StoreError> {
        let claimed = self.deps.claim().await?;
        if claimed.notifications.is_empty() {
            let due = self.deps.outbox.next_due().await?;
            let wait = due.map_or(u64::MAX, |due| due.since(self.deps.env.now()));
            return Ok(Some(Duration::from_millis(wait.clamp(10, limits::NOTIFY_LOOK_MS))));
        }
        let (claim, outcomes) = (claimed.claim, self.deps.send(claimed).await);
        self.deps.outbox.settle(claim, outcomes).await?;
        Ok(None)
    }
}
