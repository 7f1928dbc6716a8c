//! What rooms and users in memory may take, all together: refused before it is spent, given back when it is stored.

use super::*;
use crate::actors::partition::memory::RESIDENT_BYTES;
use crate::actors::room::commands::OpenChannel;
use crate::testing::everyone_else_runs;

/// Memory for some rooms with some messages.
const LITTLE: usize = 40 * RESIDENT_BYTES;

async fn with_memory(journal: MemoryJournal, store: Arc<MemoryStore>, memory: usize) -> Fixture {
    Fixture::with(journal, store, Env::system(), (memory, RESIDENT)).await
}

async fn small() -> Fixture {
    let env = Env::system();
    with_memory(MemoryJournal::new(Arc::clone(&env.clock)), Arc::new(MemoryStore::new()), LITTLE).await
}

fn long_message(id: &str) -> RoomCommand {
    let RoomCommand::Send(mut send) = message("alice", id) else { panic!("a message") };
    send.content.body = "x".repeat(8_000);
    RoomCommand::Send(send)
}

/// Says it until it is not refused for the time being: the answer.
async fn say_until_taken(it: &Fixture, room: RoomId, body: RoomCommand) -> Answer {
    let mut answer = Answer::Unknown;
    until("there is memory again", async || {
        answer = it.command(room, body.clone()).await;
        !matches!(answer, Answer::Unavailable { .. })
    })
    .await;
    answer
}

#[tokio::test]
async fn while_the_store_is_away_sends_are_refused_before_the_memory_is_spent_and_taken_again_afterwards() {
    let it = small().await;
    let room = it.direct().await;
    it.store.set_down(true);
    let mut said = 0;
    let refused = loop {
        match it.command(room, long_message(&format!("m{said}"))).await {
            Answer::Accepted { .. } => said += 1,
            other => break other,
        }
        assert!(it.node.context.memory.used() <= LITTLE + 16_000, "{}", it.node.context.memory.used());
        assert!(said < 1_000, "nothing is refused");
    };
    assert!(said > 10, "{said} were taken");
    assert!(matches!(refused, Answer::Unavailable { retry_after_ms } if retry_after_ms > 0), "{refused:?}");
    assert!(it.node.context.metrics.memory_refused.get() > 0);
    // A cold room would take memory, too.
    assert!(matches!(it.say(RoomId(Uuid::from_u128(77)), "alice", "m1").await, Answer::Unavailable { .. }));

    it.store.set_down(false);
    let end = it.journal.bounds(room.partition()).end;
    it.node.stored().reach(room.partition(), end).await;
    // What is stored and idle leaves at the next tick.
    assert_eq!(seq_of(say_until_taken(&it, room, long_message("again")).await), said + 2);
}

#[tokio::test]
async fn rooms_leave_by_the_bytes_that_they_take_long_before_there_are_too_many() {
    let it = small().await;
    let rooms: Vec<_> = (0..200u32).map(|n| RoomId::direct(&user(&format!("a{n}")), &user("bob"))).collect();
    for room in &rooms {
        // Nobody has made them: each is loaded to find that out.
        let answer = say_until_taken(&it, *room, message("alice", "m1")).await;
        assert_eq!(answer, Answer::Rejected(Reject::NoRoom));
        assert!(it.node.context.memory.used() <= LITTLE, "{}", it.node.context.memory.used());
    }
}

#[tokio::test]
async fn a_journal_that_is_folded_anew_waits_for_the_store() {
    let it = small().await;
    let env = Env::system();
    let journal = MemoryJournal::new(Arc::clone(&env.clock));
    // Rooms of one partition, many times as many as fit, and a store that knows none of them.
    let of = RoomId::direct(&user("alice"), &user("bob")).partition();
    let mut rooms = (0u64..).map(|n| RoomId::direct(&user(&format!("a{n}")), &user("bob")));
    let mut rooms = std::iter::from_fn(|| rooms.find(|room| room.partition() == of));
    for _ in 0..300 {
        let room = rooms.next().unwrap();
        let mut send = long_message("m1");
        if let RoomCommand::Send(send) = &mut send {
            send.content.body = "x".repeat(1_500);
        }
        journal.append(of, vec![it.record(room, send)]).await.unwrap();
    }
    let it = with_memory(journal, Arc::new(MemoryStore::new()), LITTLE).await;
    it.node.replayed().await;
    it.node.stored().reach(of, it.journal.bounds(of).end).await;
    until("what is stored leaves", async || it.node.context.memory.used() <= LITTLE).await;
}

/// The store is lost, and the journal holds thousands of open channels: they come back a few at a time.
#[tokio::test]
async fn rooms_that_come_back_from_the_journal_alone_are_never_more_in_memory_than_may_be() {
    const ROOMS: usize = 10_000;
    const PLACES: usize = 8;
    let env = Env::system();
    let journal = MemoryJournal::new(Arc::clone(&env.clock));
    let mut records = vec![Vec::new(); Partition::all().count()];
    for n in 0..ROOMS {
        let (channel, RoomCommand::Send(mut send)) = (format!("c{n}"), message("alice", "m1")) else {
            panic!("a message")
        };
        let room = RoomId::open(&channel);
        send.open = Some(OpenChannel { channel, history: HistoryBound::default() });
        records[room.partition().index()].push(record(&env, room, RoomCommand::Send(send)));
    }
    for (partition, records) in Partition::all().zip(records) {
        journal.append(partition, records).await.unwrap();
    }
    let store = Arc::new(MemoryStore::new());
    let it = Fixture::with(journal, store, env, (MEMORY, PLACES * Partition::all().count())).await;
    let directory = Arc::clone(&it.node.context.directory);
    let look = async {
        loop {
            for partition in Partition::all() {
                let residents = directory.residents(partition);
                assert!(residents <= PLACES, "{residents} of partition {partition} are in memory");
            }
            everyone_else_runs().await;
        }
    };
    tokio::select! {
        () = it.node.replayed() => {}
        () = look => {}
    }
    for partition in Partition::all() {
        it.node.stored().reach(partition, it.journal.bounds(partition).end).await;
    }
    assert_eq!(it.store.snapshot().rooms(None, usize::MAX).len(), ROOMS);
}
