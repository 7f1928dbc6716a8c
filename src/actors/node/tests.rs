//! Whole nodes in one process, over the memory journal and the memory store.

mod apart;
mod disturbed;
mod memory;
mod moving;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Deps, Gateway, Node};
use crate::actors::gateway::hub::Owners as _;
use crate::actors::moment::FoldVersion;
use crate::actors::partition::core::Options;
use crate::actors::partition::verified::Rule;
use crate::actors::room::commands::{Create, RoomCommand, Send};
use crate::actors::room::{Command, payload};
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::router::{self, Router};
use crate::actors::user::commands;
use crate::actors::wire::{
    Answer, Content, Denial, Entity, Ephemeral, HistoryBound, MaySend, NodeId, Query, QueryAnswer, Reject, RequestId,
    RoomKind, StreamEvent, ToGateway, ToOwner,
};
use crate::env::{Env, ManualClock};
use crate::health::{Health, State};
use crate::ids::{ClientId, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::journal::Journal;
use crate::storage::journal::memory::{Fate, MemoryJournal};
use crate::storage::store::Commit;
use crate::storage::store::commit::WatermarkMove;
use crate::storage::store::memory::MemoryStore;
use crate::storage::store::rows::WatermarkRow;
use crate::testing::{found, until, within};

/// Enough for whatever these tests do.
const MEMORY: usize = 1 << 30;
/// And rooms and users in it.
const RESIDENT: usize = 100_000;

struct Fixture {
    node: Node,
    env: Env,
    journal: MemoryJournal,
    store: Arc<MemoryStore>,
    health: Health,
    frames: mpsc::UnboundedReceiver<ToGateway>,
}

/// A gateway that keeps what it is told.
struct Recorder(mpsc::UnboundedSender<ToGateway>);

impl Gateway for Recorder {
    fn receive(&self, frame: ToGateway) {
        drop(self.0.send(frame));
    }

    fn owner_changed(&self, _: Partition) {}
}

/// What a node over these is made of, which owns all partitions; what its gateway is told; and how it is.
fn deps(
    journal: Arc<dyn Journal>,
    rule: Rule,
    store: Arc<MemoryStore>,
    env: &Env,
    memory: usize,
) -> (Deps, mpsc::UnboundedReceiver<ToGateway>, Health) {
    let (send, frames) = mpsc::unbounded_channel();
    let (metrics, health) = (Arc::new(Metrics::new()), Health::new(Shutdown::new()));
    let router = Router::new(router::Deps {
        node: NodeId::default(),
        owned: Owned::new(Partition::all(), OwnerEpoch(1)),
        clock: Arc::clone(&env.clock),
        metrics: Arc::clone(&metrics),
        memory,
    });
    let knows = FoldVersion::KNOWN;
    let options =
        Options { rule, unknown_after_ms: 500, retry_after_ms: 50, idle_ms: 60_000, cover_after_ms: None, knows };
    let deps = Deps {
        env: env.clone(),
        journal,
        store,
        metrics,
        health: health.clone(),
        options,
        router: Arc::new(router),
        resident: RESIDENT,
        rows: super::RowsMadeBy::Node,
        gateway: Arc::new(Recorder(send)),
    };
    (deps, frames, health)
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

impl Fixture {
    async fn new() -> Self {
        let env = Env::system();
        Self::over(MemoryJournal::new(Arc::clone(&env.clock)), Arc::new(MemoryStore::new()), env).await
    }

    async fn over(journal: MemoryJournal, store: Arc<MemoryStore>, env: Env) -> Self {
        Self::with(journal, store, env, (MEMORY, RESIDENT)).await
    }

    /// So many bytes, and so many rooms and users, may be in memory.
    async fn with(journal: MemoryJournal, store: Arc<MemoryStore>, env: Env, (memory, most): (usize, usize)) -> Self {
        let over = Arc::new(journal.clone());
        let (deps, frames, health) = deps(over, Rule::OwnReports, Arc::clone(&store), &env, memory);
        let node = Node::start(Deps { resident: most, ..deps }).await.unwrap();
        Self { node, env, journal, store, health, frames }
    }

    fn record(&self, room: RoomId, body: RoomCommand) -> Bytes {
        record(&self.env, room, body)
    }

    /// Appends a record of a version that this program does not know.
    async fn append_newer(&self, room: RoomId) {
        let mut newer = self.record(room, message("alice", "m1")).to_vec();
        newer[1] = 99;
        self.journal.append(room.partition(), vec![newer.into()]).await.unwrap();
    }

    async fn command(&self, room: RoomId, body: RoomCommand) -> Answer {
        self.node.router().command(room.partition(), self.record(room, body)).get().await
    }

    async fn direct(&self) -> RoomId {
        let (room, create) = direct();
        assert_eq!(seq_of(self.command(room, create).await), 1);
        room
    }

    async fn say(&self, room: RoomId, sender: &str, id: &str) -> Answer {
        self.command(room, message(sender, id)).await
    }

    fn request(&self) -> RequestId {
        self.node.router().next_request()
    }

    fn listen(&mut self, room: RoomId, name: &str) -> RequestId {
        let request = self.request();
        let stream = Entity::Room(room);
        self.node.router().send(ToOwner::Listen { request, stream, user: user(name), open: false }).unwrap();
        request
    }

    /// The next frame that is no head announcement.
    async fn frame(&mut self) -> ToGateway {
        loop {
            let frame = within("a frame comes", self.frames.recv()).await.unwrap();
            if !matches!(frame, ToGateway::Head { .. }) {
                return frame;
            }
        }
    }

    async fn seqs(&mut self) -> Vec<u64> {
        match self.frame().await {
            ToGateway::Events { events, .. } => events.iter().map(|event| event.seq().0).collect(),
            other => panic!("no events: {other:?}"),
        }
    }
}

fn record(env: &Env, room: RoomId, body: RoomCommand) -> Bytes {
    let command = Command { room, id: env.ids.next(), issued_at: env.now(), ttl_ms: 60_000, body };
    payload::encode(command)
}

/// The chat of Alice and Bob, and what makes it.
fn direct() -> (RoomId, RoomCommand) {
    let create = Create {
        kind: RoomKind::Direct,
        creator: user("alice"),
        members: vec![user("bob")],
        title: String::new(),
        channel: String::new(),
        ttl_ms: 0,
        public: false,
        may_send: MaySend::Members,
        max_members: 2,
        history: HistoryBound::default(),
    };
    (RoomId::direct(&user("alice"), &user("bob")), RoomCommand::Create(create))
}

fn message(sender: &str, id: &str) -> RoomCommand {
    RoomCommand::Send(Send {
        sender: user(sender),
        client_id: Some(ClientId::new(id).unwrap()),
        device: None,
        prev: None,
        content: Content { body: format!("body of {id}"), ..Content::default() },
        open: None,
    })
}

#[track_caller]
fn seq_of(answer: Answer) -> u64 {
    match answer {
        Answer::Accepted { seq, .. } => seq.0,
        other => panic!("not accepted: {other:?}"),
    }
}

#[tokio::test]
async fn a_message_is_answered_after_the_fold_and_reaches_the_listeners() {
    let mut it = Fixture::new().await;
    let room = it.direct().await;
    let request = it.listen(room, "bob");
    let granted = it.frame().await;
    assert!(
        matches!(granted, ToGateway::Granted { request: r, head: Seq(1), floor: Seq(1), .. } if r == request),
        "{granted:?}"
    );
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2);
    assert_eq!(it.seqs().await, [2]);
    let again = it.say(room, "alice", "m1").await;
    assert!(matches!(again, Answer::Accepted { seq: Seq(2), duplicate: true, .. }), "{again:?}");
    assert_eq!(it.say(room, "mallory", "m2").await, Answer::Rejected(Reject::NotMember));
}

#[tokio::test]
async fn an_answer_says_where_its_record_lies_also_that_of_a_repeated_one() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    for client_id in ["m1", "m2", "m1"] {
        let Answer::Accepted { offset, .. } = it.say(room, "alice", client_id).await else { panic!("not accepted") };
        assert_eq!(offset.next(), it.journal.bounds(room.partition()).end, "{client_id}");
    }
}

