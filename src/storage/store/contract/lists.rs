//! What is listed: rooms of a user, pages of members, rooms to expire, the outbox.

use bytes::Bytes;

use super::*;
use crate::limits;
use crate::storage::store::Invitations;
use crate::storage::store::commit::{Listing, MemberChange};

pub(crate) async fn the_room_list_is_sorted_and_counts_what_is_unread(store: &dyn Store) {
    let (old, new, quiet, invited, kicked) = (room_id(1), room_id(2), room_id(3), room_id(4), room_id(5));
    let mut commit = moved(old.partition(), 0, 1);
    for (room, at) in
        [(old, Some(2_000)), (new, Some(3_000)), (quiet, None), (invited, Some(2_500)), (kicked, Some(9_000))]
    {
        commit.chats.push(ChatRow {
            last_message_at: at.map(Timestamp),
            head: Seq(11),
            last_no: MessageNo(10),
            ..chat_row(room)
        });
        commit.room_events.push(message_row(room, 10, 10, "bob", "last"));
        commit.room_events.push(event_row(room, 11, 5));
        let state = if room == invited { 1 } else { u8::from(room == kicked) * 2 };
        commit.members.push(MemberChange::Put(member_row(room, "alice", state)));
        commit.members.push(MemberChange::Put(member_row(room, "bob", 0)));
    }
    commit.sent = vec![(new, user_id("alice"), MessageNo(4))];
    commit.members.push(MemberChange::Put(MemberRow { joined_no: MessageNo(8), ..member_row(quiet, "alice", 0) }));
    commit.members.retain(|change| !matches!(change, MemberChange::Put(m) if m.room == quiet && m.joined_no.0 == 0));
    let mark = |room, seq, no| ReadMarkRow { user: user_id("alice"), room, seq: Seq(seq), no: MessageNo(no) };
    commit.read_marks = vec![mark(old, 7, 7), mark(new, 3, 3)];
    store.commit(commit).await.unwrap();
    let list = store.room_list(&user_id("alice"), Shelf::Live, None, PageBound::rows(10)).await.unwrap().rows;
    let seen: Vec<_> = list.iter().map(|row| (row.chat.room, row.state, row.read_seq.0, row.unread)).collect();
    assert_eq!(seen, [(new, 0, 3, 6), (invited, 1, 0, 0), (old, 0, 7, 3), (quiet, 0, 0, 2)]);
    let last: Vec<_> = list.iter().map(|row| row.last_message.as_ref().map(|message| message.seq.0)).collect();
    assert_eq!(last, [Some(10), None, Some(10), Some(10)]);
}

pub(crate) async fn invitations_are_found_by_who_made_them(store: &dyn Store) {
    let (one, two, over) = (room_id(1), room_id(2), room_id(3));
    let mut commit = moved(one.partition(), 0, 1);
    commit.chats = vec![chat_row(one), chat_row(two), ChatRow { status: 1, ..chat_row(over) }];
    let by = |room, user: &str, by: &str| MemberRow { invited_by: Some(user_id(by)), ..member_row(room, user, 1) };
    let rows = [by(one, "cat", "ann"), by(one, "dan", "bob"), by(two, "cat", "ann"), by(two, "dan", "ann")];
    commit.members.extend(rows.iter().cloned().chain([by(over, "dan", "ann")]).map(MemberChange::Put));
    commit.members.push(MemberChange::Put(member_row(two, "ann", 0)));
    store.commit(commit).await.unwrap();
    let (ann, cat) = (user_id("ann"), user_id("cat"));
    let all = store.invitations(Invitations::of(&ann), 10).await.unwrap();
    assert_eq!(all, [rows[0].clone(), rows[2].clone(), rows[3].clone(), by(over, "dan", "ann")]);
    assert_eq!(store.invitations(Invitations::of(&ann), 2).await.unwrap(), all[..2]);
    let in_two = Invitations { room: Some(two), ..Invitations::of(&ann) };
    assert_eq!(store.invitations(in_two, 10).await.unwrap(), all[1..3]);
    let of_cat = Invitations { user: Some(&cat), ..Invitations::of(&ann) };
    assert_eq!(store.invitations(of_cat, 10).await.unwrap(), all[..2]);
    assert_eq!(store.invitations_out(&ann, 100).await.unwrap(), 4);
    assert_eq!(store.invitations_out(&ann, 2).await.unwrap(), 2, "no more are counted");
    assert_eq!(store.invitations_out(&cat, 100).await.unwrap(), 0);
    assert_eq!(store.pending_invitations(&ann, 100).await.unwrap(), 3, "that into a room that is over is none");
    assert_eq!(store.pending_invitations(&ann, 4).await.unwrap(), 4, "no more are looked at");
    assert_eq!(store.pending_invitations(&cat, 4).await.unwrap(), 0);
    let mut answered = moved(one.partition(), 1, 2);
    answered.members.push(MemberChange::Put(MemberRow { invited_by: None, ..member_row(one, "cat", 0) }));
    answered.members.push(MemberChange::Remove(two, user_id("dan")));
    store.commit(answered).await.unwrap();
    assert_eq!(store.pending_invitations(&ann, 100).await.unwrap(), 1);
}

