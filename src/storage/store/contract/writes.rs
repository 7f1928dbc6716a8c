//! What is written comes back, as a whole or not at all.

use bytes::Bytes;

use super::*;
use crate::limits;
use crate::storage::store::commit::{
    BlockChange, DeviceChange, MemberChange, ReactionChange, UserRoomChange, WindowPiece,
};

pub(crate) async fn an_empty_store_starts_everywhere_at_zero(store: &dyn Store) {
    let expected: Vec<_> = Partition::all().map(WatermarkRow::start).collect();
    assert_eq!(store.watermarks().await.unwrap(), expected);
    let snapshot = store.room(room_id(1)).await.unwrap();
    assert_eq!(snapshot.watermark, WatermarkRow::start(room_id(1).partition()));
    assert_eq!((snapshot.chat, snapshot.members.len(), snapshot.window.len()), (None, 0, 0));
    assert_eq!(store.user(&user_id("a")).await.unwrap().user, None);
    let list = store.room_list(&user_id("a"), Shelf::Live, None, PageBound::rows(10)).await.unwrap();
    assert_eq!(list, RoomListPage::default());
    assert!(store.relay_next(OutboxPlace::first_of(Partition::FIRST), 10).await.unwrap().is_empty());
    store.health().await.unwrap();
}

pub(crate) async fn rows_of_a_room_come_back_as_they_were(store: &dyn Store) {
    let room = room_id(9);
    let open = MessageBody {
        no: MessageNo(2),
        data: Bytes::from_static(&[0, 255, 128, 0, 10]),
        message_type: "raw".to_owned(),
        ..MessageBody::default()
    };
    let anonymous =
        RoomEventRow { actor: None, client_id: None, message: Some(open), ..message_row(room, 3, 2, "x", "") };
    let events =
        vec![event_row(room, 1, 1), message_row(room, 2, 1, "alice", "Grüße 👋\n'; DROP TABLE chats; --"), anonymous];
    let closed = Mark { seq: Seq(8), at: Timestamp(9), id: uuid(10) };
    let chat =
        ChatRow { head: Seq(3), last_no: MessageNo(2), closed, expires_at: Some(Timestamp(5)), ..chat_row(room) };
    let members = vec![member_row(room, "alice", 0), member_row(room, "bob", 1), member_row(room, "carol", 2)];
    write(store, room, 0, |commit| {
        commit.chats.push(chat.clone());
        // Not in order: the store does not mind.
        commit.room_events = events.iter().rev().cloned().collect();
        commit.members = members.iter().cloned().map(MemberChange::Put).collect();
        commit.room_sources.push((room, Partition::new(255).unwrap(), Offset(70)));
        commit.room_blocks.push((room, user_id("bob"), true));
        commit.room_blocks.push((room, user_id("carol"), true));
        commit.room_decisions.push((room, Bytes::from_static(&[0, 1, 255])));
    })
    .await;
    assert_eq!(all_events(store, room).await, events);
    let found = store.room(room).await.unwrap();
    assert_eq!(found.chat, Some(chat.clone()));
    assert_eq!(store.chat(room).await.unwrap(), Some(chat.clone()));
    assert_eq!(found.members, members);
    assert_eq!(store.member(room, &user_id("bob")).await.unwrap().as_ref(), Some(&members[1]));
    assert_eq!(found.sources, [SourceRow { partition: Partition::new(255).unwrap(), offset: Offset(70) }]);
    assert_eq!(found.blocks, [user_id("bob"), user_id("carol")]);
    assert_eq!((found.watermark.log_hash, found.watermark.last_record), (u64::MAX - 1, Some(u64::MAX - 2)));
    assert_eq!(found.decisions, [0, 1, 255].as_slice());

    // What is replaced is replaced as a whole, what goes is gone; the time of making stays.
    let later =
        ChatRow { title: String::new(), created_at: Timestamp(99), expires_at: None, status: 1, ..chat.clone() };
    write(store, room, 1, |commit| {
        commit.chats.push(later.clone());
        commit.members.push(MemberChange::Remove(room, user_id("bob")));
        commit.members.push(MemberChange::Put(MemberRow { state: 0, ..members[2].clone() }));
        commit.sent.push((room, user_id("alice"), MessageNo(2)));
        commit.sent.push((room, user_id("nobody"), MessageNo(2)));
        commit.room_sources.push((room, Partition::new(255).unwrap(), Offset(71)));
        commit.room_blocks.push((room, user_id("bob"), false));
        commit.room_decisions.push((room, Bytes::from_static(&[7])));
        commit.room_blocks.push((room, user_id("carol"), true));
    })
    .await;
    let found = store.room(room).await.unwrap();
    assert_eq!(found.chat, Some(ChatRow { created_at: chat.created_at, ..later }));
    let alice = MemberRow { sent_no: MessageNo(2), ..members[0].clone() };
    assert_eq!(found.members, [alice, MemberRow { state: 0, ..members[2].clone() }]);
    assert_eq!(found.sources[0].offset, Offset(71));
    assert_eq!(found.blocks, [user_id("carol")]);
    assert_eq!(found.decisions, [7].as_slice());
}

