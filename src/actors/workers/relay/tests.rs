//! The relay with projector, memory journal and memory store: what is told arrives, once in effect, whatever fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::Append;
use super::expiry::{self, Scanner};
use super::step::{self, Step, Then, Told};
use super::worker::{self, Deps, spawn};
use crate::actors::marks::Marks;
use crate::actors::room::command::{Command, Create, HistoryBound, MaySend, RoomCommand, RoomKind};
use crate::actors::room::{Status, payload};
use crate::actors::user::command::RoomChange;
use crate::actors::user::{UserCommand, UserCommandBody, UserEventBody};
use crate::actors::workers::Running;
use crate::actors::workers::persistence::{rows, worker as projector};
use crate::env::{CountedIds, Env, ManualClock};
use crate::ids::{ClientId, Offset, Partition, RoomId, Timestamp, UserId};
use crate::limits;
use crate::storage::journal::memory::MemoryJournal;
use crate::storage::journal::record::Addressed;
use crate::storage::journal::{AppendError, Journal};
use crate::storage::store::contract::{member_row, uuid};
use crate::storage::store::memory::MemoryStore;
use crate::storage::store::rows::{FanOut, MemberRow, OutboxRow};
use crate::storage::store::{SeqRange, Store};
use crate::testing::until;

fn user_id(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn partition(number: u16) -> Partition {
    Partition::new(number).unwrap()
}

fn row(offset: u64, ord: u32, target: u16) -> OutboxRow {
    let record = Bytes::from(vec![offset as u8, ord as u8]);
    OutboxRow { source: partition(1), offset: Offset(offset), ord, target: partition(target), record, fan_out: None }
}

/// What would be appended where.
fn records(step: Option<Step>, told: &Told) -> BTreeMap<u16, Vec<Bytes>> {
    let Some(Step::Deliver { mut records, .. }) = step else { panic!("{step:?}") };
    told.rest(partition(1), &mut records);
    records.into_iter().map(|(p, records)| (p.get(), records.into_iter().map(|(_, record)| record).collect())).collect()
}

#[test]
fn a_step_keeps_the_order_of_each_target_and_ends_before_a_fan_out() {
    let fan_out = OutboxRow { fan_out: Some(FanOut { room: RoomId::open("x"), after: None }), ..row(7, 0, 1) };
    let rows = [row(3, 0, 9), row(3, 1, 8), row(5, 0, 9), fan_out.clone(), row(9, 0, 8)];
    let step = step::next(&rows);
    let Some(Step::Deliver { then, .. }) = &step else { panic!("{step:?}") };
    assert_eq!(*then, Then::Done { source: partition(1), offset: Offset(5), ord: 0 });
    let expected = [(8, vec![rows[1].record.clone()]), (9, vec![rows[0].record.clone(), rows[2].record.clone()])];
    assert_eq!(records(step, &Told::default()), expected.into());
    assert_eq!(step::next(&rows[3..]), Some(Step::Members { room: RoomId::open("x"), after: None }));
    assert_eq!(step::next(&[]), None);
}

#[test]
fn who_was_told_is_not_told_again_while_another_target_fails() {
    let mut told = Told::default();
    told.note(partition(1), partition(9), (Offset(3), 0, None));
    let rows = [row(3, 0, 9), row(3, 1, 8), row(5, 0, 9)];
    let expected = [(8, vec![rows[1].record.clone()]), (9, vec![rows[2].record.clone()])];
    assert_eq!(records(step::next(&rows), &told), expected.into());
    told.done(partition(1));
    assert_eq!(records(step::next(&rows), &told)[&9].len(), 2);
}

#[test]
fn a_fan_out_tells_members_and_invited_and_remembers_how_far_it_came() {
    let room = RoomId::open("x");
    let pattern =
        payload::address(&Command { room, id: uuid(1), issued_at: Timestamp(1), ttl_ms: 0, body: RoomCommand::Expire });
    let row = OutboxRow { record: pattern.record, fan_out: Some(FanOut { room, after: None }), ..row(7, 0, 1) };
    let page: Vec<MemberRow> = [("a", 0), ("b", 1), ("c", 2)].map(|(name, state)| member_row(room, name, state)).into();
    let Ok(Step::Deliver { records, then }) = step::fan_out(&row, &page, false) else { panic!() };
    assert_eq!(records.values().map(Vec::len).sum::<usize>(), 2, "not the one who was kicked");
    let after = user_id("c");
    assert_eq!(then, Then::Advance { source: partition(1), offset: Offset(7), ord: 0, after });
    let Ok(Step::Deliver { then, .. }) = step::fan_out(&row, &page, true) else { panic!() };
    assert_eq!(then, Then::Done { source: partition(1), offset: Offset(7), ord: 0 });
    assert!(step::fan_out(&OutboxRow { record: Bytes::new(), ..row }, &page, true).is_err());
}

/// Journal, store and workers of one node without actors: what is appended counts as applied at once.
struct Node {
    journal: Arc<MemoryJournal>,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    applied: Arc<Marks>,
    stored: Arc<Marks>,
    append: Append,
    commands: AtomicU64,
    projector: Running<projector::Status>,
    relay: Running<worker::Status>,
}

impl Node {
    /// Each append for which `fails` says so (by its number) is refused; of those, every second one is written all the same.
    fn start(fails: fn(u64) -> bool) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
        let (journal, store) = (Arc::new(MemoryJournal::new(clock.clone())), Arc::new(MemoryStore::new()));
        let (applied, stored) = (Arc::new(Marks::new()), Arc::new(Marks::new()));
        let append = appender(journal.clone(), applied.clone(), fails);
        let options = projector::Options { gather: Duration::from_millis(1), ..projector::Options::default() };
        let projector = projector::spawn(projector::Deps {
            journal: journal.clone(),
            store: store.clone(),
            applied: applied.clone(),
            stored: stored.clone(),
            report: Arc::new(|_| ()),
            options,
        });
        let (retry, shared) = (Duration::from_millis(1), stored.clone());
        let relay = spawn(Deps { store: store.clone(), append: append.clone(), stored: shared, retry });
        let commands = AtomicU64::new(0);
        Self { journal, store, clock, applied, stored, append, commands, projector, relay }
    }

    /// Appends, past the faults.
    async fn write(&self, Addressed { partition, record }: Addressed) {
        let end = self.journal.append(partition, vec![record]).await.unwrap().end;
        self.applied.raise(partition, end);
    }

    fn id(&self) -> uuid::Uuid {
        uuid(self.commands.fetch_add(1, Ordering::Relaxed))
    }

    async fn room(&self, room: RoomId, body: RoomCommand) {
        let issued_at = crate::env::Clock::now(self.clock.as_ref());
        self.write(payload::address(&Command { room, id: self.id(), issued_at, ttl_ms: 0, body })).await;
    }

    async fn user(&self, name: &str, body: UserCommandBody) {
        let command = UserCommand { user: user_id(name), id: self.id(), issued_at: Timestamp(1), ttl_ms: 0, body };
        self.write(crate::actors::user::payload::address(&command)).await;
    }

    async fn until_quiet(&self) {
        until("the outbox is delivered", async || {
            let told = self.store.relay_next(Partition::FIRST, 1).await.unwrap().is_empty();
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

fn appender(journal: Arc<MemoryJournal>, applied: Arc<Marks>, fails: fn(u64) -> bool) -> Append {
    let count = Arc::new(AtomicU64::new(0));
    Arc::new(move |partition, batch| {
        let (journal, applied, n) = (journal.clone(), applied.clone(), count.fetch_add(1, Ordering::Relaxed));
        async move {
            if fails(n) && n % 2 == 0 {
                return Err(AppendError::Refused("as ordered".to_owned()));
            }
            let end = journal.append(partition, batch).await?.end;
            applied.raise(partition, end);
            if fails(n) { Err(AppendError::Unknown("as ordered".to_owned())) } else { Ok(()) }
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
    let node = Node::start(|n| n % 3 == 0);
    let room = group("g");
    node.room(room, create(RoomKind::Group, vec![user_id("bob")], 0)).await;
    node.room(room, RoomCommand::Invite { by: user_id("ann"), user: user_id("cem") }).await;
    node.room(room, RoomCommand::Join { user: user_id("cem") }).await;
    node.room(room, RoomCommand::Kick { by: user_id("ann"), user: user_id("bob") }).await;
    node.room(room, RoomCommand::End { by: user_id("ann") }).await;
    node.until_quiet().await;
    use RoomChange::{Ended, Invited, Joined, Kicked};
    assert_eq!(node.told("ann").await, [Joined, Ended]);
    assert_eq!(node.told("bob").await, [Joined, Kicked]);
    assert_eq!(node.told("cem").await, [Invited, Joined, Ended]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_silences_the_direct_room_made_before_or_after() {
    let node = Node::start(|n| n % 4 == 0);
    let (bob, cem) =
        (RoomId::direct(&user_id("ann"), &user_id("bob")), RoomId::direct(&user_id("ann"), &user_id("cem")));
    node.room(bob, create(RoomKind::Direct, vec![user_id("bob")], 0)).await;
    node.user("bob", UserCommandBody::Block { user: user_id("ann") }).await;
    node.user("cem", UserCommandBody::Block { user: user_id("ann") }).await;
    node.until_quiet().await;
    node.room(cem, create(RoomKind::Direct, vec![user_id("cem")], 0)).await;
    node.until_quiet().await;
    assert_eq!(node.store.room(bob).await.unwrap().blocks, [user_id("bob")]);
    assert_eq!(node.store.room(cem).await.unwrap().blocks, [user_id("cem")]);
    assert_eq!(node.store.chat(cem).await.unwrap(), None, "a blocked one can't be made");
    node.user("bob", UserCommandBody::Unblock { user: user_id("ann") }).await;
    node.until_quiet().await;
    assert!(node.store.room(bob).await.unwrap().blocks.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_large_room_reaches_all_of_its_members_page_by_page() {
    let node = Node::start(|n| n % 50 == 0);
    let room = group("large");
    let members: Vec<UserId> = (0..999).map(|n| user_id(&format!("user{n:04}"))).collect();
    node.room(room, create(RoomKind::Group, members, 0)).await;
    for n in 999..2 * limits::RELAY_MEMBERS + 150 {
        node.room(room, RoomCommand::Join { user: user_id(&format!("user{n:04}")) }).await;
    }
    node.room(room, RoomCommand::End { by: user_id("ann") }).await;
    node.until_quiet().await;
    for n in (0..2 * limits::RELAY_MEMBERS + 150).step_by(37) {
        assert_eq!(node.told(&format!("user{n:04}")).await, [RoomChange::Joined, RoomChange::Ended], "user {n}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_room_whose_time_is_over_expires() {
    let node = Node::start(|_| false);
    let (soon, later) = (group("soon"), group("later"));
    node.room(soon, create(RoomKind::Group, vec![user_id("bob")], 1_000)).await;
    node.room(later, create(RoomKind::Group, vec![user_id("bob")], 1_000_000)).await;
    node.until_quiet().await;
    node.clock.advance(1_000);
    let env = Env { clock: node.clock.clone(), ids: Arc::new(CountedIds::default()) };
    let every = Duration::from_millis(1);
    let deps = expiry::Deps { store: node.store.clone(), append: node.append.clone(), env, every };
    let scanner = expiry::spawn(deps);
    until("the room expires", async || {
        let chat = node.store.chat(soon).await.unwrap().unwrap();
        chat.status == Status::Expired.number()
    })
    .await;
    scanner.stop().await.unwrap();
    node.until_quiet().await;
    assert_eq!(node.store.chat(later).await.unwrap().unwrap().status, Status::Active.number());
    assert_eq!(node.told("bob").await.iter().filter(|change| **change == RoomChange::Ended).count(), 1);
    node.stop().await;
}

#[test]
fn a_scan_does_not_tell_again_what_is_on_its_way() {
    let (mut scanner, now) = (Scanner::default(), Timestamp(1_000_000));
    let over = || vec![(group("a"), Timestamp(5)), (group("b"), Timestamp(6))];
    assert_eq!(scanner.due(over(), now), [group("a"), group("b")]);
    assert_eq!(scanner.due(over(), Timestamp(now.0 + 5_000)), []);
    scanner.failed(group("b"));
    assert_eq!(scanner.due(over(), Timestamp(now.0 + 6_000)), [group("b")]);
    // It had no effect, or the clock went back: again.
    assert_eq!(scanner.due(over(), Timestamp(now.0 + limits::COMMAND_TTL_MS + 1)), [group("a")]);
    assert_eq!(scanner.due(over(), Timestamp(5)).len(), 2);
}
