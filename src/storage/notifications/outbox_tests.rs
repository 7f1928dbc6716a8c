//! The outbox in either database.

use uuid::Uuid;

use super::Notifications;
use super::facts::NotificationFacts;
use super::outbox::{Decided, Ended, NotificationCursor, NotificationOutbox, OutgoingNotification, Settled};
use crate::ids::{MessageNo, Offset, Partition, RoomId, Seq, Timestamp};
use crate::storage::sql::{Connections, support};
use crate::storage::store::Store as _;
use crate::storage::store::commit::{BlockChange, MemberChange, UserRoomChange};
use crate::storage::store::contract::{chat_row, event_row, member_row, message_row, moved, room_id, user_id, uuid};
use crate::storage::store::rows::{BlockRow, NotificationRow, ReadMarkRow, UserRoomRow};
use crate::storage::store::sql::SqlStore;

support::sql_suite!(
    what_is_decided_is_written_with_the_cursor_or_not_at_all
    a_claim_is_one_senders_until_it_ends
    what_failed_comes_again_and_what_is_dead_only_when_it_is_asked_for
    messages_are_found_by_the_records_that_made_them
    members_come_with_all_that_decides_on_them
    ended_nothing_waits_and_nothing_is_begun
);

fn cursor(next: u64, after: Option<&str>) -> NotificationCursor {
    let (next, after) = (Offset(next), after.map(user_id));
    NotificationCursor { partition: Partition::FIRST, next, after, latest: Timestamp(next.0) }
}

fn outgoing(n: u128) -> OutgoingNotification {
    OutgoingNotification {
        id: Uuid::from_u128(n),
        channel: "webhook".to_owned(),
        device: String::new(),
        user: user_id("bob"),
        room: RoomId(Uuid::from_u128(7)),
        seq: Seq(n as u64),
        kind: "message".to_owned(),
        by: n.is_multiple_of(2).then(|| user_id("ann")),
        row: Uuid::from_u128(n + 100),
        at: Timestamp(1_000),
        attempts: 0,
        next_at: Timestamp(5),
    }
}

fn row(n: u128) -> NotificationRow {
    NotificationRow {
        user: user_id("bob"),
        id: Uuid::from_u128(n + 100),
        kind: "message",
        title: "New message",
        message: "ann wrote".to_owned(),
        data: "{}".to_owned(),
        at: Timestamp(1_000),
    }
}

fn decided(from: NotificationCursor, to: NotificationCursor, which: impl Iterator<Item = u128> + Clone) -> Decided {
    Decided { moves: vec![(from, to)], rows: which.clone().map(row).collect(), outgoing: which.map(outgoing).collect() }
}

async fn filled(connections: &Connections, which: impl Iterator<Item = u128> + Clone) -> NotificationOutbox {
    let outbox = NotificationOutbox::new(connections.clone());
    outbox.begin(vec![cursor(0, None)]).await.unwrap();
    assert!(outbox.decided(decided(cursor(0, None), cursor(9, None), which)).await.unwrap());
    outbox
}

async fn what_is_decided_is_written_with_the_cursor_or_not_at_all(connections: &Connections) {
    let outbox = filled(connections, 1..=3).await;
    outbox.begin(vec![cursor(5, None)]).await.unwrap();
    assert_eq!(outbox.cursors().await.unwrap(), [cursor(9, None)], "begun once");
    for stale in [cursor(0, None), cursor(9, Some("bob"))] {
        assert!(!outbox.decided(decided(stale, cursor(10, None), 4..=5)).await.unwrap());
    }
    assert_eq!((outbox.waiting(9).await.unwrap(), outbox.waiting(2).await.unwrap()), (3, 2));
    let rows = Notifications::new(connections.clone());
    assert_eq!(rows.list(&user_id("bob"), None, false, 9).await.unwrap().1, 3);
    // A page of a large room; the same notification once more is none.
    assert!(outbox.decided(decided(cursor(9, None), cursor(9, Some("eve")), 3..=4)).await.unwrap());
    assert_eq!(outbox.cursors().await.unwrap(), [cursor(9, Some("eve"))]);
    assert_eq!(outbox.waiting(9).await.unwrap(), 4);
}