/// Rooms that the members' rows follow and large ones, live ones and such that are over: (all, only the live ones).
async fn many_rooms(store: &dyn Store) -> (Vec<RoomListRow>, Vec<RoomListRow>) {
    let mut commit = moved(room_id(1).partition(), 0, 1);
    for n in 1..=60 {
        let (room, at) = (room_id(n), Timestamp(1_000 + (n % 5) as u64));
        let status = u8::from(n % 4 == 0);
        commit.chats.push(ChatRow { last_message_at: Some(at), status, ..chat_row(room) });
        commit.members.push(MemberChange::Put(member_row(room, "alice", 0)));
        commit.room_events.push(message_row(room, 1, 1, "bob", &"x".repeat(1_000)));
        if n % 3 > 0 {
            commit.listings.push(Listing { room, at: Some((Shelf::of(status), at)) });
        }
    }
    store.commit(commit).await.unwrap();
    let mut all = Vec::new();
    for shelf in [Shelf::Live, Shelf::Over] {
        all.push(store.room_list(&user_id("alice"), shelf, None, PageBound::rows(100)).await.unwrap().rows);
    }
    let live = all[0].clone();
    (all.concat(), live)
}

pub(crate) async fn pages_of_a_room_end_with_the_row_that_fills_them(store: &dyn Store) {
    let room = room_id(1);
    let mut commit = moved(room.partition(), 0, 1);
    commit.chats.push(ChatRow { head: Seq(20), last_no: MessageNo(10), ..chat_row(room) });
    for n in 1..=10 {
        commit.room_events.push(message_row(room, 2 * n - 1, n, "bob", &"x".repeat(1_000)));
        commit.room_events.push(event_row(room, 2 * n, 5));
    }
    store.commit(commit).await.unwrap();
    for range in [SeqRange::all(), SeqRange::all().reversed()] {
        let events = store.events(room, range, 100).await.unwrap();
        let messages = store.messages(room, range, 100).await.unwrap();
        assert_eq!((events.len(), messages.len()), (20, 10));
        for bytes in (1..12_000).step_by(700) {
            let part = range.within(bytes);
            let expected: Vec<_> = part.cut(events.iter().cloned(), RoomEventRow::bytes).collect();
            assert_eq!(store.events(room, part, 100).await.unwrap(), expected, "{part:?}");
            let expected: Vec<_> = part.cut(messages.iter().cloned(), MessageRow::bytes).collect();
            assert!(!expected.is_empty());
            assert_eq!(store.messages(room, part, 100).await.unwrap(), expected, "{part:?}");
        }
    }
    assert_eq!(store.events(room, SeqRange::all().within(5_000), 2).await.unwrap().len(), 2);
}

