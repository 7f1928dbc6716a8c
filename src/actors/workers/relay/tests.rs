//! The relay with projector, memory journal and memory store: what is told arrives, once in effect, whatever fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;

use super::expiry;
use super::worker::{self, Deps, spawn};
use super::{Append, Owed, owing};
use crate::actors::room::commands::{Command, Create, End, Invite, Join, Kick, RoomCommand};
use crate::actors::room::payload;
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::user::commands;
use crate::actors::user::{UserCommand, UserCommandBody};
use crate::actors::watermarks::Watermarks;
use crate::actors::wire::{HistoryBound, MaySend, RoomChange, RoomKind, RoomStatus, UserEventBody};
use crate::actors::workers::Running;
use crate::actors::workers::persistence::{rows, worker as projector};
use crate::env::{CountedIds, Env, ManualClock};
use crate::ids::{ClientId, Partition, RoomId, Timestamp, UserId};
use crate::limits;
use crate::storage::journal::memory::MemoryJournal;
use crate::storage::journal::record::Addressed;
use crate::storage::journal::{AppendError, Journal};
use crate::storage::store::contract::uuid;
use crate::storage::store::memory::MemoryStore;
use crate::storage::store::rows::OutboxPlace;
use crate::storage::store::{SeqRange, Store};
use crate::testing::{until, within};

fn everything() -> Arc<Owned> {
    Arc::new(Owned::new(Partition::all(), OwnerEpoch(1)))
}

