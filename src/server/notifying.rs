//! The notification worker, inside a server or by itself: which providers the configuration names, the worker and its sender over
//! journal and rows, looked after until it is stopped.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Deps, StartError};
use crate::actors::node::Node;
use crate::actors::router::owned::Owned;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::notification::providers::{Fcm, LogProvider, Provider, WebPush, Webhook};
use crate::actors::workers::notification::sender::{self, SenderStatus};
use crate::actors::workers::notification::worker::{self, Acknowledged, NotifyStatus};
use crate::actors::workers::relay::Append;
use crate::actors::workers::{self, LOOK, Running};
use crate::config::Notifications;
use crate::env::Env;
use crate::health::Check;
use crate::storage::journal::Journal;
use crate::storage::notifications::devices::PushDevices;
use crate::storage::notifications::facts::NotificationFacts;
use crate::storage::notifications::outbox::NotificationOutbox;
use crate::storage::sql::Connections;
use crate::storage::store::Store;

/// What the two follow, and where they append.
pub(super) struct Followed {
    pub journal: Arc<dyn Journal>,
    pub store: Arc<dyn Store>,
    /// How far each partition may be read: what is verified and stored.
    pub stored: Arc<Watermarks>,
    pub append: Append,
}

impl Followed {
    /// Those of a node.
    pub(super) fn of(node: &Node) -> Self {
        Self {
            journal: Arc::clone(node.journal()),
            store: Arc::clone(node.store()),
            stored: Arc::clone(node.stored()),
            append: node.append(),
        }
    }
}

/// Whether a configuration names a way out.
pub(super) fn is_wanted(settings: &Notifications) -> bool {
    let pushes = settings.fcm_account.is_some() || settings.vapid_key.is_some();
    settings.log || settings.webhook_url.is_some() || pushes
}

/// What both are started with.
pub(super) struct Notifiers {
    worker: worker::Deps,
    sender: sender::Deps,
    health: Check,
}

/// Both, running.
pub(super) struct Notifying {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Notifiers {
    /// Begins the partitions that were never begun, if the configuration names a way out. What is sent from now on notifies.
    ///
    /// # Errors
    /// A provider can't be made of its settings, or the store does not answer.
    pub(super) async fn prepare(
        deps: &Deps,
        followed: Followed,
        connections: &Connections,
        acknowledged: Acknowledged,
    ) -> Result<Option<Self>, StartError> {
        let Deps { config, env, metrics, health, .. } = deps;
        let settings = &config.notifications;
        let providers = providers(settings, env)?;
        if providers.is_empty() {
            return Ok(None);
        }
        let (outbox, sends) = (NotificationOutbox::new(connections.clone()), Arc::new(Notify::new()));
        let Followed { journal, store, stored, append } = followed;
        worker::begin(&*journal, &*store, &outbox).await?;
        let channels = providers.iter().map(|provider| provider.channel()).collect();
        let worker = worker::Deps {
            journal,
            store,
            outbox: outbox.clone(),
            facts: NotificationFacts::new(connections.clone()),
            devices: PushDevices::new(connections.clone()),
            stored,
            acknowledged,
            sends: Arc::clone(&sends),
            env: env.clone(),
            metrics: Arc::clone(metrics),
            options: worker::Options::new(settings.after, settings.expiry, channels),
        };
        let sender = sender::Deps {
            outbox,
            devices: PushDevices::new(connections.clone()),
            append,
            providers: providers.into(),
            sends,
            env: env.clone(),
            metrics: Arc::clone(metrics),
            attempts: settings.attempts,
            timeout: settings.timeout,
            expiry: settings.expiry,
        };
        Ok(Some(Self { worker, sender, health: health.check("notifications") }))
    }

    /// Where they say how they are.
    pub(super) fn health(&self) -> Check {
        self.health.clone()
    }

    /// Starts both: they decide on these partitions, and send what anybody has decided, until `ended` says so.
    pub(super) fn start(&self, owned: Arc<Owned>, ended: watch::Receiver<bool>) -> JoinHandle<()> {
        let mut worker = self.worker.clone();
        worker.options.owned = owned;
        tokio::spawn(look_after(worker, self.sender.clone(), self.health.clone(), ended))
    }

    /// Starts both, over all partitions.
    pub(super) fn start_alone(self) -> Notifying {
        let (stop, stopping) = watch::channel(false);
        Notifying { stop, task: self.start(Arc::clone(&self.worker.options.owned), stopping) }
    }
}

impl Notifying {
    /// Ends them; what is under way at a provider is noted before.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the notification worker died; the next start goes on where it was");
        }
    }
}

fn providers(settings: &Notifications, env: &Env) -> Result<Vec<Arc<dyn Provider>>, StartError> {
    let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
    if settings.log {
        providers.push(Arc::new(LogProvider));
    }
    if let (Some(url), Some(key)) = (&settings.webhook_url, &settings.webhook_secret) {
        let webhook = Webhook::new(url, key.clone(), settings.timeout, env.clone());
        providers.push(Arc::new(webhook.map_err(|error| StartError::Notifications(error.to_string()))?));
    }
    if let Some(account) = &settings.fcm_account {
        let Notifications { fcm_url, timeout, expiry, .. } = settings;
        let fcm = Fcm::new(account.clone(), fcm_url, *timeout, *expiry, env.clone());
        providers.push(Arc::new(fcm.map_err(|error| StartError::Notifications(error.to_string()))?));
    }
    if let (Some(key), Some(subject)) = (&settings.vapid_key, &settings.vapid_subject) {
        let Notifications { web_push_anywhere, timeout, expiry, .. } = settings;
        let times = (*timeout, *expiry);
        let browsers = WebPush::new(key.clone(), subject.clone(), *web_push_anywhere, times, env.clone());
        providers.push(Arc::new(browsers.map_err(|error| StartError::Notifications(error.to_string()))?));
    }
    Ok(providers)
}

async fn look_after(worker: worker::Deps, sender: sender::Deps, health: Check, mut stopping: watch::Receiver<bool>) {
    let mut decides = worker::spawn(worker.clone());
    let mut sends = sender::spawn(sender.clone());
    while !*stopping.borrow() {
        decides.revive("notifications", &worker.metrics, || worker::spawn(worker.clone()));
        sends.revive("sender of notifications", &worker.metrics, || sender::spawn(sender.clone()));
        match trouble(&decides, &sends) {
            // Nobody's chat depends on it: the node stays ready.
            Some(trouble) => health.warn(trouble),
            None => health.up(),
        }
        workers::pause(LOOK, &mut stopping).await;
    }
    decides.end("notifications").await;
    sends.end("sender of notifications").await;
}

fn trouble(decides: &Running<NotifyStatus>, sends: &Running<SenderStatus>) -> Option<String> {
    let (decides, sends) = (decides.status(), sends.status());
    let (decides, sends) = (decides.borrow(), sends.borrow());
    let halted = decides.halted.first().map(|(partition, why)| format!("partition {partition}: {why}"));
    halted.or_else(|| decides.failing.clone()).or_else(|| sends.failing.clone())
}