#[tokio::test]
async fn strangers_may_not_listen() {
    let mut it = Fixture::new().await;
    let room = it.direct().await;
    it.listen(room, "mallory");
    assert!(matches!(it.frame().await, ToGateway::Denied { reason: Denial::NotMember, .. }));
    it.listen(RoomId(Uuid::from_u128(9)), "mallory");
    assert!(matches!(it.frame().await, ToGateway::Denied { reason: Denial::NoRoom, .. }));
}

#[tokio::test]
async fn a_room_that_panics_is_made_anew_and_others_notice_nothing() {
    let mut it = Fixture::new().await;
    let room = it.direct().await;
    it.listen(room, "bob");
    it.frame().await;
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2);
    assert_eq!(it.seqs().await, [2]);
    it.node.kill(Entity::Room(room));
    assert_eq!(seq_of(it.say(room, "alice", "m2").await), 3);
    assert_eq!(it.seqs().await, [3]);
    let again = it.say(room, "alice", "m1").await;
    assert!(matches!(again, Answer::Accepted { seq: Seq(2), duplicate: true, .. }), "{again:?}");
    let metrics = &it.node.context().metrics;
    assert_eq!(metrics.actor_restarts.get(), 1);
    resident_rooms(metrics, 1).await;
}

#[tokio::test]
async fn two_nodes_in_one_process_do_not_see_each_other() {
    let (mut one, other) = (Fixture::new().await, Fixture::new().await);
    let (room, same) = (one.direct().await, other.direct().await);
    assert_eq!(room, same);
    one.listen(room, "bob");
    one.frame().await;
    assert_eq!(seq_of(other.say(room, "alice", "elsewhere").await), 2);
    assert_eq!(seq_of(one.say(room, "alice", "here").await), 2);
    assert_eq!(one.seqs().await, [2]);
    // Pauses: nothing may come; what came late would fail the asserts of another run, never this one by luck.
    assert!(one.frames.try_recv().is_err());
    let answer = one.node.router().query(Entity::Room(room), Query::Position).await;
    assert!(matches!(answer, QueryAnswer::Position { head: Seq(2), floor: Seq(1), .. }), "{answer:?}");
}

