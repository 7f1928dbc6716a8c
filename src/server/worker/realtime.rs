//! Relay and expiry scanner, over what others have stored of this worker's share. Both append straight to the journal.
//!
//! The relay's cursor is the outbox, which lies in the rows: the persistence worker fills it in the transaction that moves its
//! watermark, and what was told is removed after the delivery report. Two relays that tell the same do no harm: whoever is told
//! knows the numbers of a source, and drops what comes again.
//!
//! Nobody says when there is something in the outbox. So the journal is followed as the persistence worker does: behind a
//! verified record of which others are told the rows are looked at until they have it, and then the outbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::journal_clock::JournalClock;
use super::sharing::{Shared, Turn};
use super::{Deps, Storage};
use crate::actors::clocks::Clocks;
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::marks::{self, MarksStatus};
use crate::actors::workers::prefix::{self, PrefixMarks, PrefixStatus};
use crate::actors::workers::relay::expiry;
use crate::actors::workers::relay::worker::{self as relay, RelayStatus};
use crate::actors::workers::relay::{Append, append_straight};
use crate::actors::workers::{self, LOOK, Running};
use crate::env::Env;
use crate::health::Check;
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::Journal;
use crate::storage::journal::kafka::membership::Membership;
use crate::storage::journal::record::Prefix;
use crate::storage::store::Store;
use crate::storage::store::rows::WatermarkRow;

/// It runs.
pub(super) struct Realtime {
    shared: Shared,
    marks: Running<MarksStatus>,
    due: JoinHandle<()>,
}

impl Realtime {
    /// Starts it, until it is stopped.
    pub(super) fn start(storage: &Storage, deps: &Deps, member: Option<Membership>) -> Self {
        let Deps { env, metrics, health, .. } = deps;
        let (journal, store) = (Arc::clone(&storage.journal), Arc::clone(&storage.store));
        let (stored, meant) = (Arc::new(Watermarks::new()), Arc::new(Watermarks::new()));
        let (read, outbox) = (PrefixMarks::default(), Arc::new(Watermarks::new()));
        let clock = Arc::new(JournalClock::new(Arc::clone(&env.clock)));
        let append = append_straight(Arc::clone(&journal), {
            let (clock, meant, stored) = (Arc::clone(&clock), Arc::clone(&meant), Arc::clone(&stored));
            move |partition, report| {
                clock.heard(report.time);
                meant.raise(partition, report.end);
                stored.want();
            }
        });
        let is_behind = {
            let (awaited, meant, stored) = (Arc::clone(&read.awaited), Arc::clone(&meant), Arc::clone(&stored));
            move || awaited.beyond(&stored).chain(meant.beyond(&stored)).next().is_some()
        };
        let marks = marks::spawn(marks::Deps {
            store: Arc::clone(&store),
            stored: Arc::clone(&stored),
            // It rises with all that is stored; here only what others are told of counts.
            outbox: Arc::default(),
            is_behind: Arc::new(is_behind),
            report: Arc::new(|_, _, _| ()),
        });
        let due = tokio::spawn(look_for_facts(Arc::clone(&read.awaited), Arc::clone(&stored), Arc::clone(&outbox)));
        let health = health.check("relay");
        let (env, metrics) = (env.clone(), Arc::clone(metrics));
        let clocks = Arc::new(Clocks::default());
        let turn = Relaying {
            journal,
            store,
            stored,
            meant,
            read,
            outbox,
            append,
            clock,
            clocks,
            env,
            health: health.clone(),
            metrics,
        };
        Self { shared: Shared::start(turn, storage, deps, health, member), marks, due }
    }

    pub(super) async fn stop(self) {
        self.shared.stop().await;
        self.due.abort();
        self.marks.end("look at the rows").await;
    }
}