pub(crate) async fn the_room_list_is_paged_without_holes(store: &dyn Store) {
    let (all, live) = many_rooms(store).await;
    assert_eq!((all.len(), live.len()), (60, 45));
    for row in &all {
        let line = store.room_line(&user_id("alice"), row.chat.room).await.unwrap();
        assert_eq!(line.as_ref(), Some(row));
    }
    assert_eq!(store.room_line(&user_id("bob"), room_id(1)).await.unwrap(), None);
    let mut sorted = live.clone();
    sorted.sort_by_key(|row| std::cmp::Reverse(row.cursor()));
    assert_eq!(live, sorted);
    for bound in [PageBound::rows(4), PageBound::rows(1), PageBound { rows: 100, bytes: 5_000 }] {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = store.room_list(&user_id("alice"), Shelf::Live, after, bound).await.unwrap();
            assert!(page.rows.len() <= bound.rows && !page.rows.is_empty());
            after = page.rows.last().map(RoomListRow::cursor);
            paged.extend(page.rows);
            if !page.more {
                break;
            }
        }
        assert_eq!(paged, live);
    }
}

pub(crate) async fn a_page_of_the_room_list_is_bounded_in_bytes(store: &dyn Store) {
    let (_, live) = many_rooms(store).await;
    let list = async |bytes| {
        let page = store.room_list(&user_id("alice"), Shelf::Live, None, PageBound { rows: 100, bytes }).await.unwrap();
        (page.rows.len(), page.more)
    };
    let line = live[0].bytes();
    assert!(live.iter().all(|row| row.bytes() == line) && line > 1_000);
    assert_eq!(list(10 * line).await, (10, true));
    assert_eq!(list(10 * line - 1).await, (9, true));
    assert_eq!(list(1).await, (1, true), "one in any case");
    assert_eq!(list(45 * line).await, (45, false));
}

pub(crate) async fn a_room_that_is_over_leaves_the_live_list(store: &dyn Store) {
    let (ended, large) = (room_id(1), room_id(2));
    let chats = |status| [ended, large].map(|room| ChatRow { status, ..chat_row(room) });
    let lists = async || {
        let mut found = Vec::new();
        for shelf in [Shelf::Live, Shelf::Over] {
            let page = store.room_list(&user_id("alice"), shelf, None, PageBound::rows(9)).await.unwrap();
            found.push(page.rows.into_iter().map(|row| row.chat.room).collect::<Vec<_>>());
        }
        found
    };
    for (round, status) in [0, 1, 0, 2].into_iter().enumerate() {
        let mut commit = moved(ended.partition(), round as u64, round as u64 + 1);
        commit.chats.extend(chats(status));
        if round == 0 {
            commit.members.extend([ended, large].map(|room| MemberChange::Put(member_row(room, "alice", 0))));
        }
        commit.listings.push(Listing { room: ended, at: Some((Shelf::of(status), Timestamp(1_000))) });
        store.commit(commit).await.unwrap();
        let (both, none) = (vec![large, ended], Vec::new());
        assert_eq!(lists().await, if status == 0 { [both, none] } else { [none, both] }, "status {status}");
    }
}

pub(crate) async fn a_mark_that_the_fold_forgot_is_shown_and_never_falls(store: &dyn Store) {
    let (alice, room) = (user_id("alice"), room_id(3));
    let mark = |seq| ReadMarkRow { user: user_id("alice"), room: room_id(3), seq: Seq(seq), no: MessageNo(seq) };
    let seen = async || {
        let folded = store.user(&alice).await.unwrap().read_marks.first().map(|row| row.seq.0);
        let shown = store.read_marks(room, None, 9).await.unwrap().first().map(|row| row.seq.0);
        (folded, shown)
    };
    let steps = [
        (vec![mark(0)], vec![], (None, None)),
        (vec![], vec![mark(5)], (Some(5), Some(5))),
        (vec![mark(0)], vec![], (None, Some(5))),
        (vec![], vec![mark(3)], (Some(3), Some(5))),
        (vec![mark(7)], vec![], (None, Some(7))),
        (vec![mark(9)], vec![mark(8)], (Some(8), Some(9))),
    ];
    for (n, (past, known, expected)) in steps.into_iter().enumerate() {
        let mut commit = moved(alice.partition(), n as u64, n as u64 + 1);
        (commit.past_marks, commit.read_marks) = (past, known);
        store.commit(commit).await.unwrap();
        assert_eq!(seen().await, expected, "step {n}");
    }
}

