//! The notification worker, behind what others have stored. What is stored is verified.
//!
//! It decides on its share of the partitions, and sends what any of its kind has decided.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::sharing::{Shared, Turn};
use super::{Deps, StartError, Storage};
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::marks::{self, MarksStatus};
use crate::actors::workers::notification::worker::Acknowledged;
use crate::actors::workers::relay::append_straight;
use crate::actors::workers::{LOOK, Running};
use crate::server::hinting::Hinting;
use crate::server::notifying::{Followed, Notifiers};
use crate::storage::journal::kafka::membership::Membership;
use crate::storage::store::rows::WatermarkRow;

/// It runs.
pub(super) struct Notification {
    /// None without a way out.
    shared: Option<Shared>,
    marks: Running<MarksStatus>,
    upkeep: JoinHandle<()>,
}

impl Notification {
    /// Starts it, until it is stopped.
    ///
    /// # Errors
    /// Redis or the store does not answer, or a provider can't be made of its settings.
    pub(super) async fn start(storage: &Storage, deps: &Deps, member: Option<Membership>) -> Result<Self, StartError> {
        let (journal, store) = (Arc::clone(&storage.journal), Arc::clone(&storage.store));
        let hinting = Hinting::connect(deps).await?;
        if hinting.is_none() {
            tracing::warn!(
                "no Redis is named (REDIS_HOST): what devices acknowledge is not heard of here, so all are notified"
            );
        }
        let told = hinting.map(|hinting| hinting.acknowledgements);
        let stored = Arc::new(Watermarks::new());
        let marks = marks::spawn(marks::Deps {
            store: Arc::clone(&store),
            stored: Arc::clone(&stored),
            outbox: Arc::default(),
            is_behind: Arc::new(|| true),
            report: Arc::new(|_, _, _| ()),
        });
        let followed = Followed { append: append_straight(Arc::clone(&journal), |_, _| ()), journal, store, stored };
        let acknowledged = Acknowledged { here: None, told };
        let notifiers = Notifiers::prepare(deps, followed, &storage.connections, acknowledged).await?;
        let shared = notifiers.map(|notifiers| {
            let health = notifiers.health();
            Shared::start(notifiers, storage, deps, health, member)
        });
        let metrics = Arc::clone(&deps.metrics);
        let upkeep = tokio::spawn(async move {
            loop {
                metrics.upkeep();
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(Self { shared, marks, upkeep })
    }

    pub(super) async fn stop(self) {
        if let Some(shared) = self.shared {
            shared.stop().await;
        }
        self.upkeep.abort();
        self.marks.end("look at the rows").await;
    }
}

impl Turn for Notifiers {
    fn begin(&self, rows: &[WatermarkRow], ended: watch::Receiver<bool>) -> JoinHandle<()> {
        let share = Owned::new(rows.iter().map(|row| row.partition), OwnerEpoch(1));
        self.start(Arc::new(share), ended)
    }
}