pub(crate) async fn rows_of_a_user_come_back_as_they_were(store: &dyn Store) {
    let (user, other) = (user_id("üser|1"), user_id("other"));
    let row = UserRow {
        user: user.clone(),
        push_token: "t".to_owned(),
        preferences: "{}".to_owned(),
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
        head: Seq(2),
        applied: Offset(4),
        chain: u64::MAX - 4,
        decisions: Bytes::from_static(&[0, 1, 255]),
        notifications_read: Uuid::from_u128(u128::MAX - 1),
    };
    let device = |name: &str| DeviceRow {
        user: user.clone(),
        device: DeviceId::new(name).unwrap(),
        platform: "web".to_owned(),
        push_token: String::new(),
        seen_at: Timestamp(5),
    };
    let block = |whom: &str| BlockRow { user: user.clone(), blocked: user_id(whom), at: Timestamp(6) };
    let known = |n| UserRoomRow {
        user: user.clone(),
        room: room_id(n),
        kind: 1,
        state: 3,
        seq: Seq(4),
        muted_until: Timestamp(7),
    };
    let mark = |n| ReadMarkRow { user: user.clone(), room: room_id(n), seq: Seq(9), no: MessageNo(8) };
    let event = |seq| UserEventRow {
        user: user.clone(),
        seq: Seq(seq),
        kind: 1,
        at: Timestamp(7),
        room: Some(room_id(3)),
        room_kind: Some(2),
        change: Some(1),
        room_seq: Some(Seq(4)),
        actor: Some(other.clone()),
        subject: None,
        data: (seq == 2).then(|| "{}".to_owned()),
    };
    let mut commit = moved(user.partition(), 0, 2);
    commit.users.push(row.clone());
    commit.devices = vec![DeviceChange::Put(device("a")), DeviceChange::Put(device("b"))];
    commit.blocks = vec![BlockChange::Put(block("x")), BlockChange::Put(block("y"))];
    commit.user_rooms = vec![UserRoomChange::Put(known(1)), UserRoomChange::Put(known(2))];
    commit.read_marks = vec![mark(1), mark(2)];
    commit.user_events = vec![event(1), event(2)];
    commit.user_sources.push((user.clone(), Partition::FIRST, Offset(3)));
    store.commit(commit).await.unwrap();
    let found = store.user(&user).await.unwrap();
    assert_eq!(found.user, Some(row.clone()));
    assert_eq!(found.devices, [device("a"), device("b")]);
    assert_eq!(found.blocks, [block("x"), block("y")]);
    assert_eq!(found.rooms, [known(1), known(2)]);
    assert_eq!(found.read_marks, [mark(1), mark(2)]);
    assert_eq!(found.sources, [SourceRow { partition: Partition::FIRST, offset: Offset(3) }]);
    assert_eq!(found.watermark.next_offset, Offset(2));
    assert_eq!(store.user_events(&user, SeqRange::all(), 10).await.unwrap(), [event(1), event(2)]);
    assert_eq!(store.user_events(&user, SeqRange::all().reversed(), 1).await.unwrap(), [event(2)]);
    assert_eq!(store.user(&other).await.unwrap().devices, []);

    let mut commit = moved(user.partition(), 2, 3);
    let later = UserRow { preferences: String::new(), decisions: Bytes::new(), notifications_read: Uuid::nil(), ..row };
    commit.users.push(UserRow { created_at: Timestamp(50), ..later.clone() });
    commit.devices.push(DeviceChange::Remove(user.clone(), DeviceId::new("a").unwrap()));
    commit.blocks.push(BlockChange::Remove(user.clone(), user_id("x")));
    commit.user_rooms.push(UserRoomChange::Remove(user.clone(), room_id(1)));
    commit.read_marks.push(ReadMarkRow { seq: Seq(10), ..mark(2) });
    store.commit(commit).await.unwrap();
    let found = store.user(&user).await.unwrap();
    assert_eq!(found.user, Some(later));
    assert_eq!((found.devices, found.blocks, found.rooms), (vec![device("b")], vec![block("y")], vec![known(2)]));
    assert_eq!(found.read_marks[1].seq, Seq(10));
}