pub(crate) async fn members_and_read_marks_are_paged(store: &dyn Store) {
    let room = room_id(3);
    let names: Vec<String> = (10..35).map(|n| format!("user{n}")).collect();
    let mut commit = moved(room.partition(), 0, 1);
    for name in &names {
        for room in [room, room_id(2), room_id(4)] {
            commit.members.push(MemberChange::Put(member_row(room, name, 0)));
            commit.read_marks.push(ReadMarkRow { user: user_id(name), room, seq: Seq(1), no: MessageNo(1) });
        }
    }
    store.commit(commit).await.unwrap();
    let (mut members, mut marks) = (Vec::new(), Vec::new());
    while members.len() < names.len() {
        let page = store.members(room, members.last(), 10).await.unwrap();
        assert!(!page.is_empty() && page.iter().all(|row| row.room == room));
        members.extend(page.into_iter().map(|row| row.user));
        let page = store.read_marks(room, marks.last(), 10).await.unwrap();
        marks.extend(page.into_iter().map(|row| row.user));
    }
    let expected: Vec<_> = names.iter().map(|name| user_id(name)).collect();
    assert_eq!((&members, &marks), (&expected, &expected));
    assert!(store.members(room, members.last(), 10).await.unwrap().is_empty());
}

pub(crate) async fn all_rooms_and_users_are_paged(store: &dyn Store) {
    let mut commit = moved(Partition::FIRST, 0, 1);
    let names: Vec<String> = (10..35).map(|n| format!("user{n}")).collect();
    commit.chats = (1..=25).rev().map(|n| chat_row(room_id(n))).collect();
    commit.users = names.iter().rev().map(|name| user_row(name)).collect();
    store.commit(commit).await.unwrap();
    let (mut rooms, mut users) = (Vec::new(), Vec::new());
    for expected in [10, 10, 5, 0] {
        let page = store.rooms(rooms.last().copied(), 10).await.unwrap();
        assert_eq!(page.len(), expected);
        rooms.extend(page.into_iter().map(|row| row.room));
        let page = store.users(users.last(), 10).await.unwrap();
        assert_eq!(page.len(), expected);
        users.extend(page.into_iter().map(|row| row.user));
    }
    assert_eq!(rooms, (1..=25).map(room_id).collect::<Vec<_>>());
    assert_eq!(users, names.iter().map(|name| user_id(name)).collect::<Vec<_>>());
}

pub(crate) async fn only_active_rooms_expire_the_longest_overdue_first(store: &dyn Store) {
    let mut commit = moved(room_id(1).partition(), 0, 1);
    for (n, expires_at, status) in
        [(1, Some(50), 0), (2, Some(40), 0), (3, None, 0), (4, Some(10), 1), (5, Some(51), 0)]
    {
        commit.chats.push(ChatRow { expires_at: expires_at.map(Timestamp), status, ..chat_row(room_id(n)) });
    }
    store.commit(commit).await.unwrap();
    commit = moved(room_id(1).partition(), 1, 2);
    commit.chats.push(ChatRow { expires_at: Some(Timestamp(50)), ..chat_row(room_id(6)) });
    store.commit(commit).await.unwrap();
    let over = store.expiring(Timestamp(50), None, 10).await.unwrap();
    assert_eq!(over, [(room_id(2), Timestamp(40)), (room_id(1), Timestamp(50)), (room_id(6), Timestamp(50))]);
    assert_eq!(store.expiring(Timestamp(50), None, 1).await.unwrap(), over[..1]);
    let after = |n: usize| Some((over[n].1, over[n].0));
    assert_eq!(store.expiring(Timestamp(50), after(0), 10).await.unwrap(), over[1..]);
    assert_eq!(store.expiring(Timestamp(50), after(1), 10).await.unwrap(), over[2..]);
    assert!(store.expiring(Timestamp(50), after(2), 10).await.unwrap().is_empty());
    assert!(store.expiring(Timestamp(39), None, 10).await.unwrap().is_empty());
}

