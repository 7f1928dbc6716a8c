//! A journal, the rows that a projector makes of it, and a provider that remembers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::Notify;
use uuid::Uuid;

use super::super::providers::{NotificationChannel, Provider, SendError};
use super::super::rounds::{NotifyStep, Options};
use super::super::sender;
use super::super::worker::{self, Acknowledged, Decider};
use crate::actors::room;
use crate::actors::room::commands::{Command, Create, RoomCommand, Send};
use crate::actors::user::{self, UserCommand, UserCommandBody};
use crate::actors::watermarks::Watermarks;
use crate::actors::wire::{Content, HistoryBound, MaySend, RoomKind};
use crate::actors::workers::persistence::worker as projector;
use crate::config::Database;
use crate::env::{CountedIds, Env, ManualClock};
use crate::ids::{ClientId, Partition, RoomId, Seq, Timestamp, UserId};
use crate::metrics::Metrics;
use crate::storage::journal::Journal as _;
use crate::storage::journal::memory::MemoryJournal;
use crate::storage::notifications::devices::{PushDevices, PushTarget};
use crate::storage::notifications::facts::NotificationFacts;
use crate::storage::notifications::outbox::{NotificationOutbox, OutgoingNotification};
use crate::storage::sql::Connections;
use crate::storage::store::sql::SqlStore;
use crate::testing::within;

/// When everything begins.
const START: u64 = 1_800_000_000_000;
/// How long devices have.
pub(super) const AFTER: Duration = Duration::from_secs(30);
/// Who was notified of what.
pub(super) type Told = (String, RoomId, u64);

pub(super) fn user_id(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// What a provider does with the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It takes it.
    Take,
    /// It takes it, and its answer is lost.
    LoseAnswer,
    /// It is away.
    Away,
    /// It refuses it for good.
    Refuse,
    /// It says that the device's token leads nowhere.
    TokenGone,
}

/// A provider that remembers the keys under which it was told of each notification, and how often.
#[derive(Default)]
pub(super) struct Receiver {
    pub told: Mutex<BTreeMap<Told, BTreeSet<Uuid>>>,
    /// The tokens that were pushed to, each time.
    pub pushed: Mutex<Vec<String>>,
    /// Whether it brings notifications to devices, and not to users.
    pub is_push: AtomicBool,
    pub fates: Mutex<VecDeque<Fate>>,
    pub requests: Mutex<u64>,
}

#[async_trait]
impl Provider for Receiver {
    fn channel(&self) -> NotificationChannel {
        if self.is_push.load(Ordering::Relaxed) { NotificationChannel::Fcm } else { NotificationChannel::Webhook }
    }

    async fn send(&self, one: &OutgoingNotification, to: &PushTarget) -> Result<(), SendError> {
        self.pushed.lock().unwrap().push(to.token.clone());
        *self.requests.lock().unwrap() += 1;
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Take);
        if matches!(fate, Fate::Take | Fate::LoseAnswer) {
            let told = (one.user.as_str().to_owned(), one.room, one.seq.0);
            self.told.lock().unwrap().entry(told).or_default().insert(one.id);
        }
        match fate {
            Fate::Take => Ok(()),
            Fate::LoseAnswer | Fate::Away => Err(SendError::Later { why: "away".to_owned(), after: None }),
            Fate::Refuse => Err(SendError::Never("refused".to_owned())),
            Fate::TokenGone => Err(SendError::Gone("404".to_owned())),
        }
    }
}

/// See the module.
pub(super) struct World {
    pub clock: Arc<ManualClock>,
    pub journal: MemoryJournal,
    pub connections: Connections,
    pub outbox: NotificationOutbox,
    pub receiver: Arc<Receiver>,
    pub acknowledged: Arc<Mutex<BTreeMap<(UserId, RoomId), Seq>>>,
    pub stored: Arc<Watermarks>,
    env: Env,
    folder: tempfile::TempDir,
}