/// Says how far the outbox may have more, once that is stored, and has the rows looked at until it is.
async fn look_for_facts(awaited: Arc<Watermarks>, stored: Arc<Watermarks>, outbox: Arc<Watermarks>) {
    let (mut reads, mut stores) = (awaited.changes(), stored.changes());
    loop {
        reads.borrow_and_update();
        stores.borrow_and_update();
        let mut waits = false;
        for (partition, to) in awaited.beyond(&outbox) {
            match stored.get(partition) >= to {
                true => outbox.raise(partition, to),
                false => waits = true,
            }
        }
        if waits {
            stored.want();
        }
        let changed = tokio::select! {
            changed = reads.changed() => changed,
            changed = stores.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// What a share is worked on with.
struct Relaying {
    journal: Arc<dyn Journal>,
    store: Arc<dyn Store>,
    /// How far all partitions are stored.
    stored: Arc<Watermarks>,
    /// How far the store is to be of what was appended here.
    meant: Arc<Watermarks>,
    read: PrefixMarks,
    /// How far there may be something in the outbox.
    outbox: Arc<Watermarks>,
    append: Append,
    clock: Arc<JournalClock>,
    clocks: Arc<Clocks>,
    env: Env,
    health: Check,
    metrics: Arc<Metrics>,
}

impl Turn for Relaying {
    fn begin(&self, rows: &[WatermarkRow], ended: watch::Receiver<bool>) -> JoinHandle<()> {
        let owned = Arc::new(Owned::new(rows.iter().map(|row| row.partition), OwnerEpoch(1)));
        let starts = rows.iter().map(|row| (row.partition, Prefix { end: row.next_offset, hash: row.log_hash }));
        let reader = prefix::spawn(Arc::clone(&self.journal), starts.collect(), self.read.clone());
        let (clock, clocks, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.clocks), Arc::clone(&self.metrics));
        let (now, steady) = (Arc::clone(&self.clock), Arc::clone(&self.env.clock));
        let parts = Parts {
            relay: relay::Deps {
                store: Arc::clone(&self.store),
                meant: Arc::clone(&self.meant),
                owned: Arc::clone(&owned),
                append: Arc::clone(&self.append),
                stored: Arc::clone(&self.stored),
                outbox: Arc::clone(&self.outbox),
                // Nobody is admitted here.
                owed: Arc::default(),
                retry: relay::RETRY,
            },
            expiry: expiry::Deps {
                store: Arc::clone(&self.store),
                now: Arc::new(move || now.now()),
                owned,
                meant: Arc::clone(&self.meant),
                stored: Arc::clone(&self.stored),
                append: Arc::clone(&self.append),
                env: self.env.clone(),
                may_expire: Arc::new(move || {
                    clocks.watch(clock.now(), steady.steady(), &metrics);
                    clocks.may_expire(steady.steady())
                }),
                every: Duration::from_millis(limits::EXPIRY_SCAN_MS),
            },
            reader,
            verified: Arc::clone(&self.read.verified),
        };
        tokio::spawn(parts.look_after(self.health.clone(), Arc::clone(&self.metrics), ended))
    }
}

/// What runs over a share.
struct Parts {
    relay: relay::Deps,
    expiry: expiry::Deps,
    reader: Running<PrefixStatus>,
    verified: Arc<Watermarks>,
}

impl Parts {
    /// Starts both, again if one dies, and says how they are, until it is told to stop.
    async fn look_after(self, health: Check, metrics: Arc<Metrics>, mut stopping: watch::Receiver<bool>) {
        let (mut relay, mut expiry) = (relay::spawn(self.relay.clone()), expiry::spawn(self.expiry.clone()));
        while !*stopping.borrow() {
            relay.revive("relay", &metrics, || relay::spawn(self.relay.clone()));
            expiry.revive("expiry scanner", &metrics, || expiry::spawn(self.expiry.clone()));
            match trouble(&self.reader.status().borrow(), &relay) {
                Some(trouble) => health.down(trouble),
                None => health.up(),
            }
            metrics.upkeep();
            relay.status().borrow().measure(&self.verified, &metrics);
            workers::pause(LOOK, &mut stopping).await;
        }
        expiry.end("expiry scanner").await;
        relay.end("relay").await;
        self.reader.end("reader of the journal").await;
    }
}

/// What is wrong, for the operator.
fn trouble(reader: &PrefixStatus, relay: &Running<RelayStatus>) -> Option<String> {
    reader.halt().or_else(|| reader.unread()).or_else(|| relay.status().borrow().failing.clone())
}