pub(crate) async fn a_stale_guard_writes_nothing(store: &dyn Store) {
    let room = room_id(1);
    write(store, room, 0, |_| ()).await;
    let before = store.watermarks().await.unwrap();
    let mut late = moved(room.partition(), 0, 5);
    late.chats.push(chat_row(room));
    late.room_events.push(event_row(room, 1, 1));
    let stale = StoreError::Stale { partition: room.partition(), found: Offset(1) };
    assert_eq!(store.commit(late).await, Err(stale));
    assert_eq!(store.watermarks().await.unwrap(), before);
    assert_eq!(store.chat(room).await.unwrap(), None);
    assert!(all_events(store, room).await.is_empty());
}

pub(crate) async fn one_stale_partition_refuses_the_whole_commit(store: &dyn Store) {
    let room = room_id(1);
    let others = Partition::all().filter(|p| *p != room.partition());
    let mut commit = moved(room.partition(), 4, 5);
    commit.watermarks.extend(others.flat_map(|p| moved(p, 0, 7).watermarks));
    commit.chats.push(chat_row(room));
    let stale = StoreError::Stale { partition: room.partition(), found: Offset(0) };
    assert_eq!(store.commit(commit).await, Err(stale));
    assert!(store.watermarks().await.unwrap().iter().all(|row| row.next_offset == Offset(0)));
    assert_eq!(store.chat(room).await.unwrap(), None);
}

/// Two projectors of one partition read the same records: the second one is refused although both go to the same offset.
pub(crate) async fn the_same_commit_twice_is_refused_the_second_time(store: &dyn Store) {
    let room = room_id(1);
    let mut commit = moved(room.partition(), 0, 2);
    commit.chats.push(chat_row(room));
    commit.room_events.push(message_row(room, 1, 1, "alice", "once"));
    store.commit(commit.clone()).await.unwrap();
    let stale = StoreError::Stale { partition: room.partition(), found: Offset(2) };
    assert_eq!(store.commit(commit).await, Err(stale));
    assert_eq!(all_events(store, room).await.len(), 1);
}

pub(crate) async fn an_event_that_is_there_already_is_damage_and_nothing_is_written(store: &dyn Store) {
    let room = room_id(1);
    write(store, room, 0, |commit| commit.room_events.push(event_row(room, 1, 1))).await;
    let mut again = moved(room.partition(), 1, 2);
    again.chats.push(chat_row(room));
    again.room_events.push(event_row(room, 1, 5));
    assert!(matches!(store.commit(again).await, Err(StoreError::Damaged(_))));
    assert_eq!(store.chat(room).await.unwrap(), None);
    assert_eq!(store.room(room).await.unwrap().watermark.next_offset, Offset(1));
}

pub(crate) async fn an_edit_changes_the_message_and_not_its_event(store: &dyn Store) {
    let room = room_id(2);
    let said = message_row(room, 1, 1, "alice", "first");
    let edit = |n: u64, body: &str, metadata: Option<&str>| MessageEdit {
        room,
        seq: Seq(1),
        body: body.to_owned(),
        metadata: metadata.map(str::to_owned),
        at: Timestamp(n),
    };
    // The message and its first edit in one commit, a second one later.
    write(store, room, 0, |commit| {
        commit.room_events = vec![said.clone(), edit_row(room, 2, 1, "second")];
        commit.edits.push(edit(50, "second", None));
    })
    .await;
    let found = store.messages(room, SeqRange::all(), 10).await.unwrap();
    assert_eq!((found[0].message.body.as_str(), found[0].edited_at), ("second", Some(Timestamp(50))));
    assert_eq!(found[0].message.metadata, said.message.as_ref().unwrap().metadata);
    write(store, room, 1, |commit| commit.edits.push(edit(60, "", Some("{}")))).await;
    let found = store.messages(room, SeqRange::all(), 10).await.unwrap();
    assert_eq!((found[0].message.body.as_str(), found[0].message.metadata.as_str()), ("", "{}"));
    assert_eq!(all_events(store, room).await, [said, edit_row(room, 2, 1, "second")]);
}