impl World {
    /// An empty one whose notifications have begun.
    pub(super) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(START)));
        let journal = MemoryJournal::new(clock.clone());
        let env = Env { clock: clock.clone(), ids: Arc::new(CountedIds::new(1)) };
        let (folder, connections) = empty().await;
        let outbox = NotificationOutbox::new(connections.clone());
        let (receiver, acknowledged, stored) = (Arc::default(), Arc::default(), Arc::default());
        let world = Self { clock, journal, connections, outbox, receiver, acknowledged, stored, env, folder };
        world.begins().await;
        world
    }

    pub(super) async fn begins(&self) {
        let store = SqlStore::new(self.connections.clone());
        worker::begin(&self.journal, &store, &self.outbox).await.unwrap();
    }

    /// The database is lost, and an empty one takes its place.
    pub(super) async fn loses_its_database(&mut self) {
        (self.folder, self.connections) = empty().await;
        self.outbox = NotificationOutbox::new(self.connections.clone());
        self.stored = Arc::default();
    }

    pub(super) async fn room(&self, room: RoomId, body: RoomCommand) {
        self.room_again(room, self.env.ids.next(), body).await;
    }

    /// The command with this id, which may be there already.
    pub(super) async fn room_again(&self, room: RoomId, id: Uuid, body: RoomCommand) {
        let issued_at = self.env.now();
        let addressed = room::payload::address(Command { room, id, issued_at, ttl_ms: 0, body });
        self.append(addressed.partition, addressed.record).await;
    }

    pub(super) async fn user(&self, name: &str, body: UserCommandBody) {
        let (id, issued_at) = (self.env.ids.next(), self.env.now());
        let addressed = user::payload::address(UserCommand { user: user_id(name), id, issued_at, ttl_ms: 0, body });
        self.append(addressed.partition, addressed.record).await;
    }

    pub(super) async fn group(&self, name: &str, creator: &str, members: &[&str]) -> RoomId {
        let room = RoomId::group(&user_id(creator), &ClientId::new(name).unwrap());
        let members = members.iter().map(|name| user_id(name)).collect();
        self.room(room, RoomCommand::Create(create(RoomKind::Group, creator, members))).await;
        room
    }

    pub(super) async fn says(&self, room: RoomId, who: &str) {
        self.room(room, RoomCommand::Send(message(who, None))).await;
    }

    async fn append(&self, partition: Partition, record: Bytes) {
        self.journal.append(partition, vec![record]).await.unwrap();
    }

    /// The projector stores all that the journal holds.
    pub(super) async fn stores(&self) {
        let (applied, outbox) = (Arc::new(Watermarks::new()), Arc::default());
        for partition in Partition::all() {
            applied.raise(partition, self.journal.bounds(partition).end);
        }
        let worker = projector::spawn(projector::Deps {
            journal: Arc::new(self.journal.clone()),
            store: Arc::new(SqlStore::new(self.connections.clone())),
            applied: Arc::clone(&applied),
            stored: Arc::clone(&self.stored),
            outbox,
            report: Arc::new(|_, _, _| ()),
            options: projector::Options::default(),
        });
        for partition in Partition::all() {
            within("the rows are stored", self.stored.reach(partition, applied.get(partition))).await;
        }
        worker.stop().await.unwrap();
    }

    /// Small bounds, so that every one of them is met.
    pub(super) fn decider(&self) -> Decider {
        let options = Options {
            members: 2,
            batch: 3,
            ..Options::new(AFTER, Duration::from_secs(3_600), vec![self.receiver.channel()])
        };
        let acknowledged = Arc::clone(&self.acknowledged);
        let here = move |user: &UserId, room| acknowledged.lock().unwrap().get(&(user.clone(), room)).copied();
        Decider::new(worker::Deps {
            journal: Arc::new(self.journal.clone()),
            store: Arc::new(SqlStore::new(self.connections.clone())),
            outbox: self.outbox.clone(),
            facts: NotificationFacts::new(self.connections.clone()),
            devices: PushDevices::new(self.connections.clone()),
            stored: Arc::clone(&self.stored),
            acknowledged: Acknowledged { here: Some(Arc::new(here)), told: None },
            sends: Arc::new(Notify::new()),
            env: self.env.clone(),
            metrics: Arc::new(Metrics::new()),
            options,
        })
    }

    pub(super) fn sender(&self, attempts: u32) -> sender::Deps {
        let provider: Arc<dyn Provider> = self.receiver.clone();
        let journal = self.journal.clone();
        let append = move |partition: Partition, records: Vec<Bytes>| {
            let journal = journal.clone();
            async move { vec![journal.append(partition, records).await.map(drop)] }.boxed()
        };
        sender::Deps {
            outbox: self.outbox.clone(),
            devices: PushDevices::new(self.connections.clone()),
            append: Arc::new(append),
            providers: Arc::new([provider]),
            sends: Arc::new(Notify::new()),
            env: self.env.clone(),
            metrics: Arc::new(Metrics::new()),
            attempts,
            timeout: Duration::from_secs(1),
            expiry: Duration::from_secs(1_000_000),
        }
    }

    /// Decides and sends until there is nothing left to do, and never longer than `life` lasts. `false`: it was killed.
    pub(super) async fn lives(&self, life: &mut Life) -> bool {
        self.decides(life).await && self.sends(life).await
    }

    pub(super) async fn decides(&self, life: &mut Life) -> bool {
        self.decides_with(&mut self.decider(), life).await
    }

    pub(super) async fn decides_with(&self, decider: &mut Decider, life: &mut Life) -> bool {
        for _ in 0..10_000 {
            match decider.step() {
                NotifyStep::Rest(None) => return true,
                NotifyStep::Rest(Some(time)) | NotifyStep::Retry(time) => self.passes(time),
                step => {
                    if life.ends() {
                        return false;
                    }
                    decider.carry_out(step).await;
                    if life.ends() {
                        return false;
                    }
                }
            }
        }
        panic!("it never comes to rest");
    }

    async fn sends(&self, life: &mut Life) -> bool {
        let sender = self.sender(100);
        while let Some(due) = self.outbox.next_due().await.unwrap() {
            self.passes(Duration::from_millis(due.since(self.env.now())));
            let claimed = sender.claim().await.unwrap();
            if life.ends() {
                return false;
            }
            let (claim, outcomes) = (claimed.claim, sender.send(claimed).await);
            if life.ends() {
                return false;
            }
            self.outbox.settle(claim, outcomes).await.unwrap();
            if life.ends() {
                return false;
            }
        }
        true
    }

    pub(super) fn passes(&self, time: Duration) {
        self.clock.advance(crate::ids::millis(time));
    }

    /// Who was told of what. Panics if anybody was told of one thing under two keys.
    pub(super) fn told(&self) -> BTreeSet<Told> {
        let told = self.receiver.told.lock().unwrap();
        for (what, keys) in &*told {
            assert_eq!(keys.len(), 1, "{what:?} under several keys");
        }
        told.keys().cloned().collect()
    }

    pub(super) fn requests(&self) -> u64 {
        *self.receiver.requests.lock().unwrap()
    }
}