async fn a_claim_is_one_senders_until_it_ends(connections: &Connections) {
    let outbox = filled(connections, 1..=3).await;
    let (one, other) = (uuid(1), uuid(2));
    assert_eq!(outbox.next_due().await.unwrap(), Some(Timestamp(5)));
    assert_eq!(outbox.claim(one, Timestamp(4), Timestamp(90), 9).await.unwrap(), [], "not due");
    let mine = outbox.claim(one, Timestamp(5), Timestamp(100), 2).await.unwrap();
    assert_eq!(mine, [outgoing(1), outgoing(2)]);
    let rest = outbox.claim(other, Timestamp(99), Timestamp(200), 9).await.unwrap();
    assert_eq!(rest, [outgoing(3)]);
    // Too late: it is another one's by now, and stays.
    let again = outbox.claim(other, Timestamp(100), Timestamp(200), 1).await.unwrap();
    assert_eq!(again, [OutgoingNotification { next_at: Timestamp(100), ..outgoing(1) }]);
    let sent = |ids: &[u128]| ids.iter().map(|id| (Uuid::from_u128(*id), Settled::Sent)).collect();
    outbox.settle(one, sent(&[1, 2, 3])).await.unwrap();
    assert_eq!(outbox.waiting(9).await.unwrap(), 2);
    outbox.settle(other, sent(&[1, 3])).await.unwrap();
    assert_eq!((outbox.waiting(9).await.unwrap(), outbox.next_due().await.unwrap()), (0, None));
}

async fn what_failed_comes_again_and_what_is_dead_only_when_it_is_asked_for(connections: &Connections) {
    let outbox = filled(connections, 1..=4).await;
    let claim = uuid(1);
    outbox.claim(claim, Timestamp(5), Timestamp(1_000), 9).await.unwrap();
    let why = || "the webhook answered 503".to_owned();
    let dead = |n: u64| Settled::Dead { attempts: 12, at: Timestamp(40 + n), why: why() };
    let later = Settled::Later { attempts: 1, at: Timestamp(50), why: why() };
    let id = Uuid::from_u128;
    let outcomes = vec![(id(1), later), (id(2), dead(0)), (id(3), dead(1)), (id(4), dead(1))];
    outbox.settle(claim, outcomes).await.unwrap();
    let again = outbox.claim(claim, Timestamp(2_000), Timestamp(3_000), 9).await.unwrap();
    assert_eq!(again, [OutgoingNotification { attempts: 1, next_at: Timestamp(50), ..outgoing(1) }]);
    let ids = async |after, limit| {
        let found = outbox.dead(after, limit).await.unwrap();
        found.iter().map(|dead| (dead.of.id, dead.at, dead.of.attempts, dead.why == why())).collect::<Vec<_>>()
    };
    let [two, three, four] = [(2, 40), (3, 41), (4, 41)].map(|(n, at)| (id(n), Timestamp(at), 12, true));
    assert_eq!(ids(None, 2).await, [two, three]);
    assert_eq!(ids(Some((three.1, three.0)), 9).await, [four]);
    assert_eq!(outbox.replay(Some(&[id(3), id(1), id(99)]), Timestamp(70)).await.unwrap(), 1);
    assert_eq!(outbox.replay(None, Timestamp(80)).await.unwrap(), 2);
    assert_eq!(ids(None, 9).await, []);
    let replayed = outbox.claim(claim, Timestamp(80), Timestamp(3_000), 9).await.unwrap();
    let replayed: Vec<_> = replayed.iter().map(|one| (one.id, one.attempts)).collect();
    assert_eq!(replayed, [(id(3), 0), (id(2), 0), (id(4), 0)]);
}

/// Messages 2, 4, 6, …, 60 of a room, some of which have one time.
async fn messages_are_found_by_the_records_that_made_them(connections: &Connections) {
    let room = room_id(5);
    let mut commit = moved(room.partition(), 0, 1);
    commit.chats = vec![chat_row(room)];
    commit.room_events = (1..=60)
        .map(|seq| match seq % 2 {
            0 => {
                let mut row = message_row(room, seq, seq / 2, "ann", "hi");
                row.at = Timestamp(1_000 + seq / 10);
                row
            }
            _ => event_row(room, seq, 5),
        })
        .collect();
    SqlStore::new(connections.clone()).commit(commit).await.unwrap();
    let facts = NotificationFacts::new(connections.clone());
    for seq in (2..=60).step_by(2) {
        let at = Timestamp(1_000 + seq / 10);
        let found = facts.messages(room, at, at, &[uuid(seq), uuid(777)]).await.unwrap();
        let (about, found) = found.unwrap();
        assert_eq!((about.kind, about.title.as_str()), (2, "A room, 部屋"));
        let message = &found[0];
        assert_eq!((found.len(), message.seq, message.no), (1, Seq(seq), MessageNo(seq / 2)));
        assert_eq!((&message.sender, message.at, message.deleted), (&Some(user_id("ann")), at, false));
        let younger = facts.messages(room, Timestamp(at.0 + 1), at, &[uuid(seq)]).await.unwrap().unwrap().1;
        assert_eq!(younger, [], "the time says that it can't be");
    }
    let all: Vec<_> = (2..=60).step_by(2).map(uuid).collect();
    let found = facts.messages(room, Timestamp::ZERO, Timestamp(9_999), &all).await.unwrap().unwrap().1;
    assert_eq!(found.len(), 30);
    assert_eq!(facts.messages(room_id(6), Timestamp::ZERO, Timestamp(9_999), &all).await.unwrap(), None);
}