pub(crate) async fn a_deletion_redacts_the_message_and_its_edits(store: &dyn Store) {
    let room = room_id(2);
    let (one, two) = (message_row(room, 1, 1, "alice", "secret"), message_row(room, 2, 2, "alice", "stays"));
    write(store, room, 0, |commit| {
        commit.room_events =
            vec![one.clone(), two.clone(), edit_row(room, 3, 1, "secret too"), edit_row(room, 4, 2, "so")];
        commit.edits = [(1, "secret too"), (2, "so")]
            .map(|(seq, body)| MessageEdit {
                room,
                seq: Seq(seq),
                body: body.to_owned(),
                metadata: None,
                at: Timestamp(9),
            })
            .into();
    })
    .await;
    let deletion = RoomEventRow { data: None, ..edit_row(room, 5, 1, "") };
    write(store, room, 1, |commit| {
        commit.room_events.push(RoomEventRow { kind: 4, ..deletion.clone() });
        commit.redactions.push((room, Seq(1)));
    })
    .await;
    let empty =
        MessageBody { no: MessageNo(1), message_type: "text".to_owned(), deleted: true, ..MessageBody::default() };
    let events = all_events(store, room).await;
    assert_eq!(events[0], RoomEventRow { message: Some(empty.clone()), ..one.clone() });
    assert_eq!(events[1], two);
    assert_eq!((events[2].data.as_deref(), events[3].data.as_deref()), (None, Some("so")));
    let messages = store.messages(room, SeqRange::all(), 10).await.unwrap();
    assert_eq!(messages[0].message, empty);
    assert_eq!((messages[0].id, messages[0].client_id.clone()), (one.id, one.client_id));
    assert_eq!(messages[1].message.body, "so");
}

pub(crate) async fn an_edit_does_not_bring_a_deleted_message_back(store: &dyn Store) {
    let room = room_id(2);
    write(store, room, 0, |commit| {
        commit.room_events.push(message_row(room, 1, 1, "alice", "secret"));
        commit.redactions.push((room, Seq(1)));
    })
    .await;
    let edit = MessageEdit { room, seq: Seq(1), body: "x".to_owned(), metadata: None, at: Timestamp(9) };
    write(store, room, 1, |commit| commit.edits.push(edit)).await;
    let found = store.messages(room, SeqRange::all(), 10).await.unwrap();
    assert_eq!((found[0].message.body.as_str(), found[0].message.deleted), ("", true));
}

pub(crate) async fn reactions_are_counted_and_go_with_their_message(store: &dyn Store) {
    let room = room_id(2);
    let row = |seq: u64, emoji: &str, user: &str| ReactionRow {
        room,
        seq: Seq(seq),
        emoji: emoji.to_owned(),
        user: user_id(user),
    };
    let put = |seq, emoji: &str, user: &str| ReactionChange::Put(row(seq, emoji, user));
    write(store, room, 0, |commit| {
        commit.room_events = (1..=3).map(|seq| message_row(room, seq, seq, "alice", "hello")).collect();
        commit.reactions = vec![put(1, "👍", "alice"), put(1, "👍", "bob"), put(1, "👍", "bob"), put(1, "🎉", "bob")];
        commit.reactions.extend([put(2, "👍", "alice"), put(3, "👍", "bob"), put(9, "👍", "bob")]);
    })
    .await;
    let count = |seq, emoji: &str, count, own| ReactionCount { seq: Seq(seq), emoji: emoji.to_owned(), count, own };
    let seen = async |from, to, user: &str| {
        let found = store.reactions(room, SeqRange::new(Seq(from), Seq(to)), &user_id(user)).await.unwrap();
        let mut counts = found.counts;
        counts.sort_by(|one, other| (one.seq, &one.emoji).cmp(&(other.seq, &other.emoji)));
        counts
    };
    let first = [count(1, "🎉", 1, false), count(1, "👍", 2, true), count(2, "👍", 1, true)];
    assert_eq!(seen(1, 2, "alice").await, first);
    let mut on_first = store.emoji_on(room, Seq(1), 9).await.unwrap();
    on_first.sort_unstable();
    assert_eq!(on_first, ["🎉", "👍"]);
    assert_eq!(store.emoji_on(room, Seq(1), 1).await.unwrap().len(), 1, "no more are looked for");
    assert_eq!(store.emoji_on(room, Seq(9), 9).await.unwrap(), [""; 0]);
    assert_eq!(seen(2, 9, "carol").await, [count(2, "👍", 1, false), count(3, "👍", 1, false)], "9 is no message");
    write(store, room, 1, |commit| {
        commit.reactions = vec![
            ReactionChange::Remove(row(1, "👍", "bob")),
            ReactionChange::Remove(row(1, "👍", "carol")),
            ReactionChange::Remove(row(1, "🎉", "bob")),
        ];
        commit.redactions.push((room, Seq(2)));
    })
    .await;
    write(store, room, 2, |commit| {
        commit.reactions.push(put(2, "👍", "bob"));
        commit.trims.push((room, Seq(3)));
    })
    .await;
    assert_eq!(seen(2, 9, "bob").await, [count(3, "👍", 1, true)], "a deleted message takes none");
    assert_eq!(seen(1, 1, "alice").await, [], "what is below the floor is gone");
}