pub(crate) async fn the_outbox_keeps_its_order_until_it_is_delivered(store: &dyn Store) {
    let row = |source: u16, offset, ord, fan_out| OutboxRow {
        source: Partition::new(source).unwrap(),
        offset: Offset(offset),
        ord,
        target: two_hundred(),
        record: Bytes::from(vec![0, 255, ord as u8]),
        fan_out,
    };
    let to_members = Some(FanOut { room: room_id(1), after: None });
    let rows = vec![row(2, 9, 0, None), row(2, 9, 1, None), row(2, 300, 0, to_members.clone()), row(7, 1, 0, None)];
    let mut commit = moved(Partition::new(2).unwrap(), 0, 301);
    commit.outbox = rows.iter().rev().cloned().collect();
    store.commit(commit).await.unwrap();
    let place = |source: u16, offset, ord| {
        let source = Partition::new(source).unwrap();
        OutboxPlace { source, offset: Offset(offset), ord }
    };
    let all = async || store.relay_next(OutboxPlace::first_of(Partition::FIRST), 10).await.unwrap();
    assert_eq!(all().await, rows);
    assert_eq!(store.relay_next(place(0, 0, 0), 2).await.unwrap(), rows[..2]);
    assert_eq!(store.relay_next(place(2, 9, 1), 10).await.unwrap(), rows[1..]);
    assert_eq!(store.relay_next(place(2, 9, 2), 10).await.unwrap(), rows[2..]);
    assert_eq!(store.relay_next(place(3, 0, 0), 10).await.unwrap(), rows[3..]);
    // In any order, and once more than once.
    store.relay_done(&[place(2, 9, 1), place(2, 10, 0)]).await.unwrap();
    store.relay_done(&[place(2, 9, 1)]).await.unwrap();
    assert_eq!(all().await, [&rows[..1], &rows[2..]].concat());
    store.relay_done(&[place(2, 9, 0)]).await.unwrap();
    // A fan-out becomes rows, page by page, behind itself.
    let pattern = place(2, 300, 0);
    let page = |from: Option<&str>, names: &[&str], after: Option<&str>| ExpandedPage {
        fan_out: pattern,
        from: from.map(user_id),
        rows: names.iter().map(|name| (two_hundred(), Bytes::copy_from_slice(name.as_bytes()))).collect(),
        after: after.map(user_id),
    };
    assert!(store.relay_expand(page(None, &["l", "m"], Some("m"))).await.unwrap());
    let further = Some(FanOut { room: room_id(1), after: Some(user_id("m")) });
    let told =
        |ord, name: &str| OutboxRow { record: Bytes::copy_from_slice(name.as_bytes()), ..row(2, 300, ord, None) };
    let halfway = [row(2, 300, 0, further), told(1, "l"), told(2, "m"), row(7, 1, 0, None)];
    assert_eq!(all().await, halfway);
    // Whoever comes too late with a page gives none: its numbers may be those of rows that were told and are gone.
    for late in [page(None, &["l", "m"], Some("m")), page(None, &["l"], None)] {
        assert!(!store.relay_expand(late).await.unwrap());
    }
    assert_eq!(all().await, halfway);
    assert!(store.relay_expand(page(Some("m"), &["n"], None)).await.unwrap());
    let all_told = [told(1, "l"), told(2, "m"), told(3, "n"), row(7, 1, 0, None)];
    assert_eq!(all().await, all_told);
    for late in [page(Some("m"), &["n"], None), page(Some("m"), &["n"], Some("n"))] {
        assert!(!store.relay_expand(late).await.unwrap());
    }
    assert_eq!(all().await, all_told);
}

fn two_hundred() -> Partition {
    Partition::new(200).unwrap()
}

/// Only the latest of each partition are kept; that they are bounded shows in that a flood of them is taken.
pub(crate) async fn dead_letters_are_bounded(store: &dyn Store) {
    let partition = Partition::new(3).unwrap();
    for round in 0..3 {
        let mut commit = moved(partition, round, round + 1);
        commit.dead_letters = (0..limits::DEAD_LETTERS as u64)
            .map(|n| DeadLetterRow {
                partition,
                offset: Offset(round * 1_000 + n),
                at: Timestamp(1),
                reason: "bad".to_owned(),
                record: Bytes::from_static(b"\xff"),
            })
            .collect();
        store.commit(commit).await.unwrap();
    }
    let kept = store.dead_letters(partition, 10_000).await.unwrap();
    assert_eq!(kept.len(), limits::DEAD_LETTERS);
    assert!(kept.iter().all(|row| row.offset.0 >= 2_000 && row.record.as_ref() == b"\xff"));
}