/// All that the journal holds is stored, decided on and sent.
pub(super) async fn everything(world: &World) {
    world.stores().await;
    assert!(world.lives(&mut Life::without_end()).await);
}

async fn empty() -> (tempfile::TempDir, Connections) {
    let folder = tempfile::tempdir().unwrap();
    let file = Database::Sqlite(folder.path().join("rows.db"));
    let connections = Connections::open(&file).await.unwrap();
    (folder, connections)
}

/// How long a worker lives: so many points at which it could be killed.
pub(super) struct Life {
    left: Option<usize>,
    /// The points that it has passed.
    pub passed: usize,
}

impl Life {
    pub(super) fn of(points: usize) -> Self {
        Self { left: Some(points), passed: 0 }
    }

    pub(super) fn without_end() -> Self {
        Self { left: None, passed: 0 }
    }

    fn ends(&mut self) -> bool {
        self.passed += 1;
        self.left.is_some_and(|left| self.passed > left)
    }
}

pub(super) fn create(kind: RoomKind, creator: &str, members: Vec<UserId>) -> Create {
    Create {
        kind,
        creator: user_id(creator),
        members,
        title: "Tea".to_owned(),
        channel: String::new(),
        ttl_ms: 0,
        public: false,
        may_send: MaySend::Members,
        max_members: 0,
        history: HistoryBound { events: 0, age_ms: 0 },
    }
}

pub(super) fn message(who: &str, client_id: Option<&str>) -> Send {
    Send {
        sender: user_id(who),
        client_id: client_id.map(|id| ClientId::new(id).unwrap()),
        device: None,
        prev: None,
        content: Content {
            body: "what nobody else may read".to_owned(),
            message_type: "text".to_owned(),
            metadata: String::new(),
            reply_to: None,
            data: Bytes::new(),
        },
        open: None,
    }
}