async fn members_come_with_all_that_decides_on_them(connections: &Connections) {
    let room = room_id(5);
    let mut commit = moved(room.partition(), 0, 1);
    commit.chats = vec![chat_row(room)];
    commit.members = ["ann", "bob", "cem", "dan"].map(|user| MemberChange::Put(member_row(room, user, 0))).to_vec();
    commit.members.push(MemberChange::Put(member_row(room, "eve", 1)));
    commit.members.push(MemberChange::Put(member_row(room, "fay", 2)));
    commit.read_marks = vec![ReadMarkRow { user: user_id("bob"), room, seq: Seq(7), no: MessageNo(3) }];
    commit.blocks = ["ann", "eve"]
        .map(|blocked| BlockChange::Put(BlockRow { user: user_id("cem"), blocked: user_id(blocked), at: Timestamp(1) }))
        .to_vec();
    let mute = |muted_until| UserRoomRow { user: user_id("dan"), room, kind: 2, state: 1, seq: Seq(1), muted_until };
    commit.user_rooms = vec![UserRoomChange::Put(mute(Timestamp(i64::MAX as u64)))];
    SqlStore::new(connections.clone()).commit(commit).await.unwrap();
    let facts = NotificationFacts::new(connections.clone());
    let ann = user_id("ann");
    let found = facts.members(room, Some(&ann), None, 9).await.unwrap();
    let seen: Vec<_> =
        found.iter().map(|one| (one.user.as_str(), one.read.0, one.blocks_sender, one.joined.0)).collect();
    assert_eq!(seen, [("ann", 0, false, 1), ("bob", 7, false, 1), ("cem", 0, true, 1), ("dan", 0, false, 1)]);
    let muted: Vec<_> = found.iter().map(|one| one.muted_until.0).collect();
    assert_eq!(muted, [0, 0, 0, i64::MAX as u64]);
    let mut commit = moved(room.partition(), 1, 2);
    commit.user_rooms = vec![UserRoomChange::Put(mute(Timestamp::ZERO))];
    SqlStore::new(connections.clone()).commit(commit).await.unwrap();
    let found = facts.members(room, Some(&ann), None, 9).await.unwrap();
    assert!(found.iter().all(|one| one.muted_until == Timestamp::ZERO), "{found:?}");
    let page = facts.members(room, None, Some(&ann), 2).await.unwrap();
    let seen: Vec<_> = page.iter().map(|one| (one.user.as_str(), one.blocks_sender)).collect();
    assert_eq!(seen, [("bob", false), ("cem", false)]);
}

async fn ended_nothing_waits_and_nothing_is_begun(connections: &Connections) {
    let outbox = filled(connections, 1..=3).await;
    let (claim, now) = (Uuid::from_u128(77), Timestamp(9));
    outbox.claim(claim, now, Timestamp(50), 1).await.unwrap();
    let dead = Settled::Dead { attempts: 1, at: now, why: "refused".to_owned() };
    outbox.settle(claim, vec![(Uuid::from_u128(1), dead)]).await.unwrap();
    assert_eq!(outbox.end().await.unwrap(), Ended { partitions: 1, waiting: 2 });
    assert_eq!((outbox.cursors().await.unwrap(), outbox.waiting(9).await.unwrap()), (vec![], 0));
    assert_eq!(outbox.dead(None, 9).await.unwrap().len(), 1, "what was given up is still there to be looked at");
    assert_eq!(Notifications::new(connections.clone()).list(&user_id("bob"), None, false, 9).await.unwrap().1, 3);
    let moved = outbox.decided(decided(cursor(9, None), cursor(10, None), 4..=4)).await.unwrap();
    assert!(!moved, "a worker that still runs decides nothing more");
    assert_eq!(outbox.end().await.unwrap(), Ended { partitions: 0, waiting: 0 });
    outbox.begin(vec![cursor(20, None)]).await.unwrap();
    assert_eq!(outbox.cursors().await.unwrap(), [cursor(20, None)]);
}
