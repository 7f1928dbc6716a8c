//! A whole node with its handlers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::store::Gated;
use crate::actors::gateway::hub::Owners as _;
use crate::actors::node::{self, Node};
use crate::actors::partition::core::Options as PartitionOptions;
use crate::actors::partition::verified::Rule;
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::router::{self, Router};
use crate::actors::wire::{Entity, Ephemeral, FetchError, NodeId, ToGateway, ToOwner};
use crate::api::operations::admission::Rates;
use crate::api::operations::error::Error;
use crate::api::operations::{Caller, Handlers, Options};
use crate::env::{Env, ManualClock, SystemIds};
use crate::health::Health;
use crate::ids::{Partition, RoomId, Seq, Timestamp, UserId};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::journal::Journal as _;
use crate::storage::journal::memory::MemoryJournal;
use crate::storage::store::sql::SqlStore;
use crate::testing::{found, within};

pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) struct Fixture {
    pub handlers: Arc<Handlers>,
    pub node: Arc<Node>,
    pub store: Arc<Gated>,
    pub clock: Arc<ManualClock>,
    pub online: Arc<Mutex<BTreeSet<UserId>>>,
    pub journal: MemoryJournal,
    frames: mpsc::UnboundedReceiver<ToGateway>,
    dir: TempDir,
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A gateway that keeps what it is told.
struct Recorder(mpsc::UnboundedSender<ToGateway>);

impl node::Gateway for Recorder {
    fn receive(&self, frame: ToGateway) {
        drop(self.0.send(frame));
    }

    fn owner_changed(&self, _: Partition) {}
}

pub(crate) fn caller(name: &str) -> Caller {
    Caller::new(user(name))
}

/// Options without limits of rates.
pub(crate) fn free() -> Options {
    Options { rates: Rates::unbounded(), ..Options::default() }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let journal = MemoryJournal::new(Arc::clone(&clock) as _);
        Self::over(journal, tempfile::tempdir().unwrap(), clock, free()).await
    }

    /// One whose users may do only so much.
    pub(crate) async fn with_rates(rates: Rates) -> Self {
        Self::with(Options { rates, ..free() }).await
    }

    /// One with these options.
    pub(crate) async fn with(options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let journal = MemoryJournal::new(Arc::clone(&clock) as _);
        Self::over(journal, tempfile::tempdir().unwrap(), clock, options).await
    }

    async fn over(journal: MemoryJournal, dir: TempDir, clock: Arc<ManualClock>, options: Options) -> Self {
        let sqlite = SqlStore::open_file(&dir.path().join("kervan.db")).await.unwrap();
        let store = Arc::new(Gated::new(Arc::new(sqlite)));
        let (send, frames) = mpsc::unbounded_channel();
        let metrics = Arc::new(Metrics::new());
        let router = Router::new(router::Deps {
            node: NodeId::default(),
            owned: Owned::new(Partition::all(), OwnerEpoch(1)),
            clock: Arc::clone(&clock) as _,
            metrics: Arc::clone(&metrics),
            memory: 1 << 30,
        });
        let deps = node::Deps {
            env: Env { clock: Arc::clone(&clock) as _, ids: Arc::new(SystemIds) },
            journal: Arc::new(journal.clone()),
            store: Arc::clone(&store) as _,
            metrics,
            health: Health::new(Shutdown::new()),
            options: PartitionOptions {
                rule: Rule::OwnReports,
                unknown_after_ms: 500,
                retry_after_ms: 50,
                idle_ms: 60_000,
                cover_after_ms: None,
                knows: crate::actors::moment::FoldVersion::KNOWN,
            },
            router: Arc::new(router),
            resident: 100_000,
            rows: node::RowsMadeBy::Node,
            gateway: Arc::new(Recorder(send)),
        };
        let node = Arc::new(Node::start(deps).await.unwrap());
        node.replayed().await;
        let online: Arc<Mutex<BTreeSet<UserId>>> = Arc::default();
        let known = Arc::clone(&online);
        let is_online = Arc::new(move |user: &UserId| known.lock().unwrap().contains(user));
        let handlers = Arc::new(Handlers::new(Arc::clone(&node), options, is_online));
        Self { handlers, node, store, clock, online, journal, frames, dir }
    }

    /// Another node takes over the journal and the database as this one leaves them: it stores nothing any more, and what
    /// it appends is in nobody's journal.
    pub(crate) async fn crash(self) -> Self {
        self.store.shut().await;
        Self::over(self.journal.after_crash(1), self.dir, self.clock, free()).await
    }

    /// The result of a method.
    pub(crate) async fn ok(&self, who: &str, method: &str, data: Value) -> Value {
        match self.handlers.call(&caller(who), method, data.to_string().as_bytes()).await {
            Ok(reply) => serde_json::from_slice(&reply).unwrap(),
            Err(error) => panic!("{method} of {who} with {data}: {error:?}"),
        }
    }

    /// The result of a method that waits for others. On a busy machine they may take longer than it waits: it is asked again,
    /// as clients do.
    pub(crate) async fn ok_at_last(&self, who: &str, method: &str, data: Value) -> Value {
        found(method, async || match self.handlers.call(&caller(who), method, data.to_string().as_bytes()).await {
            Ok(reply) => Some(serde_json::from_slice(&reply).unwrap()),
            Err(Error::Unavailable { .. }) => None,
            Err(error) => panic!("{method} of {who} with {data}: {error:?}"),
        })
        .await
    }

    /// The error code of a method that is refused.
    pub(crate) async fn code(&self, who: &str, method: &str, data: Value) -> u32 {
        match self.handlers.call(&caller(who), method, data.to_string().as_bytes()).await {
            Ok(reply) => panic!("{method} of {who} with {data}: {}", String::from_utf8_lossy(&reply)),
            Err(error) => error.to_protocol().code,
        }
    }

    /// A group with these members, the first one its creator.
    pub(crate) async fn group(&self, members: &[&str]) -> String {
        let data = json!({ "kind": "group", "members": members, "title": "team" });
        room_of(&self.ok(members[0], "room.create", data).await)
    }

    /// The direct chat of two.
    pub(crate) async fn direct(&self, one: &str, other: &str) -> String {
        room_of(&self.ok(one, "room.create", json!({ "kind": "direct", "user": other })).await)
    }

    /// Sends a text and gives its seq.
    pub(crate) async fn say(&self, who: &str, room: &str, body: &str) -> u64 {
        self.ok(who, "message.send", json!({ "room": room, "body": body })).await["seq"].as_u64().unwrap()
    }

    /// Bodies of a history page.
    pub(crate) async fn bodies(&self, who: &str, data: Value) -> Vec<String> {
        bodies(&self.ok(who, "message.history", data).await)
    }

    /// Waits until the store has everything.
    pub(crate) async fn settle(&self) {
        for partition in Partition::all() {
            self.node.stored().reach(partition, self.journal.bounds(partition).end).await;
        }
    }

    /// Listens to a room as a gateway does.
    pub(crate) async fn listen(&mut self, room: &str, who: &str) {
        let stream = Entity::Room(RoomId(room.parse().unwrap()));
        let request = self.node.router().next_request();
        self.node.router().send(ToOwner::Listen { request, stream, user: user(who), open: false }).unwrap();
        loop {
            match self.frame().await {
                ToGateway::Granted { .. } => return,
                ToGateway::Denied { reason, .. } => panic!("{who} is denied: {reason:?}"),
                _ => {}
            }
        }
    }

    /// Events of a room as a gateway fetches them, in their whole shape.
    pub(crate) async fn fetch(&mut self, room: &str, from: u64, to: u64) -> Result<Vec<String>, FetchError> {
        let stream = Entity::Room(RoomId(room.parse().unwrap()));
        let (_, events) = self.node.router().fetch(stream, Seq(from), Seq(to)).await?;
        Ok(events.iter().map(|event| format!("{event:?}")).collect())
    }

    /// The next news without a place in a stream.
    pub(crate) async fn ephemeral(&mut self) -> Ephemeral {
        loop {
            if let ToGateway::Ephemeral { event, .. } = self.frame().await {
                return event;
            }
        }
    }

    async fn frame(&mut self) -> ToGateway {
        within("a frame comes", self.frames.recv()).await.unwrap()
    }
}

pub(crate) fn room_of(reply: &Value) -> String {
    reply["room"].as_str().unwrap().to_owned()
}

pub(crate) fn bodies(page: &Value) -> Vec<String> {
    page["messages"].as_array().unwrap().iter().map(|m| m["body"].as_str().unwrap().to_owned()).collect()
}