#[tokio::test]
async fn two_nodes_over_one_journal_decide_the_same() {
    let env = Env::system();
    let journal = MemoryJournal::new(Arc::clone(&env.clock));
    let store = Arc::new(MemoryStore::new());
    let one = Fixture::over(journal.clone(), Arc::clone(&store), env.clone()).await;
    let room = one.direct().await;
    assert_eq!(seq_of(one.say(room, "alice", "m1").await), 2);
    let other = Fixture::over(journal, store, env).await;
    // The other's own report verifies what it had only read. If the first one's projector commits while the room is loaded
    // here, the rows are ahead of this owner: it refuses, retryably, and begins anew behind them.
    let said = async |who: &str, text: &str| {
        found("the other node decides", async || match other.say(room, who, text).await {
            Answer::Unavailable { .. } => None,
            answer => Some(answer),
        })
        .await
    };
    assert_eq!(seq_of(said("bob", "m2").await), 3);
    let again = said("alice", "m1").await;
    assert!(matches!(again, Answer::Accepted { seq: Seq(2), duplicate: true, .. }), "{again:?}");
}

#[tokio::test]
async fn a_refused_append_is_answered_as_retryable_and_the_retry_counts_once() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    it.journal.next_fates([Fate::Refuse]);
    assert_eq!(it.say(room, "alice", "m1").await, Answer::Unavailable { retry_after_ms: 50 });
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2);
}

#[tokio::test]
async fn while_the_store_is_down_warm_rooms_take_messages_and_cold_ones_refuse_before_they_are_written() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    it.store.set_down(true);
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2);
    let cold = RoomId(Uuid::from_u128(77));
    let before = it.journal.bounds(cold.partition()).end;
    assert!(matches!(it.say(cold, "alice", "m1").await, Answer::Unavailable { .. }));
    assert_eq!(it.journal.bounds(cold.partition()).end, before);
}

