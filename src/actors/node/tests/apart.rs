//! A node whose rows are made by processes of their own.

use super::*;
use crate::actors::fold;
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::Running;
use crate::actors::workers::persistence::worker::{self as projector, ProjectorStatus};
use crate::actors::workers::prefix::{self, PrefixMarks, PrefixStatus};
use crate::actors::workers::relay::append_straight;
use crate::actors::workers::relay::worker::{self as relay, RelayStatus};
use crate::storage::journal::record::Prefix;
use crate::storage::store::Store;

/// A persistence worker, as `kervan worker persistence` starts it, and the relay of `kervan worker realtime`.
struct Worker {
    reader: Running<PrefixStatus>,
    projector: Running<ProjectorStatus>,
    relay: Running<RelayStatus>,
}

impl Worker {
    /// On a journal's handle and a store of its own; the store may be one that is away while others go on.
    async fn start(journal: MemoryJournal, store: Arc<MemoryStore>) -> Self {
        let rows = store.watermarks().await.unwrap();
        let starts = rows.iter().map(|row| (row.partition, Prefix { end: row.next_offset, hash: row.log_hash }));
        let read = PrefixMarks::default();
        let verified = Arc::clone(&read.verified);
        let reader = prefix::spawn(Arc::new(journal.clone()), starts.collect(), read);
        let (stored, outbox, meant) = (Arc::new(Watermarks::new()), Arc::new(Watermarks::new()), Arc::default());
        let appended = Arc::clone(&meant);
        let relay = relay::spawn(relay::Deps {
            store: store.clone(),
            append: append_straight(Arc::new(journal.clone()), move |target, report| {
                Watermarks::raise(&appended, target, report.end);
            }),
            meant,
            owned: Arc::new(Owned::new(Partition::all(), OwnerEpoch(1))),
            stored: Arc::clone(&stored),
            outbox: Arc::clone(&outbox),
            owed: Arc::default(),
            retry: Duration::from_millis(1),
        });
        let options = projector::Options { retry_first: Duration::from_millis(1), ..projector::Options::default() };
        let projector = projector::spawn(projector::Deps {
            journal: Arc::new(journal),
            store,
            applied: verified,
            stored,
            outbox,
            report: Arc::new(|_, _, _| ()),
            options,
        });
        Self { reader, projector, relay }
    }

    async fn stop(self) {
        assert_eq!(self.projector.status().borrow().halted, []);
        assert!(self.reader.status().borrow().halted.is_empty());
        self.relay.stop().await.unwrap();
        self.projector.stop().await.unwrap();
        self.reader.stop().await.unwrap();
    }
}

async fn apart() -> Fixture {
    let env = Env::system();
    let (journal, store) = (MemoryJournal::new(Arc::clone(&env.clock)), Arc::new(MemoryStore::new()));
    let (deps, frames, health) = deps(Arc::new(journal.clone()), Rule::OwnReports, Arc::clone(&store), &env, MEMORY);
    let options = Options { cover_after_ms: Some(20), ..deps.options };
    let node = Node::start(Deps { options, rows: super::super::RowsMadeBy::Worker, ..deps }).await.unwrap();
    Fixture { node, env, journal, store, health, frames }
}

/// The rows hold so many events of the room.
async fn stores(it: &Fixture, room: RoomId, events: u64) {
    let head = async || it.store.room(room).await.unwrap().chat.is_some_and(|chat| chat.head == Seq(events));
    until("the rows have all of it", head).await;
}