pub(crate) async fn pages_of_events_go_both_ways(store: &dyn Store) {
    let (room, next) = (room_id(4), room_id(5));
    write(store, room, 0, |commit| {
        commit.room_events = (1..=20)
            .map(|seq| if seq % 3 == 0 { event_row(room, seq, 5) } else { message_row(room, seq, seq, "a", "m") })
            .chain([message_row(next, 1, 1, "a", "other")])
            .collect();
    })
    .await;
    let seqs = |rows: Vec<RoomEventRow>| rows.iter().map(|row| row.seq.0).collect::<Vec<_>>();
    let range = SeqRange::new(Seq(5), Seq(12));
    assert_eq!(seqs(store.events(room, range, 100).await.unwrap()), (5..=12).collect::<Vec<_>>());
    assert_eq!(seqs(store.events(room, range, 3).await.unwrap()), [5, 6, 7]);
    let back = store.events(room, range.reversed(), 3).await.unwrap();
    assert!(back.iter().all(|row| (row.kind == EVENT_MESSAGE) == row.message.is_some()));
    assert_eq!(seqs(back), [12, 11, 10]);
    assert_eq!(seqs(store.events(room, SeqRange::new(Seq(19), Seq(40)), 9).await.unwrap()), [19, 20]);
    assert!(store.events(room, SeqRange::new(Seq(9), Seq(3)), 9).await.unwrap().is_empty());
    let messages = store.messages(room, range.reversed(), 4).await.unwrap();
    assert_eq!(messages.iter().map(|row| row.seq.0).collect::<Vec<_>>(), [11, 10, 8, 7]);
}

pub(crate) async fn a_trim_removes_what_lies_below_and_nothing_else(store: &dyn Store) {
    let (room, next) = (room_id(4), room_id(5));
    let mut commit = moved(room.partition(), 0, 1);
    for room in [room, next] {
        commit.room_events.extend((1..=6).map(|seq| message_row(room, seq, seq, "a", "m")));
    }
    commit.trims.push((room, Seq(5)));
    store.commit(commit).await.unwrap();
    assert_eq!(all_events(store, room).await.iter().map(|row| row.seq.0).collect::<Vec<_>>(), [5, 6]);
    assert_eq!(store.messages(room, SeqRange::all(), 10).await.unwrap().len(), 2);
    assert_eq!(all_events(store, next).await.len(), 6);
}

pub(crate) async fn the_window_begins_where_the_room_says(store: &dyn Store) {
    let room = room_id(4);
    let mut events: Vec<_> = (1..=9).map(|seq| message_row(room, seq, seq, "a", "m")).collect();
    events[6] = RoomEventRow { client_id: None, ..edit_row(room, 7, 6, "e") };
    write(store, room, 0, |commit| {
        commit.chats.push(ChatRow { window: Seq(6), head: Seq(9), ..chat_row(room) });
        commit.room_events.clone_from(&events);
    })
    .await;
    let window = store.room(room).await.unwrap().window;
    let expected = events[5..].iter().map(|row| WindowRow {
        seq: row.seq,
        kind: row.kind,
        actor: row.actor.clone(),
        id: row.id,
        client_id: row.client_id.clone(),
        at: row.at,
        target: row.target,
    });
    assert_eq!(window, expected.collect::<Vec<_>>());
}