fn user_id(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Journal, store and workers of one node without actors: what is appended counts as applied at once.
struct Node {
    journal: Arc<MemoryJournal>,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    applied: Arc<Watermarks>,
    stored: Arc<Watermarks>,
    append: Append,
    commands: AtomicU64,
    projector: Running<projector::ProjectorStatus>,
    relay: Running<worker::RelayStatus>,
}

impl Node {
    /// Each append for which `fails` says so (by its number) is refused; of those, every second one is written all the same.
    fn start(fails: impl Fn(u64, Partition) -> bool + Send + Sync + Clone + 'static) -> Self {
        Self::start_with(Owned::new(Partition::all(), OwnerEpoch(1)), fails)
    }

    /// The same; its relay tells the facts of these sources.
    fn start_with(owned: Owned, fails: impl Fn(u64, Partition) -> bool + Send + Sync + Clone + 'static) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
        let (journal, store) = (Arc::new(MemoryJournal::new(clock.clone())), Arc::new(MemoryStore::new()));
        let (applied, stored) = (Arc::new(Watermarks::new()), Arc::new(Watermarks::new()));
        let append = appender(journal.clone(), applied.clone(), fails);
        let outbox = Arc::new(Watermarks::new());
        let options = projector::Options { gather: Duration::from_millis(1), ..projector::Options::default() };
        let projector = projector::spawn(projector::Deps {
            journal: journal.clone(),
            store: store.clone(),
            applied: applied.clone(),
            stored: stored.clone(),
            outbox: outbox.clone(),
            report: Arc::new(|_, _, _| ()),
            options,
        });
        let deps = Deps {
            store: store.clone(),
            meant: applied.clone(),
            owned: Arc::new(owned),
            append: append.clone(),
            stored: stored.clone(),
            outbox,
            owed: Arc::default(),
            retry: Duration::from_millis(1),
        };
        let relay = spawn(deps);
        let commands = AtomicU64::new(0);
        Self { journal, store, clock, applied, stored, append, commands, projector, relay }
    }

    /// The journal's clock.
    fn now(&self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        let journal = self.journal.clone();
        Arc::new(move || journal.now(Partition::FIRST))
    }

    /// Appends, past the faults.
    async fn write(&self, Addressed { partition, record, .. }: Addressed) {
        let end = self.journal.append(partition, vec![record]).await.unwrap().end;
        self.applied.raise(partition, end);
    }

    fn id(&self) -> uuid::Uuid {
        uuid(self.commands.fetch_add(1, Ordering::Relaxed))
    }

    async fn room(&self, room: RoomId, body: RoomCommand) {
        let issued_at = crate::env::Clock::now(self.clock.as_ref());
        self.write(payload::address(Command { room, id: self.id(), issued_at, ttl_ms: 0, body })).await;
    }

    async fn user(&self, name: &str, body: UserCommandBody) {
        let command = UserCommand { user: user_id(name), id: self.id(), issued_at: Timestamp(1), ttl_ms: 0, body };
        self.write(crate::actors::user::payload::address(command)).await;
    }

    async fn until_quiet(&self) {
        until("the outbox is delivered", async || {
            let told = self.store.relay_next(OutboxPlace::first_of(Partition::FIRST), 1).await.unwrap().is_empty();
            told && Partition::all().all(|p| self.stored.get(p) == self.journal.bounds(p).end)
        })
        .await;
    }

    /// What a user was told of rooms.
    async fn told(&self, name: &str) -> Vec<RoomChange> {
        let events = self.store.user_events(&user_id(name), SeqRange::all(), 1_000).await.unwrap();
        let bodies = events.into_iter().map(|row| rows::user_event(row).unwrap().body);
        bodies
            .filter_map(|body| if let UserEventBody::Room { change, .. } = body { Some(change) } else { None })
            .collect()
    }

    async fn stop(self) {
        self.relay.stop().await.unwrap();
        self.projector.stop().await.unwrap();
    }
}

fn appender(
    journal: Arc<MemoryJournal>,
    applied: Arc<Watermarks>,
    fails: impl Fn(u64, Partition) -> bool + Send + Sync + Clone + 'static,
) -> Append {
    let count = Arc::new(AtomicU64::new(0));
    Arc::new(move |partition, batch| {
        let (journal, applied, n) = (journal.clone(), applied.clone(), count.fetch_add(1, Ordering::Relaxed));
        let fails = fails(n, partition);
        let result = async move |batch| {
            if fails && n % 2 == 0 {
                return Err(AppendError::Refused("as ordered".to_owned()));
            }
            let end = journal.append(partition, batch).await?.end;
            applied.raise(partition, end);
            if fails { Err(AppendError::Unknown("as ordered".to_owned())) } else { Ok(()) }
        };
        async move {
            let count = batch.len();
            vec![result(batch).await; count]
        }
        .boxed()
    })
}

fn create(kind: RoomKind, members: Vec<UserId>, ttl_ms: u64) -> RoomCommand {
    RoomCommand::Create(Create {
        kind,
        creator: user_id("ann"),
        members,
        title: String::new(),
        channel: String::new(),
        ttl_ms,
        public: true,
        may_send: MaySend::Members,
        max_members: 0,
        history: HistoryBound::default(),
    })
}

fn group(name: &str) -> RoomId {
    RoomId::group(&user_id("ann"), &ClientId::new(name).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn membership_reaches_the_users_once_although_appends_fail() {
    let node = Node::start(|n, _| n % 3 == 0);
    let room = group("g");
    node.room(room, create(RoomKind::Group, vec![user_id("bob")], 0)).await;
    node.room(room, RoomCommand::Invite(Invite { by: user_id("ann"), user: user_id("cem") })).await;
    node.room(room, RoomCommand::Join(Join { user: user_id("cem") })).await;
    node.room(room, RoomCommand::Kick(Kick { by: user_id("ann"), user: user_id("bob") })).await;
    node.room(room, RoomCommand::End(End { by: user_id("ann") })).await;
    node.until_quiet().await;
    use RoomChange::{Ended, Invited, Joined, Kicked};
    assert_eq!(node.told("ann").await, [Joined, Ended]);
    assert_eq!(node.told("bob").await, [Joined, Kicked]);
    assert_eq!(node.told("cem").await, [Invited, Joined, Ended]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_facts_of_a_source_elsewhere_are_told_by_another_relay() {
    let (here, elsewhere) = (group("g"), group("h"));
    assert_ne!(here.partition(), elsewhere.partition());
    let others = Partition::all().filter(|partition| *partition != elsewhere.partition());
    let node = Node::start_with(Owned::new(others, OwnerEpoch(1)), |_, _| false);
    for (room, member) in [(elsewhere, "bob"), (here, "cem")] {
        node.room(room, create(RoomKind::Group, vec![user_id(member)], 0)).await;
    }
    until("what is from here is told", async || node.told("cem").await == [RoomChange::Joined]).await;
    let rows = node.store.relay_next(OutboxPlace::first_of(elsewhere.partition()), 10).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.source == elsewhere.partition()).count(), 2, "for Ann and Bob");
    assert!(node.told("bob").await.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_facts_wait_for_another_process_is_counted_until_they_are_told() {
    let is_away = Arc::new(AtomicBool::new(true));
    let away = is_away.clone();
    let node = Node::start(move |_, _| away.load(Ordering::Relaxed));
    let (outbox, owed) = (Arc::new(Watermarks::new()), Arc::new(Owed::default()));
    let store: Arc<dyn Store> = node.store.clone();
    let counting = owing::spawn(owing::Deps { store, outbox: outbox.clone(), owed: owed.clone() });
    let (many, few) = (group("g"), RoomId::group(&user_id("bob"), &ClientId::new("h").unwrap()));
    node.room(many, create(RoomKind::Group, vec![], 0)).await;
    for n in 0..limits::OWED {
        let user = user_id(&format!("guest{n}"));
        node.room(many, RoomCommand::Invite(Invite { by: user_id("ann"), user })).await;
    }
    let RoomCommand::Create(made) = create(RoomKind::Group, vec![user_id("cem")], 0) else { unreachable!() };
    node.room(few, RoomCommand::Create(Create { creator: user_id("bob"), ..made })).await;
    until("all is stored", async || Partition::all().all(|p| node.stored.get(p) == node.journal.bounds(p).end)).await;
    outbox.raise(many.partition(), node.stored.get(many.partition()));
    until("she is counted", async || owed.of(&user_id("ann")) >= limits::OWED).await;
    assert_eq!(owed.of(&user_id("bob")), 0, "who is far from the bound is not");
    is_away.store(false, Ordering::Relaxed);
    node.until_quiet().await;
    until("nothing is owed to her", async || owed.of(&user_id("ann")) == 0).await;
    counting.stop().await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_silences_the_direct_room_made_before_or_after() {
    let node = Node::start(|n, _| n % 4 == 0);
    let (bob, cem) =
        (RoomId::direct(&user_id("ann"), &user_id("bob")), RoomId::direct(&user_id("ann"), &user_id("cem")));
    node.room(bob, create(RoomKind::Direct, vec![user_id("bob")], 0)).await;
    node.user("bob", UserCommandBody::Block(commands::Block { user: user_id("ann") })).await;
    node.user("cem", UserCommandBody::Block(commands::Block { user: user_id("ann") })).await;
    node.until_quiet().await;
    node.room(cem, create(RoomKind::Direct, vec![user_id("cem")], 0)).await;
    node.until_quiet().await;
    assert_eq!(node.store.room(bob).await.unwrap().blocks, [user_id("bob")]);
    assert_eq!(node.store.room(cem).await.unwrap().blocks, [user_id("cem")]);
    assert_eq!(node.store.chat(cem).await.unwrap(), None, "a blocked one can't be made");
    node.user("bob", UserCommandBody::Unblock(commands::Unblock { user: user_id("ann") })).await;
    node.until_quiet().await;
    assert!(node.store.room(bob).await.unwrap().blocks.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_large_room_reaches_all_of_its_members_page_by_page() {
    let node = Node::start(|n, _| n % 50 == 0);
    let room = group("large");
    let members: Vec<UserId> = (0..999).map(|n| user_id(&format!("user{n:04}"))).collect();
    node.room(room, create(RoomKind::Group, members, 0)).await;
    for n in 999..2 * limits::RELAY_MEMBERS + 150 {
        node.room(room, RoomCommand::Join(Join { user: user_id(&format!("user{n:04}")) })).await;
    }
    node.room(room, RoomCommand::End(End { by: user_id("ann") })).await;
    node.until_quiet().await;
    for n in (0..2 * limits::RELAY_MEMBERS + 150).step_by(37) {
        assert_eq!(node.told(&format!("user{n:04}")).await, [RoomChange::Joined, RoomChange::Ended], "user {n}");
    }
    node.stop().await;
}

/// One partition that takes nothing keeps back what is for it, and nothing else: not of the same room, not of other sources.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_takes_nothing_holds_up_nobody_else() {
    let mut names: Vec<String> = (0..40).map(|n| format!("user{n}")).collect();
    let closed = user_id(&names[0]).partition();
    assert!(user_id("ann").partition() != closed);
    names.retain(|name| name == "user0" || user_id(name).partition() != closed);
    let open = Arc::new(AtomicBool::new(false));
    let is_open = open.clone();
    let node = Node::start(move |_, target| target == closed && !is_open.load(Ordering::SeqCst));
    let members: Vec<UserId> = names.iter().map(|name| user_id(name)).collect();
    for n in 0..60 {
        node.room(group(&format!("g{n}")), create(RoomKind::Group, members.clone(), 0)).await;
    }
    for name in names[1..].iter().map(String::as_str).chain(["ann"]) {
        until("all but the closed one are told", async || node.told(name).await.len() == 60).await;
    }
    let mut status = node.relay.status();
    within("it says so", status.wait_for(|status| status.failing.is_some())).await.unwrap();
    open.store(true, Ordering::SeqCst);
    node.until_quiet().await;
    assert_eq!(node.told(&names[0]).await, vec![RoomChange::Joined; 60], "in full, once it takes them");
    node.stop().await;
}

/// The target's numbers are by source: what is told out of turn must not make it drop what came before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_named_thousands_waits_for_himself_and_nothing_is_lost() {
    let node = Node::start(|n, _| n % 5 == 0);
    let room = |by: &str, name: &str| RoomId::group(&user_id(by), &ClientId::new(name).unwrap());
    let by = |name: &str, members: Vec<UserId>| match create(RoomKind::Group, members, 0) {
        RoomCommand::Create(create) => RoomCommand::Create(Create { creator: user_id(name), ..create }),
        _ => unreachable!(),
    };
    let strangers: Vec<UserId> = (0..200).map(|n| user_id(&format!("stranger{n}"))).collect();
    for n in 0..10 {
        let members = strangers.iter().cloned().chain([user_id("bob")]).collect();
        node.room(room("mallory", &format!("m{n}")), by("mallory", members)).await;
    }
    node.room(room("ann", "a"), by("ann", vec![user_id("bob")])).await;
    node.until_quiet().await;
    assert_eq!(node.told("bob").await, vec![RoomChange::Joined; 11]);
    assert_eq!(node.told("stranger7").await, vec![RoomChange::Joined; 10]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_room_whose_time_is_over_expires() {
    let node = Node::start(|_, _| false);
    let (soon, later) = (group("soon"), group("later"));
    node.room(soon, create(RoomKind::Group, vec![user_id("bob")], 1_000)).await;
    node.room(later, create(RoomKind::Group, vec![user_id("bob")], 1_000_000)).await;
    node.until_quiet().await;
    node.clock.advance(1_000);
    let env = Env { clock: node.clock.clone(), ids: Arc::new(CountedIds::default()) };
    let every = Duration::from_millis(1);
    let (now, meant, stored) = (node.now(), node.applied.clone(), node.stored.clone());
    let (store, append, may_expire) = (node.store.clone(), node.append.clone(), Arc::new(|| true));
    let deps = expiry::Deps { store, now, owned: everything(), meant, stored, append, env, may_expire, every };
    let scanner = expiry::spawn(deps);
    until("the room expires", async || {
        let chat = node.store.chat(soon).await.unwrap().unwrap();
        chat.status == RoomStatus::Expired.number()
    })
    .await;
    scanner.stop().await.unwrap();
    node.until_quiet().await;
    assert_eq!(node.store.chat(later).await.unwrap().unwrap().status, RoomStatus::Active.number());
    assert_eq!(node.told("bob").await.iter().filter(|change| **change == RoomChange::Ended).count(), 1);
    node.stop().await;
}

/// Rooms that can't be told stay overdue, and first in the order: the others are reached all the same, in one scan.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_can_not_be_told_keep_no_other_from_expiring() {
    let rooms: Vec<RoomId> = (0..2 * limits::EXPIRY_PAGE + 100).map(|n| group(&format!("g{n}"))).collect();
    let closed: BTreeSet<Partition> = Partition::all().take(128).collect();
    let shut = closed.clone();
    let node = Node::start(move |_, target| shut.contains(&target));
    for room in &rooms {
        // Those of the closed partitions are overdue for longest.
        let ttl_ms = if closed.contains(&room.partition()) { 1_000 } else { 2_000 };
        node.room(*room, create(RoomKind::Group, vec![], ttl_ms)).await;
    }
    let ends = || Partition::all().map(|partition| (partition, node.journal.bounds(partition).end));
    for (partition, end) in ends() {
        node.stored.reach(partition, end).await;
    }
    node.clock.advance(2_000);
    let env = Env { clock: node.clock.clone(), ids: Arc::new(CountedIds::default()) };
    // It scans once.
    let every = Duration::from_secs(3_600);
    let (now, meant, stored) = (node.now(), node.applied.clone(), node.stored.clone());
    let (store, append, may_expire) = (node.store.clone(), node.append.clone(), Arc::new(|| true));
    let deps = expiry::Deps { store, now, owned: everything(), meant, stored, append, env, may_expire, every };
    let scanner = expiry::spawn(deps);
    let mut status = scanner.status();
    status.wait_for(|status| status.scans == 1).await.unwrap();
    let expired = RoomStatus::Expired.number();
    for room in rooms.iter().filter(|room| !closed.contains(&room.partition())) {
        until("it expires", async || node.store.chat(*room).await.unwrap().unwrap().status == expired).await;
    }
    scanner.stop().await.unwrap();
    node.stop().await;
}