#[tokio::test]
async fn rows_are_made_beside_the_node_up_to_the_last_record_and_the_node_hears_of_it() {
    let it = apart().await;
    let worker = Worker::start(it.journal.for_node(7), Arc::clone(&it.store)).await;
    let room = it.direct().await;
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2);
    let Answer::Accepted { offset, .. } = it.say(room, "bob", "m2").await else { panic!("not accepted") };
    within("the node hears of it", it.node.stored().reach(room.partition(), offset.next())).await;
    stores(&it, room, 3).await;
    // What the relay tells the users of it lies in the journal, is verified by the node, and stored by the worker as well.
    let rooms = async || it.store.user(&user("bob")).await.unwrap().rooms.len() == 1;
    until("bob has the room in his list", rooms).await;
    let unstored = async || it.node.context().unstored().next().is_none();
    until("nothing that means something is left", unstored).await;
    within("the node stops without waiting for rows", it.node.stop(Duration::from_secs(50))).await.unwrap();
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_was_away_goes_on_beside_one_that_took_its_place_and_rows_never_go_back() {
    let it = apart().await;
    let room = it.direct().await;
    let one = Worker::start(it.journal.for_node(7), Arc::clone(&it.store)).await;
    it.say(room, "alice", "m1").await;
    stores(&it, room, 2).await;
    // Its reads hang while another one takes its place.
    let failing = || crate::storage::journal::JournalError::Io("it hangs".to_owned()).into();
    it.journal.fail_reads(room.partition(), (0..3).map(|_| failing()));
    it.say(room, "alice", "m2").await;
    let two = Worker::start(it.journal.for_node(8), Arc::clone(&it.store)).await;
    for n in 3..30 {
        it.say(room, ["alice", "bob"][n % 2], &format!("m{n}")).await;
        let row = it.store.room(room).await.unwrap();
        assert!(row.chat.is_some_and(|chat| chat.head >= Seq(2)));
    }
    stores(&it, room, 30).await;
    it.node.stop(Duration::from_secs(50)).await.unwrap();
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn after_a_restart_nobody_waits_for_rows_of_the_barriers_of_before() {
    let it = apart().await;
    let worker = Worker::start(it.journal.for_node(7), Arc::clone(&it.store)).await;
    let room = it.direct().await;
    it.say(room, "alice", "m1").await;
    stores(&it, room, 2).await;
    let covered = async || it.node.awaited_end(room.partition()) < it.journal.bounds(room.partition()).end;
    until("the last record is covered", covered).await;
    until("all of it is stored", async || it.node.context().unstored().next().is_none()).await;
    worker.stop().await;

    // Nobody makes rows any more.
    let (journal, store) = (it.journal.after_crash(1), Arc::clone(&it.store));
    let (deps, _frames, _health) = deps(Arc::new(journal.clone()), Rule::OwnReports, store, &it.env, MEMORY);
    let again = Node::start(Deps { rows: super::super::RowsMadeBy::Worker, ..deps }).await.unwrap();
    within("all is folded", again.replayed()).await;
    let awaited = again.awaited_end(room.partition());
    assert!(awaited < journal.bounds(room.partition()).end, "barriers lie behind it");
    within("who waits for rows", again.stored().reach(room.partition(), awaited)).await;
    again.stop(Duration::from_secs(50)).await.unwrap();
    it.node.stop(Duration::from_secs(50)).await.unwrap();
}

/// A record of nobody's: as a worker appends one that stands alone.
#[tokio::test]
async fn what_a_worker_appends_by_itself_is_read_by_the_owner() {
    let it = apart().await;
    let room = it.direct().await;
    let append = append_straight(Arc::new(it.journal.for_node(9)), |_, _| ());
    let results = append(room.partition(), vec![it.record(room, message("bob", "m1"))]).await;
    assert!(matches!(results[..], [Ok(())]), "{results:?}");
    let again =
        async || matches!(it.say(room, "bob", "m1").await, Answer::Accepted { duplicate: true, seq: Seq(2), .. });
    until("the owner knows it", again).await;
    it.journal.next_fates([Fate::Refuse]);
    let results = append(room.partition(), vec![it.record(room, message("bob", "m2"))]).await;
    assert!(matches!(results[..], [Err(crate::storage::journal::AppendError::Refused(_))]), "{results:?}");
    it.node.stop(Duration::from_secs(50)).await.unwrap();
}

#[tokio::test]
async fn a_barrier_of_an_earlier_life_that_comes_last_keeps_nobody_waiting() {
    let it = apart().await;
    let room = it.direct().await;
    it.say(room, "alice", "m1").await;
    let (partition, end) = (room.partition(), || it.journal.bounds(room.partition()).end);
    until("the last record is covered", async || it.node.awaited_end(partition) < end()).await;
    until("all is folded", async || it.node.applied().get(partition) == end()).await;

    // Sent before a process was killed, and slow on its way. Nothing is appended in answer, so nothing covers it.
    let late = fold::barrier(it.env.ids.next(), it.env.now());
    it.journal.for_node(9).append(partition, vec![late]).await.unwrap();
    within("a start", it.node.replayed()).await;
    assert!(it.node.applied().get(partition) < end(), "it is not folded");
    assert!(it.node.awaited_end(partition) < end(), "its rows are awaited");
    it.node.stop(Duration::from_secs(50)).await.unwrap();
}