#[tokio::test]
async fn the_metrics_tell_how_far_the_store_is_behind_and_since_when() {
    let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
    let env = Env { clock: clock.clone(), ids: Env::system().ids };
    let it = Fixture::over(MemoryJournal::new(clock.clone()), Arc::new(MemoryStore::new()), env).await;
    let room = it.direct().await;
    let end = it.journal.bounds(room.partition()).end;
    it.node.stored().reach(room.partition(), end).await;
    it.store.set_down(true);
    it.say(room, "alice", "m1").await;
    clock.advance(3_000);
    it.say(room, "alice", "m2").await;
    it.node.measure().await;
    let metrics = Arc::clone(&it.node.context().metrics);
    let told = || (metrics.projector_lag_records.get(), metrics.watermark_age_seconds.get());
    assert!(told().0 >= 2 && told().1 == 3, "{:?}", told());
    it.store.set_down(false);
    until("the lag is told to be over", async || {
        it.node.measure().await;
        told() == (0, 0)
    })
    .await;
}

#[tokio::test]
async fn fetching_gives_what_was_missed_and_typing_reaches_listeners_only() {
    let mut it = Fixture::new().await;
    let room = it.direct().await;
    for n in 0..5 {
        it.say(room, "alice", &format!("m{n}")).await;
    }
    let request = it.request();
    it.node.router().send(ToOwner::Fetch { request, stream: Entity::Room(room), from: Seq(2), to: Seq(4) }).unwrap();
    let ToGateway::Fetched { events: Ok(events), .. } = it.frame().await else { panic!("not fetched") };
    assert_eq!(events.iter().map(StreamEvent::seq).collect::<Vec<_>>(), [Seq(2), Seq(3), Seq(4)]);
    let typing = ToOwner::Ephemeral { stream: Entity::Room(room), event: Ephemeral::Typing { user: user("bob") } };
    it.node.router().send(typing.clone()).unwrap();
    it.listen(room, "alice");
    assert!(matches!(it.frame().await, ToGateway::Granted { .. }), "typing came before anybody listened");
    it.node.router().send(typing).unwrap();
    assert!(matches!(it.frame().await, ToGateway::Ephemeral { .. }));
}

#[tokio::test]
async fn a_journal_shorter_than_the_store_is_an_error_that_says_what_to_do() {
    let env = Env::system();
    let store = Arc::new(MemoryStore::new());
    let mut core = store.snapshot();
    let partition = user("alice").partition();
    let to = WatermarkRow { next_offset: Offset(5), ..WatermarkRow::start(partition) };
    core.apply(Commit { watermarks: vec![WatermarkMove { from: Offset(0), to }], ..Commit::default() });
    store.restore(core);
    let journal = Arc::new(MemoryJournal::new(Arc::clone(&env.clock)));
    let (deps, ..) = deps(journal, Rule::OwnReports, store, &env, MEMORY);
    let error = Node::start(deps).await.err().unwrap().to_string();
    assert!(error.contains("restore the journal that belongs to it"), "{error}");
}

#[tokio::test]
async fn a_newer_record_halts_its_partition_and_health_says_so() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    it.append_newer(room).await;
    assert_eq!(it.say(room, "alice", "m2").await, Answer::Unknown);
    let report = it.health.report();
    let State::Down(reason) = &report.checks["partitions"] else { panic!("{report:?}") };
    assert!(reason.contains("version 99"), "{reason}");
}

/// Waits until the metrics tell of so many rooms in memory.
async fn resident_rooms(metrics: &Metrics, count: i64) {
    until("so many rooms are counted", async || metrics.resident_rooms.get() == count).await;
}