/// Long enough for a store that packs old events to have packed some; wherever the window begins, all of it is there.
pub(crate) async fn the_window_of_a_busy_room_is_whole_wherever_it_begins(store: &dyn Store) {
    let room = room_id(4);
    let event = |seq: u64| match seq % 7 {
        0 => RoomEventRow { client_id: None, ..edit_row(room, seq, seq - 3, "e") },
        3 => RoomEventRow { actor: None, client_id: None, ..event_row(room, seq, 5) },
        _ => message_row(room, seq, seq, ["alice", "bob", "carol"][seq as usize % 3], "m"),
    };
    let events: Vec<_> = (1..=1_800).map(event).collect();
    let (mut at, mut done) = (0, 0);
    for (size, windows) in [
        (500, vec![1]),
        (11, vec![1, 300]),
        (1, vec![1]),
        (513, vec![1, 2, 512, 513, 514]),
        (600, vec![514, 1_000, 1_024, 1_025, 1_624]),
        (175, vec![1_100, 1_700]),
    ] {
        let new = &events[done..done + size];
        done += size;
        let mut new = new.to_vec();
        for window in windows {
            write(store, room, at, |commit| {
                commit.chats.push(ChatRow { window: Seq(window), head: Seq(done as u64), ..chat_row(room) });
                let ends = new.iter().map(|event| event.seq.0).filter(|seq| seq % limits::WINDOW_PIECE_EVENTS == 0);
                let whole = ends.filter(|end| window + limits::WINDOW_PIECE_EVENTS <= end + 1);
                commit.window_pieces.extend(whole.map(|end| {
                    let of_it = &events[(end - limits::WINDOW_PIECE_EVENTS) as usize..end as usize];
                    WindowPiece { room, events: of_it.iter().map(WindowRow::of).collect(), window: Seq(window) }
                }));
                commit.room_events = std::mem::take(&mut new);
            })
            .await;
            at += 1;
            let expected: Vec<_> = events[window as usize - 1..done].iter().map(WindowRow::of).collect();
            assert_eq!(store.room(room).await.unwrap().window, expected, "{done} events, from {window} on");
        }
    }
}

pub(crate) async fn bulk_commits_of_every_size_are_written(store: &dyn Store) {
    let room = room_id(6);
    let (mut next, mut from) = (1, 0);
    for size in [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 150] {
        write(store, room, from, |commit| {
            commit.room_events = (next..next + size).map(|seq| message_row(room, seq, seq, "a", "m")).collect();
        })
        .await;
        next += size;
        from += 1;
    }
    let events = all_events(store, room).await;
    assert_eq!(events.iter().map(|row| row.seq.0).collect::<Vec<_>>(), (1..next).collect::<Vec<_>>());
}

/// A reader beside a writer sees heads and watermarks that belong together.
pub(crate) async fn rows_and_watermark_are_of_one_moment(store: &dyn Store) {
    let room = room_id(7);
    let writer = async {
        for n in 0..200 {
            write(store, room, n, |commit| {
                commit.chats.push(ChatRow { head: Seq(n + 1), ..chat_row(room) });
                commit.room_events.push(message_row(room, n + 1, n + 1, "a", "m"));
            })
            .await;
        }
    };
    let reader = async {
        loop {
            let found = store.room(room).await.unwrap();
            let head = found.chat.as_ref().map_or(0, |chat| chat.head.0);
            assert_eq!(found.watermark.next_offset.0, head);
            assert_eq!(found.window.len() as u64, head);
            if head == 200 {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writer, reader);
}

pub(crate) async fn a_note_is_kept(store: &dyn Store) {
    assert_eq!(store.meta("journal").await.unwrap(), None);
    store.set_meta("journal", "a").await.unwrap();
    store.set_meta("journal", "b").await.unwrap();
    assert_eq!(store.meta("journal").await.unwrap().as_deref(), Some("b"));
}

pub(crate) async fn a_closed_store_is_unavailable(store: &dyn Store) {
    store.close().await;
    assert!(store.commit(moved(Partition::FIRST, 0, 1)).await.unwrap_err().is_retryable());
    assert!(store.watermarks().await.unwrap_err().is_retryable());
    assert!(store.health().await.unwrap_err().is_retryable());
}