/// Rooms and users that were made from the store, as the metrics tell.
fn activations(metrics: &Metrics) -> u64 {
    let text = metrics.page();
    let count = text.lines().find_map(|line| line.strip_prefix("kervan_activation_seconds_count "));
    count.unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_idle_room_goes_when_it_is_stored_and_comes_back_with_everything() {
    let mut it = Fixture::new().await;
    let room = it.direct().await;
    it.listen(room, "bob");
    it.frame().await;
    for n in 0..3 {
        it.say(room, "alice", &format!("m{n}")).await;
        it.frame().await;
    }
    let end = it.journal.bounds(room.partition()).end;
    it.node.stored().reach(room.partition(), end).await;
    it.node.passivate_all();
    assert_eq!(it.node.residents(room.partition()).await, 0);
    let metrics = Arc::clone(&it.node.context().metrics);
    resident_rooms(&metrics, 0).await;
    // The room and three messages, at least.
    assert!(metrics.appended_records.get() >= 4 && metrics.appended_bytes.get() > 100, "appends are counted");
    let activated = activations(&metrics);
    assert_eq!(seq_of(it.say(room, "bob", "m9").await), 5);
    assert!(activations(&metrics) > activated);
    resident_rooms(&metrics, 1).await;
    assert_eq!(it.seqs().await, [5], "a listener outlives the actor");
    let again = it.say(room, "alice", "m0").await;
    assert!(matches!(again, Answer::Accepted { seq: Seq(2), duplicate: true, .. }), "{again:?}");
    let request = it.request();
    it.node.router().send(ToOwner::Fetch { request, stream: Entity::Room(room), from: Seq(1), to: Seq(5) }).unwrap();
    let ToGateway::Fetched { events: Ok(events), .. } = it.frame().await else { panic!("not fetched") };
    assert_eq!(events.iter().map(StreamEvent::seq).collect::<Vec<_>>(), (1..=5).map(Seq).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_head_of_a_room_that_was_let_go_at_once_is_announced_all_the_same() {
    let mut it = Fixture::new().await;
    let room = it.direct().await;
    it.listen(room, "bob");
    it.frame().await;
    it.say(room, "alice", "m1").await;
    let end = it.journal.bounds(room.partition()).end;
    it.node.stored().reach(room.partition(), end).await;
    it.node.passivate_all();
    assert_eq!(it.node.residents(room.partition()).await, 0);
    // Pauses: empties what has come; the next frame is waited for.
    while it.frames.try_recv().is_ok() {}
    let frame = within("a frame comes", it.frames.recv()).await.unwrap();
    assert!(matches!(frame, ToGateway::Head { head: Seq(2), .. }), "{frame:?}");
    assert_eq!(it.node.residents(room.partition()).await, 0, "and nobody was woken for it");
}

#[tokio::test]
async fn a_node_that_stops_has_stored_everything_that_it_answered() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    for n in 0..10 {
        it.say(room, "alice", &format!("m{n}")).await;
    }
    let store = Arc::clone(&it.store);
    it.node.stop(Duration::from_secs(10)).await.unwrap();
    let chat = store.snapshot().chat(room).unwrap();
    assert_eq!(chat.head, Seq(11));
}

#[tokio::test]
async fn users_hear_of_their_rooms_and_a_block_reaches_the_direct_chat() {
    let mut it = Fixture::new().await;
    let request = it.request();
    let stream = Entity::User(user("bob"));
    it.node.router().send(ToOwner::Listen { request, stream: stream.clone(), user: user("bob"), open: false }).unwrap();
    assert!(matches!(it.frame().await, ToGateway::Granted { .. }));
    let room = it.direct().await;
    let ToGateway::Events { stream: heard, events, .. } = it.frame().await else { panic!("nothing heard") };
    assert_eq!((heard, events[0].seq()), (stream, Seq(1)));

    let applied = it.node.applied().get(room.partition());
    let block = crate::actors::user::UserCommand {
        user: user("bob"),
        id: it.env.ids.next(),
        issued_at: it.env.now(),
        ttl_ms: 60_000,
        body: crate::actors::user::UserCommandBody::Block(commands::Block { user: user("alice") }),
    };
    let record = crate::actors::user::payload::encode(block);
    assert!(matches!(it.node.router().command(user("bob").partition(), record).get().await, Answer::Accepted { .. }));
    it.node.applied().reach(room.partition(), applied.next()).await;
    assert_eq!(it.say(room, "alice", "m1").await, Answer::Rejected(Reject::Blocked));
}
